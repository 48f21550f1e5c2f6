//! What can go wrong with the store, in words that an operator can act on. `sqlx`'s own error stays inside.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Cloned when one failed commit answers several webhooks.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("`database` is neither `sqlite:PATH` nor `postgres://…`")]
    UnknownDatabase,
    #[error("can't open the database file {}: {message}", path.display())]
    File { path: PathBuf, message: String },
    #[error(
        "the database file {} is on a network file system ({kind}), where SQLite can lose data: put `data_dir` on a \
         local disk, or use PostgreSQL",
        path.display()
    )]
    NetworkFilesystem { path: PathBuf, kind: &'static str },
    #[error("can't connect to the database: {0}")]
    Connect(DatabaseError),
    #[error("can't bring the database's tables up to date (was it made by a newer version?): {0}")]
    Migrate(String),
    /// Somebody else has claimed the job since: whoever gets this stops and writes nothing more.
    #[error("the lease on this job was lost to another worker")]
    LeaseLost,
    #[error("this job is not about a pull request")]
    NoPull,
    /// Worth another try.
    #[error("the database was busy with others for too long")]
    Busy,
    #[error("the store is closed")]
    Closed,
    /// A row that this version can't read: written by another version, or changed by hand.
    #[error("a stored {what} can't be read: {message}")]
    Unreadable { what: &'static str, message: String },
    #[error("the database failed: {0}")]
    Database(DatabaseError),
}

/// A driver's error, of which only the text is of use outside of the store.
#[derive(Debug, Clone)]
pub struct DatabaseError(Arc<sqlx::Error>);

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::PoolClosed => Self::Closed,
            // SQLITE_BUSY with its variants, and PostgreSQL's lock_not_available.
            sqlx::Error::Database(error) if matches!(error.code().as_deref(), Some("5" | "261" | "517" | "55P03")) => {
                Self::Busy
            }
            other => Self::Database(DatabaseError(Arc::new(other))),
        }
    }
}

impl StoreError {
    /// The database is locked, full or away: what could not be written now may be written later.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Busy | Self::Database(_) | Self::Connect(_))
    }

    pub(super) fn connect(error: sqlx::Error) -> Self {
        Self::Connect(DatabaseError(Arc::new(error)))
    }

    pub(super) fn unreadable(what: &'static str, error: impl fmt::Display) -> Self {
        Self::Unreadable { what, message: error.to_string() }
    }

    /// A row of the same key was there already. The constraint's name is of no use: SQLite doesn't tell it.
    pub(super) fn is_unique_violation(&self) -> bool {
        match self {
            Self::Database(error) => error.0.as_database_error().is_some_and(|e| e.is_unique_violation()),
            _ => false,
        }
    }
}
