//! What a forge should do besides showing text: react to comments, and merge.

use super::error::StoreError;
use super::job::Lease;
use super::{Store, Tx, row};
use crate::domain::event::Reaction;
use crate::domain::id::{CommentId, PullId, Sha, Timestamp};
use crate::domain::project::MergeHow;
use sqlx::Row as _;

/// A merge that the rules want, of exactly this head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeWish {
    pub head: Sha,
    pub how: MergeHow,
}

impl Tx {
    /// Wants a reaction; wanted twice it is sent once.
    ///
    /// # Errors
    /// The database's.
    pub async fn want_reaction(
        &mut self,
        pull: &PullId,
        comment: CommentId,
        with: Reaction,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO reaction (pull, comment, content, wanted_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (pull, comment, content) DO NOTHING",
        )
        .bind(pull.to_string())
        .bind(comment.0.cast_signed())
        .bind(row::to_json(&with))
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Wants a merge; the same head is wanted once.
    ///
    /// # Errors
    /// The database's.
    pub async fn want_merge(&mut self, pull: &PullId, wish: &MergeWish, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO merge_wish (pull, head, how, wanted_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (pull, head) DO NOTHING",
        )
        .bind(pull.to_string())
        .bind(wish.head.as_str())
        .bind(row::to_json(&wish.how))
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// What the forge answered to a merge.
    ///
    /// # Errors
    /// The database's.
    pub async fn end_merge(&mut self, pull: &PullId, wish: &MergeWish, ending: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE merge_wish SET ending = $3 WHERE pull = $1 AND head = $2")
            .bind(pull.to_string())
            .bind(wish.head.as_str())
            .bind(row::free_text(ending))
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// Reactions that the forge does not have yet, oldest first.
    ///
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn reactions_to_send(&self, pull: &PullId) -> Result<Vec<(CommentId, Reaction)>, StoreError> {
        let rows = sqlx::query(
            "SELECT comment, content FROM reaction WHERE pull = $1 AND sent_at IS NULL ORDER BY wanted_at, content DESC",
        )
        .bind(pull.to_string())
        .fetch_all(&self.pools.reads)
        .await?;
        rows.iter()
            .map(|row| {
                let comment: i64 = row.try_get("comment")?;
                Ok((CommentId(comment.cast_unsigned()), row::json(row, "content")?))
            })
            .collect()
    }

    /// The forge has a reaction, or will never take it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or the database's.
    pub async fn reaction_sent(
        &self,
        lease: &Lease,
        pull: &PullId,
        (comment, with): (CommentId, Reaction),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.fenced(lease).await?;
        sqlx::query("UPDATE reaction SET sent_at = $4 WHERE pull = $1 AND comment = $2 AND content = $3")
            .bind(pull.to_string())
            .bind(comment.0.cast_signed())
            .bind(row::to_json(&with))
            .bind(now.0)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// The merge that is wanted and not yet answered.
    ///
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn merge_wanted(&self, pull: &PullId) -> Result<Option<MergeWish>, StoreError> {
        let row =
            sqlx::query("SELECT head, how FROM merge_wish WHERE pull = $1 AND ending IS NULL ORDER BY wanted_at DESC")
                .bind(pull.to_string())
                .fetch_optional(&self.pools.reads)
                .await?;
        row.map(|row| Ok(MergeWish { head: row::id(&row, "head")?, how: row::json(&row, "how")? })).transpose()
    }
}
