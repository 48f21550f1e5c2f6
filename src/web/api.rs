//! `POST /api/v1/commands`: commands from programs. A token commands as an account of the forge, so that the same door
//! asks for the same rights as of a comment by that account; what comes of it is told on the pull request.
//!
//! The call is on disk before it is answered, as a delivery like those of webhooks.

use super::upload::UploadRefused;
use super::{Shared, Web};
use crate::config::{ApiToken, RepoPolicy};
use crate::domain::command::{Names, Parsed, parse_comment};
use crate::domain::event::{Called, Event};
use crate::domain::id::{DeliveryId, ForgeKind, Login, PullId, Sha};
use crate::flow::now;
use crate::store::{NewDelivery, Recorded, StoreError};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Who may command by the API, and what can be commanded.
#[derive(Debug, Clone)]
pub struct Calls {
    pub tokens: Vec<ApiToken>,
    /// The server's.
    pub name: String,
    pub names: Names,
    pub repos: Vec<RepoPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    /// `github.com/acme/infra#7`
    pull: String,
    /// As in a comment, without the server's name: `apply prod/network`.
    command: String,
    /// Nothing is applied if the head is another one.
    head: Option<String>,
}

/// Why nothing comes of a call.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the `Authorization` header must be `Bearer` and a token of `api` in the server's configuration")]
    Unauthorized,
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    NotServed(String),
    #[error(transparent)]
    Upload(#[from] UploadRefused),
    #[error("the command could not be recorded: try again later")]
    Store(#[from] StoreError),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotServed(_) => StatusCode::NOT_FOUND,
            Self::Upload(refused) => return refused.into_response(),
            Self::Store(error) => {
                tracing::error!(%error, "a call could not be recorded");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        (status, axum::Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// Answers 202 with the call's id when it is recorded. The same `Idempotency-Key` again does nothing more.
pub(super) async fn command(State(web): Shared, headers: HeaderMap, body: Body) -> Response {
    match record(&web, &headers, body).await {
        Ok(id) => (StatusCode::ACCEPTED, axum::Json(json!({ "id": id.as_str() }))).into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn record(web: &Web, headers: &HeaderMap, body: Body) -> Result<DeliveryId, Refused> {
    let calls = &web.given.calls;
    let Some(by) = caller(&calls.tokens, headers) else {
        web.call_uploads.discard(body).await;
        return Err(Refused::Unauthorized);
    };
    let upload = web.call_uploads.read(body).await?;
    let call: Call = serde_json::from_slice(&upload.bytes)
        .map_err(|error| Refused::Malformed(format!("the body is not what is wanted: {error}")))?;
    let pull: PullId = call.pull.parse().map_err(|error| Refused::Malformed(format!("`pull`: {error}")))?;
    let head: Option<Sha> = call
        .head
        .map(|head| head.parse())
        .transpose()
        .map_err(|error| Refused::Malformed(format!("`head`: {error}")))?;
    understood(calls, &call.command)?;
    let forge = forge_of(web, &pull)?;
    let key = match headers.get("idempotency-key") {
        None => uuid::Uuid::now_v7().simple().to_string(),
        Some(key) => key
            .to_str()
            .ok()
            .filter(|key| (1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| Refused::Malformed("`Idempotency-Key` must have 1 to 64 visible characters".to_owned()))?
            .to_owned(),
    };
    // Each account has keys of its own.
    let id: DeliveryId = format!("call:{}:{key}", by.as_str().chars().take(100).collect::<String>())
        .parse()
        .map_err(|error| Refused::Malformed(format!("{error}")))?;
    let event = Event::Called { pull: pull.clone(), called: Called { by, text: call.command, head, seen: None } };
    let delivery = NewDelivery::of_event(forge, id.clone(), &pull, &event, now());
    if web.given.store.record_delivery(delivery).await? == Recorded::New {
        web.given.wake.notify_waiters();
    }
    Ok(id)
}

/// Every token is compared, so that the time tells nothing.
fn caller(tokens: &[ApiToken], headers: &HeaderMap) -> Option<Login> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    let given = Sha256::digest(given.trim());
    let same = |api: &&ApiToken| bool::from(Sha256::digest(api.token.expose_secret()).ct_eq(&given));
    let mut found: Vec<&ApiToken> = tokens.iter().filter(same).collect();
    found.pop().map(|api| api.acts_as.clone())
}

/// What a program gets wrong is told to the program, and not to the people of the pull request.
fn understood(calls: &Calls, text: &str) -> Result<(), Refused> {
    let malformed = |why: String| Err(Refused::Malformed(format!("`command`: {why}")));
    if text.contains(['\n', '\r']) {
        return malformed("one line is one command".to_owned());
    }
    match parse_comment(&format!("{} {text}", calls.name), &calls.names).into_iter().next() {
        Some((_, Parsed::Command(_))) => Ok(()),
        Some((_, Parsed::BadArgument { argument, why, .. })) => malformed(format!("the argument `{argument}` {why}")),
        Some((_, Parsed::UnknownVerb { word, .. })) => malformed(format!("`{word}` is not a verb")),
        Some((_, Parsed::OneTooMany(_))) | None => malformed("it is no command".to_owned()),
    }
}

fn forge_of(web: &Web, pull: &PullId) -> Result<ForgeKind, Refused> {
    let hook = web.given.hooks.iter().find(|hook| hook.host == pull.repo.host());
    let served = web.given.calls.repos.iter().any(|policy| policy.matches(&pull.repo));
    match hook {
        Some(hook) if served => Ok(hook.proof.kind()),
        _ => Err(Refused::NotServed(format!("this server does not serve {}", pull.repo))),
    }
}
