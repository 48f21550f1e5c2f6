//! What somebody asks for: a verb, a selector, flags. Its surface (comment, button, API, merge) does not matter here.

mod parse;

pub use parse::{Names, Parsed, parse_comment};

use super::id::{CommentId, Login, Sha, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Plan,
    Apply,
    Approve,
    Unlock,
    Cancel,
    Help,
}

impl Verb {
    pub const ALL: [Self; 6] = [Self::Plan, Self::Apply, Self::Approve, Self::Unlock, Self::Cancel, Self::Help];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Approve => "approve",
            Self::Unlock => "unlock",
            Self::Cancel => "cancel",
            Self::Help => "help",
        }
    }
}

/// Which projects of the pull request are meant. Several words: any of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selector {
    /// Project names, directories, globs over both, or `tag:x`. Empty: all.
    pub any_of: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub verb: Verb,
    pub selector: Selector,
    /// `plan` only: the commit that is meant, whole. Nothing is planned if the head is another one.
    #[serde(default)]
    pub sha: Option<Sha>,
}

/// Where a command comes from. Unique by comment and line, so that a comment heard twice commands once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub comment: CommentId,
    /// Counted from 1.
    pub line: usize,
    pub author: Login,
    /// When the comment was written, by the forge's clock.
    pub at: Timestamp,
    /// When it was heard, by ours.
    pub heard_at: Timestamp,
}

impl Origin {
    /// Heard so late that its author does not wait for it any more, and may have done something else: nothing is applied
    /// because of it.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        const MINUTES_15: i64 = 15 * 60 * 1000;
        self.heard_at.0 - self.at.0 > MINUTES_15
    }
}
