//! What an orchestrator and Prometheus ask. None of it tells anything of repositories or people.

use super::{Shared, Web};
use crate::telemetry;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

/// A database that needs longer is as good as none.
const PATIENCE: Duration = Duration::from_secs(3);

/// `GET /healthz`: the process is alive.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// `GET /readyz`: the server takes work.
pub(super) async fn ready(State(web): Shared) -> Response {
    if web.given.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining: no new work is begun\n").into_response();
    }
    match timeout(PATIENCE, web.given.store.ready()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(error)) => {
            tracing::error!(%error, "the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer in time\n").into_response(),
    }
}

/// `GET /metrics`, in Prometheus' text format
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).
pub(super) async fn metrics(State(web): Shared) -> impl IntoResponse {
    measure(&web).await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], web.given.metrics.render())
}

/// What is not counted as it happens, but looked up when somebody asks.
async fn measure(web: &Web) {
    let counts = timeout(PATIENCE, web.given.store.queue_counts()).await;
    let counts = match counts {
        Ok(Ok(counts)) => counts,
        Ok(Err(error)) => {
            tracing::error!(%error, "the queue can't be counted");
            metrics::gauge!(telemetry::DATABASE_UP).set(0.0);
            return;
        }
        Err(_) => {
            metrics::gauge!(telemetry::DATABASE_UP).set(0.0);
            return;
        }
    };
    metrics::gauge!(telemetry::DATABASE_UP).set(1.0);
    for (kind, queued, leased) in counts {
        for (state, count) in [("queued", queued), ("leased", leased)] {
            #[expect(clippy::cast_precision_loss, reason = "a queue of 2^53 jobs would not be countable anyway")]
            metrics::gauge!(telemetry::JOBS, "kind" => kind.as_str(), "state" => state).set(count as f64);
        }
    }
}
