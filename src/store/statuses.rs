//! What the forge was last told by commit statuses, so that it is told only what changed.

use super::error::StoreError;
use super::job::Lease;
use super::{Store, row};
use crate::domain::id::{PullId, Sha};
use sqlx::Row as _;

/// A commit status as the forge has it since we last set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentStatus {
    pub sha: Sha,
    /// `terraplane/plan`, `terraplane/apply`.
    pub context: String,
    /// The forge's word for the state.
    pub state: String,
    pub description: String,
    /// `None`: it is a plain status.
    pub check: Option<SentCheck>,
}

/// The check that stands for a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentCheck {
    /// The forge's number of it.
    pub id: u64,
    /// Of everything that was sent.
    pub hash: String,
    /// Of its annotations; `None`: it has none.
    pub notes: Option<String>,
}

impl Store {
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn statuses(&self, pull: &PullId) -> Result<Vec<SentStatus>, StoreError> {
        let rows = sqlx::query(
            "SELECT sha, context, state, description, check_id, check_hash, check_notes FROM status WHERE pull = $1",
        )
        .bind(pull.to_string())
        .fetch_all(&self.pools.reads)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(SentStatus {
                    sha: row::id(row, "sha")?,
                    context: row.try_get("context")?,
                    state: row.try_get("state")?,
                    description: row.try_get("description")?,
                    check: match row.try_get::<Option<i64>, _>("check_id")? {
                        Some(id) => Some(SentCheck {
                            id: id.cast_unsigned(),
                            hash: row.try_get("check_hash")?,
                            notes: row.try_get("check_notes")?,
                        }),
                        None => None,
                    },
                })
            })
            .collect()
    }

    /// The forge has taken a status, or never will, and why.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or the database's.
    pub async fn status_sent(
        &self,
        lease: &Lease,
        pull: &PullId,
        status: &SentStatus,
        given_up: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.fenced(lease).await?;
        sqlx::query(
            "INSERT INTO status (pull, sha, context, state, description, given_up, check_id, check_hash, check_notes) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (pull, sha, context) DO UPDATE SET \
             state = excluded.state, description = excluded.description, given_up = excluded.given_up, \
             check_id = excluded.check_id, check_hash = excluded.check_hash, check_notes = excluded.check_notes",
        )
        .bind(pull.to_string())
        .bind(status.sha.as_str())
        .bind(status.context.as_str())
        .bind(status.state.as_str())
        .bind(row::free_text(&status.description))
        .bind(given_up.map(row::free_text))
        .bind(status.check.as_ref().map(|check| check.id.cast_signed()))
        .bind(status.check.as_ref().map(|check| check.hash.as_str()))
        .bind(status.check.as_ref().and_then(|check| check.notes.as_deref()))
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }
}
