//! Notes every request, and makes it go wrong when the world says so.

use super::error::ApiError;
use crate::demo::serve::Wire;
use crate::demo::state::{How, Request as Noted};
use crate::demo::webhook::header_map;
use crate::demo::world::{World, now};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

pub(super) async fn meet(
    State(world): State<World>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let (index, trouble) = world.change(|state| {
        state.requests.push(Noted { method: method.clone(), path: path.clone(), status: None });
        (state.requests.len() - 1, state.trouble(&method, &path, |how| !how.is_about_webhooks()))
    });
    let response = match trouble {
        Some(How::Answer(code)) => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
            ApiError::new(code, code.to_string()).into_response()
        }
        Some(How::RetryAfter(time)) => limited(&header_map(&[("retry-after", &time.as_secs().to_string())])),
        Some(How::RateLimited { reset_in }) => {
            let reset = now().0 / 1000 + i64::try_from(reset_in.as_secs()).unwrap_or(3600);
            let numbers = [("ratelimit-limit", "2000"), ("ratelimit-observed", "2001"), ("ratelimit-remaining", "0")];
            let mut headers = header_map(&numbers);
            headers.extend(header_map(&[("ratelimit-reset", &reset.to_string())]));
            limited(&headers)
        }
        Some(How::Slow(time)) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
        Some(How::LoseAnswer) => {
            let response = next.run(request).await;
            wire.cut();
            return response;
        }
        Some(How::LoseWebhook | How::RepeatWebhook) | None => next.run(request).await,
    };
    let status = response.status().as_u16();
    world.change(|state| {
        if let Some(noted) = state.requests.get_mut(index) {
            noted.status = Some(status);
        }
    });
    response
}

/// In plain text, as GitLab's rate limiter has it.
fn limited(headers: &HeaderMap) -> Response {
    (StatusCode::TOO_MANY_REQUESTS, headers.clone(), "Retry later\n").into_response()
}
