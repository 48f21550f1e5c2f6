//! The server's HTTP: webhooks in, pages out, and the managed state that runs read and write.
//!
//! | route | who may |
//! | --- | --- |
//! | `POST /webhooks/{github,gitlab,gitea}`, `POST /events` | whoever knows the webhook's secret (`hooks`) |
//! | `/state/{id}` | a running run with its token (`state`) |
//! | `GET /runs/{id}` | whoever has the signed link (`pages`) |
//! | `GET /`, `/healthz`, `/readyz`, `/metrics` | everybody (`pages`, `health`) |
//!
//! Around all of it lie security headers, a guard against panics, and a span that never holds a body, a token or a query
//! string (`layers`).

mod api;
mod health;
mod hooks;
mod layers;
mod log;
mod pages;
mod serve;
mod state;
mod upload;

use crate::archive::Archive;
use crate::flow::links::Links;
use crate::flow::tokens::Tokens;
use crate::forge::webhook::Proof;
use crate::render::page::Pages;
use crate::store::Store;
use crate::telemetry::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::Notify;
use tower_http::timeout::TimeoutLayer;
use upload::Uploads;

pub use api::Calls;
pub use serve::serve;

/// GitHub's own limit for webhooks (<https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap>).
const HOOK_LIMIT: usize = 25 * 1024 * 1024;
/// The largest state that is kept.
const STATE_LIMIT: usize = 64 * 1024 * 1024;
/// GitHub itself gives up after ten seconds.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// In this time the largest state comes over a poor line.
const STATE_TIMEOUT: Duration = Duration::from_secs(300);
/// What Terraform says of a lock has some hundred bytes.
const LOCK_LIMIT: usize = 64 * 1024;
/// A command has one line.
const CALL_LIMIT: usize = 16 * 1024;
/// Large bodies that are held in memory at once.
const LARGE_UPLOADS: usize = 8;
/// Until the first byte of an answer, where the request has no body to wait for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// What the server's HTTP works with.
#[derive(Debug)]
pub struct WebState {
    pub store: Store,
    pub archive: Archive,
    pub hooks: Vec<Hook>,
    pub calls: Calls,
    pub links: Links,
    pub tokens: Tokens,
    pub metrics: Metrics,
    /// Rung when there is new work.
    pub wake: Arc<Notify>,
    /// The server takes no new work: `/readyz` says so. Webhooks are still recorded, state is still kept.
    pub draining: Arc<AtomicBool>,
}

/// A forge whose webhooks are taken.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The configured host: what a payload says of its origin is not believed.
    pub host: String,
    pub proof: Proof,
}

/// [`WebState`] and what is made once from it.
struct Web {
    given: WebState,
    pages: Pages,
    hook_uploads: Uploads,
    state_uploads: Uploads,
    lock_uploads: Uploads,
    call_uploads: Uploads,
}

type Shared = State<Arc<Web>>;

/// All routes of the server.
pub fn router(state: WebState) -> Router {
    let web = Arc::new(Web {
        pages: Pages::new(state.links.base_path()),
        hook_uploads: Uploads::new(HOOK_LIMIT, HOOK_TIMEOUT, LARGE_UPLOADS),
        state_uploads: Uploads::new(STATE_LIMIT, STATE_TIMEOUT, LARGE_UPLOADS),
        lock_uploads: Uploads::new(LOCK_LIMIT, HOOK_TIMEOUT, LARGE_UPLOADS),
        call_uploads: Uploads::new(CALL_LIMIT, HOOK_TIMEOUT, LARGE_UPLOADS),
        given: state,
    });
    let quick = Router::new()
        .route("/", get(pages::home))
        .route("/runs/{id}", get(pages::run))
        .route("/assets/{file}", get(pages::asset))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, ANSWER_TIMEOUT));
    // These wait for a body, and know themselves how long.
    let uploads = Router::new()
        .route("/webhooks/github", post(hooks::github))
        .route("/webhooks/gitlab", post(hooks::gitlab))
        .route("/webhooks/gitea", post(hooks::gitea))
        .route("/events", post(hooks::any_forge))
        .route("/api/v1/commands", post(api::command))
        .route("/state/{id}", any(state::serve));
    layers::around(quick.merge(uploads).fallback(pages::nothing_here).with_state(web))
}

#[cfg(test)]
mod tests;
