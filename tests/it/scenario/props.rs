//! What stories need besides people: a state server that is not ours, somebody who runs terraform by hand, and a look at
//! what came of it all.

use crate::stage::Stage;
use crate::world::{PATIENCE, PullRequest, World, program};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::any;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;
use terraplane::demo::state::{Answer, Delivery};
use terraplane::domain::id::PullId;
use tokio::net::TcpListener;

/// `terraplane.yaml` with `prod`, whose state Terraplane keeps, and one rule for everything.
pub(crate) fn managed(rule: &str) -> String {
    format!("{}rules:\n  - {{match: \"*\", {rule}}}\n", super::MANAGED)
}

pub(crate) fn pull_id(pull: &PullRequest) -> PullId {
    format!("{}#{}", pull.world.repo_name(), pull.number).parse().unwrap()
}

impl Stage {
    /// How many applies of a pull request came to an end, whatever it was.
    pub(crate) async fn applies(&self, pull: &PullRequest) -> usize {
        let trail = self.server.flow.store.audit_trail(&pull_id(pull)).await.unwrap();
        trail.iter().filter(|entry| entry.action == "applied").count()
    }

    /// How many runs there ever were, of all pull requests.
    pub(crate) fn runs(&self) -> usize {
        fs::read_dir(self.data.path().join("data/log")).map_or(0, Iterator::count)
    }

    /// Every webhook comes again, the newest first: once as it was, and once more as a delivery of its own. Nothing that
    /// people see may change by that.
    pub(crate) async fn hear_everything_again(&self) {
        self.settled().await;
        let before = seen(&self.world);
        let all = self.world.forge.change(|state| {
            let others: Vec<Delivery> =
                state.deliveries.iter().map(|d| Delivery { id: format!("{}-b", d.id), ..d.clone() }).collect();
            state.deliveries.extend(others);
            state.deliveries.iter_mut().for_each(|delivery| delivery.answer = Answer::None);
            state.deliveries.iter().map(|d| d.id.clone()).collect::<Vec<_>>()
        });
        all.iter().rev().for_each(|id| self.world.forge.redeliver(id));
        self.settled().await;
        let new: Vec<String> = seen(&self.world).into_iter().filter(|fact| !before.contains(fact)).collect();
        assert!(new.is_empty(), "webhooks that came again changed something: {new:#?}");
    }
}

/// Everything that people see: comments with what they said before, and statuses.
fn seen(world: &World) -> Vec<String> {
    world.forge.read(|state| {
        let comments = state.repos.values().flat_map(|repo| repo.pulls.values()).flat_map(|pull| &pull.comments);
        let statuses = state.repos.values().flat_map(|repo| &repo.statuses);
        comments.map(|c| format!("{c:?}")).chain(statuses.map(|s| format!("{s:?}"))).collect()
    })
}

/// Waits for something outside of the world, which can't ring.
pub(crate) async fn until(what: &str, mut there: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !there() {
        assert!(tokio::time::Instant::now() < end, "there was never {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// A state server of somebody else: what the code's own `http` backend speaks to.
pub(crate) struct StateServer {
    pub(crate) url: String,
    read_only: Arc<AtomicBool>,
    state: Arc<Mutex<Option<Bytes>>>,
}

impl StateServer {
    pub(crate) async fn start() -> Self {
        let state: Arc<Mutex<Option<Bytes>>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/state", listener.local_addr().unwrap());
        let kept = Arc::clone(&state);
        let read_only = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&read_only);
        let serve = any(async move |method: axum::http::Method, body: Bytes| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            match method.as_str() {
                "POST" if refuses.load(Ordering::Relaxed) => (StatusCode::FORBIDDEN, Bytes::new()),
                "POST" => {
                    *kept = Some(body);
                    (StatusCode::OK, Bytes::new())
                }
                "GET" => kept.clone().map_or((StatusCode::NOT_FOUND, Bytes::new()), |state| (StatusCode::OK, state)),
                _ => (StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
            }
        });
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/state", serve)).await });
        Self { url, read_only, state }
    }

    /// A file of the project that makes it its backend.
    pub(crate) fn backend(&self) -> String {
        format!("terraform {{\n  backend \"http\" {{\n    address = \"{}\"\n  }}\n}}\n", self.url)
    }

    /// From now on nobody can write the state.
    pub(crate) fn refuse_writes(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    pub(crate) fn text(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        String::from_utf8_lossy(&state).into_owned()
    }
}

/// Somebody at a keyboard, with a directory of Terraform code.
pub(crate) struct Hand {
    dir: TempDir,
}

impl Hand {
    pub(crate) async fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
        let hand = Self { dir };
        hand.terraform(&["init", "-input=false"]).await;
        hand
    }

    pub(crate) async fn terraform(&self, args: &[&str]) {
        let output = run(&program("terraform"), self.dir.path(), args).await;
        assert!(output.status.success(), "terraform {args:?} by hand: {}", String::from_utf8_lossy(&output.stderr));
    }
}

async fn run(program: &Path, dir: &Path, args: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap();
    let environment = [("PATH", path.as_str()), ("CHECKPOINT_DISABLE", "1"), ("TF_CLI_CONFIG_FILE", "/dev/null")];
    let mut command = tokio::process::Command::new(program);
    command.args(args).current_dir(dir).env_clear().envs(environment).env("HOME", dir).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap()
}
