//! What happened, in words that every forge shares. A delivery means at most one event; whatever else it held is read
//! fresh from the forge.

use super::id::{CommentId, Login, PullId, RepoName, Sha, Timestamp};
use super::pull::MergeGroup;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Opened, reopened, pushed to, retargeted, made ready, closed, merged: what it is now is asked of the forge.
    PullChanged { pull: PullId, change: PullChange },
    /// Somebody wrote a new comment on a pull request.
    Commented { pull: PullId, comment: Comment },
    /// A comment was deleted; it may have been ours.
    CommentGone { pull: PullId, comment: CommentId },
    /// Somebody commanded otherwise than by a comment.
    Called { pull: PullId, called: Called },
    /// A review was given or dismissed: requirements may have changed.
    Reviewed { pull: PullId },
    /// The forge's merge queue wants to know whether it may merge a pull request as this commit.
    Queued { pull: PullId, group: MergeGroup },
    /// The commit is no longer in the queue: merged, taken out, or made anew.
    Unqueued { pull: PullId, group: MergeGroup },
    /// Nothing that we act on, and why; kept so that an operator can see it.
    Ignored { repo: Option<RepoName>, reason: String },
}

/// What the forge said had happened; for people and logs, and to tell a push from a change of title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullChange {
    Opened,
    Reopened,
    Pushed,
    Retargeted,
    MadeReady,
    MadeDraft,
    /// With or without a merge.
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    pub id: CommentId,
    pub author: Login,
    /// A bot's or an app's account: never commands.
    pub by_bot: bool,
    pub body: String,
    pub created_at: Timestamp,
}

/// A command by a button or by the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    pub by: Login,
    /// As in a comment, without the server's name: `apply prod/network`.
    pub text: String,
    /// See [`Call`](super::command::Call).
    pub head: Option<Sha>,
    pub seen: Option<String>,
}

/// How a comment is acknowledged. Each forge has a word of its own for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// It was read, and something comes of it.
    Seen,
    Done,
    Failed,
}
