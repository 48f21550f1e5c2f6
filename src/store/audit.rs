//! Who did what, and when. Only ever added to.

use super::error::StoreError;
use super::{Store, Tx, row};
use crate::domain::id::{ProjectKey, PullId, Timestamp};
use sqlx::Row as _;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// An account on the forge, or the server itself.
    pub actor: String,
    pub action: String,
    pub pull: PullId,
    pub project: Option<ProjectKey>,
    pub data: serde_json::Value,
}

impl Tx {
    /// Writes down an action, in the transaction that carries it out.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit(
        &mut self,
        now: Timestamp,
        actor: &str,
        action: &str,
        pull: &PullId,
        project: Option<&ProjectKey>,
        data: &serde_json::Value,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit (id, at, actor, action, pull, project, data) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(Uuid::now_v7().as_simple().to_string())
        .bind(now.0)
        .bind(row::free_text(actor))
        .bind(action)
        .bind(pull.to_string())
        .bind(project.map(ToString::to_string))
        .bind(row::to_json(data))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// Everything that was done about a pull request, oldest first.
    ///
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn audit_trail(&self, pull: &PullId) -> Result<Vec<AuditEntry>, StoreError> {
        let rows =
            sqlx::query("SELECT at, actor, action, pull, project, data FROM audit WHERE pull = $1 ORDER BY at, id")
                .bind(pull.to_string())
                .fetch_all(&self.pools.reads)
                .await?;
        rows.iter()
            .map(|row| {
                let project: Option<String> = row.try_get("project")?;
                Ok(AuditEntry {
                    at: Timestamp(row.try_get("at")?),
                    actor: row.try_get("actor")?,
                    action: row.try_get("action")?,
                    pull: row::id(row, "pull")?,
                    project: project.map(|_| row::id(row, "project")).transpose()?,
                    data: row::json(row, "data")?,
                })
            })
            .collect()
    }
}
