//! The outbox of comments. What is to be said is written here first, and then brought to the forge until it is there.

use super::error::StoreError;
use super::job::{Job, Lease};
use super::{Store, Tx, row};
use crate::domain::id::{CommentId, PullId, RepoName, Timestamp};
use sqlx::Row as _;

/// A comment of ours on a pull request: wanted, or there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutComment {
    /// What it is about; unique for a pull request.
    pub key: String,
    /// The whole text, whose first line is its marker. `None` for the live comment, which is computed anew each time.
    pub body: Option<String>,
    pub wanted_at: Timestamp,
    /// The forge's id of it; `None` until it is there.
    pub comment: Option<CommentId>,
    /// Hash of the text that the forge has.
    pub sent_hash: Option<String>,
    /// Why it will never be brought to the forge, if so.
    pub given_up: Option<String>,
}

impl Store {
    /// All comments of a pull request, oldest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn comments(&self, pull: &PullId) -> Result<Vec<OutComment>, StoreError> {
        let rows = sqlx::query(
            "SELECT key, body, wanted_at, forge_id, sent_hash, given_up FROM comment WHERE pull = $1 \
             ORDER BY wanted_at, seq",
        )
        .bind(pull.to_string())
        .fetch_all(&self.pools.reads)
        .await?;
        rows.iter()
            .map(|row| {
                let forge_id: Option<i64> = row.try_get("forge_id")?;
                Ok(OutComment {
                    key: row.try_get("key")?,
                    body: row.try_get("body")?,
                    wanted_at: Timestamp(row.try_get("wanted_at")?),
                    comment: forge_id.map(|id| CommentId(id.cast_unsigned())),
                    sent_hash: row.try_get("sent_hash")?,
                    given_up: row.try_get("given_up")?,
                })
            })
            .collect()
    }

    /// Whether any line of a comment was carried out.
    ///
    /// # Errors
    /// The database's.
    pub async fn has_commanded(&self, repo: &RepoName, comment: CommentId) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 AS seen FROM seen_command WHERE repo = $1 AND comment = $2 LIMIT 1")
            .bind(repo.to_string())
            .bind(comment.0.cast_signed())
            .fetch_optional(&self.pools.reads)
            .await?;
        Ok(row.is_some())
    }

    /// The comment is on the forge, with a text of this hash. Makes the row of the live comment, which nobody adds.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::NoPull`] if the lease is for an ingest job; or the database's.
    pub async fn comment_sent(&self, lease: &Lease, key: &str, id: CommentId, hash: &str) -> Result<(), StoreError> {
        let pull = lease.job.pull().ok_or(StoreError::NoPull)?.to_string();
        let mut tx = self.fenced(lease).await?;
        sqlx::query(
            "INSERT INTO comment (pull, key, wanted_at, seq, forge_id, sent_hash) VALUES ($1, $2, 0, '', $3, $4) \
             ON CONFLICT (pull, key) DO UPDATE SET forge_id = excluded.forge_id, sent_hash = excluded.sent_hash, \
             given_up = NULL",
        )
        .bind(pull)
        .bind(key)
        .bind(id.0.cast_signed())
        .bind(hash)
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    /// Why the forge does not show what it should about a pull request: what was given up, and what is being tried again.
    ///
    /// # Errors
    /// The database's.
    pub async fn not_told(&self, pull: &PullId) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT given_up AS why FROM comment WHERE pull = $1 AND given_up IS NOT NULL UNION \
             SELECT given_up AS why FROM status WHERE pull = $1 AND given_up IS NOT NULL UNION \
             SELECT error AS why FROM job WHERE kind = 'tell' AND lane = $2 AND error IS NOT NULL",
        )
        .bind(pull.to_string())
        .bind(Job::Tell { pull: pull.clone() }.lane())
        .fetch_all(&self.pools.reads)
        .await?;
        rows.iter().map(|row| Ok(row.try_get("why")?)).collect()
    }

    /// The forge will never take this comment: it is not tried again.
    ///
    /// # Errors
    /// As [`Store::comment_sent`].
    pub async fn comment_given_up(&self, lease: &Lease, key: &str, why: &str) -> Result<(), StoreError> {
        let pull = lease.job.pull().ok_or(StoreError::NoPull)?.to_string();
        let mut tx = self.fenced(lease).await?;
        sqlx::query(
            "INSERT INTO comment (pull, key, wanted_at, seq, given_up) VALUES ($1, $2, 0, '', $3) \
             ON CONFLICT (pull, key) DO UPDATE SET given_up = excluded.given_up",
        )
        .bind(pull)
        .bind(key)
        .bind(row::free_text(why))
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }
}

impl Tx {
    /// Somebody deleted a comment: if it was the live comment, it has to be created again, and this is true.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_live_comment(&mut self, pull: &PullId, comment: CommentId) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE comment SET forge_id = NULL, sent_hash = NULL WHERE pull = $1 AND forge_id = $2 AND body IS NULL",
        )
        .bind(pull.to_string())
        .bind(comment.0.cast_signed())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Wants a comment, to be posted once. The first line of `body` is its marker. False: there is one with this key
    /// already, and it stays as it is.
    ///
    /// # Errors
    /// The database's.
    pub async fn add_comment(
        &mut self,
        pull: &PullId,
        key: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO comment (pull, key, body, wanted_at, seq) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (pull, key) DO NOTHING",
        )
        .bind(pull.to_string())
        .bind(key)
        .bind(row::free_text(body))
        .bind(now.0)
        .bind(uuid::Uuid::now_v7().as_simple().to_string())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether this line of this comment is seen for the first time. Several webhooks may carry the same comment; its
    /// commands are carried out once.
    ///
    /// # Errors
    /// The database's.
    pub async fn first_time(
        &mut self,
        repo: &RepoName,
        comment: CommentId,
        line: usize,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let line = i64::try_from(line).unwrap_or(i64::MAX);
        let done = sqlx::query(
            "INSERT INTO seen_command (repo, comment, line, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (repo, comment, line) DO NOTHING",
        )
        .bind(repo.to_string())
        .bind(comment.0.cast_signed())
        .bind(line)
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
