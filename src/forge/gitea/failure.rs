//! What the refusals of Gitea and Forgejo mean, by status and headers. The text of a refusal is for people only.
//!
//! They have no limits of their own; a proxy in front of them may (RFC 6585, 429 with `Retry-After`).

use crate::domain::id::Timestamp;
use crate::forge::failure::{RATE_LIMIT_PAUSE_S, Repeat, in_seconds, number, one_line};
use crate::forge::rest::{Refused, Request};
use crate::forge::{ForgeError, ForgeErrorKind};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

#[derive(Default, Deserialize)]
struct Refusal {
    message: Option<String>,
    #[serde(default)]
    errors: Option<Vec<String>>,
}

/// An answer that is not a success.
pub(super) fn refused(request: &Request<'_>, answer: &Refused<'_>) -> ForgeError {
    let Refused { status, headers, body, now } = *answer;
    let kind = kind(status, request.repeat);
    let text = String::from_utf8_lossy(body);
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let said = refusal.message.as_deref().unwrap_or(&text);
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
        408 | 500.. => repeat.unanswered(),
        _ => ForgeErrorKind::Invalid,
    }
}

/// When to come back: always for a 429, and whenever a refusal says so.
fn retry_at(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let limited = (status == StatusCode::TOO_MANY_REQUESTS).then_some(RATE_LIMIT_PAUSE_S);
    number(headers, "retry-after").or(limited).map(|seconds| in_seconds(seconds, now))
}
