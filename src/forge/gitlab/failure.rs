//! What GitLab's refusals mean, by status and headers. The text of a refusal is for people only, with two exceptions
//! that GitLab has no other word for; both are named where they are used.
//!
//! Statuses: <https://docs.gitlab.com/api/rest/troubleshooting/#status-codes>; rate limits:
//! <https://docs.gitlab.com/security/rate_limits/>.

use crate::domain::id::Timestamp;
use crate::forge::failure::{MESSAGE_MAX, RATE_LIMIT_PAUSE_S, Repeat, at_second, in_seconds, number, one_line};
use crate::forge::rest::{Refused, Request};
use crate::forge::{ForgeError, ForgeErrorKind};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// `{"message": …}` from the API itself (a text, a list, or texts by field), `{"error": …}` from the layer before it.
#[derive(Default, Deserialize)]
struct Refusal {
    message: Option<Value>,
    error: Option<Value>,
    error_description: Option<String>,
    /// Of a token that lacks one: the scopes that would have been enough.
    scope: Option<String>,
}

/// An answer that is not a success.
pub(super) fn refused(request: &Request<'_>, answer: &Refused<'_>) -> ForgeError {
    let Refused { status, headers, body, now } = *answer;
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * MESSAGE_MAX)]);
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let retry_at = rate_limit(status, headers, now);
    let kind = if retry_at.is_some() { ForgeErrorKind::RateLimited } else { kind(status, request.repeat) };
    let mut message = format!("{}: GitLab answered {status}", request.doing);
    let said = said(&refusal).unwrap_or_else(|| one_line(&text));
    // `404 Project Not Found` beside `404 Not Found` helps; the number twice does not.
    let said = said.strip_prefix(&format!("{} ", status.as_u16())).unwrap_or(&said);
    if !said.is_empty() {
        message.push_str(": ");
        message.push_str(said);
    }
    match kind {
        ForgeErrorKind::Unauthorized => message.push_str(" (the token is wrong, expired or revoked)"),
        ForgeErrorKind::Forbidden if refusal.scope.is_some() => {
            let scope = one_line(&refusal.scope.unwrap_or_default());
            message.push_str(&format!(" (the token needs the scope `{scope}`)"));
        }
        ForgeErrorKind::NotFound if status.is_redirection() => {
            message.push_str(" (the project was renamed or moved: use its present path)");
        }
        _ => {}
    }
    ForgeError { kind, status: Some(status.as_u16()), message, retry_at }
}

fn said(refusal: &Refusal) -> Option<String> {
    let words = |value: &Value| match value {
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    };
    let parts = [
        refusal.message.as_ref().map(words),
        refusal.error.as_ref().map(words),
        refusal.error_description.as_deref().map(one_line),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

fn kind(status: StatusCode, repeat: Repeat) -> ForgeErrorKind {
    match status.as_u16() {
        401 => ForgeErrorKind::Unauthorized,
        403 => ForgeErrorKind::Forbidden,
        // Redirects are not followed: they would carry the token.
        300..=399 | 404 | 410 => ForgeErrorKind::NotFound,
        // 406 is what older ones answer to a merge with conflicts.
        405 | 406 | 409 | 412 | 423 => ForgeErrorKind::Conflict,
        408 | 500.. => repeat.unanswered(),
        _ => ForgeErrorKind::Invalid,
    }
}

/// When to come back after a 429: `Retry-After` in seconds, else `RateLimit-Reset`, a moment in unix seconds.
fn rate_limit(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    if let Some(seconds) = number(headers, "retry-after") {
        return Some(in_seconds(seconds, now));
    }
    let reset = number(headers, "ratelimit-reset").map(|second| at_second(second, now));
    Some(reset.unwrap_or_else(|| in_seconds(RATE_LIMIT_PAUSE_S, now)))
}

/// Something that GitLab is still working on: nothing is wrong, it is only too early.
pub(super) fn too_early(doing: &str, what: &str) -> ForgeError {
    ForgeError::new(ForgeErrorKind::Unavailable, format!("{doing}: {what}"))
}

#[cfg(test)]
mod tests;
