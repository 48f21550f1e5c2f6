//! Git forges: where pull requests live. What they say comes in through [`webhook`] and [`event`]; what we ask and tell
//! goes out through [`Forge`].
//!
//! A forge's own types stop here, and so do its quirks: how it pages, limits, redirects, fails and authenticates. An
//! enum and not a trait object: the forges are few, all known, and every one answers the same questions.

mod error;
pub mod github;
mod retry;
pub mod webhook;

pub use error::{ForgeError, ForgeErrorKind, Malformed, SetupError};
pub use github::{Github, GithubAuth, GithubSettings};

use crate::domain::event::{Comment, Event};
use crate::domain::id::{Branch, CommentId, ForgeKind, Login, PullId, RepoName, Sha, Timestamp};
use crate::domain::missed::{Glimpse, Remark, Seen};
use crate::domain::pull::{Approval, Pull, Role};
pub use crate::domain::report::StatusState;
use secrecy::SecretString;
use url::Url;

/// The forge-neutral meaning of a recorded delivery. `host` is the configured forge's, never one that the body names.
///
/// # Errors
/// When the body of an event that we act on lacks what its documentation promises. Unknown events, actions and values
/// are no errors but [`Event::Ignored`].
pub fn event(kind: ForgeKind, event_name: &str, body: &str, host: &str) -> Result<Event, Malformed> {
    match kind {
        ForgeKind::Github => github::event::event(event_name, body, host),
    }
}

/// A connection to a forge. Cheap to clone; clones share tokens and connections.
#[derive(Debug, Clone)]
pub enum Forge {
    Github(Github),
}

/// What git needs to fetch from a repository. The address is made from the configuration, never from a payload.
#[derive(Debug, Clone)]
pub struct CloneAccess {
    pub url: Url,
    pub username: String,
    /// May read this repository's contents, for at least ten minutes more.
    pub token: SecretString,
}

/// The state of one thing on one commit, as shown beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is the state of, for example `terraplane/plan`. A later status of the same context replaces it.
    pub context: String,
    pub state: StatusState,
    /// At most 140 characters.
    pub description: String,
    /// Where a click on it leads.
    pub url: Option<Url>,
}

/// What changed in a repository since a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The pull requests that changed in any way.
    pub pulls: Vec<Glimpse>,
    /// The comments on pull requests that were written and not edited.
    pub comments: Vec<Remark>,
    /// To ask with the next time. Each of its two marks goes with the list of the same name.
    pub seen: Seen,
}

/// One thing that `doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    pub ok: bool,
    /// What to do about it; empty when there is nothing to do.
    pub advice: String,
}

/// Every method that asks the forge fails with a [`ForgeError`], sorted by what can be done about it.
impl Forge {
    #[must_use]
    pub const fn kind(&self) -> ForgeKind {
        match self {
            Self::Github(_) => ForgeKind::Github,
        }
    }

    /// The host in the names of this forge's repositories, for example `github.com`.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Github(github) => github.host(),
        }
    }

    /// The account that we act as.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn me(&self) -> Result<Login, ForgeError> {
        match self {
            Self::Github(github) => github.me().await,
        }
    }

    /// # Errors
    /// See [`ForgeError`].
    pub async fn pull(&self, pull: &PullId) -> Result<Pull, ForgeError> {
        match self {
            Self::Github(github) => github.pull(pull).await,
        }
    }

    /// Whether the forge could merge it now: no conflict, and no draft. `None` while the forge is still computing.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn mergeable(&self, pull: &PullId) -> Result<Option<bool>, ForgeError> {
        match self {
            Self::Github(github) => github.mergeable(pull).await,
        }
    }

    /// The approvals that stand: those that their author has not replaced and nobody has dismissed.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn approvals(&self, pull: &PullId) -> Result<Vec<Approval>, ForgeError> {
        match self {
            Self::Github(github) => github.approvals(pull).await,
        }
    }

    /// # Errors
    /// See [`ForgeError`].
    pub async fn default_branch(&self, repo: &RepoName) -> Result<Branch, ForgeError> {
        match self {
            Self::Github(github) => github.default_branch(repo).await,
        }
    }

    /// What somebody may do in a repository; [`Role::None`] for whoever the forge does not know there.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn role(&self, repo: &RepoName, who: &Login) -> Result<Role, ForgeError> {
        match self {
            Self::Github(github) => github.role(repo, who).await,
        }
    }

    /// Writes a comment under a pull request. Sent once: after [`ForgeErrorKind::Lost`] ask [`Forge::find_comment`].
    ///
    /// # Errors
    /// See [`ForgeError`]; a text that is too long for the forge is `Invalid`.
    pub async fn create_comment(&self, pull: &PullId, body: &str) -> Result<CommentId, ForgeError> {
        match self {
            Self::Github(github) => github.create_comment(pull, body).await,
        }
    }

    /// # Errors
    /// See [`ForgeError`]; `NotFound` when somebody deleted the comment.
    pub async fn edit_comment(&self, repo: &RepoName, comment: CommentId, body: &str) -> Result<(), ForgeError> {
        match self {
            Self::Github(github) => github.edit_comment(repo, comment, body).await,
        }
    }

    /// Our own oldest comment whose first line is `marker`. What others write is never taken for ours.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn find_comment(&self, pull: &PullId, marker: &str) -> Result<Option<CommentId>, ForgeError> {
        match self {
            Self::Github(github) => github.find_comment(pull, marker).await,
        }
    }

    /// A comment as it is now; `None` if it is gone.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn comment(&self, repo: &RepoName, comment: CommentId) -> Result<Option<Comment>, ForgeError> {
        match self {
            Self::Github(github) => github.comment(repo, comment).await,
        }
    }

    /// Sets a status on a commit. Sent once, but setting the same status again does no harm.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn set_status(&self, repo: &RepoName, sha: &Sha, status: &Status) -> Result<(), ForgeError> {
        match self {
            Self::Github(github) => github.set_status(repo, sha, status).await,
        }
    }

    /// # Errors
    /// See [`ForgeError`].
    pub async fn clone_access(&self, repo: &RepoName) -> Result<CloneAccess, ForgeError> {
        match self {
            Self::Github(github) => github.clone_access(repo).await,
        }
    }

    /// Git was refused with what [`Forge::clone_access`] gave: the next call gets a new token.
    pub async fn clone_refused(&self, repo: &RepoName) {
        match self {
            Self::Github(github) => github.clone_refused(repo).await,
        }
    }

    /// What changed in a repository since `seen`, for whoever fears to have missed a webhook. What changed at that very
    /// moment is told again. Costs one small request for each of the two lists where nothing has changed, and one for each
    /// further page of a hundred where much has.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn changes(&self, repo: &RepoName, seen: &Seen) -> Result<Changes, ForgeError> {
        match self {
            Self::Github(github) => github.changes(repo, seen).await,
        }
    }

    /// Has webhooks sent again that the forge could not deliver since a moment, and returns how many that were. Always 0
    /// where the forge keeps no such list for us.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn redeliver_failed(&self, since: Timestamp) -> Result<usize, ForgeError> {
        match self {
            Self::Github(github) => github.redeliver_failed(since).await,
        }
    }

    /// Looks whether the forge is there and lets us do our work, in general and in one repository.
    pub async fn doctor(&self, repo: Option<&RepoName>) -> Vec<Finding> {
        match self {
            Self::Github(github) => github.doctor(repo).await,
        }
    }
}

#[cfg(test)]
mod tests;
