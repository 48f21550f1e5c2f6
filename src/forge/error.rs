//! What can go wrong between us and a forge, sorted by what a caller can do about it. The sorting happens once, at the
//! edge, so that nothing further in reads a status code or a message.

use crate::domain::id::Timestamp;

/// A forge that did not do what was asked. The message is one line for an operator: what was being done, what the forge
/// said, and what may help. It never holds a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ForgeError {
    pub kind: ForgeErrorKind,
    /// The HTTP status, if there was an answer at all.
    pub status: Option<u16>,
    pub message: String,
    /// Not before this moment is it worth trying again. Always set when the kind is `RateLimited`.
    pub retry_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForgeErrorKind {
    /// The token or key is not accepted.
    Unauthorized,
    /// It is accepted, and lacks a permission.
    Forbidden,
    /// It does not exist, or we may not know that it does.
    NotFound,
    /// It can't be done in the present state of things.
    Conflict,
    /// The forge will never accept this request as it is.
    Invalid,
    /// Too many requests; `retry_at` says when to come back.
    RateLimited,
    /// Not now: the forge was not reached or is broken, and **nothing was changed** (or asking again changes nothing).
    Unavailable,
    /// The answer was lost: what was asked for may have happened. Look before asking again.
    Lost,
}

impl ForgeError {
    pub(super) fn new(kind: ForgeErrorKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, message: message.into(), retry_at: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ForgeErrorKind::Invalid, message)
    }

    /// Time may heal it.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, ForgeErrorKind::RateLimited | ForgeErrorKind::Unavailable | ForgeErrorKind::Lost)
    }
}

/// A body that is signed by the forge and still not what its documentation says. Kept, so that an operator can see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the `{event}` webhook is not as documented: {what}")]
pub struct Malformed {
    pub event: String,
    pub what: String,
}

/// Settings that can't make a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    #[error("`{url}` can't be a forge's API address: {why}")]
    Address { url: String, why: String },
    #[error("the {forge} token is {why}")]
    Token { forge: &'static str, why: &'static str },
    #[error(
        "the GitHub App's private key can't be read: {0}; it must be the RSA key in PEM form that GitHub offered for download"
    )]
    PrivateKey(String),
    #[error(
        "can't set up HTTPS: {0}; is a set of root certificates installed (Debian: the package `ca-certificates`)?"
    )]
    Https(String),
}
