//! A pull request as the forge tells it. Always read fresh from the forge when an event comes in, so that events which
//! arrive late, twice or out of order end in the same state as those that arrive well.

use super::id::{Branch, Login, PullId, Sha, TeamName, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub id: PullId,
    pub title: String,
    /// The page that people open.
    pub html_url: String,
    pub author: Login,
    pub head: Sha,
    pub head_branch: String,
    /// The head lives in another repository (a fork, or one that has been deleted).
    pub fork: bool,
    pub base_branch: Branch,
    /// The base branch's tip as the forge knew it when we asked.
    pub base: Sha,
    pub draft: bool,
    pub phase: Phase,
    /// When the forge last changed the pull request, by the forge's clock.
    pub updated_at: Timestamp,
}

/// How far a pull request has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    Open,
    /// Closed without a merge.
    Closed,
    Merged {
        /// The commit on the base branch that holds the change: merge, squash or last rebased commit.
        commit: Sha,
        by: Option<Login>,
        at: Timestamp,
    },
}

impl Pull {
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    #[must_use]
    pub const fn merge_commit(&self) -> Option<&Sha> {
        match &self.phase {
            Phase::Merged { commit, .. } => Some(commit),
            _ => None,
        }
    }
}

/// What the forge's merge queue would merge of a pull request, together with those that are before it in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergeGroup {
    /// The commit that the base branch would be moved to.
    pub head: Sha,
    /// What it adds this pull request to: the base branch's tip, or the commit of the one before it in the queue.
    pub base: Sha,
}

/// What the requirements are about: read from the forge and git when an apply is asked for, never stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Review {
    /// The newest review of each person, approvals only.
    pub approvals: Vec<Approval>,
    /// Whether the forge could merge it: `None` while it is still computing.
    pub mergeable: Option<bool>,
    /// The base branch has commits that the head does not contain.
    pub diverged: bool,
    /// What the forge itself asks for before it merges, our own statuses left out.
    #[serde(default)]
    pub judgement: Judgement,
    /// Which of the approvers is in which of the teams that a requirement names.
    #[serde(default)]
    pub members: Vec<(TeamName, Login)>,
}

/// The forge's own rules for a pull request, as far as it tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Judgement {
    pub reviews: ReviewsAsked,
    /// Everything that reports on the head, with its newest answer.
    pub checks: Vec<Check>,
    /// What else keeps the forge from merging it, as a sentence for people.
    #[serde(default)]
    pub blocked: Option<String>,
    /// Why the forge does not tell, as a sentence for people: what depends on it does not hold then.
    pub unknown: Option<String>,
}

/// Whether the reviews that the forge's own rules ask for are there: of a number of people, or of code owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewsAsked {
    /// It asks for none of code owners, and no other is missing.
    #[default]
    None,
    /// Code owners have to approve, and did. The forge may count an approval of an older commit.
    Given,
    Missing,
    /// Somebody asked for changes.
    ChangesRequested,
}

/// One thing that reports on a commit: a status or a check run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub state: CheckState,
    /// The forge does not merge without it.
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Success, neutral or skipped.
    Green,
    Pending,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    pub by: Login,
    /// The head that was approved.
    pub head: Sha,
    /// Whether the reviewer may write to the repository: only then the approval counts.
    pub by_writer: bool,
    pub at: Timestamp,
}

/// A person's right in a repository, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    None,
    Read,
    Triage,
    Write,
    Maintain,
    Admin,
}

impl Role {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub login: Login,
    pub role: Role,
    /// Of the teams that rules name: those that this person is in.
    #[serde(default)]
    pub teams: Vec<TeamName>,
}

impl Actor {
    /// Before anybody asked for teams.
    #[must_use]
    pub const fn new(login: Login, role: Role) -> Self {
        Self { login, role, teams: Vec::new() }
    }
}
