//! A project: one Terraform root directory with one workspace, and the rules that hold for it.

use super::command::Selector;
use super::id::{ProjectKey, ProjectName, Sha, TreeId};
use super::pull::Role;
use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

/// A project with everything that configuration says of it, as resolved for one pull request at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub key: ProjectKey,
    pub name: ProjectName,
    pub tags: Vec<String>,
    /// Paths relative to the project's directory.
    pub var_files: Vec<String>,
    /// Further paths that concern the project: globs from the repository's root.
    pub watch: Vec<String>,
    /// An exact version or constraint that configuration asks for; `None`: what the code's `required_version` allows.
    pub terraform_version: Option<String>,
    pub state: StateKind,
    pub apply: ApplyMode,
    pub require: Vec<Requirement>,
    /// The least role that may apply it; `None`: whatever the command needs anyway.
    pub least_role: Option<Role>,
    /// Why this pull request concerns the project, for people: "`modules/vpc/main.tf` changed".
    pub reason: String,
}

/// Where a project's state lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateKind {
    /// A backend in the code.
    Remote,
    /// Terraplane keeps it.
    Managed,
    /// Neither: it would vanish with the work tree, so the project is planned and never applied.
    Nowhere,
}

/// When a project is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplyMode {
    #[default]
    OnMerge,
    OnComment,
    Both,
}

impl ApplyMode {
    #[must_use]
    pub const fn on_merge(self) -> bool {
        matches!(self, Self::OnMerge | Self::Both)
    }

    #[must_use]
    pub const fn on_comment(self) -> bool {
        matches!(self, Self::OnComment | Self::Both)
    }
}

/// A condition that must hold before an apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    /// Somebody with write permission, not the author, has approved the current head.
    Approved,
    /// No conflict with the base branch, and not a draft.
    Mergeable,
    /// The head contains the tip of the base branch.
    Undiverged,
}

impl Requirement {
    pub const ALL: [Self; 3] = [Self::Approved, Self::Mergeable, Self::Undiverged];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Mergeable => "mergeable",
            Self::Undiverged => "undiverged",
        }
    }
}

/// What was planned: the exact input of a plan. Commits are for people; trees decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub head: Sha,
    pub base: Sha,
    /// The tree of the merge of head into base: what terraform sees.
    pub tree: TreeId,
    /// Hash over the git objects of the project, the modules it uses, its var files and watched files: equal inputs
    /// are equal code.
    pub inputs: String,
}

impl Selector {
    /// Whether the selector names this project: by name, by directory, by a glob over either, or by `tag:x`.
    #[must_use]
    pub fn matches(&self, project: &Project) -> bool {
        self.any_of.is_empty() || self.any_of.iter().any(|word| word_matches(word, project))
    }
}

fn word_matches(word: &str, project: &Project) -> bool {
    if let Some(tag) = word.strip_prefix("tag:") {
        return project.tags.iter().any(|t| t == tag);
    }
    let (name, dir) = (project.name.as_str(), project.key.dir.as_str());
    let plain = word.strip_suffix('/').unwrap_or(word);
    plain == name || plain == dir || glob(plain).is_some_and(|g| g.is_match(name) || g.is_match(dir))
}

/// A glob in which `*` stays within a path segment and `**` crosses them; `None` if it is malformed.
#[must_use]
pub fn glob(pattern: &str) -> Option<GlobMatcher> {
    GlobBuilder::new(pattern).literal_separator(true).build().ok().map(|g| g.compile_matcher())
}
