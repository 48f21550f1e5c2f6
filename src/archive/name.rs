//! Names of things in the archive. They become paths, so they are checked once, here.

use crate::domain::id::RunId;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// `run/<id>/<file>` or `state/<id>/<version>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArchiveName(String);

/// What is kept of a run besides its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunFile {
    /// Terraform's saved plan.
    Plan,
    /// `terraform show -json` of it.
    PlanJson,
    /// `.terraform.lock.hcl` as it was after the plan's `init`.
    LockFile,
    /// The plan as people read it, masked.
    View,
}

impl RunFile {
    pub const ALL: [Self; 4] = [Self::Plan, Self::PlanJson, Self::LockFile, Self::View];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan.bin",
            Self::PlanJson => "plan.json",
            Self::LockFile => "lock.hcl",
            Self::View => "view.json",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name in the archive")]
pub struct InvalidName(String);

impl ArchiveName {
    #[must_use]
    pub fn run(run: RunId, file: RunFile) -> Self {
        Self(format!("run/{run}/{}", file.as_str()))
    }

    /// A version of a managed state. `writer` keeps two that write the same version at once apart: only one of them
    /// gets into the store, and the other must not have written over its bytes.
    #[must_use]
    pub fn state(state: Uuid, version: u64, writer: Uuid) -> Self {
        Self(format!("state/{}/{version}-{}", state.as_simple(), writer.as_simple()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ArchiveName {
    type Err = InvalidName;

    /// For names that were kept in the store.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        let mut parts = text.split('/');
        let fine = matches!(parts.next(), Some("run" | "state"))
            && parts.next().is_some_and(part)
            && parts.next().is_some_and(part)
            && parts.next().is_none()
            && text.len() <= 200;
        if fine { Ok(Self(text.to_owned())) } else { Err(InvalidName(text.chars().take(80).collect())) }
    }
}
