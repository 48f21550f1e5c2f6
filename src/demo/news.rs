//! What happened in the world, in words that every face understands: each makes its own webhooks of it.

use super::state::InQueue;
use crate::domain::id::Sha;

/// One thing that happened. `by` is the login of who did it.
#[derive(Debug, Clone, Copy)]
pub(super) enum News<'a> {
    Push {
        repo: &'a str,
        branch: &'a str,
        before: Option<&'a Sha>,
        after: &'a Sha,
        by: &'a str,
    },
    Pull {
        repo: &'a str,
        number: u64,
        what: PullNews<'a>,
        by: &'a str,
    },
    /// Told of a deletion before the comment is gone.
    Comment {
        repo: &'a str,
        id: u64,
        what: CommentNews<'a>,
        by: &'a str,
    },
    /// Somebody pressed a button of a check run (by its identifier), or asked for it once more.
    Check {
        repo: &'a str,
        id: u64,
        pressed: Option<&'a str>,
        by: &'a str,
    },
    /// The merge queue asks for checks, or lets go of what it asked about.
    Queue {
        repo: &'a str,
        entry: &'a InQueue,
        what: QueueNews,
        by: &'a str,
    },
    Review {
        repo: &'a str,
        number: u64,
        id: u64,
        what: ReviewNews,
        by: &'a str,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum PullNews<'a> {
    Opened,
    Pushed { before: Option<&'a Sha>, after: &'a Sha },
    Closed,
    Merged,
    Reopened,
    Retargeted { from: &'a str, from_tip: &'a Sha },
    Retitled { from: &'a str },
    MadeDraft,
    MadeReady,
    Labelled { before: &'a [String] },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum CommentNews<'a> {
    Created,
    Edited { from: &'a str },
    Deleted,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum QueueNews {
    ChecksRequested,
    Merged,
    /// Made anew, because one before it was taken out.
    Invalidated,
    Dequeued,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum ReviewNews {
    Submitted,
    Dismissed,
}

impl News<'_> {
    /// The word by which a trouble and a test mean this kind of webhook, whatever the forge calls it.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Push { .. } => "push",
            Self::Pull { .. } => "pull_request",
            Self::Comment { .. } => "comment",
            Self::Check { .. } => "check",
            Self::Queue { .. } => "merge_group",
            Self::Review { .. } => "review",
        }
    }
}
