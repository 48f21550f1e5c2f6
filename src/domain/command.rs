//! What somebody asks for: a verb, a selector, flags. Its surface (comment, button, API, merge) does not matter here.

mod arguments;
mod extra;
mod parse;
mod selector;
mod typo;
mod words;

pub use extra::{ExtraRefused, permitted_extra, plans_everything};
pub use parse::{MOST_COMMANDS, Meant, Names, Parsed, parse_comment};
pub use selector::{Choice, Matcher, Selector, word_matches};

use super::id::{CommentId, Login, PullNumber, Sha, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Plan,
    Apply,
    Approve,
    Unlock,
    Cancel,
    Lock,
    Locks,
    Freeze,
    Thaw,
    Why,
    Version,
    Help,
}

impl Verb {
    pub const ALL: [Self; 12] = [
        Self::Plan,
        Self::Apply,
        Self::Approve,
        Self::Unlock,
        Self::Cancel,
        Self::Lock,
        Self::Locks,
        Self::Freeze,
        Self::Thaw,
        Self::Why,
        Self::Version,
        Self::Help,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Approve => "approve",
            Self::Unlock => "unlock",
            Self::Cancel => "cancel",
            Self::Lock => "lock",
            Self::Locks => "locks",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
            Self::Why => "why",
            Self::Version => "version",
            Self::Help => "help",
        }
    }

    /// Whether it is about the projects as they are now, so that they have to be looked for.
    #[must_use]
    pub const fn is_about_code(self) -> bool {
        matches!(self, Self::Plan | Self::Apply | Self::Approve)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub verb: Verb,
    pub selector: Selector,
    /// `plan` only: the commit that is meant, whole. Nothing is planned if the head is another one.
    pub sha: Option<Sha>,
    /// What stands after `--`: arguments for terraform. Not yet looked at, see [`permitted_extra`].
    pub extra: Vec<String>,
    /// Why, in the words of whoever asks: of `lock`, `unlock`, `freeze`, `thaw` and `cancel`.
    pub reason: Option<String>,
    /// `freeze` only: when it ends by itself.
    pub until: Option<Timestamp>,
    /// `unlock` only: the pull request that holds what is to be freed, if it is another one.
    pub of: Option<PullNumber>,
}

impl Command {
    /// Without anything but the verb, which means all projects.
    #[must_use]
    pub const fn of(verb: Verb) -> Self {
        Self {
            verb,
            selector: Selector { choice: None, failed: false },
            sha: None,
            extra: vec![],
            reason: None,
            until: None,
            of: None,
        }
    }
}

/// Where a command was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Surface {
    /// Unique by comment and line, so that a comment heard twice commands once.
    Comment {
        id: CommentId,
        /// Counted from 1.
        line: usize,
    },
    /// A button beside a check, or a call of the API.
    Call(Call),
}

/// A command that is no comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Of a call: given by whoever calls, or made for it. Of a button: the delivery's.
    pub key: String,
    /// The head that it is about; `None`: whatever is there.
    pub head: Option<Sha>,
    /// What stood beside the button, see [`mark`](super::report::mark); `None`: whatever is there.
    pub seen: Option<String>,
}

/// Where a command comes from, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub surface: Surface,
    pub author: Login,
    /// When the comment was written, by the forge's clock, which counts whole seconds. Of what is no comment: when it was
    /// heard.
    pub at: Timestamp,
    /// When its webhook came in, by ours.
    pub heard_at: Timestamp,
}

impl Origin {
    /// What can be reacted to.
    #[must_use]
    pub const fn comment(&self) -> Option<CommentId> {
        match self.surface {
            Surface::Comment { id, .. } => Some(id),
            Surface::Call(_) => None,
        }
    }

    /// Heard so late that its author does not wait for it any more, and may have done something else: nothing is applied
    /// because of it.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        const MINUTES_15: i64 = 15 * 60 * 1000;
        self.heard_at.0 - self.at.0 > MINUTES_15
    }
}
