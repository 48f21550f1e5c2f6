//! What names a project: its directory, its workspace, and what people call it.

use super::{InvalidId, short_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

checked_text!(
    /// A project's directory, relative to the root of the repository, with `/` between the parts; the root itself is
    /// `.`. Never leaves the repository.
    ProjectDir,
    "a directory inside the repository",
    |text| {
        let mut parts = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return None,
                part if part.chars().any(char::is_control) => return None,
                part => parts.push(part),
            }
        }
        if text.starts_with('/') {
            return None;
        }
        Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
    }
);

impl ProjectDir {
    /// The directory as a prefix of repository paths: empty for the root, otherwise with a `/` at its end.
    #[must_use]
    pub fn prefix(&self) -> String {
        if self.0 == "." { String::new() } else { format!("{}/", self.0) }
    }
}

checked_text!(
    /// A Terraform workspace. It names directories and is passed to terraform, so its alphabet is small.
    Workspace,
    "a workspace (letters, digits, `-`, `_`, `.`)",
    |text| {
        let fine = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        (fine && !text.is_empty() && text.len() <= 90 && !text.starts_with(['-', '.'])).then(|| text.to_owned())
    }
);

impl Default for Workspace {
    fn default() -> Self {
        Self("default".into())
    }
}

/// What a project *is*: one directory with one workspace. Its name may change; this may not.
/// Written `dir`, or `dir@workspace` when the workspace is not `default`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectKey {
    pub dir: ProjectDir,
    pub workspace: Workspace,
}

impl fmt::Display for ProjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.workspace.as_str() == "default" {
            self.dir.fmt(f)
        } else {
            write!(f, "{}@{}", self.dir, self.workspace)
        }
    }
}

impl FromStr for ProjectKey {
    type Err = InvalidId;

    /// The text after the last `@` is the workspace if it can be one; directories that hold an `@` therefore need the
    /// workspace spelled out, which [`fmt::Display`] does for every workspace but `default`.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if let Some((dir, workspace)) = text.rsplit_once('@')
            && let Ok(workspace) = workspace.parse()
        {
            return Ok(Self { dir: dir.parse()?, workspace });
        }
        Ok(Self { dir: text.parse()?, workspace: Workspace::default() })
    }
}

string_serde!(ProjectKey);

checked_text!(
    /// What people call a project; unique in its repository. By default its [`ProjectKey`] written out.
    ProjectName,
    "a project name (no white space, quotes or backticks)",
    |text| short_text(text)
        .filter(|t| !t.starts_with('-') && !t.chars().any(|c| c.is_whitespace() || "`\"'(),|<>".contains(c)))
);
