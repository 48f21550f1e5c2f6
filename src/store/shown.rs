//! Which plans stood in a pull request's live comment, and since when.

use super::error::StoreError;
use super::job::Lease;
use super::{Store, Tx, row};
use crate::domain::decide::Shown;
use crate::domain::id::{Fingerprint, Login, ProjectKey, PullId, RunId, Sha, Timestamp};
use sqlx::{AnyConnection, Row as _};

impl Store {
    /// The live comment shows these plans. Each is noted once: since when it has been there.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::NoPull`] if the lease is for an ingest job; or the database's.
    pub async fn plans_shown(
        &self,
        lease: &Lease,
        head: &Sha,
        plans: &[(ProjectKey, RunId, Fingerprint)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let pull = lease.job.pull().ok_or(StoreError::NoPull)?.clone();
        let mut tx = self.fenced(lease).await?;
        for (project, run, fingerprint) in plans {
            sqlx::query(
                "INSERT INTO shown (pull, run, project, fingerprint, head, at) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (pull, run) DO NOTHING",
            )
            .bind(pull.to_string())
            .bind(run.to_string())
            .bind(project.to_string())
            .bind(fingerprint.as_str())
            .bind(head.as_str())
            .bind(now.0)
            .execute(tx.connection())
            .await?;
        }
        tx.commit().await
    }
}

impl Tx {
    /// Somebody approved the pull request while this plan stood in its live comment. The first one is kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn plan_approved(&mut self, pull: &PullId, run: RunId, by: &Login) -> Result<(), StoreError> {
        sqlx::query("UPDATE shown SET approved_by = $3 WHERE pull = $1 AND run = $2 AND approved_by IS NULL")
            .bind(pull.to_string())
            .bind(run.to_string())
            .bind(by.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

/// Everything that was shown of a pull request, oldest first.
pub(super) async fn of_pull(
    connection: &mut AnyConnection,
    pull: &PullId,
) -> Result<Vec<(ProjectKey, Shown)>, StoreError> {
    let rows = sqlx::query(
        "SELECT project, run, fingerprint, head, at, approved_by FROM shown WHERE pull = $1 ORDER BY at, run",
    )
    .bind(pull.to_string())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let by: Option<String> = row.try_get("approved_by")?;
            let shown = Shown {
                run: row::id(row, "run")?,
                fingerprint: row::id(row, "fingerprint")?,
                head: row::id(row, "head")?,
                at: Timestamp(row.try_get("at")?),
                approved_by: by.map(|_| row::id(row, "approved_by")).transpose()?,
            };
            Ok((row::id(row, "project")?, shown))
        })
        .collect()
}
