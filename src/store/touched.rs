//! What the newest plans of open pull requests change, for those who change the same.

use super::error::StoreError;
use super::{Tx, row};
use crate::domain::decide::Overlap;
use crate::domain::id::{ProjectKey, PullId};
use sqlx::AnyConnection;
use std::collections::BTreeSet;

/// More addresses than this that two plans have in common are not told.
const MOST_SHARED: usize = 20;

impl Tx {
    /// What the newest plan of an open pull request changes in a project.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_touched(
        &mut self,
        pull: &PullId,
        project: &ProjectKey,
        addresses: &[String],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO touched (repo, project, pull, addresses) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (repo, project, pull) DO UPDATE SET addresses = excluded.addresses",
        )
        .bind(pull.repo.to_string())
        .bind(project.to_string())
        .bind(pull.to_string())
        .bind(row::free_text(&row::to_json(&addresses)))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The other open pull requests that have a plan of this project.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn others_that_plan(&mut self, pull: &PullId, project: &ProjectKey) -> Result<Vec<PullId>, StoreError> {
        let rows = sqlx::query(
            "SELECT touched.pull FROM touched JOIN pull ON pull.id = touched.pull \
             WHERE touched.repo = $1 AND touched.project = $2 AND touched.pull <> $3 AND pull.open = 1 ORDER BY touched.pull",
        )
        .bind(pull.repo.to_string())
        .bind(project.to_string())
        .bind(pull.to_string())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row::id(row, "pull")).collect()
    }
}

/// Other open pull requests whose plans change the same addresses in these projects.
pub(super) async fn overlaps(
    connection: &mut AnyConnection,
    pull: &PullId,
    projects: &[&ProjectKey],
) -> Result<Vec<Overlap>, StoreError> {
    let rows = sqlx::query(
        "SELECT touched.project, touched.pull, touched.addresses FROM touched JOIN pull ON pull.id = touched.pull \
         WHERE touched.repo = $1 AND pull.open = 1 AND touched.addresses <> '[]' ORDER BY touched.project, touched.pull",
    )
    .bind(pull.repo.to_string())
    .fetch_all(connection)
    .await?;
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for row in &rows {
        let (project, of): (ProjectKey, PullId) = (row::id(row, "project")?, row::id(row, "pull")?);
        if projects.contains(&&project) {
            let addresses: BTreeSet<String> = row::json(row, "addresses")?;
            if of == *pull { own.push((project, addresses)) } else { others.push((project, of, addresses)) }
        }
    }
    let shared = |(project, of, theirs): (ProjectKey, PullId, BTreeSet<String>)| {
        let (_, ours) = own.iter().find(|(own, _)| *own == project)?;
        let addresses: Vec<String> = ours.intersection(&theirs).take(MOST_SHARED).cloned().collect();
        (!addresses.is_empty()).then_some(Overlap { project, pull: of, addresses })
    };
    Ok(others.into_iter().filter_map(shared).collect())
}
