//! A GitLab of a few routes on loopback: says what a test told it to, remembers every request, and refuses what no
//! GitLab would understand.

use crate::domain::id::{PullId, PullNumber, RepoName};
use crate::forge::gitlab::{Gitlab, GitlabSettings};
use crate::forge::retry::Patience;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

/// What the hub says to one request.
#[derive(Clone)]
pub(super) enum Reply {
    Say {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Value,
    },
    /// Does it, then hangs up without an answer.
    HangUp,
    /// Never answers.
    Silence,
}

pub(super) fn says(status: u16, body: Value) -> Reply {
    Reply::Say { status, headers: Vec::new(), body }
}

impl Reply {
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        if let Self::Say { headers, .. } = &mut self {
            headers.push((name, value.into()));
        }
        self
    }
}

#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `GET /projects/…`, below `/api/v4`, as it was encoded.
    pub line: String,
    pub query: String,
    pub authorization: String,
    pub body: Value,
}

#[derive(Default)]
struct Inside {
    replies: HashMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    strangers: Vec<String>,
}

pub(super) struct Hub {
    pub url: Url,
    inside: Arc<Mutex<Inside>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.server.abort();
        if !std::thread::panicking() {
            let strangers = &self.inside.lock().unwrap().strangers;
            assert!(strangers.is_empty(), "requests that nobody expected: {strangers:?}");
        }
    }
}

impl Hub {
    pub(super) async fn start() -> Self {
        let inside = Arc::new(Mutex::new(Inside::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let app = Router::new().fallback(answer).with_state(inside.clone());
        let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { url, inside, server }
    }

    pub(super) fn gitlab(&self) -> Gitlab {
        let settings = GitlabSettings { url: self.url.clone(), token: "glpat-token".into() };
        let patience =
            Patience { deadline: Duration::from_millis(500), attempts: 3, first_pause: Duration::from_millis(1) };
        Gitlab::with_patience(&settings, patience).unwrap()
    }

    pub(super) fn repo(&self) -> RepoName {
        let host = self.url.authority();
        RepoName::new(host, "acme/eu", "infra").unwrap()
    }

    pub(super) fn pull_id(&self) -> PullId {
        PullId { repo: self.repo(), number: PullNumber(7) }
    }

    /// What to say to the next request of this line; the last reply stays.
    pub(super) fn on(&self, line: &str, reply: Reply) {
        self.inside.lock().unwrap().replies.entry(line.to_owned()).or_default().push_back(reply);
    }

    pub(super) fn instead(&self, line: &str, reply: Reply) {
        self.inside.lock().unwrap().replies.insert(line.to_owned(), VecDeque::from([reply]));
    }

    pub(super) fn seen(&self, line: &str) -> Vec<Seen> {
        self.all().into_iter().filter(|seen| seen.line == line).collect()
    }

    pub(super) fn all(&self) -> Vec<Seen> {
        self.inside.lock().unwrap().seen.clone()
    }
}

async fn answer(State(inside): State<Arc<Mutex<Inside>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let path = head.uri.path().strip_prefix("/api/v4").unwrap_or("outside of the API");
    let line = format!("{} {path}", head.method);
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let reply = {
        let mut inside = inside.lock().unwrap();
        inside.seen.push(Seen {
            line: line.clone(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            authorization: header("authorization"),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        });
        let replies = inside.replies.get_mut(&line);
        let reply =
            replies.and_then(|replies| if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() });
        if reply.is_none() || !header("user-agent").starts_with("terraplane/") {
            inside.strangers.push(line);
        }
        reply.unwrap_or_else(|| says(404, json!({ "message": "404 Not Found" })))
    };
    match reply {
        Reply::Say { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body.to_string())).unwrap()
        }
        // An unfinished body ends the connection in the middle of the answer.
        Reply::HangUp => {
            let broken = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("hung up")) });
            Response::new(Body::from_stream(broken))
        }
        Reply::Silence => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Response::new(Body::empty())
        }
    }
}
