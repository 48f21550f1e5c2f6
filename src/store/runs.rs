//! Runs: their whole as JSON, and the few facts by which they are looked for.

use super::error::StoreError;
use super::{Store, Tx, row};
use crate::domain::id::RunId;
use crate::domain::run::Run;
use sqlx::AnyConnection;

impl Store {
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        load(&mut *self.pools.reads.acquire().await?, id).await
    }

    /// The applies that one command or merge began, in the order in which they were made.
    ///
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn runs_of_batch(&self, batch: RunId) -> Result<Vec<Run>, StoreError> {
        load_batch(&mut *self.pools.reads.acquire().await?, batch).await
    }
}

impl Tx {
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn run(&mut self, id: RunId) -> Result<Option<Run>, StoreError> {
        load(self.connection(), id).await
    }

    /// The applies that one command or merge began, in the order in which they were made.
    ///
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn runs_of_batch(&mut self, batch: RunId) -> Result<Vec<Run>, StoreError> {
        load_batch(self.connection(), batch).await
    }

    /// Adds a run. Its pull request has to be saved before.
    ///
    /// # Errors
    /// The database's; a run of this id that exists already is one.
    pub async fn insert_run(&mut self, run: &Run) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO run (id, pull, repo, project, kind, state, head, base, batch, created_at, record) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(run.id.to_string())
        .bind(run.pull.to_string())
        .bind(run.pull.repo.to_string())
        .bind(run.project.key.to_string())
        .bind(run.work.kind())
        .bind(run.state.as_str())
        .bind(run.target.head.as_str())
        .bind(run.target.base.as_str())
        .bind(run.batch.map(|batch| batch.to_string()))
        .bind(run.created_at.0)
        .bind(row::to_json(run))
        .execute(self.connection())
        .await?;
        self.touched.insert(run.pull.clone());
        Ok(())
    }

    /// Writes down how far a run has come. What it is a run *of* never changes.
    ///
    /// # Errors
    /// The database's; [`StoreError::Unreadable`] if there is no such run.
    pub async fn update_run(&mut self, run: &Run) -> Result<(), StoreError> {
        let done = sqlx::query("UPDATE run SET state = $2, record = $3 WHERE id = $1")
            .bind(run.id.to_string())
            .bind(run.state.as_str())
            .bind(row::to_json(run))
            .execute(self.connection())
            .await?;
        if done.rows_affected() != 1 {
            return Err(StoreError::unreadable("run", format_args!("{} is not there", run.id)));
        }
        self.touched.insert(run.pull.clone());
        Ok(())
    }
}

async fn load(connection: &mut AnyConnection, id: RunId) -> Result<Option<Run>, StoreError> {
    let row =
        sqlx::query("SELECT record FROM run WHERE id = $1").bind(id.to_string()).fetch_optional(connection).await?;
    row.map(|row| row::json(&row, "record")).transpose()
}

async fn load_batch(connection: &mut AnyConnection, batch: RunId) -> Result<Vec<Run>, StoreError> {
    let rows = sqlx::query("SELECT record FROM run WHERE batch = $1 ORDER BY created_at, id")
        .bind(batch.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row::json(row, "record")).collect()
}
