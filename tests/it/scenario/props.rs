//! What stories need besides people: terraform that waits for a cue, a state server that is not ours, somebody who runs
//! terraform by hand, and comments in a form that is the same every time.

use crate::stage::{Stage, idle};
use crate::world::{PATIENCE, PullRequest, World, program};
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::any;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;
use terraplane::demo::state::{Answer, Delivery};
use terraplane::domain::id::PullId;
use tokio::net::TcpListener;

/// From here to the end of the scope, what differs from run to run reads the same in snapshots.
pub(crate) fn masked() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"http://127\.0\.0\.1:\d+/runs/[0-9a-f]{32}\?key=[0-9a-f]{32}", "PAGE");
    settings.add_filter(r":run [0-9a-f]{32} -->", ":run ID -->");
    settings.add_filter(r":reply ([a-z]+)-\d+-(\d+) -->", ":reply $1-ID-$2 -->");
    settings.add_filter(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID");
    settings.add_filter(r"`p_[0-9a-f]{8}`", "`p_PLAN`");
    settings.add_filter(r"`[0-9a-f]{7}`", "`SHA`");
    settings.add_filter(r"\b\d+ s\b", "0 s");
    settings.bind_to_scope()
}

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
        self.world.webhooks_answered().await;
        idle(&self.server).await;
        let before = seen(&self.world);
        let all = self.world.forge.change(|state| {
            let others: Vec<Delivery> =
                state.deliveries.iter().map(|d| Delivery { id: format!("{}-b", d.id), ..d.clone() }).collect();
            state.deliveries.extend(others);
            state.deliveries.iter_mut().for_each(|delivery| delivery.answer = Answer::None);
            state.deliveries.iter().map(|d| d.id.clone()).collect::<Vec<_>>()
        });
        all.iter().rev().for_each(|id| self.world.forge.redeliver(id));
        self.world.webhooks_answered().await;
        idle(&self.server).await;
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

/// A terraform that waits before a step until it is let go on, and may pretend to be of another version.
pub(crate) struct Terraform {
    dir: TempDir,
}

impl Terraform {
    pub(crate) fn new() -> Self {
        Self::of_version(None)
    }

    pub(crate) fn of_version(version: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (at, real) = (dir.path().display(), program("terraform").display().to_string());
        let version = version.map_or(String::new(), |version| {
            format!("if [ \"$1\" = version ]; then echo '{{\"terraform_version\": \"{version}\"}}'; exit 0; fi\n")
        });
        let script = format!(
            "#!/bin/sh\n{version}if [ -e \"{at}/hold-$1\" ]; then\n  env > \"{at}/env-$1\"\n  mv \"{at}/env-$1\" \
             \"{at}/at-$1\"\n  while [ -e \"{at}/hold-$1\" ]; do sleep 0.02; done\nfi\nexec {real} \"$@\"\n"
        );
        let binary = dir.path().join("terraform");
        fs::write(&binary, script).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    /// For `server.yaml`.
    pub(crate) fn yaml(&self) -> String {
        format!("terraform:\n  binaries: [\"{}\"]\n", self.dir.path().join("terraform").display())
    }

    /// From now on this step (`plan`, `apply`, …) waits.
    pub(crate) fn hold(&self, step: &str) {
        let _ = fs::remove_file(self.file("at", step));
        fs::write(self.file("hold", step), "").unwrap();
    }

    pub(crate) fn release(&self, step: &str) {
        fs::remove_file(self.file("hold", step)).unwrap();
    }

    /// Waits until a process has come to the step, and returns what it sees of the environment.
    pub(crate) async fn at(&self, step: &str) -> BTreeMap<String, String> {
        let file = self.file("at", step);
        until(&format!("terraform at `{step}`"), || file.exists()).await;
        let text = fs::read_to_string(file).unwrap();
        text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    fn file(&self, what: &str, step: &str) -> PathBuf {
        self.dir.path().join(format!("{what}-{step}"))
    }
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
    state: Arc<Mutex<Option<Bytes>>>,
}

impl StateServer {
    pub(crate) async fn start() -> Self {
        let state: Arc<Mutex<Option<Bytes>>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/state", listener.local_addr().unwrap());
        let kept = Arc::clone(&state);
        let serve = any(async move |method: axum::http::Method, body: Bytes| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            match method.as_str() {
                "POST" => {
                    *kept = Some(body);
                    (StatusCode::OK, Bytes::new())
                }
                "GET" => kept.clone().map_or((StatusCode::NOT_FOUND, Bytes::new()), |state| (StatusCode::OK, state)),
                _ => (StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
            }
        });
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/state", serve)).await });
        Self { url, state }
    }

    /// A file of the project that makes it its backend.
    pub(crate) fn backend(&self) -> String {
        format!("terraform {{\n  backend \"http\" {{\n    address = \"{}\"\n  }}\n}}\n", self.url)
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
