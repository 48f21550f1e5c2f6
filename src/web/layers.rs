//! What happens around every request: it is measured, its answer gets headers that forbid browsers almost everything,
//! and a panic becomes an answer.

use crate::telemetry;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use std::any::Any;
use std::time::Instant;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

/// A page may load our own style sheet, and nothing else may happen in it or around it.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
];

/// Puts all of this around the routes.
pub(super) fn around(routes: Router) -> Router {
    routes.layer(
        ServiceBuilder::new().layer(from_fn(observe)).layer(from_fn(secure)).layer(CatchPanicLayer::custom(panicked)),
    )
}

/// Adds the headers that the answer doesn't have yet.
async fn secure(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Measures and logs a request by the pattern of its route: paths hold ids, and query strings hold keys.
async fn observe(request: Request, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = known(request.method());
    let span = tracing::info_span!("http", method, route);
    let started = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let (elapsed, status) = (started.elapsed(), response.status());
    metrics::histogram!(
        telemetry::HTTP_SECONDS,
        "method" => method, "route" => route, "status" => status.as_str().to_owned()
    )
    .record(elapsed);
    span.in_scope(|| {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), elapsed_ms, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), elapsed_ms, "answered");
        }
    });
    response
}

/// Anybody can make up methods; each would be a metric of its own.
fn known(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "LOCK", "UNLOCK"].into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// The panic itself was reported by the panic hook. Its text is for the log, not for the client.
fn panicked(cause: Box<dyn Any + Send>) -> Response<Body> {
    let cause = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(cause, "a request panicked: this is a fault of the server");
    (StatusCode::INTERNAL_SERVER_ERROR, "internal error: the server's log has the details\n").into_response()
}
