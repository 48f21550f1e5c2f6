//! Why a provider is not in the mirror, in words for a pull request.

use super::address::Provider;
use super::lock_file::{BadLockFile, LOCK_FILE};
use super::package::{Hashes, PackageError};
use crate::domain::run::Step;
use crate::terraform::steps::{StepFailure, StepFailureKind};
use semver::Version;
use std::io;

#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("The provider `{provider}` could not be fetched from the registry `{}`. {failure}", provider.host())]
    Registry { provider: Provider, failure: Box<StepFailure> },
    #[error("The provider `{provider}` could not be fetched: the registry `{}` gave no package for it.", provider.host())]
    Nothing { provider: Provider },
    #[error(
        "The provider `{provider}` {version} was not installed: the package that the registry `{}` offers ({}, {}) is not \
         one of those in `{LOCK_FILE}`. Either the lock file or the registry has been tampered with, or the lock file \
         is out of date.",
        provider.host(), hashes.zh, hashes.h1
    )]
    WrongHash { provider: Provider, version: Version, hashes: Box<Hashes> },
    #[error(
        "The provider `{provider}` {version} was not installed: the package that the registry `{}` offers can't be used: \
         {why}.",
        provider.host()
    )]
    Package { provider: Provider, version: Version, why: Box<PackageError> },
    #[error(transparent)]
    LockFile(#[from] BadLockFile),
    #[error("It was cancelled before the providers were there.")]
    Cancelled,
    #[error("The server could not prepare the providers: {0}.")]
    Disk(#[source] io::Error),
}

impl From<Trouble> for StepFailure {
    fn from(trouble: Trouble) -> Self {
        let message = trouble.to_string();
        let (kind, output) = match trouble {
            Trouble::Registry { failure, .. } => (failure.kind, failure.output),
            Trouble::Cancelled => (StepFailureKind::Cancelled, String::new()),
            Trouble::Disk(_) => (StepFailureKind::NotStarted, String::new()),
            Trouble::Nothing { .. } | Trouble::WrongHash { .. } | Trouble::Package { .. } | Trouble::LockFile(_) => {
                (StepFailureKind::Unusable, String::new())
            }
        };
        Self { step: Step::Init, kind, message, output, diagnostics: vec![] }
    }
}
