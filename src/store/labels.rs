//! Which label a pull request was given last.

use super::Store;
use super::error::StoreError;
use super::job::Lease;
use crate::domain::id::PullId;
use sqlx::Row as _;

impl Store {
    /// `None`: none, or it was taken off.
    ///
    /// # Errors
    /// The database's.
    pub async fn label(&self, pull: &PullId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT label FROM pull WHERE id = $1")
            .bind(pull.to_string())
            .fetch_optional(&self.pools.reads)
            .await?;
        Ok(row.map(|row| row.try_get("label")).transpose()?.flatten())
    }

    /// The forge has it now.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or the database's.
    pub async fn labelled(&self, lease: &Lease, pull: &PullId, label: Option<&str>) -> Result<(), StoreError> {
        let mut tx = self.fenced(lease).await?;
        sqlx::query("UPDATE pull SET label = $2 WHERE id = $1")
            .bind(pull.to_string())
            .bind(label)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}
