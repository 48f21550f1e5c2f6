//! Facts about the store itself, such as which key its archive was written with.

use super::Store;
use super::error::StoreError;
use sqlx::Row as _;

impl Store {
    /// # Errors
    /// The database's.
    pub async fn meta_get(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row =
            sqlx::query("SELECT value FROM meta WHERE key = $1").bind(key).fetch_optional(&self.pools.reads).await?;
        Ok(row.map(|row| row.try_get("value")).transpose()?)
    }

    /// # Errors
    /// The database's.
    pub async fn meta_set(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let _turn = self.pools.turn().await?;
        sqlx::query(
            "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&self.pools.writes)
        .await?;
        Ok(())
    }
}
