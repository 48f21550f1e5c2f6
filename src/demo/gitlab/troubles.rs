//! How GitLab refuses when something is wrong with it, or with how often it is asked.
//! Source: "Rate limits".

use super::error::ApiError;
use crate::demo::state::How;
use crate::demo::troubles::with_headers;
use crate::demo::world::now;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const OBSERVED: HeaderName = HeaderName::from_static("ratelimit-observed");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");

pub(in crate::demo) fn refusal(how: How) -> Response {
    // In plain text, as GitLab's rate limiter has it.
    let limited = (StatusCode::TOO_MANY_REQUESTS, "Retry later\n");
    match how {
        How::RetryAfter(time) => with_headers(limited.into_response(), &[(RETRY_AFTER, time.as_secs().to_string())]),
        How::RateLimited { reset_in } => {
            let reset = now().0 / 1000 + i64::try_from(reset_in.as_secs()).unwrap_or(3600);
            let headers = [
                (LIMIT, "2000".to_owned()),
                (OBSERVED, "2001".to_owned()),
                (REMAINING, "0".to_owned()),
                (RESET, reset.to_string()),
            ];
            with_headers(limited.into_response(), &headers)
        }
        other => {
            let code = other.status().unwrap_or(StatusCode::BAD_GATEWAY);
            ApiError::new(code, code.to_string()).into_response()
        }
    }
}
