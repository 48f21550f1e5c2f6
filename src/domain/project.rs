//! A project: one Terraform root directory with one workspace, and the rules that hold for it.

mod changes;

pub use changes::{RuleChanges, right_changes, rule_changes};

use super::freeze::Window;
use super::id::{ProjectKey, ProjectName, Sha, TreeId};
use super::permission::Rights;
use super::requirement::Requirement;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
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
    /// What must hold before an apply.
    pub require: Vec<Requirement>,
    /// What must hold before a plan.
    #[serde(default)]
    pub require_plan: Vec<Requirement>,
    /// What must hold besides before an apply that imports something.
    #[serde(default)]
    pub require_import: Vec<Requirement>,
    /// Who may do what.
    #[serde(default)]
    pub can: Rights,
    /// When nothing is applied.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// How the pull request is merged once everything of it is applied.
    #[serde(default)]
    pub automerge: Option<MergeHow>,
    /// Also where none of its plans changes anything, once somebody asks for an apply.
    #[serde(default)]
    pub automerge_on_no_change: bool,
    /// The default branch does not know it, so that nothing that people or rules call by its name or tags can be told to
    /// leave it out: every rule and every freeze holds for it.
    #[serde(default)]
    pub unknown: bool,
    /// Projects whose applies come before this one's.
    #[serde(default)]
    pub after: Vec<ProjectName>,
    /// Why this pull request concerns the project, for people: "`modules/vpc/main.tf` changed".
    pub reason: String,
}

impl Project {
    /// A project of which nothing is said: every field has what it has where no configuration names it.
    #[must_use]
    pub fn new(key: ProjectKey, name: ProjectName) -> Self {
        Self {
            key,
            name,
            tags: Vec::new(),
            var_files: Vec::new(),
            watch: Vec::new(),
            terraform_version: None,
            state: StateKind::Remote,
            apply: ApplyMode::default(),
            require: Vec::new(),
            require_plan: Vec::new(),
            require_import: Vec::new(),
            can: Rights::default(),
            windows: Vec::new(),
            automerge: None,
            automerge_on_no_change: false,
            unknown: false,
            after: Vec::new(),
            reason: String::new(),
        }
    }
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

/// How a pull request is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeHow {
    Merge,
    Squash,
    Rebase,
    /// Put into the forge's merge queue.
    Enqueue,
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

/// The longest glob that is read, in bytes, and the most alternatives (`{a,b}`) in it. Anybody who may comment can write
/// one, and what they nest is compiled.
const LONGEST_GLOB: usize = 500;
const MOST_BRACES: usize = 10;

/// A glob in which `*` stays within a path segment and `**` crosses them; `None` if it is malformed, or larger than
/// anybody needs.
#[must_use]
pub fn glob(pattern: &str) -> Option<GlobSet> {
    if pattern.len() > LONGEST_GLOB || pattern.matches('{').count() > MOST_BRACES {
        return None;
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build().ok()?;
    // A set says that it can't be compiled; a single matcher panics.
    GlobSetBuilder::new().add(glob).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_that_nobody_needs_is_refused() {
        for (pattern, matches) in [("{a,b}/*", true), ("a/**", true), ("a/b/*", false)] {
            assert_eq!(glob(pattern).unwrap().is_match("a/c"), matches, "{pattern}");
        }
        let nested = |depth: usize| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        assert!(glob(&nested(10)).is_some_and(|glob| glob.is_match("a")));
        for pattern in [nested(11), nested(251), nested(100_000), "a".repeat(501), "{a".to_owned(), "[".to_owned()] {
            assert!(glob(&pattern).is_none(), "{}", pattern.len());
        }
    }
}
