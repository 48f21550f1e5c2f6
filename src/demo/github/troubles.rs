//! Notes every request, and makes it go wrong when the world says so.

use super::error::ApiError;
use crate::demo::serve::Wire;
use crate::demo::state::{How, Request as Noted};
use crate::demo::world::{World, now};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");

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
            ApiError::new(code, code.canonical_reason().unwrap_or("Server Error")).into_response()
        }
        Some(How::RetryAfter(time)) => {
            let words = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            with(ApiError::forbidden(words).into_response(), &[(RETRY_AFTER, time.as_secs().to_string())])
        }
        Some(How::RateLimited { reset_in }) => {
            let reset = now().0 / 1000 + i64::try_from(reset_in.as_secs()).unwrap_or(3600);
            let refused = ApiError::forbidden("API rate limit exceeded").into_response();
            with(refused, &[(REMAINING, "0".into()), (RESET, reset.to_string())])
        }
        Some(How::Slow(time)) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
        Some(How::Reset) => {
            wire.cut();
            return StatusCode::BAD_GATEWAY.into_response();
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

fn with(mut response: Response, headers: &[(HeaderName, String)]) -> Response {
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
