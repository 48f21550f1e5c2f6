//! Terraform state that Terraplane keeps: which versions there are and who has it locked. The bytes are in the archive.

use super::error::StoreError;
use super::{Store, row};
use crate::domain::id::{ProjectKey, RepoName, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// One project's managed state. It is part of the address that Terraform is given, so it says nothing of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StateId(pub Uuid);

impl fmt::Display for StateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_simple().fmt(f)
    }
}

impl FromStr for StateId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// One state that Terraform wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateVersion {
    /// Counted by us from 1, for Terraform may write the same serial again.
    pub version: u64,
    pub serial: u64,
    pub lineage: String,
    /// Where the archive has its bytes.
    pub archive_name: String,
    /// The run that wrote it; `None` if it was not a run of ours.
    pub run: Option<RunId>,
    pub at: Timestamp,
}

impl Store {
    /// The id of a project's state, made at the first call.
    ///
    /// # Errors
    /// The database's.
    pub async fn state_id(&self, repo: &RepoName, project: &ProjectKey) -> Result<StateId, StoreError> {
        // An update that changes nothing, so that the id in the way is told in the same statement.
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "INSERT INTO managed_state (id, repo, project) VALUES ($1, $2, $3) \
             ON CONFLICT (repo, project) DO UPDATE SET repo = excluded.repo RETURNING id",
        )
        .bind(StateId(Uuid::now_v7()).to_string())
        .bind(repo.to_string())
        .bind(project.to_string())
        .fetch_one(tx.connection())
        .await?;
        tx.commit().await?;
        row::id(&row, "id")
    }

    /// The newest version; `None`: nothing was written yet.
    ///
    /// # Errors
    /// The database's, or a row of another version.
    pub async fn state_head(&self, id: &StateId) -> Result<Option<StateVersion>, StoreError> {
        let row =
            sqlx::query("SELECT record FROM managed_state_version WHERE state = $1 ORDER BY version DESC LIMIT 1")
                .bind(id.to_string())
                .fetch_optional(&self.pools.reads)
                .await?;
        row.map(|row| row::json(&row, "record")).transpose()
    }

    /// Adds a version whose bytes are in the archive already. False: there is one of this number, so somebody else has
    /// written since the head was read; nothing was changed.
    ///
    /// # Errors
    /// The database's; a state that doesn't exist is one.
    pub async fn add_state_version(&self, id: &StateId, version: &StateVersion) -> Result<bool, StoreError> {
        let number = i64::try_from(version.version).map_err(|error| StoreError::unreadable("version", error))?;
        let _turn = self.pools.turn().await?;
        let done = sqlx::query(
            "INSERT INTO managed_state_version (state, version, record) VALUES ($1, $2, $3) \
             ON CONFLICT (state, version) DO NOTHING",
        )
        .bind(id.to_string())
        .bind(number)
        .bind(row::to_json(version))
        .execute(&self.pools.writes)
        .await?;
        crate::crash::point("state written");
        Ok(done.rows_affected() == 1)
    }

    /// Takes Terraform's lock on a state. `info` is the JSON that Terraform sends with its request; the lock is known by
    /// its `ID`. The inner error is the holder's info, as it was sent. Taking a lock that is held already under the same
    /// `ID` is fine: Terraform's first request may have been answered to nobody.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] if `info` is no JSON object with an `ID`; or the database's.
    pub async fn state_lock(&self, id: &StateId, info: &str) -> Result<Result<(), String>, StoreError> {
        let lock_id = lock_id(info)?;
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE managed_state SET lock_id = $2, lock_info = $3 WHERE id = $1 AND (lock_id IS NULL OR lock_id = $2)",
        )
        .bind(id.to_string())
        .bind(lock_id)
        .bind(row::free_text(info))
        .execute(tx.connection())
        .await?;
        if done.rows_affected() == 1 {
            tx.commit().await?;
            return Ok(Ok(()));
        }
        let row = sqlx::query("SELECT lock_info FROM managed_state WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(tx.connection())
            .await?
            .ok_or_else(|| StoreError::unreadable("state", format_args!("{id} is not there")))?;
        Ok(Err(row.try_get::<Option<String>, _>("lock_info")?.unwrap_or_default()))
    }

    /// Frees Terraform's lock. False: it is not held under this `ID`.
    ///
    /// # Errors
    /// The database's.
    pub async fn state_unlock(&self, id: &StateId, lock_id: &str) -> Result<bool, StoreError> {
        let _turn = self.pools.turn().await?;
        let done =
            sqlx::query("UPDATE managed_state SET lock_id = NULL, lock_info = NULL WHERE id = $1 AND lock_id = $2")
                .bind(id.to_string())
                .bind(lock_id)
                .execute(&self.pools.writes)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// What the holder of Terraform's lock said of itself; `None`: nobody holds it. A terraform that was killed leaves
    /// its lock behind: whoever knows that it is dead frees it by the `ID` in here.
    ///
    /// # Errors
    /// The database's.
    pub async fn state_lock_info(&self, id: &StateId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT lock_info FROM managed_state WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.pools.reads)
            .await?;
        Ok(row.map(|row| row.try_get::<Option<String>, _>("lock_info")).transpose()?.flatten())
    }
}

fn lock_id(info: &str) -> Result<String, StoreError> {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "ID")]
        id: String,
    }
    let info: Info = serde_json::from_str(info).map_err(|error| StoreError::unreadable("lock info", error))?;
    Ok(info.id)
}
