//! The durable queue: claimed by one statement, held by a lease, fenced by its token.
//!
//! A job is *queued* (`due_at` says from when it may be claimed) or *leased* (`due_at` says from when it may be claimed
//! again, because its worker was not heard of). A finished job has no row. In one lane at most one job is leased, which
//! a unique index enforces; a leased job whose time ran out keeps its lane until it is claimed again, so the lane's next
//! job never overtakes it. Otherwise jobs go by the time at which they are due.
//!
//! The queue knows nothing of what a lost lease means: a plan is made again, an apply becomes `interrupted`. That is
//! told by [`Lease::attempts`] and decided by whoever claims it.

use super::error::StoreError;
use super::job::{Job, JobKind, Lease, LeaseToken};
use super::open::Dialect;
use super::{Store, Tx, row};
use crate::domain::id::{JobId, Timestamp};
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

/// The longest error that is kept with a job, in characters.
const ERROR_CHARS: usize = 2_000;

/// How often a claim or give-back that ran into another one is tried again. Each such collision means that somebody
/// else got on.
const COLLISIONS: usize = 10;

/// SQLite needs no row lock: the statement has the whole database. On PostgreSQL a row that somebody else is just
/// claiming is passed over instead of waited for.
macro_rules! claim_sql {
    ($row_lock:literal) => {
        concat!(
            "UPDATE job SET state = 'leased', token = $1, due_at = $2, attempts = attempts + 1, holder = $8 WHERE id = (",
            "SELECT id FROM job AS candidate WHERE due_at <= $3 AND kind IN ($4, $5, $6, $7) AND ",
            "((state = 'leased' AND (holder IS NULL OR holder = '' OR holder <> $8)) OR ",
            "NOT EXISTS (SELECT 1 FROM job AS other WHERE other.lane = candidate.lane AND other.state = 'leased')) ",
            "ORDER BY due_at, id LIMIT 1",
            $row_lock,
            ") RETURNING id, payload, attempts"
        )
    };
}

impl Store {
    /// Takes the job that has been due the longest, if one of these kinds is due whose lane is free, or the lease of
    /// one ran out. The lease lasts `lease_ms` milliseconds from `now`.
    ///
    /// # Errors
    /// The database's, or a stored job of another version.
    pub async fn claim(&self, kinds: &[JobKind], now: Timestamp, lease_ms: i64) -> Result<Option<Lease>, StoreError> {
        for _ in 0..COLLISIONS {
            match self.try_claim(kinds, now, lease_ms).await {
                // PostgreSQL: another claim just took a different job of the same lane.
                Err(error) if error.is_unique_violation() => {}
                done => return done,
            }
        }
        Ok(None)
    }

    #[tracing::instrument(level = "debug", name = "transaction", skip_all)]
    async fn try_claim(&self, kinds: &[JobKind], now: Timestamp, lease_ms: i64) -> Result<Option<Lease>, StoreError> {
        let token = LeaseToken::new();
        let sql = match self.pools.dialect {
            Dialect::Sqlite => claim_sql!(""),
            Dialect::Postgres => claim_sql!(" FOR UPDATE SKIP LOCKED"),
        };
        let [a, b, c, d] = kind_filter(kinds);
        let _turn = self.pools.turn().await?;
        // `fetch_all` and not `fetch_optional`: only a statement that is read to its end tells whether it was committed.
        let rows = sqlx::query(sql)
            .bind(token.to_string())
            .bind(now.plus_ms(lease_ms).0)
            .bind(now.0)
            .bind(a)
            .bind(b)
            .bind(c)
            .bind(d)
            .bind(&*self.holder)
            .fetch_all(&self.pools.writes)
            .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        crate::crash::point("claimed");
        let attempts = u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX);
        Ok(Some(Lease { job_id: row::id(row, "id")?, job: row::json(row, "payload")?, attempts, token }))
    }

    /// Holds the job for another `lease_ms` milliseconds from `now`. False: it was lost, and the work has to stop.
    ///
    /// # Errors
    /// The database's; the lease is then as it was.
    pub async fn renew(&self, lease: &Lease, now: Timestamp, lease_ms: i64) -> Result<bool, StoreError> {
        let _turn = self.pools.turn().await?;
        let done = sqlx::query("UPDATE job SET due_at = $3 WHERE id = $1 AND token = $2")
            .bind(lease.job_id.to_string())
            .bind(lease.token.to_string())
            .bind(now.plus_ms(lease_ms).0)
            .execute(&self.pools.writes)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The job is done and gone. False: the lease was lost.
    ///
    /// # Errors
    /// The database's.
    #[tracing::instrument(level = "debug", name = "transaction", skip_all)]
    pub async fn finish(&self, lease: &Lease) -> Result<bool, StoreError> {
        let _turn = self.pools.turn().await?;
        let mut connection = self.pools.writes.acquire().await?;
        delete_held(&mut connection, lease).await
    }

    /// Queues the job again for `due`, with the reason; its attempts stay counted. If the same job has been enqueued
    /// meanwhile, the two become one that is due at the earlier time. False: the lease was lost.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_back(&self, lease: &Lease, due: Timestamp, error: &str) -> Result<bool, StoreError> {
        let mut collisions = 0;
        loop {
            match self.try_give_back(lease, due, error).await {
                Ok(()) => return Ok(true),
                Err(StoreError::LeaseLost) => return Ok(false),
                // PostgreSQL: the same job was enqueued between the two statements.
                Err(error) if error.is_unique_violation() && collisions < COLLISIONS => collisions += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_give_back(&self, lease: &Lease, due: Timestamp, error: &str) -> Result<(), StoreError> {
        let error: String = error.chars().take(ERROR_CHARS).collect();
        let mut tx = self.fenced(lease).await?;
        let twin = sqlx::query("DELETE FROM job WHERE dedupe = $1 AND state = 'queued' RETURNING due_at")
            .bind(lease.job.dedupe())
            .fetch_all(tx.connection())
            .await?;
        let mut due = due.0;
        for row in &twin {
            due = due.min(row.try_get("due_at")?);
        }
        sqlx::query("UPDATE job SET state = 'queued', token = NULL, due_at = $2, error = $3 WHERE id = $1")
            .bind(lease.job_id.to_string())
            .bind(due)
            .bind(row::free_text(&error))
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// What a process held that is known to be dead can be claimed from `now` on. Returns how many jobs that are.
    ///
    /// # Errors
    /// The database's.
    pub async fn release(&self, holder: &str, now: Timestamp) -> Result<u64, StoreError> {
        let _turn = self.pools.turn().await?;
        let done = sqlx::query("UPDATE job SET due_at = $2, holder = NULL WHERE state = 'leased' AND holder = $1")
            .bind(holder)
            .bind(now.0)
            .execute(&self.pools.writes)
            .await?;
        Ok(done.rows_affected())
    }

    /// The earliest moment at which a claim of these kinds may find something: until then a worker can sleep, unless it
    /// is told of new work. A moment in the past means now.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_due(&self, kinds: &[JobKind]) -> Result<Option<Timestamp>, StoreError> {
        let [a, b, c, d] = kind_filter(kinds);
        let row = sqlx::query(
            "SELECT due_at FROM job AS candidate WHERE kind IN ($1, $2, $3, $4) AND \
             ((state = 'leased' AND (holder IS NULL OR holder = '' OR holder <> $5)) OR NOT EXISTS \
             (SELECT 1 FROM job AS other WHERE other.lane = candidate.lane AND other.state = 'leased')) \
             ORDER BY due_at, id LIMIT 1",
        )
        .bind(a)
        .bind(b)
        .bind(c)
        .bind(d)
        .bind(&*self.holder)
        .fetch_optional(&self.pools.reads)
        .await?;
        Ok(row.map(|row| row.try_get("due_at")).transpose()?.map(Timestamp))
    }

    /// How many jobs of each kind wait and are being done: (kind, queued, leased), every kind once.
    ///
    /// # Errors
    /// The database's.
    pub async fn queue_counts(&self) -> Result<Vec<(JobKind, i64, i64)>, StoreError> {
        let rows = sqlx::query("SELECT kind, state, count(*) AS n FROM job GROUP BY kind, state")
            .fetch_all(&self.pools.reads)
            .await?;
        let mut counts = JobKind::ALL.map(|kind| (kind, 0, 0));
        for row in &rows {
            let kind: JobKind = row::id(row, "kind")?;
            let n = row.try_get("n")?;
            let count = counts.iter_mut().find(|count| count.0 == kind).expect("ALL has every kind");
            match row.try_get::<String, _>("state")?.as_str() {
                "queued" => count.1 = n,
                _ => count.2 = n,
            }
        }
        Ok(counts.to_vec())
    }
}

impl Tx {
    /// Makes the transaction depend on the lease: from here to the commit nobody else can claim the job.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if somebody else has claimed it already; nothing may be written then.
    pub async fn hold(&mut self, lease: &Lease) -> Result<(), StoreError> {
        // An update that changes nothing locks the row on PostgreSQL; on SQLite the transaction has the whole database.
        let held = sqlx::query("UPDATE job SET token = token WHERE id = $1 AND token = $2")
            .bind(lease.job_id.to_string())
            .bind(lease.token.to_string())
            .execute(self.connection())
            .await?;
        if held.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
    }

    /// The job is done and gone, if this transaction commits.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if somebody else has claimed it.
    pub async fn finish(&mut self, lease: &Lease) -> Result<(), StoreError> {
        if delete_held(self.connection(), lease).await? { Ok(()) } else { Err(StoreError::LeaseLost) }
    }

    /// Queues a job for `due`. If the same job ([`Job::dedupe`]) waits already, that one is due at the earlier of the two
    /// times. One that is being done doesn't count: it may have looked at the store before this transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn enqueue(&mut self, job: &Job, due: Timestamp) -> Result<(), StoreError> {
        insert(self.connection(), job, &job.lane(), due).await
    }

    /// Takes a waiting job out of the queue. False: there is none, or it is being done. An ingest job is never dropped.
    ///
    /// # Errors
    /// The database's.
    pub async fn drop_job(&mut self, job: &Job) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM job WHERE dedupe = $1 AND state = 'queued'")
            .bind(job.dedupe())
            .execute(self.connection())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Adds a job to the queue, or moves the one that waits there already forward.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    job: &Job,
    lane: &str,
    due: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO job (id, kind, lane, dedupe, payload, state, due_at) VALUES ($1, $2, $3, $4, $5, 'queued', $6) \
         ON CONFLICT (dedupe) WHERE state = 'queued' DO UPDATE SET due_at = \
         CASE WHEN excluded.due_at < job.due_at THEN excluded.due_at ELSE job.due_at END",
    )
    .bind(JobId(Uuid::now_v7()).to_string())
    .bind(job.kind().as_str())
    .bind(lane)
    .bind(job.dedupe())
    .bind(row::to_json(job))
    .bind(due.0)
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete_held(connection: &mut AnyConnection, lease: &Lease) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM job WHERE id = $1 AND token = $2")
        .bind(lease.job_id.to_string())
        .bind(lease.token.to_string())
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The kinds as the values of a fixed `IN (…)`; unused places hold what no job has.
fn kind_filter(kinds: &[JobKind]) -> [&'static str; JobKind::ALL.len()] {
    JobKind::ALL.map(|kind| if kinds.contains(&kind) { kind.as_str() } else { "" })
}
