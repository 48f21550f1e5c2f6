//! Forgetting what nothing asks for any more.

use super::error::StoreError;
use super::{Store, Tx};
use crate::domain::id::{RunId, Timestamp};

/// Rows that go in one transaction: webhooks must not wait for long.
const AT_ONCE: i64 = 500;

impl Store {
    /// Forgets webhooks that came before a moment and whose ingest job is over, with what is known of commands in comments
    /// of that time. Returns how many webhooks that were.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_deliveries(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let mut tx = self.begin().await?;
            let done = sqlx::query(
                "DELETE FROM delivery WHERE (forge, id) IN (SELECT forge, id FROM delivery \
                 WHERE received_at < $1 AND ending IS NOT NULL LIMIT $2)",
            )
            .bind(before.0)
            .bind(AT_ONCE)
            .execute(tx.connection())
            .await?;
            sqlx::query("DELETE FROM seen_command WHERE at < $1").bind(before.0).execute(tx.connection()).await?;
            tx.commit().await?;
            all += done.rows_affected();
            if done.rows_affected() < AT_ONCE.unsigned_abs() {
                return Ok(all);
            }
        }
    }

    /// Empties comments of before a moment that the forge has, or never will have: they are never asked for again.
    /// Forgets runs that were superseded before it.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_texts(&self, before: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE comment SET body = '' WHERE wanted_at < $1 AND body IS NOT NULL AND body <> '' \
             AND (forge_id IS NOT NULL OR given_up IS NOT NULL)",
        )
        .bind(before.0)
        .execute(tx.connection())
        .await?;
        sqlx::query("DELETE FROM run WHERE state = 'superseded' AND created_at < $1")
            .bind(before.0)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}

impl Tx {
    /// Forgets a run that is over. Whoever calls this knows that nothing shows it.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_run(&mut self, run: RunId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM run WHERE id = $1 AND state NOT IN ('queued', 'waiting', 'running')")
            .bind(run.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
