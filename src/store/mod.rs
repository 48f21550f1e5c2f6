//! Everything that must outlive the process: deliveries, the queue, pull requests and their runs, and what forges were
//! told. SQLite or PostgreSQL, by one set of SQL.
//!
//! Two rules hold everywhere here:
//!
//! 1. **Writes begin immediately.** On SQLite a transaction that first reads and then writes fails under load; ours take
//!    the writer's place at once ([`Store::write`]).
//! 2. **Work is fenced.** A worker writes under its [`Lease`]; once somebody else has claimed the job, those writes fail
//!    with [`StoreError::LeaseLost`] and change nothing.
//!
//! Structured facts are kept as JSON of the domain's types, beside the columns that are searched by.

mod audit;
mod cleanup;
mod comments;
mod deliveries;
mod error;
mod freezes;
mod intake;
mod job;
mod labels;
mod locks;
mod managed;
mod meta;
mod open;
mod pulls;
mod queue;
mod queued;
mod row;
mod runs;
mod shown;
mod statuses;
mod touched;
mod turns;
mod wishes;

pub use audit::AuditEntry;
pub use comments::OutComment;
pub use deliveries::{DeliveryEnd, NewDelivery, Recorded, StoredDelivery};
pub use error::{DatabaseError, StoreError};
pub use job::{Job, JobKind, Lease};
pub use managed::{StateId, StateVersion};
pub use statuses::{SentCheck, SentStatus};
pub use wishes::MergeWish;

use crate::crash;
use crate::domain::id::{PullId, RepoName};
use open::{Dialect, Pools, Turn};
use sha2::{Digest as _, Sha256};
use sqlx::{Any, AnyConnection, AnyPool, Transaction};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// The database. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store {
    pools: Pools,
    intake: intake::Intake,
    /// Who holds what is claimed; empty: nobody by name.
    holder: Arc<str>,
}

/// One transaction: everything in it happens, or nothing. Dropped without [`Tx::commit`], it is rolled back.
///
/// While it is open nobody else writes (SQLite) or decides about the same repository (PostgreSQL), so nothing slow
/// belongs inside: no network, no process. Calling a writing method of [`Store`] meanwhile waits for it in vain.
pub struct Tx {
    inner: Transaction<'static, Any>,
    /// Pull requests whose `unsettled` mark has to be found anew.
    touched: BTreeSet<PullId>,
    /// Goes after the connection. `None`: a webhook's.
    _turn: Option<Turn>,
    /// From asking for the connection to giving it back.
    _span: tracing::Span,
}

impl Store {
    /// Opens `sqlite:PATH` (the file is made if need be, readable by its owner only) or `postgres://…`, and brings the
    /// tables up to date. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the address is neither, the database can't be reached, lies on a network file system, or has tables that
    /// this version doesn't know.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let pools = open::open(url).await?;
        let intake = intake::Intake::start(pools.clone());
        Ok(Self { pools, intake, holder: "".into() })
    }

    /// The same store for a process that goes by this name. It never claims what it holds itself, however long the
    /// database was away and its leases could not be renewed.
    #[must_use]
    pub fn held_by(self, holder: &str) -> Self {
        Self { holder: holder.into(), ..self }
    }

    /// Whether the database can be read, and a write could begin.
    ///
    /// # Errors
    /// The reason why not.
    pub async fn ready(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT count(*) AS n FROM meta").fetch_one(&self.pools.reads).await?;
        self.begin().await?.inner.rollback().await?;
        Ok(())
    }

    /// Waits for what is being written, then closes all connections. Later calls fail with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.pools.intake.close().await;
        self.pools.writes.close().await;
        self.pools.reads.close().await;
    }

    /// Begins the one transaction for everything that follows from an event. Decisions about one repository are made
    /// one after the other.
    ///
    /// # Errors
    /// [`StoreError::Busy`] after 15 s of waiting for others; otherwise the database's.
    pub async fn write(&self, scope: &RepoName) -> Result<Tx, StoreError> {
        let mut tx = self.begin().await?;
        if self.pools.dialect == Dialect::Postgres {
            // Freed by the end of the transaction. As a table, because `Any` has no type for a function without result.
            sqlx::query("SELECT 1 AS held FROM pg_advisory_xact_lock($1)")
                .bind(advisory_key(scope))
                .fetch_one(tx.connection())
                .await?;
        }
        Ok(tx)
    }

    /// A transaction for writes that don't decide anything about a repository.
    async fn begin(&self) -> Result<Tx, StoreError> {
        let turn = self.pools.turn().await?;
        Tx::begin(&self.pools.writes, self.pools.dialect, Some(turn)).await
    }

    /// A transaction whose writes happen only if the lease is still held.
    async fn fenced(&self, lease: &Lease) -> Result<Tx, StoreError> {
        let mut tx = self.begin().await?;
        tx.hold(lease).await?;
        Ok(tx)
    }

    /// Several reads that see the same moment.
    async fn snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begin = match self.pools.dialect {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.pools.reads.begin_with(begin).await?)
    }
}

impl Tx {
    async fn begin(pool: &AnyPool, dialect: Dialect, turn: Option<Turn>) -> Result<Self, StoreError> {
        let begin = match dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        let span = tracing::debug_span!("transaction");
        Ok(Self { inner: pool.begin_with(begin).await?, touched: BTreeSet::new(), _turn: turn, _span: span })
    }

    fn connection(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// Makes it all true.
    ///
    /// # Errors
    /// The database's; nothing has happened then, unless the connection was lost at this very moment.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.mark_settled().await?;
        crash::point("commit");
        self.inner.commit().await?;
        crash::point("committed");
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which may hold a password.
        f.debug_struct("Store").field("dialect", &self.pools.dialect).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

/// The repository's number for PostgreSQL's advisory locks. Two repositories with the same one would only wait for
/// each other.
fn advisory_key(repo: &RepoName) -> i64 {
    let hash = Sha256::digest(repo.to_string());
    i64::from_be_bytes(hash[..8].try_into().expect("a SHA-256 has 32 bytes"))
}
