//! The routes as their callers see them. Most are asked without a network; limits, the lost answer and terraform need a
//! real one.

mod api;
mod around;
mod hooks;
mod pages;
mod state;
mod terraform;

use super::*;
use crate::archive::ArchiveKey;
use crate::domain::decide::PullRecord;
use crate::domain::id::{ForgeKind, RepoName, RunId, Timestamp};
use crate::domain::run::{Run, RunState};
use axum::body::Body;
use axum::http::{Request, Response};
use serde_json::json;
use tower::ServiceExt as _;

const SECRET: &str = "webhook-secret";

/// The server's HTTP over a store and an archive of its own.
struct Server {
    router: Router,
    store: Store,
    archive: Archive,
    links: Links,
    tokens: Tokens,
    wake: Arc<Notify>,
    draining: Arc<AtomicBool>,
    dir: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = ArchiveKey::load_or_create(&dir.path().join("key")).unwrap();
        let archive = Archive::open(&dir.path().join("archive"), &key).unwrap();
        let store = Store::open(&format!("sqlite:{}", dir.path().join("db").display())).await.unwrap();
        let links = Links::new(&url::Url::parse("https://terraplane.example.com").unwrap(), &archive.hmac_key());
        let tokens = Tokens::new(&archive.hmac_key());
        let (wake, draining) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let hook = |host: &str, secret: &str| Hook { host: host.into(), proof: Proof::Github(secret.into()) };
        let router = router(WebState {
            store: store.clone(),
            archive: archive.clone(),
            hooks: vec![hook("ghes.example.com", "another-secret"), hook("github.com", SECRET)],
            calls: api::calls(),
            links: links.clone(),
            tokens: tokens.clone(),
            metrics: Metrics::install(),
            wake: Arc::clone(&wake),
            draining: Arc::clone(&draining),
        });
        Self { router, store, archive, links, tokens, wake, draining, dir }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Serves on a port of its own until the test's runtime ends.
    async fn listen(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn add_run(&self, number: u128, state: RunState) -> Run {
        let run = run(number, state);
        let mut tx = self.store.write(&repo()).await.unwrap();
        tx.save_pull(&pull_record(), Timestamp(1)).await.unwrap();
        tx.insert_run(&run).await.unwrap();
        tx.commit().await.unwrap();
        run
    }

    async fn set_state(&self, run: &mut Run, state: RunState) {
        run.state = state;
        let mut tx = self.store.write(&repo()).await.unwrap();
        tx.update_run(run).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// An answer, read to its end.
struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Self { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn repo() -> RepoName {
    RepoName::new("github.com", "acme", "infra").unwrap()
}

fn run_id(number: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(number))
}

fn pull_record() -> PullRecord {
    serde_json::from_value(json!({
        "pull": {
            "id": "github.com/acme/infra#12", "title": "Wider network",
            "html_url": "https://github.com/acme/infra/pull/12", "author": "sam", "head": "a".repeat(40),
            "head_branch": "wider", "fork": false, "base_branch": "main", "base": "b".repeat(40), "draft": false,
            "phase": { "phase": "open" }, "updated_at": 0,
        },
        "affected": null, "problem": null,
    }))
    .unwrap()
}

fn run(number: u128, state: RunState) -> Run {
    serde_json::from_value(json!({
        "id": uuid::Uuid::from_u128(number),
        "pull": "github.com/acme/infra#12",
        "project": {
            "key": "prod/network", "name": "prod-network", "tags": [], "var_files": [], "watch": [],
            "terraform_version": null, "state": "managed", "apply": "on_merge", "require": [], "reason": "",
        },
        "target": { "head": "a".repeat(40), "base": "b".repeat(40), "tree": "c".repeat(40), "inputs": "d" },
        "work": { "kind": "plan" },
        "state": state.as_str(),
        "created_at": 0, "started_at": 0, "finished_at": null, "level": "off", "outcome": null,
    }))
    .unwrap()
}
