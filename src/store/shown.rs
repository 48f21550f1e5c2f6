//! Which plans stood in a pull request's live comment, and since when.

use super::error::StoreError;
use super::job::Lease;
use super::{Store, row};
use crate::domain::decide::Shown;
use crate::domain::id::{Fingerprint, ProjectKey, PullId, RunId, Sha, Timestamp};
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

/// Everything that was shown of a pull request, oldest first.
pub(super) async fn of_pull(
    connection: &mut AnyConnection,
    pull: &PullId,
) -> Result<Vec<(ProjectKey, Shown)>, StoreError> {
    let rows = sqlx::query("SELECT project, run, fingerprint, head, at FROM shown WHERE pull = $1 ORDER BY at, run")
        .bind(pull.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let shown = Shown {
                run: row::id(row, "run")?,
                fingerprint: row::id(row, "fingerprint")?,
                head: row::id(row, "head")?,
                at: Timestamp(row.try_get("at")?),
            };
            Ok((row::id(row, "project")?, shown))
        })
        .collect()
}
