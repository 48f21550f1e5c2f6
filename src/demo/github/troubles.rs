//! How GitHub refuses when something is wrong with it, or with how often it is asked.
//! Source: "Rate limits for the REST API".

use super::error::ApiError;
use crate::demo::state::How;
use crate::demo::troubles::with_headers;
use crate::demo::world::now;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};

const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");

pub(in crate::demo) fn refusal(how: How) -> Response {
    match how {
        How::RetryAfter(time) => {
            let words = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
            with_headers(ApiError::forbidden(words).into_response(), &[(RETRY_AFTER, time.as_secs().to_string())])
        }
        How::RateLimited { reset_in } => {
            let reset = now().0 / 1000 + i64::try_from(reset_in.as_secs()).unwrap_or(3600);
            let refused = ApiError::forbidden("API rate limit exceeded").into_response();
            with_headers(refused, &[(REMAINING, "0".into()), (RESET, reset.to_string())])
        }
        other => {
            let code = other.status().unwrap_or(StatusCode::BAD_GATEWAY);
            ApiError::new(code, code.canonical_reason().unwrap_or("Server Error")).into_response()
        }
    }
}
