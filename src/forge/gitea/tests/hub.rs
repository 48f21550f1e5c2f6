//! A Gitea of a few routes on loopback, below a path: strict about who asks, says what a test told it to, remembers every
//! request.

use crate::forge::gitea::{Gitea, GiteaSettings};
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

pub(super) const TOKEN: &str = "0123456789012345678901234567890123456789";

/// What the hub says to one request.
#[derive(Clone)]
pub(super) enum Reply {
    Say {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Value,
    },
    /// No body at all.
    Status(u16),
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

#[derive(Default)]
struct Inside {
    replies: HashMap<String, VecDeque<Reply>>,
    /// Lines and bodies.
    seen: Vec<(String, Value)>,
    strangers: Vec<String>,
}

pub(super) struct Hub {
    /// Where its pages are.
    pub url: Url,
    inside: Arc<Mutex<Inside>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.server.abort();
        if !std::thread::panicking() {
            let strangers = &self.inside.lock().unwrap().strangers;
            assert!(strangers.is_empty(), "requests that Gitea would not understand: {strangers:?}");
        }
    }
}

impl Hub {
    pub(super) async fn start() -> Self {
        let inside = Arc::new(Mutex::new(Inside::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/forge/", listener.local_addr().unwrap()).parse().unwrap();
        let app = Router::new().fallback(answer).with_state(inside.clone());
        let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { url, inside, server }
    }

    pub(super) fn host(&self) -> String {
        super::address::host(&self.url)
    }

    pub(super) fn gitea(&self) -> Gitea {
        let patience =
            Patience { deadline: Duration::from_millis(500), attempts: 3, first_pause: Duration::from_millis(1) };
        Gitea::with_patience(&GiteaSettings { url: self.url.clone(), token: TOKEN.into() }, patience).unwrap()
    }

    /// The next answer to `METHOD /path?query`; the last one is given again and again.
    pub(super) fn on(&self, line: &str, reply: Reply) -> &Self {
        self.inside.lock().unwrap().replies.entry(line.to_owned()).or_default().push_back(reply);
        self
    }

    pub(super) fn instead(&self, line: &str, reply: Reply) -> &Self {
        self.inside.lock().unwrap().replies.remove(line);
        self.on(line, reply)
    }

    pub(super) fn bodies(&self, line: &str) -> Vec<Value> {
        let inside = self.inside.lock().unwrap();
        inside.seen.iter().filter(|(seen, _)| seen == line).map(|(_, body)| body.clone()).collect()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.inside.lock().unwrap().seen.iter().map(|(line, _)| line.clone()).collect()
    }
}

async fn answer(State(inside): State<Arc<Mutex<Inside>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str().to_owned();
    let body: Value = serde_json::from_slice(&to_bytes(body, 1 << 20).await.unwrap()).unwrap_or_default();
    let reply = {
        let mut inside = inside.lock().unwrap();
        let line = format!("{} {}", parts.method, path.strip_prefix("/forge/api/v1").unwrap_or(&path));
        let authorization = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        if authorization.as_deref() != Some(&format!("token {TOKEN}")) || !parts.headers.contains_key("user-agent") {
            inside.strangers.push(line.clone());
        }
        inside.seen.push((line.clone(), body));
        match inside.replies.get_mut(&line) {
            Some(replies) if replies.len() > 1 => replies.pop_front().unwrap(),
            Some(replies) => replies[0].clone(),
            None => says(404, json!({ "message": format!("no answer was prepared for {line}") })),
        }
    };
    match reply {
        Reply::Say { status, headers, body } => {
            let builder = headers.into_iter().fold(Response::builder().status(status), |b, (n, v)| b.header(n, v));
            builder.body(Body::from(body.to_string())).unwrap()
        }
        Reply::Status(status) => Response::builder().status(status).body(Body::empty()).unwrap(),
        Reply::HangUp => {
            let cut = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
            Response::new(Body::from_stream(cut))
        }
        Reply::Silence => std::future::pending().await,
    }
}
