//! What can go wrong in the glue, for operators. What people read is a `Failure` of a run or a `Problem` of a pull
//! request; it is made where the cause is known.

use crate::archive::ArchiveError;
use crate::forge::{ForgeError, ForgeErrorKind};
use crate::git::GitError;
use crate::store::StoreError;
use std::error::Error as _;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    #[error("no forge is configured for `{host}`")]
    NoForge { host: String },
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the forge failed")]
    Forge(#[from] ForgeError),
    #[error("git failed")]
    Git(#[from] GitError),
    #[error("the archive failed")]
    Archive(#[from] ArchiveError),
    #[error("`{}` can't be used", path.display())]
    Disk { path: PathBuf, source: std::io::Error },
    #[error("the pull request was merged or closed while it was looked at")]
    Overtaken,
    #[error("it panicked: the log above says where")]
    Panicked,
    #[error("{0}")]
    Broken(String),
}

impl FlowError {
    pub(super) fn disk(path: &Path, source: std::io::Error) -> Self {
        Self::Disk { path: path.to_owned(), source }
    }

    /// Time, or an operator, may heal it: it is worth trying for as long as it takes.
    #[must_use]
    pub const fn may_heal(&self) -> bool {
        match self {
            Self::Store(_) | Self::Archive(_) | Self::Disk { .. } | Self::Overtaken => true,
            Self::Forge(error) => {
                error.is_transient() || matches!(error.kind, ForgeErrorKind::Unauthorized | ForgeErrorKind::Forbidden)
            }
            Self::Git(error) => error.is_transient() || matches!(error, GitError::Auth { .. }),
            Self::NoForge { .. } | Self::Panicked | Self::Broken(_) => false,
        }
    }

    /// The whole chain of causes in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// The forge will never do it: there is no use in trying again and again. A token that lacks a permission may be mended.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Forge(ForgeError { kind: ForgeErrorKind::NotFound | ForgeErrorKind::Invalid, .. }))
    }

    /// Whether a delivery is given up after so many tries. What time may heal never is: a forge that is down for a day must
    /// not cost a single merge. What the forge says is not there is believed after a few, for it may have been made just now;
    /// and what panics does so again.
    pub(super) const fn is_hopeless(&self, attempts: u32) -> bool {
        const TRIES: u32 = 12;
        const FEW_TRIES: u32 = 3;
        if self.is_final() || matches!(self, Self::Panicked) {
            attempts >= FEW_TRIES
        } else {
            attempts >= TRIES && !self.may_heal()
        }
    }

    /// Milliseconds to wait before the next try: what the forge asked for, or 1 s doubled with every try up to 5 min.
    #[must_use]
    pub fn retry_after(&self, attempts: u32) -> i64 {
        let backoff = (1000_i64 << attempts.saturating_sub(1).min(9)).min(300_000);
        match self {
            Self::Forge(error) => error.retry_at.map_or(backoff, |at| at.since(super::now()).max(backoff)),
            Self::Overtaken => 100,
            _ => backoff,
        }
    }
}
