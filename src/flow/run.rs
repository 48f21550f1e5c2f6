//! The life of one run under its lease: begun, carried out, ended, each in a transaction that the lease fences.

use super::apply::Done;
use super::bench::{Attempt, Stop, failure};
use super::cage::Blocked;
use super::perform::{Occasion, job};
use super::supervise::{Aftermath, forget};
use super::tell::tell_neighbours;
use super::worker::{Signals, patiently};
use super::{Flow, FlowError, now};
use crate::domain::decide::{Input, Rules};
use crate::domain::id::{Fingerprint, Login, PullId, RunId, Sha};
use crate::domain::run::{Failure, Outcome, Run, RunState, Step};
use crate::domain::secret;
use crate::store::{Job, Lease, Tx};
use crate::terraform::supervisor::{About, Place};
use serde_json::json;

/// A run that failed this often for reasons of ours (the disk, git) is failed for good,
const MOST_TRIES: u32 = 5;
/// and this often if time may heal the reason: about an hour.
const MOST_PATIENT_TRIES: u32 = 20;

impl Flow {
    pub(super) async fn run(
        &self,
        lease: &Lease,
        pull: &PullId,
        id: RunId,
        signals: &Signals,
    ) -> Result<(), FlowError> {
        let (mut run, noted, taken_up) = match Box::pin(self.begin(lease, pull, id)).await? {
            Beginning::Nothing => return Ok(()),
            Beginning::Now(begun) => (begun.run, begun.noted, begun.taken_up),
            Beginning::Lost(run) => return Box::pin(self.interrupted(lease, *run, signals)).await,
        };
        let _running = self.running.begin(id, signals.cancel.clone());
        let blocked = Blocked::default();
        let attempt = Attempt { run: &run, signals, blocked: &blocked };
        let noted = async {
            noted.commit().await?;
            self.wake.notify_waiters();
            Ok::<_, FlowError>(())
        };
        let done = if run.is_apply() {
            noted.await?;
            match taken_up {
                Some((about, place)) => self.resume(attempt, about, place).await,
                None => self.apply(attempt).await,
            }
        } else {
            // Beside each other: files for a run that could not be noted are removed again.
            let (bench, noted) = tokio::join!(self.bench_to_plan(attempt), noted);
            noted?;
            let planned = match bench {
                Ok(bench) => self.plan(bench).await,
                Err(stop) => Err(stop),
            };
            planned.map(|outcome| Done { outcome, commit: None })
        };
        run.blocked = blocked.all();
        let end = match done {
            Ok(done) => End::of(done),
            // The server is stopping, or the run was superseded meanwhile. Only an apply that has begun ends by this.
            Err(Stop::Failed(failure)) if signals.stop.is_cancelled() && failure.step != Step::Apply => {
                match self.store.run(id).await?.and_then(|run| run.cancelled_by) {
                    Some(by) => End::failed(cancelled(&by)),
                    None => return self.put_back_and_give(lease, &run, "stopped").await,
                }
            }
            Err(Stop::Left) => {
                self.store.give_back(lease, now(), "it goes on without its server").await?;
                return Ok(());
            }
            Err(Stop::Unread(error)) => return Err(error),
            Err(Stop::Again(because)) => return self.put_back_and_give(lease, &run, &because).await,
            Err(Stop::Frozen(project)) => {
                run.project = *project;
                patiently(&self.ends.soon, || self.freeze(lease, &run)).await?;
                forget(&self.applies.place(id));
                return Ok(());
            }
            Err(Stop::Interrupted) => return Box::pin(self.interrupted(lease, run, signals)).await,
            Err(Stop::Failed(failure)) => End::failed(failure),
            Err(Stop::Ours(error)) if lease.attempts < most_tries(&error) => {
                patiently(&self.ends.soon, || self.put_back(lease, &run)).await?;
                return Err(error);
            }
            Err(Stop::Ours(error)) => {
                tracing::error!(run = %id, error = %error.chain(), "a run failed for a reason of ours");
                End::failed(ours(&error))
            }
        };
        // What was done is told as it was, however long the database is away. A plan can be made again.
        let patience = if run.is_apply() { &self.ends.now } else { &self.ends.soon };
        patiently(patience, || Box::pin(self.end_run(lease, &run, &end))).await?;
        forget(&self.applies.place(id));
        Ok(())
    }

    /// An apply that was killed with all that watched over it: people are told what can be found out.
    async fn interrupted(&self, lease: &Lease, mut run: Run, signals: &Signals) -> Result<(), FlowError> {
        tracing::error!(run = %run.id, attempts = lease.attempts, "an apply was lost");
        run.left = Some(self.left_by(&run, signals).await);
        let end = End::interrupted();
        patiently(&self.ends.soon, || Box::pin(self.end_run(lease, &run, &end))).await?;
        forget(&self.applies.place(run.id));
        Ok(())
    }

    /// Nothing was changed: it begins anew when it is claimed again.
    async fn put_back_and_give(&self, lease: &Lease, run: &Run, because: &str) -> Result<(), FlowError> {
        patiently(&self.ends.soon, || self.put_back(lease, run)).await?;
        let give_back = || async { Ok(self.store.give_back(lease, now(), because).await?) };
        patiently(&self.ends.soon, give_back).await?;
        Ok(())
    }

    /// Notes that the run is under way.
    async fn begin(&self, lease: &Lease, pull: &PullId, id: RunId) -> Result<Beginning, FlowError> {
        let mut tx = self.store.write(&pull.repo).await?;
        tx.hold(lease).await?;
        let run = tx.run(id).await?;
        if let Some(waiting) = run.as_ref().filter(|run| run.state == RunState::Waiting) {
            // A freeze is over. Whoever comes first may be another one.
            self.take_turn(&mut tx, &pull.repo, &waiting.project.key, now()).await?;
        }
        let run = tx.run(id).await?.filter(|run| matches!(run.state, RunState::Queued | RunState::Running));
        let Some(mut run) = run else {
            tx.finish(lease).await?;
            tx.commit().await?;
            return Ok(Beginning::Nothing);
        };
        // What was begun under an earlier lease lost its server.
        let lost = run.state == RunState::Running;
        let aftermath = if lost && run.is_apply() { self.aftermath(&run)? } else { Aftermath::NotBegun };
        let (end, taken_up) = match (aftermath, &run.cancelled_by) {
            (Aftermath::Supervised(about, place), _) => (None, Some((about, place))),
            // Never repeated.
            (Aftermath::Lost, _) => return Ok(Beginning::Lost(Box::new(run))),
            (Aftermath::NotBegun, Some(by)) => (Some(End::failed(cancelled(by))), None),
            (Aftermath::NotBegun, None) => {
                ((lost && lease.attempts > MOST_PATIENT_TRIES).then(|| End::hopeless(&run)), None)
            }
        };
        if let Some(end) = end {
            tracing::error!(run = %id, attempts = lease.attempts, "a run lost its server");
            self.finish_run(&mut tx, lease, run, &end).await?;
            tx.commit().await?;
            self.wake.notify_waiters();
            return Ok(Beginning::Nothing);
        }
        if run.is_apply() && taken_up.is_none() && !self.may_begin(&mut tx, &run, now()).await? {
            self.wait_again(&mut tx, lease, run, now()).await?;
            tx.commit().await?;
            self.wake.notify_waiters();
            return Ok(Beginning::Nothing);
        }
        if run.is_apply() && taken_up.is_none() {
            let place = self.applies.place(id);
            place.prepare().map_err(|error| FlowError::disk(&self.config.data_dir, error))?;
        }
        run.state = RunState::Running;
        if taken_up.is_none() {
            run.started_at = Some(now());
        }
        run.level = Some(self.server.level);
        run.network = self.network(&run);
        tx.update_run(&run).await?;
        tx.enqueue(&Job::Tell { pull: run.pull.clone() }, now()).await?;
        Ok(Beginning::Now(Box::new(Begun { run, noted: tx, taken_up })))
    }

    /// The run is queued again, for nothing was changed yet: from here on it counts as never begun.
    async fn put_back(&self, lease: &Lease, run: &Run) -> Result<(), FlowError> {
        let mut tx = self.store.write(&run.pull.repo).await?;
        tx.hold(lease).await?;
        if let Some(mut run) = tx.run(run.id).await?
            && run.state == RunState::Running
        {
            run.state = RunState::Queued;
            run.started_at = None;
            tx.update_run(&run).await?;
            tx.enqueue(&Job::Tell { pull: run.pull.clone() }, now()).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The rules have come to freeze what it was about to apply.
    async fn freeze(&self, lease: &Lease, run: &Run) -> Result<(), FlowError> {
        let mut tx = self.store.write(&run.pull.repo).await?;
        tx.hold(lease).await?;
        match tx.run(run.id).await?.filter(|current| !current.state.is_over()) {
            Some(current) if current.cancelled_by.is_none() => {
                let waiting = Run { project: run.project.clone(), ..current };
                self.wait_again(&mut tx, lease, waiting, now()).await?;
            }
            // Somebody called it off meanwhile: whoever claims it next brings it to its end.
            _ => {
                tx.finish(lease).await?;
                tx.enqueue(&job(run), now()).await?;
            }
        }
        tx.commit().await?;
        self.wake.notify_waiters();
        Ok(())
    }

    async fn end_run(&self, lease: &Lease, run: &Run, end: &End) -> Result<(), FlowError> {
        let kind = run.work.kind();
        let mut tx = self.store.write(&run.pull.repo).await?;
        tx.hold(lease).await?;
        let current = tx.run(run.id).await?.filter(|current| current.state != RunState::Superseded);
        let Some(current) = current else {
            // A newer push made it pointless while it ran: its result is never shown.
            tx.finish(lease).await?;
            tx.commit().await?;
            return Ok(());
        };
        // Somebody may have asked for its end meanwhile.
        let run = Run { cancelled_by: current.cancelled_by, ..run.clone() };
        let started = run.started_at;
        self.finish_run(&mut tx, lease, run, end).await?;
        tx.commit().await?;
        self.wake.notify_waiters();
        if let Some(started) = started {
            metrics::histogram!("terraplane_run_seconds", "kind" => kind, "state" => end.state.as_str())
                .record(now().since(started) as f64 / 1000.0);
        }
        Ok(())
    }

    /// Writes the end of a run and everything that follows from it.
    async fn finish_run(&self, tx: &mut Tx, lease: &Lease, mut run: Run, end: &End) -> Result<(), FlowError> {
        run.state = end.state;
        run.finished_at = Some(now());
        run.outcome = Some(without_secrets(end.outcome.clone()));
        tx.update_run(&run).await?;
        if let Some(planned) = run.planned().filter(|_| run.is_plan()) {
            let touched = planned.touched.clone();
            tx.set_touched(&run.pull, &run.project.key, &touched).await?;
        }
        let mut known = tx.pull_state(&run.pull).await?;
        if let Some(known) = known.as_ref().filter(|_| run.is_plan()) {
            tell_neighbours(tx, known).await?;
        }
        if run.is_apply() {
            // An apply that was begun before the merge is in the base branch by now.
            let merged = || known.as_ref().and_then(|known| known.pull().merge_commit().cloned());
            self.record_apply(tx, &run, end.commit.clone().or_else(merged)).await?;
            known = tx.pull_state(&run.pull).await?;
        }
        if let Some(known) = known {
            let occasion = Occasion(format!("over-{}", run.id));
            let rules = Rules::unknown("a run's end asks for none");
            self.follow(tx, &known, &Input::RunOver { run: run.id }, &rules, &occasion).await?;
        }
        tx.finish(lease).await?;
        Ok(())
    }

    /// What terraform was told to carry out, however far it came.
    fn begun(&self, run: &Run) -> Option<Fingerprint> {
        let place = self.applies.place(run.id);
        let about = place.has_begun().then(|| place.about().ok()).flatten().flatten();
        about.map(|about| about.fingerprint)
    }

    async fn record_apply(&self, tx: &mut Tx, run: &Run, commit: Option<Sha>) -> Result<(), FlowError> {
        let (repo, project) = (&run.pull.repo, &run.project.key);
        let (applied, changed) = match &run.outcome {
            Some(Outcome::Applied(applied)) => (true, !applied.done.is_empty()),
            Some(Outcome::Failed(failure)) => (false, failure.changed_something),
            _ => (false, false),
        };
        // Half an apply must not be taken back by an older commit either.
        if let Some(commit) = commit.as_ref().filter(|_| applied || changed) {
            tx.set_applied_commit(repo, project, commit).await?;
        }
        if changed {
            tx.mark_lock_applied(repo, project, &run.pull).await?;
        }
        let ran = match &run.outcome {
            Some(Outcome::Applied(applied)) => Some(applied.fingerprint.clone()),
            _ => self.begun(run),
        };
        let data = json!({
            "run": run.id,
            "state": run.state.as_str(),
            "reviewed": run.apply_order().and_then(|order| order.reviewed.clone()),
            "ordered_by": run.apply_order().map(|order| &order.ordered_by),
            "approved_by": run.apply_order().map(|order| &order.approved_by),
            "approved_at": run.apply_order().map(|order| &order.approved_at),
            "ran": ran,
            "commit": commit,
        });
        tx.audit(now(), "terraplane", "applied", &run.pull, Some(project), &data).await?;
        Ok(())
    }
}

const fn most_tries(error: &FlowError) -> u32 {
    if error.may_heal() { MOST_PATIENT_TRIES } else { MOST_TRIES }
}

/// What is to be done with a run that was claimed.
enum Beginning {
    /// It is over, or was brought to its end here.
    Nothing,
    Now(Box<Begun>),
    /// An apply that was begun, and nobody watches over any more.
    Lost(Box<Run>),
}

/// A run that is under way, as is noted in a transaction that is still to be committed.
struct Begun {
    run: Run,
    noted: Tx,
    /// An apply that went on without its server.
    taken_up: Option<(About, Place)>,
}

/// How a run ended, as it is written.
struct End {
    state: RunState,
    outcome: Outcome,
    /// The commit of the base branch that was applied.
    commit: Option<Sha>,
}

impl End {
    fn of(Done { outcome, commit }: Done) -> Self {
        let state = match outcome {
            Outcome::Planned(_) | Outcome::Applied(_) => RunState::Succeeded,
            Outcome::Differs(_) => RunState::Differs,
            Outcome::Failed(_) => RunState::Failed,
        };
        Self { state, outcome, commit }
    }

    fn failed(failure: Failure) -> Self {
        Self::of(Done { outcome: Outcome::Failed(failure), commit: None })
    }

    fn interrupted() -> Self {
        let message = "this apply was killed: nobody knows how far it came";
        let failure = Failure { changed_something: true, ..failure(Step::Apply, message) };
        Self { state: RunState::Interrupted, outcome: Outcome::Failed(failure), commit: None }
    }

    /// Of what costs the server its life again and again.
    fn hopeless(run: &Run) -> Self {
        let step = if run.is_apply() { Step::Prepare } else { Step::Plan };
        Self::failed(failure(step, "the server did not survive it, again and again"))
    }
}

/// What is told of a failure comes from many places; whatever in it looks like a secret is not written down.
fn without_secrets(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Failed(mut failure) => {
            failure.message = secret::masked(&failure.message).into_owned();
            failure.output = secret::masked(&failure.output).into_owned();
            for diagnostic in failure.diagnostics.iter_mut() {
                diagnostic.summary = secret::masked(&diagnostic.summary).into_owned();
                diagnostic.detail = secret::masked(&diagnostic.detail).into_owned();
            }
            Outcome::Failed(failure)
        }
        outcome => outcome,
    }
}

/// Somebody stopped it before it changed anything.
pub(super) fn cancelled(by: &Login) -> Failure {
    failure(Step::Prepare, format!("cancelled by {by} before anything was changed"))
}

/// A failure of ours as people read it. The log has the rest; causes may hold paths and addresses of the server.
fn ours(error: &FlowError) -> Failure {
    let what = match error {
        FlowError::Forge(_) => "the forge did not answer as expected",
        FlowError::Git(_) => "the repository could not be fetched",
        FlowError::Store(_) | FlowError::Archive(_) | FlowError::Disk { .. } => "the server's storage failed",
        FlowError::Overtaken => "the pull request changed all the time",
        FlowError::NoForge { .. } | FlowError::Panicked | FlowError::Broken(_) => "an internal error",
    };
    failure(Step::Prepare, format!("{what}; the server's log says more"))
}
