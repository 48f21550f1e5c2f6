//! What the refusals of Gitea and Forgejo mean, by status and headers. The text of a refusal is for people only.
//!
//! They have no limits of their own; a proxy in front of them may (RFC 6585, 429 with `Retry-After`).

use super::client::{Repeat, Request};
use crate::domain::id::Timestamp;
use crate::forge::{ForgeError, ForgeErrorKind};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use std::error::Error as _;
use std::time::Duration;

/// When nobody says for how long.
const RATE_LIMIT_PAUSE_S: i64 = 60;
/// Longer texts are a proxy's error page.
const MESSAGE_MAX: usize = 400;

#[derive(Default, Deserialize)]
struct Refusal {
    message: Option<String>,
    #[serde(default)]
    errors: Option<Vec<String>>,
}

/// An answer that is not a success.
pub(super) fn refused(
    request: &Request<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
    now: Timestamp,
) -> ForgeError {
    let kind = kind(status, request.repeat);
    let refusal: Refusal = serde_json::from_str(body).unwrap_or_default();
    let said = refusal.message.as_deref().unwrap_or(body);
    let mut message = format!("{}: the forge answered {status}", request.doing);
    for part in std::iter::once(said).chain(refusal.errors.iter().flatten().map(String::as_str)) {
        let part = one_line(part);
        if !part.is_empty() {
            message.push_str(": ");
            message.push_str(&part);
        }
    }
    message.push_str(match (status.as_u16(), kind) {
        (300..=399, _) => " (it has another address now, and the token is not sent there)",
        (_, ForgeErrorKind::Unauthorized) => " (the token is wrong, expired or revoked)",
        _ => "",
    });
    let retry_at = retry_at(status, headers, now);
    ForgeError { kind, status: Some(status.as_u16()), message, retry_at }
}

fn kind(status: StatusCode, repeat: Repeat) -> ForgeErrorKind {
    match status.as_u16() {
        401 => ForgeErrorKind::Unauthorized,
        403 | 451 => ForgeErrorKind::Forbidden,
        300..=399 | 404 | 410 => ForgeErrorKind::NotFound,
        // 423: the repository is archived.
        405 | 409 | 412 | 423 => ForgeErrorKind::Conflict,
        429 => ForgeErrorKind::RateLimited,
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

/// When to come back: always for a 429, and whenever a refusal says so.
fn retry_at(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let said = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<i64>().ok());
    let pause = match said {
        Some(seconds) if seconds >= 0 => Some(seconds.clamp(1, 86_400)),
        _ => (status == StatusCode::TOO_MANY_REQUESTS).then_some(RATE_LIMIT_PAUSE_S),
    };
    pause.map(|seconds| now.plus_ms(seconds * 1000))
}

/// No answer, or only a part of one.
pub(super) fn unreachable(request: &Request<'_>, error: &reqwest::Error, deadline: Duration) -> ForgeError {
    if error.is_timeout() && !error.is_connect() {
        let message = format!("{}: no answer within {} s", request.doing, deadline.as_secs_f32());
        return ForgeError::new(unanswered(request.repeat), message);
    }
    // What could not even connect was not sent.
    let kind = if error.is_connect() { ForgeErrorKind::Unavailable } else { unanswered(request.repeat) };
    ForgeError::new(kind, format!("{}: {}", request.doing, causes(error)))
}

/// A success that can't be read: something between us and the forge answered, or the forge changed.
pub(super) fn unreadable(request: &Request<'_>, why: &dyn std::fmt::Display) -> ForgeError {
    let message = format!("{}: the answer is not as documented: {}", request.doing, one_line(&why.to_string()));
    ForgeError::new(unanswered(request.repeat), message)
}

/// reqwest's errors name the address and little else; the causes beneath them say what happened.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut cause = error.source();
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
