//! Which applies of a repository are at work, and which wait, in the order of their turns.

use super::error::StoreError;
use super::{Tx, row};
use crate::domain::id::{ProjectKey, RepoName, Timestamp};
use crate::domain::lock::{AtWork, Wait};
use sqlx::{AnyConnection, Row as _};

impl Tx {
    /// Every apply of the repository that waits, in the order in which they get their projects.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn waits(&mut self, repo: &RepoName) -> Result<Vec<Wait>, StoreError> {
        waiting(self.connection(), repo).await
    }

    /// Those of one project.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn waits_for(&mut self, repo: &RepoName, project: &ProjectKey) -> Result<Vec<Wait>, StoreError> {
        let mut waits = self.waits(repo).await?;
        waits.retain(|wait| wait.project == *project);
        Ok(waits)
    }
}

/// Every apply of the repository that runs, or does so as soon as there is room for it.
pub(super) async fn at_work(connection: &mut AnyConnection, repo: &RepoName) -> Result<Vec<AtWork>, StoreError> {
    let rows = sqlx::query(
        "SELECT project, pull FROM run WHERE repo = $1 AND kind = 'apply' AND state IN ('queued', 'running') \
         ORDER BY created_at, id",
    )
    .bind(repo.to_string())
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(AtWork { project: row::id(row, "project")?, pull: row::id(row, "pull")? })).collect()
}

/// All that wait in a repository, in the order in which they get their projects: applies of merged pull requests first, in
/// the order of the merges, then the others in the order in which they were made.
pub(super) async fn waiting(connection: &mut AnyConnection, repo: &RepoName) -> Result<Vec<Wait>, StoreError> {
    let rows = sqlx::query(
        "SELECT run.id, run.project, run.pull, run.created_at, CASE WHEN pull.merged_at IS NULL THEN 0 ELSE 1 END AS merged \
         FROM run JOIN pull ON pull.id = run.pull WHERE run.repo = $1 AND run.state = 'waiting' \
         ORDER BY CASE WHEN pull.merged_at IS NULL THEN 1 ELSE 0 END, pull.merged_at, run.created_at, run.id",
    )
    .bind(repo.to_string())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Wait {
                run: row::id(row, "id")?,
                project: row::id(row, "project")?,
                pull: row::id(row, "pull")?,
                merged: row.try_get::<i64, _>("merged")? == 1,
                since: Timestamp(row.try_get("created_at")?),
            })
        })
        .collect()
}
