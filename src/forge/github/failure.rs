//! What GitHub's refusals mean, by status and headers. The text of a refusal is for people only.
//!
//! Rate limits: <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>.

use super::client::{Repeat, Request};
use crate::domain::id::Timestamp;
use crate::forge::{ForgeError, ForgeErrorKind};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::error::Error as _;

/// What GitHub asks for when it names no time.
const RATE_LIMIT_PAUSE_S: i64 = 60;
/// Longer texts are a proxy's error page.
const MESSAGE_MAX: usize = 400;

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

/// When to come back, if this is a rate limit: always for a 429; for a 403 if a header or the page that it refers to
/// says so, since a 403 is a missing permission otherwise.
fn rate_limit(status: StatusCode, headers: &HeaderMap, refusal: &Refusal, now: Timestamp) -> Option<Timestamp> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok().filter(|n| *n >= 0);
    let limited = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN);
    if let (true, Some(seconds)) = (limited, number("retry-after")) {
        return Some(now.plus_ms(seconds.clamp(1, 86_400) * 1000));
    }
    if let (true, Some(0), Some(reset)) = (limited, number("x-ratelimit-remaining"), number("x-ratelimit-reset")) {
        // The header is in whole seconds: one more, and clocks that differ a little do no harm.
        let at = Timestamp(reset.saturating_mul(1000)).max(now);
        return Some(at.min(now.plus_ms(86_400_000)).plus_ms(1000));
    }
    let secondary = refusal.documentation_url.as_ref().is_some_and(|url| url.contains("secondary-rate-limit"));
    (status == StatusCode::TOO_MANY_REQUESTS || (limited && secondary)).then(|| now.plus_ms(RATE_LIMIT_PAUSE_S * 1000))
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

/// Not even asked: the limit that another request met holds for this one too.
pub(super) fn paused(request: &Request<'_>, until: Timestamp) -> ForgeError {
    let message = format!("{}: GitHub's rate limit was met a moment ago", request.doing);
    ForgeError { kind: ForgeErrorKind::RateLimited, status: None, message, retry_at: Some(until) }
}

/// No answer, or only a part of one.
pub(super) fn unreachable(request: &Request<'_>, error: &octocrab::Error) -> ForgeError {
    let kind = match error {
        octocrab::Error::JWT { .. } => ForgeErrorKind::Unauthorized,
        octocrab::Error::Uri { .. } | octocrab::Error::UriParse { .. } | octocrab::Error::Http { .. } => {
            ForgeErrorKind::Invalid
        }
        _ => unanswered(request.repeat),
    };
    ForgeError::new(kind, format!("{}: {}", request.doing, causes(error)))
}

pub(super) fn too_slow(request: &Request<'_>, deadline: std::time::Duration) -> ForgeError {
    let message = format!("{}: no answer from GitHub within {} s", request.doing, deadline.as_secs_f32());
    ForgeError::new(unanswered(request.repeat), message)
}

/// A success that can't be read: something between us and GitHub answered, or GitHub changed.
pub(super) fn unreadable(request: &Request<'_>, why: &dyn std::fmt::Display) -> ForgeError {
    let message = format!("{}: GitHub's answer is not as documented: {}", request.doing, one_line(&why.to_string()));
    ForgeError::new(unanswered(request.repeat), message)
}

/// octocrab's errors say little themselves; the causes beneath them do.
pub(super) fn causes(error: &octocrab::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let word = one_line(&error.to_string());
        // Many layers repeat what the one beneath them says.
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
