//! Webhooks: proven, put on disk, acknowledged. Nothing else happens while the forge waits.

use super::{Shared, Web};
use crate::domain::id::ForgeKind;
use crate::flow::now;
use crate::forge::webhook::{self, Delivery, WebhookRefused};
use crate::store::{NewDelivery, Recorded, StoreError};
use crate::telemetry;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use std::time::Duration;
use tokio::time::timeout;

/// Forges wait ten seconds for an answer, Gitea five, and show only what they were answered. A delivery that is recorded
/// after this time was none the less, and comes once more.
const PATIENCE: Duration = Duration::from_secs(4);

/// `POST /webhooks/github`
pub(super) async fn github(State(web): Shared, headers: HeaderMap, body: Body) -> Response {
    receive(&web, Some(ForgeKind::Github), &headers, body).await
}

/// `POST /webhooks/gitlab`
pub(super) async fn gitlab(State(web): Shared, headers: HeaderMap, body: Body) -> Response {
    receive(&web, Some(ForgeKind::Gitlab), &headers, body).await
}

/// `POST /webhooks/gitea`, for Gitea and Forgejo
pub(super) async fn gitea(State(web): Shared, headers: HeaderMap, body: Body) -> Response {
    receive(&web, Some(ForgeKind::Gitea), &headers, body).await
}

/// `POST /events`: the forge is recognised by its headers.
pub(super) async fn any_forge(State(web): Shared, headers: HeaderMap, body: Body) -> Response {
    receive(&web, webhook::recognise(&headers), &headers, body).await
}

async fn receive(web: &Web, forge: Option<ForgeKind>, headers: &HeaderMap, body: Body) -> Response {
    let (label, response) = match web.hook_uploads.read(body).await {
        Ok(upload) => record(web, forge, headers, &upload.bytes).await,
        Err(refused) => ("body_refused", refused.into_response()),
    };
    let forge = forge.map_or("unknown", ForgeKind::as_str);
    metrics::counter!(telemetry::DELIVERIES, "forge" => forge, "result" => label).increment(1);
    response
}

/// The answer, and the word for it in the metrics.
async fn record(web: &Web, forge: Option<ForgeKind>, headers: &HeaderMap, body: &[u8]) -> (&'static str, Response) {
    let Some(forge) = forge else {
        let why = "the headers of no known forge are there, such as `X-GitHub-Event` or `X-Gitea-Event`\n";
        return ("unknown_forge", (StatusCode::BAD_REQUEST, why).into_response());
    };
    let delivery = match verify(web, forge, headers, body) {
        Ok(delivery) => delivery,
        Err(None) => {
            let why = format!("`{forge}` is not in this server's configuration\n");
            return ("not_configured", (StatusCode::NOT_FOUND, why).into_response());
        }
        Err(Some(refused)) => {
            tracing::warn!(%forge, %refused, "a webhook was refused");
            let (label, status) = match refused {
                WebhookRefused::BadSignature => ("bad_signature", StatusCode::UNAUTHORIZED),
                WebhookRefused::NotJson | WebhookRefused::MissingHeader(_) => ("malformed", StatusCode::BAD_REQUEST),
            };
            return (label, (status, format!("{refused}\n")).into_response());
        }
    };
    let new = NewDelivery {
        forge: delivery.forge,
        id: delivery.id.clone(),
        event_name: delivery.event_name.clone(),
        repo: delivery.repo,
        lane: delivery.lane,
        body: delivery.body,
        received_at: now(),
    };
    let recorded = timeout(PATIENCE, web.given.store.record_delivery(new)).await;
    match recorded.unwrap_or(Err(StoreError::Busy)) {
        Ok(Recorded::New) => {
            // All of them: one alone may be the worker of runs, which has no use for a delivery.
            web.given.wake.notify_waiters();
            tracing::debug!(delivery = %delivery.id, event = delivery.event_name, "recorded");
            ("recorded", (StatusCode::ACCEPTED, "recorded\n").into_response())
        }
        Ok(Recorded::Repeated) => ("repeated", (StatusCode::ACCEPTED, "recorded before\n").into_response()),
        Err(error) => {
            tracing::error!(delivery = %delivery.id, %error, "a webhook could not be recorded");
            let why = "the delivery could not be recorded: redeliver it later\n";
            ("not_recorded", (StatusCode::SERVICE_UNAVAILABLE, why).into_response())
        }
    }
}

/// There may be several forges of a kind, each with a secret of its own. `Err(None)`: there is none.
fn verify(web: &Web, kind: ForgeKind, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, Option<WebhookRefused>> {
    let mut refused = None;
    for hook in web.given.hooks.iter().filter(|hook| hook.proof.kind() == kind) {
        match webhook::verify(&hook.proof, headers, body, &hook.host) {
            Ok(verified) => return Ok(verified.into_inner()),
            Err(WebhookRefused::BadSignature) => refused = Some(WebhookRefused::BadSignature),
            // The signature was right, so no other forge's secret would fit.
            Err(other) => return Err(Some(other)),
        }
    }
    Err(refused)
}
