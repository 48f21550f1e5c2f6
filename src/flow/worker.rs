//! Takes work from the queue, with a bound on how much of each kind goes on at once, and keeps the lease of what is
//! under way alive.
//!
//! Two lanes, because a long apply must not keep a webhook from being heard: light work (deliveries, telling the forge)
//! and runs. A worker whose lease is lost stops what it does and writes nothing: somebody else has the work by then.

use super::{Ends, Flow, FlowError, now};
use crate::domain::id::Timestamp;
use crate::store::{Job, JobKind, Lease, StoreError};
use crate::terraform::steps::Limits;
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a lease lasts without a heartbeat; a dead process's work is taken up after this time at the latest.
const LEASE_MS: i64 = 30_000;
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The longest sleep while nothing is due: another process may have queued something.
const IDLE: Duration = Duration::from_secs(2);
/// After terraform was stopped: reading and storing what came of it.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// Between two tries to write to a database that is away.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Deliveries and tells that go on at once.
const LIGHT: usize = 8;

/// What may come to a run from outside.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    /// It shall end: said by a person, by a newer push, or by a server whose patience is over.
    pub(super) cancel: CancellationToken,
    /// The lease is lost: the run is no longer this process's to carry out.
    pub(super) lost: CancellationToken,
    /// The server goes, and what can go on without it shall.
    pub(super) leave: CancellationToken,
    /// One of the first two: the present step ends.
    pub(super) stop: CancellationToken,
}

impl Signals {
    fn new(cancel: CancellationToken, leave: CancellationToken) -> Self {
        Self { stop: cancel.child_token(), lost: CancellationToken::new(), cancel, leave }
    }

    fn lose(&self) {
        self.lost.cancel();
        self.stop.cancel();
    }
}

/// The running worker of one process.
#[derive(Debug)]
pub struct Worker {
    stop: CancellationToken,
    /// Ends everything that is under way, applies too.
    abort: CancellationToken,
    leave: CancellationToken,
    tasks: TaskTracker,
}

impl Worker {
    #[must_use]
    pub fn start(flow: &Arc<Flow>) -> Self {
        let Ends { soon, now } = flow.ends.clone();
        let worker = Self { stop: soon, abort: now, leave: CancellationToken::new(), tasks: TaskTracker::new() };
        worker.spawn_pool(flow, &[JobKind::Ingest, JobKind::Replan, JobKind::Tell], LIGHT);
        worker.spawn_pool(flow, &[JobKind::Run], flow.config.concurrency.runs.get());
        worker
    }

    /// Takes no new work; what is under way may finish within `grace`, then it is stopped as by its deadline.
    /// Queued work stays queued. With `leave_applies` they go on in the care of their supervisors. Returns whether
    /// everything finished by itself.
    pub async fn drain(&self, grace: Duration, leave_applies: bool) -> bool {
        self.stop.cancel();
        if leave_applies {
            self.leave.cancel();
        }
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return true;
        }
        tracing::warn!("the grace period is over: running work is being stopped");
        self.abort.cancel();
        // An apply that is told to stop waits for calls that are under way, and writes its state down through this server.
        let terraform = Limits::default().apply_grace;
        let _ = tokio::time::timeout(terraform + LAST_WORDS, self.tasks.wait()).await;
        false
    }

    fn spawn_pool(&self, flow: &Arc<Flow>, kinds: &'static [JobKind], size: usize) {
        let (flow, stop, abort) = (Arc::clone(flow), self.stop.clone(), self.abort.clone());
        let leave = self.leave.clone();
        let tasks = self.tasks.clone();
        self.tasks.spawn(async move {
            let slots = Arc::new(Semaphore::new(size));
            loop {
                // Interest is registered before the look, so that work queued between the two is not slept over.
                let rung = flow.wake.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                let slot = tokio::select! {
                    slot = Arc::clone(&slots).acquire_owned() => slot.expect("never closed"),
                    () = stop.cancelled() => return,
                };
                if stop.is_cancelled() {
                    return;
                }
                match flow.store.claim(kinds, now(), LEASE_MS).await {
                    Ok(Some(lease)) => {
                        let (flow, signals) = (Arc::clone(&flow), Signals::new(abort.child_token(), leave.clone()));
                        tasks.spawn(async move {
                            work(&flow, lease, signals).await;
                            drop(slot);
                            // The lane that this held may have more to do.
                            flow.wake.notify_waiters();
                        });
                    }
                    Ok(None) => {
                        drop(slot);
                        let sleep = until_due(&flow, kinds).await;
                        tokio::select! {
                            () = rung => {}
                            () = tokio::time::sleep(sleep) => {}
                            () = stop.cancelled() => return,
                        }
                    }
                    Err(error) => {
                        tracing::error!(error = %error, "the queue can't be read");
                        drop(slot);
                        tokio::time::sleep(IDLE).await;
                    }
                }
            }
        });
    }
}

async fn until_due(flow: &Flow, kinds: &[JobKind]) -> Duration {
    match flow.store.next_due(kinds).await {
        Ok(Some(due)) => Duration::from_millis(u64::try_from(due.since(now())).unwrap_or(0)).min(IDLE).max(
            // Work that is due but not claimable (its lane is busy) is rung for when the lane is free.
            Duration::from_millis(50),
        ),
        _ => IDLE,
    }
}

/// One piece of work under its lease.
async fn work(flow: &Flow, lease: Lease, signals: Signals) {
    let done = {
        let working = caught(carry_out(flow, &lease, &signals));
        // Beside it: the work goes on while the database keeps a heartbeat waiting.
        let beating = async {
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                heartbeat(flow, &lease, &signals).await;
            }
        };
        tokio::select! {
            done = working => done,
            () = beating => unreachable!("a heart beats for ever"),
        }
    };
    match done {
        Ok(()) => {}
        Err(FlowError::Store(StoreError::LeaseLost)) => {
            tracing::warn!(job = %lease.job_id, "the lease was lost; the work is somebody else's now");
        }
        // Of a delivery `ingest` says why; a run ends by its tries. What else panics again and again is done by the next change.
        Err(FlowError::Panicked)
            if FlowError::Panicked.is_hopeless(lease.attempts)
                && matches!(lease.job, Job::Replan { .. } | Job::Tell { .. }) =>
        {
            tracing::error!(job = %lease.job_id, attempts = lease.attempts, "it panics again and again: given up");
            if let Err(error) = patiently(&flow.ends.soon, || async { Ok(flow.store.finish(&lease).await?) }).await {
                tracing::error!(error = %error.chain(), "the work could not be ended");
            }
        }
        Err(error) => {
            let wait = error.retry_after(lease.attempts);
            tracing::warn!(job = %lease.job_id, attempt = lease.attempts, error = %error.chain(), wait_ms = wait, "will be tried again");
            let give_back = || async { Ok(flow.store.give_back(&lease, now().plus_ms(wait), &error.chain()).await?) };
            // The next server takes up what this one could not give back.
            if let Err(error) = patiently(&flow.ends.soon, give_back).await {
                tracing::error!(error = %error.chain(), "the work could not be given back");
            }
        }
    }
}

/// A panic is an error as any other: otherwise the work would come back when the lease runs out, for ever.
pub(super) async fn caught<T>(work: impl Future<Output = Result<T, FlowError>>) -> Result<T, FlowError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(FlowError::Panicked))
}

/// Writes something down that must not be forgotten, for as long as it takes the database to come back, or until the
/// process ends.
pub(super) async fn patiently<T, Written>(end: &CancellationToken, write: impl Fn() -> Written) -> Result<T, FlowError>
where
    Written: Future<Output = Result<T, FlowError>>,
{
    let mut pause = Duration::from_millis(200);
    loop {
        match write().await {
            Err(FlowError::Store(error)) if error.may_pass() && !end.is_cancelled() => {
                tracing::error!(error = %error, "the database can't be written: trying again");
                end.run_until_cancelled(tokio::time::sleep(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            done => return done,
        }
    }
}

async fn heartbeat(flow: &Flow, lease: &Lease, signals: &Signals) {
    match flow.store.renew(lease, now(), LEASE_MS).await {
        Ok(true) => {}
        Ok(false) => signals.lose(),
        // The lease may still be good; if it is not, the next write finds out.
        Err(error) => tracing::warn!(error = %error, "a lease could not be renewed"),
    }
    if let Job::Run { run, .. } = &lease.job
        && let Ok(Some(run)) = flow.store.run(*run).await
        && (run.state.is_over() || run.cancelled_by.is_some())
    {
        signals.cancel.cancel();
    }
}

async fn carry_out(flow: &Flow, lease: &Lease, signals: &Signals) -> Result<(), FlowError> {
    let started: Timestamp = now();
    let result = match &lease.job {
        Job::Ingest { forge, delivery } => Box::pin(flow.ingest(lease, *forge, delivery)).await,
        Job::Run { run, pull, .. } => Box::pin(flow.run(lease, pull, *run, signals)).await,
        Job::Replan { pull, project, at } => Box::pin(flow.replan(lease, pull, project, *at)).await,
        Job::Tell { pull } => Box::pin(flow.tell(lease, pull)).await,
    };
    metrics::histogram!("terraplane_job_seconds", "kind" => lease.job.kind().as_str())
        .record(now().since(started) as f64 / 1000.0);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_is_given_up_after_few_tries() {
        let panics = async || -> Result<(), FlowError> { panic!("on purpose") };
        let error = caught(panics()).await.unwrap_err();
        assert!(matches!(error, FlowError::Panicked), "{error:?}");
        assert!(
            !error.is_hopeless(1) && !error.is_hopeless(2) && error.is_hopeless(3),
            "it is tried, and not for ever"
        );
        assert!(caught(async { Ok(()) }).await.is_ok());
    }
}
