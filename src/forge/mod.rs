//! Git forges: where pull requests live. What they say comes in through [`webhook`] and [`event`]; what we ask and tell
//! goes out through [`Forge`].
//!
//! A forge's own types stop here, and so do its quirks: how it pages, limits, redirects, fails and authenticates. An
//! enum and not a trait object: the forges are few, all known, and every one answers the same questions.

mod address;
mod error;
mod failure;
mod gitea;
mod github;
mod gitlab;
mod rest;
mod retry;
pub mod webhook;

pub use error::{ForgeError, ForgeErrorKind, Malformed, SetupError};
pub use gitea::{Gitea, GiteaSettings};
pub use github::{Checks, Github, GithubAuth, GithubSettings};
pub use gitlab::{Gitlab, GitlabSettings, Merge};

use crate::domain::event::{Comment, Event, Reaction};
use crate::domain::id::{Branch, CommentId, ForgeKind, Login, PullId, RepoName, Sha, TeamName, Timestamp};
use crate::domain::missed::{Glimpse, Remark, Seen};
use crate::domain::project::MergeHow;
use crate::domain::pull::{Approval, Judgement, Pull, Role};
pub use crate::domain::report::StatusState;
use crate::domain::report::{Annotation, Button};
use secrecy::SecretString;
use url::Url;
use webhook::Proof;

/// The forge-neutral meaning of a recorded delivery. `host` is the configured forge's, never one that the body names.
///
/// # Errors
/// When the body of an event that we act on lacks what its documentation promises. Unknown events, actions and values
/// are no errors but [`Event::Ignored`].
pub fn event(kind: ForgeKind, event_name: &str, body: &str, host: &str) -> Result<Event, Malformed> {
    match kind {
        ForgeKind::Github => github::event::event(event_name, body, host),
        ForgeKind::Gitlab => gitlab::event::event(event_name, body, host),
        ForgeKind::Gitea => gitea::event::event(event_name, body, host),
    }
}

/// A connection to a forge. Cheap to clone; clones share tokens and connections.
#[derive(Debug, Clone)]
pub enum Forge {
    Github(Github),
    Gitlab(Gitlab),
    /// Gitea or Forgejo.
    Gitea(Gitea),
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

/// A status with all that a check has besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub sha: Sha,
    pub status: Status,
    /// Markdown, as long as a comment may be.
    pub summary: String,
    pub buttons: Vec<Button>,
    pub annotations: Vec<Annotation>,
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

/// What was done so that a repository's webhook is as we need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// There was none that leads to us.
    Created,
    /// There was one; its events, its secret and the rest were set again.
    Repaired,
}

/// One thing that `doctor` looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    pub ok: bool,
    /// What to do about it; empty when there is nothing to do.
    pub advice: String,
}

/// Asks whichever forge it is. A call of a forge is boxed, for it is large: whoever waits for it keeps it in a future of its
/// own, and those go deep.
macro_rules! of {
    ($self:expr, $forge:ident => $ask:expr) => {
        match $self {
            Self::Github($forge) => $ask,
            Self::Gitlab($forge) => $ask,
            Self::Gitea($forge) => $ask,
        }
    };
}

/// Every method that asks the forge fails with a [`ForgeError`], sorted by what can be done about it.
impl Forge {
    #[must_use]
    pub const fn kind(&self) -> ForgeKind {
        match self {
            Self::Github(_) => ForgeKind::Github,
            Self::Gitlab(_) => ForgeKind::Gitlab,
            Self::Gitea(_) => ForgeKind::Gitea,
        }
    }

    /// The host in the names of this forge's repositories, for example `github.com`.
    #[must_use]
    pub fn host(&self) -> &str {
        of!(self, forge => forge.host())
    }

    /// Where the forge lets us have checks, they take the place of statuses.
    #[must_use]
    pub fn checks(&self) -> Option<Checks<'_>> {
        match self {
            Self::Github(github) => github.checks(),
            Self::Gitlab(_) | Self::Gitea(_) => None,
        }
    }

    /// How many characters a comment may have.
    #[must_use]
    pub const fn comment_limit(&self) -> usize {
        match self {
            Self::Github(_) => github::COMMENT_MAX,
            Self::Gitlab(_) => gitlab::COMMENT_MAX,
            Self::Gitea(_) => gitea::COMMENT_MAX,
        }
    }

    /// The account that we act as.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn me(&self) -> Result<Login, ForgeError> {
        of!(self, forge => Box::pin(forge.me()).await)
    }

    /// # Errors
    /// See [`ForgeError`].
    pub async fn pull(&self, pull: &PullId) -> Result<Pull, ForgeError> {
        of!(self, forge => Box::pin(forge.pull(pull)).await)
    }

    /// Whether the forge could merge it now: no conflict, and no draft. What waits for our own statuses never counts
    /// against it. `None` while the forge is still computing.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn mergeable(&self, pull: &PullId) -> Result<Option<bool>, ForgeError> {
        of!(self, forge => Box::pin(forge.mergeable(pull)).await)
    }

    /// The approvals that stand: those that their author has not replaced and nobody has dismissed.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn approvals(&self, pull: &PullId) -> Result<Vec<Approval>, ForgeError> {
        of!(self, forge => Box::pin(forge.approvals(pull)).await)
    }

    /// # Errors
    /// See [`ForgeError`].
    pub async fn default_branch(&self, repo: &RepoName) -> Result<Branch, ForgeError> {
        of!(self, forge => Box::pin(forge.default_branch(repo)).await)
    }

    /// What somebody may do in a repository; [`Role::None`] for whoever the forge does not know there.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn role(&self, repo: &RepoName, who: &Login) -> Result<Role, ForgeError> {
        of!(self, forge => Box::pin(forge.role(repo, who)).await)
    }

    /// Whether somebody belongs to a team. Nobody belongs to a team that is not there, or that we may not see.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn in_team(&self, repo: &RepoName, team: &TeamName, who: &Login) -> Result<bool, ForgeError> {
        of!(self, forge => Box::pin(forge.in_team(repo, team, who)).await)
    }

    /// What the forge's own rules ask for before it merges: reviews and checks, our own statuses among them.
    ///
    /// # Errors
    /// See [`ForgeError`]. What the forge does not let us see is no error but [`Judgement::unknown`].
    pub async fn judgement(&self, pull: &PullId) -> Result<Judgement, ForgeError> {
        of!(self, forge => Box::pin(forge.judgement(pull)).await)
    }

    /// Merges a pull request if its head is still this one, or puts it into the forge's merge queue.
    ///
    /// # Errors
    /// See [`ForgeError`]; `Conflict` when the forge does not merge it as it is now.
    pub async fn merge(&self, pull: &PullId, head: &Sha, how: MergeHow) -> Result<(), ForgeError> {
        match of!(self, forge => Box::pin(forge.merge(pull, head, how)).await) {
            // What was merged already is refused: the answer to a first try may have been lost.
            Err(error) if error.kind == ForgeErrorKind::Conflict => {
                let now = self.pull(pull).await?;
                let landed = now.head == *head && now.merge_commit().is_some();
                if landed { Ok(()) } else { Err(error) }
            }
            merged => merged,
        }
    }

    /// Writes a comment under a pull request. Sent once: after [`ForgeErrorKind::Lost`] ask [`Forge::find_comment`].
    ///
    /// # Errors
    /// See [`ForgeError`]; a text that is too long for the forge is `Invalid`.
    pub async fn create_comment(&self, pull: &PullId, body: &str) -> Result<CommentId, ForgeError> {
        of!(self, forge => Box::pin(forge.create_comment(pull, body)).await)
    }

    /// # Errors
    /// See [`ForgeError`]; `NotFound` when somebody deleted the comment.
    pub async fn edit_comment(&self, pull: &PullId, comment: CommentId, body: &str) -> Result<(), ForgeError> {
        of!(self, forge => Box::pin(forge.edit_comment(pull, comment, body)).await)
    }

    /// Our own oldest comment whose first line is `marker`. What others write is never taken for ours.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn find_comment(&self, pull: &PullId, marker: &str) -> Result<Option<CommentId>, ForgeError> {
        of!(self, forge => Box::pin(forge.find_comment(pull, marker)).await)
    }

    /// A comment as it is now; `None` if it is gone.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn comment(&self, pull: &PullId, comment: CommentId) -> Result<Option<Comment>, ForgeError> {
        of!(self, forge => Box::pin(forge.comment(pull, comment)).await)
    }

    /// Acknowledges a comment. Doing it again changes nothing.
    ///
    /// # Errors
    /// See [`ForgeError`]; `NotFound` when somebody deleted the comment.
    pub async fn react(&self, pull: &PullId, comment: CommentId, reaction: Reaction) -> Result<(), ForgeError> {
        of!(self, forge => Box::pin(forge.react(pull, comment, reaction)).await)
    }

    /// Of the labels whose names begin with `family`, a pull request has `wanted` from now on and no other. Doing it again
    /// changes nothing.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn relabel(&self, pull: &PullId, family: &str, wanted: Option<&str>) -> Result<(), ForgeError> {
        of!(self, forge => Box::pin(forge.relabel(pull, family, wanted)).await)
    }

    /// Sets a status on a commit of a pull request: its head, or the commit that it was merged as. Sent once, but setting
    /// the same status again does no harm.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn set_status(&self, pull: &PullId, sha: &Sha, status: &Status) -> Result<(), ForgeError> {
        of!(self, forge => Box::pin(forge.set_status(pull, sha, status)).await)
    }

    /// # Errors
    /// See [`ForgeError`].
    pub async fn clone_access(&self, repo: &RepoName) -> Result<CloneAccess, ForgeError> {
        of!(self, forge => Box::pin(forge.clone_access(repo)).await)
    }

    /// Git was refused with what [`Forge::clone_access`] gave: the next call gets a new token.
    pub async fn clone_refused(&self, repo: &RepoName) {
        of!(self, forge => Box::pin(forge.clone_refused(repo)).await);
    }

    /// Makes or mends the webhook of a repository that leads to `url`, proven by `proof`.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn install_webhook(&self, repo: &RepoName, url: &Url, proof: &Proof) -> Result<Installed, ForgeError> {
        of!(self, forge => Box::pin(forge.install_webhook(repo, url, proof)).await)
    }

    /// What changed in a repository since `seen`, for whoever fears to have missed a webhook. What changed at that very
    /// moment is told again. Costs one small request for each of the two lists where nothing has changed, and one for each
    /// further page where much has; GitLab has no list of comments, which costs one for each pull request that changed.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn changes(&self, repo: &RepoName, seen: &Seen) -> Result<Changes, ForgeError> {
        of!(self, forge => Box::pin(forge.changes(repo, seen)).await)
    }

    /// Has webhooks sent again that the forge could not deliver since a moment, and returns how many that were. Always 0
    /// where the forge keeps no such list for us.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn redeliver_failed(&self, since: Timestamp) -> Result<usize, ForgeError> {
        match self {
            Self::Github(github) => github.redeliver_failed(since).await,
            // They keep such a list for people only.
            Self::Gitlab(_) | Self::Gitea(_) => Ok(0),
        }
    }

    /// Looks whether the forge is there and lets us do our work, in general and in one repository.
    pub async fn doctor(&self, repo: Option<&RepoName>) -> Vec<Finding> {
        of!(self, forge => Box::pin(forge.doctor(repo)).await)
    }
}

/// Of the labels that are there, those of the family that have to go; and the wanted one, if it is missing.
fn family_of<'a>(there: &'a [String], family: &str, wanted: Option<&'a str>) -> (Vec<&'a str>, Option<&'a str>) {
    let is_wanted = |name: &str| wanted == Some(name);
    let old = there.iter().map(String::as_str).filter(|name| name.starts_with(family) && !is_wanted(name)).collect();
    (old, wanted.filter(|wanted| !there.iter().any(|name| name == wanted)))
}

#[cfg(test)]
mod tests;
