//! What can go wrong with git, by what has to be done about it.

use crate::sandbox::process::{End, SpawnError};
use std::io;

/// The most that is kept of what git said, in characters.
const SAID: usize = 600;

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The forge did not accept the token, or the token may not read the repository.
    #[error("the forge refused git access to {repo}: {said}")]
    Auth { repo: String, said: String },
    /// The repository, branch or commit is not (or no longer) there.
    #[error("{what} was not found: {said}")]
    NotFound { what: String, said: String },
    /// The forge could not be reached, or broke off. Worth trying again.
    #[error("git could not reach {repo}: {said}")]
    Network { repo: String, said: String },
    /// An address that git must not use.
    #[error("the clone address of {repo} {why}")]
    Address { repo: String, why: &'static str },
    /// A bound that protects the server was reached.
    #[error("{what} is larger than {max} bytes")]
    TooLarge { what: String, max: usize },
    /// Git failed in a way of its own.
    #[error("`git {command}` failed ({end}): {said}")]
    Other { command: &'static str, end: String, said: String },
    #[error("git could not be started")]
    Start(#[from] SpawnError),
    #[error("{doing} failed")]
    Io { doing: String, source: io::Error },
}

impl GitError {
    /// Whether the same call may succeed later by itself.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Network { .. })
    }

    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    pub(super) fn other(command: &'static str, end: End, stderr: &str) -> Self {
        let end = match end {
            End::Exit(code) => format!("exit code {code}"),
            End::Signal(signal) => format!("signal {signal}"),
            End::TimedOut => "out of time".to_owned(),
            End::Cancelled => "cancelled".to_owned(),
            End::Limit(limit) => limit.sentence().to_owned(),
        };
        Self::Other { command, end, said: said(stderr) }
    }

    /// What a failed fetch means.
    ///
    /// Git has one exit code (128) for all of it, so this is the one place where the text of a program decides: the
    /// messages are asked for in the C locale, the tests provoke each with the real git, and a message that is not
    /// known stays [`GitError::Other`].
    pub(super) fn of_fetch(repo: &str, end: End, stderr: &str) -> Self {
        let has = |needles: &[&str]| needles.iter().any(|needle| stderr.contains(needle));
        let (repo, said) = (repo.to_owned(), said(stderr));
        if end == End::TimedOut {
            return Self::Network { repo, said: format!("out of time. {said}") };
        }
        if has(&["Authentication failed", "could not read Username", "could not read Password"])
            || has(&["returned error: 401", "returned error: 403"])
        {
            return Self::Auth { repo, said };
        }
        if has(&["not our ref", "couldn't find remote ref", "no such remote ref"]) {
            return Self::NotFound { what: format!("a branch or commit of {repo}"), said };
        }
        if has(&["' not found", "returned error: 404", "returned error: 410", "returned error: 30"]) {
            return Self::NotFound { what: format!("the repository {repo}"), said };
        }
        if has(&["unable to access", "RPC failed", "early EOF", "hung up unexpectedly", "expected flush after"]) {
            return Self::Network { repo, said };
        }
        Self::other("fetch", end, stderr)
    }
}

/// The end of what git said, in one line: the reason comes last.
fn said(stderr: &str) -> String {
    let line = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let skip = line.chars().count().saturating_sub(SAID);
    line.chars().skip(skip).filter(|c| !c.is_control()).collect()
}
