//! Shows a forge what it should show, once, whatever happens between telling it and noting that it was told.
//!
//! Editing and setting a status may be repeated. Creating may not: before a comment is created, one with the same marker
//! is looked for, because an earlier try may have succeeded without our hearing of it, or the process that made it may
//! have died before it could write it down. Two processes that do the same thing at once never come to that: a lease is
//! not given to another as long as its holder lives (see [`crate::store::Store::held_by`]).

use super::FlowError;
use crate::domain::id::{CommentId, PullId, Sha};
use crate::forge::{Forge, ForgeError, ForgeErrorKind, Status};
use crate::store::{Lease, OutComment, SentStatus, Store};
use sha2::{Digest as _, Sha256};

/// The key of the live comment.
pub const LIVE: &str = "live";

/// What of a forge is needed here, so that a test can let it, and the process, fail at every point.
pub trait Board: Sync {
    fn find_comment(
        &self,
        pull: &PullId,
        marker: &str,
    ) -> impl Future<Output = Result<Option<CommentId>, ForgeError>> + Send;
    fn create_comment(&self, pull: &PullId, body: &str) -> impl Future<Output = Result<CommentId, ForgeError>> + Send;
    fn edit_comment(
        &self,
        pull: &PullId,
        comment: CommentId,
        body: &str,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;
    fn set_status(
        &self,
        pull: &PullId,
        sha: &Sha,
        status: &Status,
    ) -> impl Future<Output = Result<(), ForgeError>> + Send;
}

impl Board for Forge {
    async fn find_comment(&self, pull: &PullId, marker: &str) -> Result<Option<CommentId>, ForgeError> {
        Self::find_comment(self, pull, marker).await
    }

    async fn create_comment(&self, pull: &PullId, body: &str) -> Result<CommentId, ForgeError> {
        Self::create_comment(self, pull, body).await
    }

    async fn edit_comment(&self, pull: &PullId, comment: CommentId, body: &str) -> Result<(), ForgeError> {
        Self::edit_comment(self, pull, comment, body).await
    }

    async fn set_status(&self, pull: &PullId, sha: &Sha, status: &Status) -> Result<(), ForgeError> {
        Self::set_status(self, pull, sha, status).await
    }
}

/// One pull request's, under the lease of its job.
#[derive(Debug)]
pub struct Outbox<'a, B> {
    pub store: &'a Store,
    pub board: &'a B,
    pub lease: &'a Lease,
    pub pull: &'a PullId,
}

/// Every method fails when the forge does not take it for now, or the lease is lost. What the forge will never take is
/// given up, with its reason.
impl<B: Board> Outbox<'_, B> {
    /// Edits the live comment, or creates it if it is not there (any more). False: it is given up; the next change is
    /// another try.
    ///
    /// # Errors
    /// See there.
    pub async fn show_live(&self, known: Option<&OutComment>, body: &str) -> Result<bool, FlowError> {
        self.show(LIVE, known.and_then(|comment| comment.comment), body).await
    }

    /// Creates a comment of its own that is not there yet. False: it is given up, or was.
    ///
    /// # Errors
    /// See there.
    pub async fn show_own(&self, comment: &OutComment) -> Result<bool, FlowError> {
        let Some(body) = not_shown(comment) else { return Ok(false) };
        self.show(&comment.key, None, body).await
    }

    /// Sets a status.
    ///
    /// # Errors
    /// See there.
    pub async fn show_status(&self, sha: &Sha, status: &Status) -> Result<(), FlowError> {
        let given_up = match self.board.set_status(self.pull, sha, status).await.map_err(FlowError::from) {
            Ok(()) => None,
            // A head that was force-pushed away: there is nothing left to show it on.
            Err(error) if error.is_final() => {
                tracing::warn!(pull = %self.pull, sha = %sha, error = %error.chain(), "a status can't be set");
                Some(error.chain())
            }
            Err(error) => return Err(error),
        };
        let sent = sent_status(sha, status);
        Ok(self.store.status_sent(self.lease, self.pull, &sent, given_up.as_deref()).await?)
    }

    async fn show(&self, key: &str, known: Option<CommentId>, body: &str) -> Result<bool, FlowError> {
        match self.put(known, body).await {
            Ok(number) => {
                self.store.comment_sent(self.lease, key, number, &hash(body)).await?;
                Ok(true)
            }
            Err(error) if error.is_final() => {
                tracing::error!(pull = %self.pull, key, error = %error.chain(), "a comment is given up");
                self.store.comment_given_up(self.lease, key, &error.chain()).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn put(&self, known: Option<CommentId>, body: &str) -> Result<CommentId, FlowError> {
        if let Some(number) = known
            && self.edit(number, body).await?
        {
            return Ok(number);
        }
        // Also in the place of one that was deleted: that may have been tried before, too.
        let marker = body.lines().next().unwrap_or_default();
        if let Some(number) = self.board.find_comment(self.pull, marker).await?
            && self.edit(number, body).await?
        {
            return Ok(number);
        }
        Ok(self.board.create_comment(self.pull, body).await?)
    }

    /// False: somebody deleted it.
    async fn edit(&self, number: CommentId, body: &str) -> Result<bool, FlowError> {
        match self.board.edit_comment(self.pull, number, body).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind == ForgeErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The text of a comment of its own that the forge has not and may still take.
#[must_use]
pub fn not_shown(comment: &OutComment) -> Option<&str> {
    match (comment.comment, &comment.given_up) {
        (None, None) => comment.body.as_deref(),
        _ => None,
    }
}

/// Whether the forge has this very text.
#[must_use]
pub fn is_shown(comment: &OutComment, body: &str) -> bool {
    comment.comment.is_some() && comment.sent_hash.as_deref() == Some(&hash(body))
}

/// A status as the store keeps it.
#[must_use]
pub fn sent_status(sha: &Sha, status: &Status) -> SentStatus {
    SentStatus {
        sha: sha.clone(),
        context: status.context.clone(),
        state: status.state.as_str().to_owned(),
        description: status.description.clone(),
        check: None,
    }
}

pub(super) fn hash(body: &str) -> String {
    hex::encode(Sha256::digest(body.as_bytes()))
}
