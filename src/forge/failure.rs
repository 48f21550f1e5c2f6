//! What the failures of all forges have in common: what they mean for a request that may or may not be repeated, until when
//! a token is to be left alone, and how what was said is put into one line. And what their lists have: a link to the next page.

use super::error::{ForgeError, ForgeErrorKind};
use crate::domain::id::Timestamp;
use http::{HeaderMap, header};
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

/// Longer texts are a proxy's error page.
pub(super) const MESSAGE_MAX: usize = 400;
/// What is waited when a forge names no time: their limits count by the minute.
pub(super) const RATE_LIMIT_PAUSE_S: i64 = 60;
const DAY_S: i64 = 86_400;

/// Whether a request may be sent again when nobody knows what became of the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Harmless,
    Never,
}

impl Repeat {
    /// What it means that there is no answer. A gateway that gives up does not know what the server behind it did.
    pub(super) const fn unanswered(self) -> ForgeErrorKind {
        match self {
            Self::Harmless => ForgeErrorKind::Unavailable,
            Self::Never => ForgeErrorKind::Lost,
        }
    }
}

/// Until when tokens are to be left alone, by whose they are: whoever goes on asking is limited for longer.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<String, Timestamp>>);

impl Pauses {
    /// Asks, unless a limit that another request met holds for this one too.
    pub(super) async fn heed<T>(
        &self,
        token: &str,
        doing: &str,
        ask: impl Future<Output = Result<T, ForgeError>>,
    ) -> Result<T, ForgeError> {
        // Each use leaves it whole.
        let paused = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = paused().get(token).copied().filter(|until| *until > now()) {
            let message = format!("{doing}: the forge's rate limit was met a moment ago");
            return Err(ForgeError { retry_at: Some(until), ..ForgeError::new(ForgeErrorKind::RateLimited, message) });
        }
        let done = ask.await;
        if let Err(ForgeError { kind: ForgeErrorKind::RateLimited, retry_at: Some(until), .. }) = &done {
            paused().insert(token.to_owned(), *until);
        }
        done
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// The number in a header.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Option<i64> {
    headers.get(name)?.to_str().ok()?.trim().parse::<i64>().ok().filter(|number| *number >= 0)
}

/// The target of the `next` link (RFC 8288). Behind a proxy its host may be another one: a token goes nowhere but to the
/// configured one, so that nobody may follow it whole.
pub(super) fn next_link(headers: &HeaderMap) -> Option<&str> {
    let links = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    let mut links =
        links.flat_map(|value| value.split(',')).filter_map(|link| link.trim().strip_prefix('<')?.split_once('>'));
    let is_next = |parameter: &str| matches!(parameter.trim(), "rel=\"next\"" | "rel=next");
    links.find(|(_, parameters)| parameters.split(';').any(is_next)).map(|(target, _)| target)
}

/// Nobody waits longer than a day.
pub(super) fn in_seconds(seconds: i64, now: Timestamp) -> Timestamp {
    now.plus_ms(seconds.clamp(1, DAY_S) * 1000)
}

/// A moment that a header has in whole seconds: one more, and clocks that differ a little do no harm.
pub(super) fn at_second(second: i64, now: Timestamp) -> Timestamp {
    let at = Timestamp(second.saturating_mul(1000)).max(now);
    at.min(now.plus_ms(DAY_S * 1000)).plus_ms(1000)
}

/// The errors of HTTP libraries say little themselves; the causes beneath them do.
pub(super) fn causes(error: &dyn Error) -> String {
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
pub(super) fn one_line(text: &str) -> String {
    let clean: String = text.chars().take(MESSAGE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}
