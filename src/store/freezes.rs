//! Times in which nothing of a repository's projects is applied, as people have said.

use super::error::StoreError;
use super::{Tx, row};
use crate::domain::command::Selector;
use crate::domain::freeze::Freeze;
use crate::domain::id::{RepoName, Timestamp};
use sqlx::AnyConnection;
use uuid::Uuid;

impl Tx {
    /// # Errors
    /// The database's.
    pub async fn add_freeze(&mut self, repo: &RepoName, freeze: &Freeze) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO frozen_time (id, repo, ends_at, record) VALUES ($1, $2, $3, $4)")
            .bind(Uuid::now_v7().as_simple().to_string())
            .bind(repo.to_string())
            .bind(freeze.until.map(|until| until.0))
            .bind(row::free_text(&row::to_json(freeze)))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Ends the freezes that were begun with this selector, or all of the repository, and forgets those that are over.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn thaw(
        &mut self,
        repo: &RepoName,
        selector: Option<&Selector>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = sqlx::query("SELECT id, record FROM frozen_time WHERE repo = $1")
            .bind(repo.to_string())
            .fetch_all(self.connection())
            .await?;
        for row in &rows {
            let freeze: Freeze = row::json(row, "record")?;
            if freeze.is_over(now) || selector.is_none_or(|selector| freeze.selector == *selector) {
                let id: String = sqlx::Row::try_get(row, "id")?;
                sqlx::query("DELETE FROM frozen_time WHERE id = $1").bind(id).execute(self.connection()).await?;
            }
        }
        Ok(())
    }
}

pub(super) async fn of_repo(connection: &mut AnyConnection, repo: &RepoName) -> Result<Vec<Freeze>, StoreError> {
    let rows = sqlx::query("SELECT record FROM frozen_time WHERE repo = $1 ORDER BY id")
        .bind(repo.to_string())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row::json(row, "record")).collect()
}
