//! Commits that a forge's merge queue would merge, or would have. They are loaded with their pull request.

use super::Tx;
use super::error::StoreError;
use super::row;
use crate::domain::decide::QueuedCommit;
use crate::domain::id::PullId;

impl Tx {
    /// Keeps a commit of the queue, or how it stands now. Its pull request has to be saved before.
    ///
    /// # Errors
    /// The database's.
    pub async fn save_queued(&mut self, pull: &PullId, commit: &QueuedCommit) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO queued (pull, head, at, ended, record) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (pull, head) DO UPDATE SET ended = excluded.ended, record = excluded.record",
        )
        .bind(pull.to_string())
        .bind(commit.group.head.as_str())
        .bind(commit.heard_at.0)
        .bind(i64::from(commit.ended))
        .bind(row::to_json(commit))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
