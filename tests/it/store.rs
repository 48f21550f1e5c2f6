//! The store's contract: one suite, run on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod intake;
mod migrations;
mod outbox;
mod property;
mod pulls;
mod queue;
mod records;
pub(crate) mod sample;
mod telling;

use crate::postgres;
use terraplane::store::Store;

/// A fresh database, gone after the test.
pub(crate) struct Fresh {
    pub(crate) store: Store,
    pub(crate) url: String,
    _dir: tempfile::TempDir,
}

impl Fresh {
    async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("store.db").display());
        Self { store: Store::open(&url).await.unwrap(), url, _dir: dir }
    }

    async fn postgres() -> Self {
        let url = postgres::fresh_database().await;
        Self { store: Store::open(&url).await.unwrap(), url, _dir: tempfile::tempdir().unwrap() }
    }
}

/// Makes two tests of each function: it must hold on both databases.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name($crate::store::Fresh::sqlite().await).await; })*
        }

        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name($crate::store::Fresh::postgres().await).await; })*
        }
    };
}
use on_both;
