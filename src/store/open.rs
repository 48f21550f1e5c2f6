//! Opening the database: where it is, how each kind is set up, and its tables.

use super::error::StoreError;
use rustix::fs::{Mode, OFlags};
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor as _, SqlSafeStr as _};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the two databases differ in beyond the SQL that both understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// Connections to read with and connections to write with.
///
/// SQLite lets one connection write at a time, and whoever finds it taken sleeps up to 100 ms before looking again. So
/// there is one writing connection, and those who want it queue for it in memory, webhooks before all others
/// ([`Pools::turn`]).
///
/// On PostgreSQL those who wait for another's decision about the same repository each have a connection. Webhooks must
/// not wait behind them, so they have a connection of their own.
#[derive(Clone)]
pub(super) struct Pools {
    pub(super) dialect: Dialect,
    pub(super) reads: AnyPool,
    pub(super) writes: AnyPool,
    pub(super) intake: AnyPool,
    turns: Arc<Semaphore>,
}

/// The right to queue for a connection to write with.
pub(super) type Turn = OwnedSemaphorePermit;

impl Pools {
    /// Whoever writes anything but webhooks waits for this first and holds it until the connection is back. So at most
    /// one stands in the connection's queue on SQLite, and a webhook, for which a forge waits, waits for one
    /// transaction and not for all that the worker has to write.
    pub(super) async fn turn(&self) -> Result<Turn, StoreError> {
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        Ok(turn.map_err(|_| StoreError::Busy)?.expect("the semaphore is never closed"))
    }
}

/// How long somebody waits for a connection before [`StoreError::Busy`].
const PATIENCE: Duration = Duration::from_secs(15);
const READERS: u32 = 4;
const POSTGRES_WRITERS: u32 = 8;

/// FULL: what was acknowledged survives a power cut, not only a crash of this process.
const SQLITE_SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                               PRAGMA busy_timeout = 5000";

/// What SQLite can't open for writing it opens for reading, without a word, and never again otherwise.
const TRIAL: &str = "BEGIN IMMEDIATE; ROLLBACK";

/// Nobody waits for ever, neither for a lock nor for a transaction whose owner is gone.
const POSTGRES_SETTINGS: &str = "SET lock_timeout = '15s'; SET idle_in_transaction_session_timeout = '60s'";

pub(super) async fn open(url: &str) -> Result<Pools, StoreError> {
    sqlx::any::install_default_drivers();
    let pools = if let Some(path) = url.strip_prefix("sqlite:") {
        sqlite(Path::new(path.strip_prefix("//").unwrap_or(path))).await?
    } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        postgres(url).await?
    } else {
        return Err(StoreError::UnknownDatabase);
    };
    migrator().run(&pools.writes).await.map_err(|error| StoreError::Migrate(error.to_string()))?;
    Ok(pools)
}

async fn sqlite(path: &Path) -> Result<Pools, StoreError> {
    let url = sqlite_url(&private_file(path)?);
    probe(&url, SQLITE_SETTINGS).await?;
    let writes = AnyPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(PATIENCE)
        // A connection to a file doesn't go away: asking it before each use would only cost time.
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(SQLITE_SETTINGS).await?;
                connection.execute(TRIAL).await.map(drop)
            })
        })
        .after_release(|connection, _| Box::pin(is_sound(connection)))
        .connect(&url)
        .await
        .map_err(StoreError::connect)?;
    let reads = AnyPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(
                async move { connection.execute("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON").await.map(drop) },
            )
        })
        .connect_lazy(&url)
        .map_err(StoreError::connect)?;
    let turns = Arc::new(Semaphore::new(1));
    Ok(Pools { dialect: Dialect::Sqlite, reads, intake: writes.clone(), writes, turns })
}

/// When the disk refuses a commit, SQLite takes all back by itself. The driver then can't take it back once more, and holds
/// for ever that a transaction is open: such a connection is closed, and another one takes its place.
async fn is_sound(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    // Until the answer comes the driver has done all that it was asked before.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn postgres(url: &str) -> Result<Pools, StoreError> {
    probe(url, POSTGRES_SETTINGS).await?;
    let pool = |connections| {
        AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(POSTGRES_SETTINGS).await.map(drop) })
            })
            .connect_lazy(url)
            .map_err(StoreError::connect)
    };
    let (reads, writes, intake) = (pool(READERS)?, pool(POSTGRES_WRITERS)?, pool(1)?);
    let turns = Arc::new(Semaphore::new(POSTGRES_WRITERS as usize));
    Ok(Pools { dialect: Dialect::Postgres, reads, writes, intake, turns })
}

/// A pool tries again until its patience ends and then says only that; one connection says what is wrong.
async fn probe(url: &str, settings: &'static str) -> Result<(), StoreError> {
    let connected = async {
        let mut connection = AnyConnection::connect(url).await?;
        connection.execute(settings).await?;
        connection.close().await
    };
    tokio::time::timeout(PATIENCE, connected).await.map_err(|_| StoreError::Busy)?.map_err(StoreError::connect)
}

/// The file's full path, after making sure that it exists, is ours alone to read, and is on a local disk.
fn private_file(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError::File { path: path.into(), message: error.to_string() };
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else {
        return Err(failed(&"it is not the path of a file"));
    };
    if path.as_os_str() == ":memory:" {
        return Err(failed(&"a database in memory would lose everything with the process"));
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().map_err(|error| failed(&error))?;
    let full = folder.join(name);
    // SQLite gives its side files the mode of the main one.
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(&full, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(&error))?;
    let facts = rustix::fs::fstatfs(&file).map_err(|error| failed(&error))?;
    match network_filesystem(facts.f_type as u64) {
        Some(kind) => Err(StoreError::NetworkFilesystem { path: full, kind }),
        None => Ok(full),
    }
}

/// Magic numbers of `statfs(2)` and of the kernel's `include/uapi/linux/magic.h`.
const fn network_filesystem(magic: u64) -> Option<&'static str> {
    match magic & 0xFFFF_FFFF {
        0x6969 => Some("NFS"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("SMB"),
        0x00C3_6400 => Some("Ceph"),
        0x5346_414F | 0x6B41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x0102_1997 => Some("9P"),
        _ => None,
    }
}

fn sqlite_url(path: &Path) -> String {
    // A file URL knows which characters of a path have to be escaped.
    let file = url::Url::from_file_path(path).expect("the path was made absolute");
    format!("sqlite://{}", file.path())
}

/// The tables, in steps that are only ever added to. Without the macro, which wants a driver that both of us lack.
fn migrator() -> Migrator {
    let step = |version, name, sql: &'static str| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        step(1, "intake", include_str!("migrations/0001_intake.sql")),
        step(2, "pulls", include_str!("migrations/0002_pulls.sql")),
        step(3, "outbox", include_str!("migrations/0003_outbox.sql")),
        step(4, "records", include_str!("migrations/0004_records.sql")),
        step(5, "holders", include_str!("migrations/0005_holders.sql")),
        step(10, "rights", include_str!("migrations/0010_rights.sql")),
        step(12, "checks", include_str!("migrations/0012_checks.sql")),
        step(13, "queued", include_str!("migrations/0013_queued.sql")),
        step(14, "approved", include_str!("migrations/0014_approved.sql")),
        step(15, "labels", include_str!("migrations/0015_labels.sql")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::Row as _;

    #[tokio::test]
    async fn sqlite_writes_through_to_the_disk_and_readers_can_not_write() {
        let dir = tempfile::tempdir().unwrap();
        let pools = open(&format!("sqlite:{}", dir.path().join("store.db").display())).await.unwrap();
        let number = async |pool: &AnyPool, sql: &'static str| {
            sqlx::query(sql).fetch_one(pool).await.unwrap().try_get::<i64, _>(0).unwrap()
        };
        assert_eq!(number(&pools.writes, "PRAGMA synchronous").await, 2, "FULL");
        assert_eq!(number(&pools.writes, "PRAGMA foreign_keys").await, 1);
        let mode = sqlx::query("PRAGMA journal_mode").fetch_one(&pools.writes).await.unwrap();
        assert_eq!(mode.try_get::<String, _>(0).unwrap(), "wal");
        assert_eq!(number(&pools.reads, "PRAGMA query_only").await, 1);
    }

    #[test]
    fn a_network_file_system_is_known_by_its_number() {
        assert_eq!(network_filesystem(0x6969), Some("NFS"));
        // 32-bit platforms have it with the sign stretched.
        assert_eq!(network_filesystem(0xFFFF_FFFF_FF53_4D42), Some("SMB"));
        assert_eq!(network_filesystem(0xEF53), None, "ext4");
        assert_eq!(network_filesystem(0x794C_7630), None, "overlayfs, as in containers");
    }

    #[test]
    fn a_path_with_odd_characters_stays_one_path() {
        assert_eq!(sqlite_url(Path::new("/data/a b?c#d%41.db")), "sqlite:///data/a%20b%3Fc%23d%2541.db");
    }
}
