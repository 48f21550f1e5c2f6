//! What GitLab's refusals mean, by status and headers. The text of a refusal is for people only, with two exceptions
//! that GitLab has no other word for; both are named where they are used.
//!
//! Statuses: <https://docs.gitlab.com/api/rest/troubleshooting/#status-codes>; rate limits:
//! <https://docs.gitlab.com/security/rate_limits/>.

use super::client::{Repeat, Request};
use crate::domain::id::Timestamp;
use crate::forge::{ForgeError, ForgeErrorKind};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::error::Error;

/// What we wait when GitLab names no time: its limits count by the minute.
const RATE_LIMIT_PAUSE_S: i64 = 60;
/// Longer texts are a proxy's error page.
const MESSAGE_MAX: usize = 400;

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
pub(super) fn refused(
    request: &Request<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> ForgeError {
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
        408 | 500.. => unanswered(repeat),
        _ => ForgeErrorKind::Invalid,
    }
}

/// A gateway that gives up does not know what the server behind it did.
const fn unanswered(repeat: Repeat) -> ForgeErrorKind {
    match repeat {
        Repeat::Harmless => ForgeErrorKind::Unavailable,
        Repeat::Never => ForgeErrorKind::Lost,
    }
}

/// When to come back after a 429: `Retry-After` in seconds, else `RateLimit-Reset`, a moment in unix seconds.
fn rate_limit(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok().filter(|n| *n >= 0);
    if let Some(seconds) = number("retry-after") {
        return Some(now.plus_ms(seconds.clamp(1, 86_400) * 1000));
    }
    if let Some(reset) = number("ratelimit-reset") {
        // In whole seconds: one more, and clocks that differ a little do no harm.
        let at = Timestamp(reset.saturating_mul(1000)).max(now);
        return Some(at.min(now.plus_ms(86_400_000)).plus_ms(1000));
    }
    Some(now.plus_ms(RATE_LIMIT_PAUSE_S * 1000))
}

/// No answer, or only a part of one.
pub(super) fn unreachable(request: &Request<'_>, error: &reqwest::Error) -> ForgeError {
    let kind = if error.is_builder() {
        ForgeErrorKind::Invalid
    } else if error.is_connect() {
        // Nothing was sent.
        ForgeErrorKind::Unavailable
    } else {
        unanswered(request.repeat)
    };
    let why = if error.is_timeout() { "no answer from GitLab in time".to_owned() } else { causes(error) };
    ForgeError::new(kind, format!("{}: {why}", request.doing))
}

/// A success that can't be read: something between us and GitLab answered, or GitLab changed.
pub(super) fn unreadable(request: &Request<'_>, why: &dyn std::fmt::Display) -> ForgeError {
    let message = format!("{}: GitLab's answer is not as documented: {}", request.doing, one_line(&why.to_string()));
    ForgeError::new(unanswered(request.repeat), message)
}

/// Something that GitLab is still working on: nothing is wrong, it is only too early.
pub(super) fn too_early(doing: &str, what: &str) -> ForgeError {
    ForgeError::new(ForgeErrorKind::Unavailable, format!("{doing}: {what}"))
}

/// reqwest's errors say little themselves; the causes beneath them do.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(error) = cause {
        let word = one_line(&error.to_string());
        if !word.is_empty() && words.last().is_none_or(|last| !last.contains(&word)) {
            words.push(word);
        }
        cause = error.source();
    }
    if words.is_empty() { one_line(&error.to_string()) } else { words.join(": ") }
}

/// What was said, fit for a log: one line, bounded, without control characters.
fn one_line(text: &str) -> String {
    let clean: String = text.chars().take(MESSAGE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
