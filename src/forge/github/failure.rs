//! What GitHub's refusals mean, by status and headers. The text of a refusal is for people only.
//!
//! Rate limits: <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>.

use super::client::Request;
use crate::domain::id::Timestamp;
use crate::forge::failure::{RATE_LIMIT_PAUSE_S, Repeat, at_second, causes, in_seconds, number, one_line};
use crate::forge::{ForgeError, ForgeErrorKind};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

#[derive(Default, Deserialize)]
struct Refusal {
    message: Option<String>,
    documentation_url: Option<String>,
    errors: Option<serde_json::Value>,
}

/// An answer that is not a success.
pub(super) fn refused(
    request: &Request<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    now: Timestamp,
) -> ForgeError {
    let refusal: Refusal = serde_json::from_str(body).unwrap_or_default();
    let retry_at = rate_limit(status, headers, &refusal, now);
    let kind = if retry_at.is_some() { ForgeErrorKind::RateLimited } else { kind(status, request.repeat) };
    let said = refusal.message.as_deref().unwrap_or(if refusal.errors.is_some() { "" } else { body });
    let mut message = format!("{}: GitHub answered {status}", request.doing);
    let details = refusal.errors.as_ref().map(ToString::to_string);
    for part in [Some(said), details.as_deref()].into_iter().flatten() {
        let part = one_line(part);
        if !part.is_empty() {
            message.push_str(": ");
            message.push_str(&part);
        }
    }
    if let Some(advice) = advice(kind, headers) {
        message.push_str(&advice);
    }
    ForgeError { kind, status: Some(status.as_u16()), message, retry_at }
}

fn kind(status: StatusCode, repeat: Repeat) -> ForgeErrorKind {
    match status.as_u16() {
        401 => ForgeErrorKind::Unauthorized,
        403 | 451 => ForgeErrorKind::Forbidden,
        // A redirect that is still here was not followed: the repository has another name now.
        300..=399 | 404 | 410 => ForgeErrorKind::NotFound,
        405 | 409 | 412 | 423 => ForgeErrorKind::Conflict,
        408 | 500.. => repeat.unanswered(),
        _ => ForgeErrorKind::Invalid,
    }
}

/// When to come back, if this is a rate limit: always for a 429; for a 403 if a header or the page that it refers to
/// says so, since a 403 is a missing permission otherwise.
fn rate_limit(status: StatusCode, headers: &HeaderMap, refusal: &Refusal, now: Timestamp) -> Option<Timestamp> {
    let limited = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN);
    let number = |name| number(headers, name);
    if let (true, Some(seconds)) = (limited, number("retry-after")) {
        return Some(in_seconds(seconds, now));
    }
    if let (true, Some(0), Some(reset)) = (limited, number("x-ratelimit-remaining"), number("x-ratelimit-reset")) {
        return Some(at_second(reset, now));
    }
    let secondary = refusal.documentation_url.as_ref().is_some_and(|url| url.contains("secondary-rate-limit"));
    (status == StatusCode::TOO_MANY_REQUESTS || (limited && secondary)).then(|| in_seconds(RATE_LIMIT_PAUSE_S, now))
}

fn advice(kind: ForgeErrorKind, headers: &HeaderMap) -> Option<String> {
    match kind {
        ForgeErrorKind::Unauthorized => Some(
            " (the token or the App's key is wrong, expired or revoked; a clock that is wrong by minutes does it too)"
                .into(),
        ),
        ForgeErrorKind::Forbidden => {
            // Sent for Apps and fine-grained tokens: the permissions of which one would have been enough.
            let needed = headers.get("x-accepted-github-permissions").and_then(|value| value.to_str().ok());
            needed.filter(|needed| !needed.is_empty()).map(|needed| format!(" (it needs `{}`)", one_line(needed)))
        }
        _ => None,
    }
}

/// No answer, or only a part of one.
pub(super) fn unreachable(request: &Request<'_>, error: &octocrab::Error) -> ForgeError {
    let kind = match error {
        octocrab::Error::JWT { .. } => ForgeErrorKind::Unauthorized,
        octocrab::Error::Uri { .. } | octocrab::Error::UriParse { .. } | octocrab::Error::Http { .. } => {
            ForgeErrorKind::Invalid
        }
        _ => request.repeat.unanswered(),
    };
    ForgeError::new(kind, format!("{}: {}", request.doing, causes(error)))
}

pub(super) fn too_slow(request: &Request<'_>, deadline: std::time::Duration) -> ForgeError {
    let message = format!("{}: no answer from GitHub within {} s", request.doing, deadline.as_secs_f32());
    ForgeError::new(request.repeat.unanswered(), message)
}

/// A success that can't be read: something between us and GitHub answered, or GitHub changed.
pub(super) fn unreadable(request: &Request<'_>, why: &dyn std::fmt::Display) -> ForgeError {
    let message = format!("{}: GitHub's answer is not as documented: {}", request.doing, one_line(&why.to_string()));
    ForgeError::new(request.repeat.unanswered(), message)
}

#[cfg(test)]
mod tests;
