//! A GitHub of a few routes on loopback: strict about who asks, says what a test told it to, remembers every request.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use octocrab::jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;
use url::Url;

use crate::forge::github::{Github, GithubAuth, GithubSettings};
use crate::forge::retry::Patience;

const GRAPHQL: &str = "POST /api/graphql";

pub(super) const APP_ID: u64 = 4711;
pub(super) const INSTALLATION: u64 = 99;
pub(super) const PERSONAL_TOKEN: &str = "personal-token";

/// The App's key: made anew in each test run, so that no key lies around.
pub(super) static APP_KEY: LazyLock<AppKey> = LazyLock::new(AppKey::make);

pub(super) struct AppKey {
    pub pem: String,
    public: Vec<u8>,
}

impl AppKey {
    fn make() -> Self {
        use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
        use aws_lc_rs::rsa::{KeyPair, KeySize};
        use aws_lc_rs::signature::KeyPair as _;

        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let lines: Vec<String> =
            base64(der.as_ref()).as_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Self { pem, public: pair.public_key().as_ref().to_vec() }
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().chain([0, 0].iter()).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..4 {
            let letter = char::from(ALPHABET[bits >> (18 - 6 * place) & 63]);
            text.push(if place > chunk.len() { '=' } else { letter });
        }
    }
    text
}

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
    /// `GET /repos/…`, below the API's base path.
    pub line: String,
    pub authorization: String,
    pub body: Value,
}

#[derive(Default)]
struct Inside {
    replies: HashMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    tokens: Vec<(String, bool)>,
    /// Tokens that are refused although they have just been given.
    stillborn: bool,
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
            assert!(strangers.is_empty(), "requests that GitHub would not understand: {strangers:?}");
        }
    }
}

impl Hub {
    pub(super) async fn start() -> Self {
        let inside = Arc::new(Mutex::new(Inside::default()));
        inside.lock().unwrap().tokens.push((PERSONAL_TOKEN.into(), true));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = Url::parse(&format!("http://{}/api/v3", listener.local_addr().unwrap())).unwrap();
        let app = Router::new().fallback(answer).with_state(inside.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let hub = Self { url, inside, server };
        hub.on("GET /app", says(200, json!({ "id": APP_ID, "slug": "terraplane" })));
        hub.on("GET /user", says(200, json!({ "login": "Terra-Bot", "type": "User" })));
        hub.on("GET /repos/acme/infra/installation", says(200, json!({ "id": INSTALLATION })));
        hub
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    /// Answers `line` with `reply`. Several are given one after the other; the last of them from then on.
    pub(super) fn on(&self, line: &str, reply: Reply) -> &Self {
        self.inside().replies.entry(line.into()).or_default().push_back(reply);
        self
    }

    /// Answers every question in GraphQL, which is beside the REST API.
    pub(super) fn on_graphql(&self, answer: Value) -> &Self {
        self.on(GRAPHQL, says(200, answer))
    }

    pub(super) fn instead(&self, line: &str, reply: Reply) -> &Self {
        self.inside().replies.remove(line);
        self.on(line, reply)
    }

    /// Takes back every token that was given so far.
    pub(super) fn revoke_tokens(&self) {
        self.inside().tokens.iter_mut().for_each(|(_, live)| *live = false);
    }

    /// From now on no token is any good.
    pub(super) fn give_bad_tokens(&self) {
        self.revoke_tokens();
        self.inside().stillborn = true;
    }

    pub(super) fn seen(&self, line: &str) -> Vec<Seen> {
        self.inside().seen.iter().filter(|seen| seen.line == line).cloned().collect()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.inside().seen.iter().map(|seen| seen.line.clone()).collect()
    }

    pub(super) fn repo(&self) -> String {
        format!("{}:{}/acme/infra", self.url.host_str().unwrap(), self.url.port().unwrap())
    }

    pub(super) fn with_token(&self) -> Github {
        self.with(GithubAuth::Token(PERSONAL_TOKEN.into()), Duration::from_secs(20))
    }

    /// Gives up on an answer almost at once.
    pub(super) fn in_a_hurry(&self) -> Github {
        self.with(GithubAuth::Token(PERSONAL_TOKEN.into()), Duration::from_millis(300))
    }

    pub(super) fn with_app(&self) -> Github {
        let auth = GithubAuth::App { app_id: APP_ID, private_key: APP_KEY.pem.clone().into() };
        self.with(auth, Duration::from_secs(20))
    }

    fn with(&self, auth: GithubAuth, deadline: Duration) -> Github {
        let patience = Patience { deadline, attempts: 3, first_pause: Duration::from_millis(1) };
        Github::with_patience(&GithubSettings { api_url: self.url.clone(), auth }, patience).unwrap()
    }
}

async fn answer(State(inside): State<Arc<Mutex<Inside>>>, request: Request) -> Response {
    let (request, body) = request.into_parts();
    let path = request.uri.path_and_query().unwrap().as_str();
    let line = format!("{} {}", request.method, path.strip_prefix("/api/v3").unwrap_or(path));
    let header = |name: &str| request.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (authorization, agent, accept) = (header("authorization"), header("user-agent"), header("accept"));
    let below_base = path.starts_with("/api/v3/") || line == GRAPHQL;
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };

    let reply = {
        let mut inside = inside.lock().unwrap();
        inside.seen.push(Seen { line: line.clone(), authorization: authorization.clone(), body });
        if !below_base || agent.is_empty() || !accept.contains("json") {
            inside.strangers.push(line.clone());
        }
        inside.reply(&line, &authorization)
    };
    match reply {
        Reply::Say { status, headers, body } => {
            let mut response = Response::builder().status(status).header("content-type", "application/json");
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body.to_string())).unwrap()
        }
        Reply::Silence => std::future::pending().await,
        // Unwinds the connection's task without a message: the connection closes.
        Reply::HangUp => std::panic::resume_unwind(Box::new("hangs up")),
    }
}

impl Inside {
    fn reply(&mut self, line: &str, authorization: &str) -> Reply {
        let bearer = authorization.strip_prefix("Bearer ").unwrap_or_default();
        let as_app = line.contains(" /app") || line.ends_with("/installation");
        let known = if as_app { signed_by_app(bearer) } else { self.tokens.contains(&(bearer.into(), true)) };
        if !known {
            return says(401, json!({ "message": "Bad credentials" }));
        }
        match self.replies.get_mut(line) {
            Some(replies) if replies.len() > 1 => return replies.pop_front().unwrap(),
            Some(replies) => return replies[0].clone(),
            None => {}
        }
        if line == format!("POST /app/installations/{INSTALLATION}/access_tokens") {
            let token = format!("installation-token-{}", self.tokens.len());
            self.tokens.push((token.clone(), !self.stillborn));
            let expires_at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
            return says(201, json!({ "token": token, "expires_at": expires_at.to_string() }));
        }
        self.strangers.push(line.into());
        says(404, json!({ "message": "Not Found" }))
    }
}

/// As GitHub checks it: RS256 by the App's key, issued by the App, at most ten minutes long.
fn signed_by_app(jwt: &str) -> bool {
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_required_spec_claims(&["exp"]);
    let key = DecodingKey::from_rsa_der(&APP_KEY.public);
    let Ok(token) = decode::<Value>(jwt, &key, &rules) else {
        return false;
    };
    let seconds = |claim: &str| token.claims[claim].as_i64().unwrap();
    token.claims["iss"].as_u64() == Some(APP_ID) && seconds("exp") - seconds("iat") <= 600
}
