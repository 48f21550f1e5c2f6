//! Which pull request holds which project, and the commit at which a project was last applied.

use super::error::StoreError;
use super::{Store, Tx, row};
use crate::domain::id::{ProjectKey, PullId, RepoName, Sha, Timestamp};
use crate::domain::lock::Lock;
use sqlx::{AnyConnection, Row as _};

impl Store {
    /// The commit of the base branch at which the project was last applied.
    ///
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn applied_commit(&self, repo: &RepoName, project: &ProjectKey) -> Result<Option<Sha>, StoreError> {
        let row = sqlx::query("SELECT commit_id FROM applied_commit WHERE repo = $1 AND project = $2")
            .bind(repo.to_string())
            .bind(project.to_string())
            .fetch_optional(&mut *self.pools.reads.acquire().await?)
            .await?;
        row.map(|row| row::id(&row, "commit_id")).transpose()
    }
}

impl Tx {
    /// Takes a project for a pull request. True: it is held by it now, or was already (the lock then stays as it was, but
    /// for who took it by a command, and why).
    /// False: another one holds it.
    ///
    /// # Errors
    /// The database's.
    pub async fn take_lock(&mut self, repo: &RepoName, lock: &Lock) -> Result<bool, StoreError> {
        // An update also where nothing changes, so that the row in the way is told in the same statement.
        let row = sqlx::query(
            "INSERT INTO project_lock (repo, project, held_by, since, applied, taken_by, reason) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (repo, project) DO UPDATE SET held_by = project_lock.held_by, \
             taken_by = CASE WHEN project_lock.held_by = excluded.held_by AND excluded.taken_by IS NOT NULL \
                             THEN excluded.taken_by ELSE project_lock.taken_by END, \
             reason = CASE WHEN project_lock.held_by = excluded.held_by AND excluded.taken_by IS NOT NULL \
                           THEN excluded.reason ELSE project_lock.reason END \
             RETURNING held_by",
        )
        .bind(repo.to_string())
        .bind(lock.project.to_string())
        .bind(lock.held_by.to_string())
        .bind(lock.since.0)
        .bind(i64::from(lock.applied))
        .bind(lock.taken_by.as_ref().map(ToString::to_string))
        .bind(lock.reason.as_deref().map(row::free_text))
        .fetch_one(self.connection())
        .await?;
        let holder: PullId = row::id(&row, "held_by")?;
        Ok(holder == lock.held_by)
    }

    /// Frees a project that this pull request holds. False: it doesn't.
    ///
    /// # Errors
    /// The database's.
    pub async fn free_lock(
        &mut self,
        repo: &RepoName,
        project: &ProjectKey,
        holder: &PullId,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM project_lock WHERE repo = $1 AND project = $2 AND held_by = $3")
            .bind(repo.to_string())
            .bind(project.to_string())
            .bind(holder.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Something may have been applied under this lock: closing the pull request no longer frees it. False: this pull
    /// request doesn't hold the project.
    ///
    /// # Errors
    /// The database's.
    pub async fn mark_lock_applied(
        &mut self,
        repo: &RepoName,
        project: &ProjectKey,
        holder: &PullId,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE project_lock SET applied = 1 WHERE repo = $1 AND project = $2 AND held_by = $3")
            .bind(repo.to_string())
            .bind(project.to_string())
            .bind(holder.to_string())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// # Errors
    /// The database's.
    pub async fn set_applied_commit(
        &mut self,
        repo: &RepoName,
        project: &ProjectKey,
        commit: &Sha,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO applied_commit (repo, project, commit_id) VALUES ($1, $2, $3) \
             ON CONFLICT (repo, project) DO UPDATE SET commit_id = excluded.commit_id",
        )
        .bind(repo.to_string())
        .bind(project.to_string())
        .bind(commit.as_str())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

pub(super) async fn of_repo(connection: &mut AnyConnection, repo: &RepoName) -> Result<Vec<Lock>, StoreError> {
    let rows = sqlx::query("SELECT project, held_by, since, applied, taken_by, reason FROM project_lock WHERE repo = $1 ORDER BY since, project")
        .bind(repo.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let taken_by: Option<String> = row.try_get("taken_by")?;
            Ok(Lock {
                taken_by: taken_by.map(|_| row::id(row, "taken_by")).transpose()?,
                reason: row.try_get("reason")?,
                project: row::id(row, "project")?,
                held_by: row::id(row, "held_by")?,
                since: Timestamp(row.try_get("since")?),
                applied: row.try_get::<i64, _>("applied")? == 1,
            })
        })
        .collect()
}
