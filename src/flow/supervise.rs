//! Hands an apply to its supervisor, waits for it, and takes up one that another server left, or this one before it lost
//! its lease.

use super::apply::{Done, outcome};
use super::bench::{Attempt, Bench, LONGEST_LOG, Stop, failure, not_prepared};
use super::cage::Part;
use super::{Flow, FlowError};
use crate::archive::RunFile;
use crate::config::Phase;
use crate::domain::id::{RunId, Sha};
use crate::domain::run::{Failure, Planned, Run, Step};
use crate::git::WorkDir;
use crate::terraform::plan_state::Moves;
use crate::terraform::steps::ApplyReport;
use crate::terraform::supervisor::{About, Ending, Order, Place, Supervised, Surroundings, Verdict};
use std::io;
use std::path::PathBuf;

/// What the plan is told to be that can't be used any more.
pub(super) const STATE_CHANGED: &str = "The state has changed since it was planned.";

/// What is known of an apply that was under way.
pub(super) enum Aftermath {
    /// It is under way, or ended meanwhile.
    Supervised(About, Place),
    /// Terraform was not started to apply: nothing was changed.
    NotBegun,
    /// Nobody knows how far it came.
    Lost,
}

impl Flow {
    /// Applies the plan that lies on the bench, if the state is what it was made from; otherwise says why not.
    pub(super) async fn apply_supervised(
        &self,
        attempt: Attempt<'_>,
        bench: &mut Bench<'_>,
        (plan, planned): (RunId, &Planned),
        (commit, used_saved_plan): (Option<Sha>, bool),
    ) -> Result<Result<ApplyReport, String>, Stop> {
        let steps = bench.steps(Phase::Apply);
        bench.prepare(&steps)?;
        let Some(shown) = self.load(plan, RunFile::PlanJson).await? else {
            return Ok(Err("What was shown of the saved plan is no longer kept.".to_owned()));
        };
        let moves = Moves::told(&shown).map_err(|error| not_prepared(format!("the plan can't be read: {error}")))?;
        let (policy, rules) = bench.confined(Part::Apply);
        let order = Order::new(
            &steps,
            Surroundings {
                sandbox: &self.sandbox,
                slot: &bench.slot,
                policy,
                rules,
                upstream: self.outside.upstream.as_ref(),
                plan: bench.plan_path(),
                planned: planned.identity.state.clone(),
                moves,
                log: self.archive.create_log(attempt.run.id).await.map_err(FlowError::from)?,
                log_bytes: LONGEST_LOG,
                masked: &bench.masked,
            },
        );
        let about = About {
            run: attempt.run.id,
            work: bench.work().to_owned(),
            commit,
            fingerprint: planned.fingerprint.clone(),
            used_saved_plan,
        };
        // From here on the files are the supervisor's, whatever becomes of this process.
        bench.leave_work(true);
        let started = Supervised::start(&self.applies, &about, &order, &self.sandbox, &bench.slot).await;
        let supervised = started.map_err(|error| {
            bench.leave_work(false);
            FlowError::disk(&about.work, error)
        })?;
        let ending = self.attend(attempt, &supervised).await;
        if !matches!(ending, Err(Stop::Left | Stop::Unread(_))) {
            bench.leave_work(false);
        }
        self.told(attempt, supervised.place(), ending?)
    }

    /// What is known of an apply that was under way.
    pub(super) fn aftermath(&self, run: &Run) -> Result<Aftermath, FlowError> {
        let place = self.applies.place(run.id);
        let failed = |error| FlowError::disk(&self.config.data_dir, error);
        // Not there at all: the data directory is another one than it was.
        if !place.exists() {
            return Ok(Aftermath::Lost);
        }
        let Some(about) = place.about().map_err(failed)? else { return Ok(Aftermath::NotBegun) };
        if place.is_attended().map_err(failed)? || place.ending().map_err(failed)?.is_some() {
            return Ok(Aftermath::Supervised(about, place));
        }
        Ok(if place.has_begun() { Aftermath::Lost } else { Aftermath::NotBegun })
    }

    /// Takes up an apply that is under way.
    pub(super) async fn resume(&self, attempt: Attempt<'_>, about: About, place: Place) -> Result<Done, Stop> {
        tracing::info!(run = %about.run, "an apply went on without its server, and is taken up again");
        let supervised = Supervised::again(place);
        let ending = self.attend(attempt, &supervised).await?;
        // Nobody works there any more: what is left goes with this.
        drop(WorkDir::adopt(&about.work).map_err(|error| self.unread(error))?);
        match self.told(attempt, supervised.place(), ending)? {
            Ok(report) => {
                let outcome = outcome(report, &about.fingerprint, about.used_saved_plan);
                Ok(Done { outcome, commit: about.commit })
            }
            // Nothing was changed, and so it begins anew.
            Err(because) => Err(Stop::Again(because)),
        }
    }

    async fn attend(&self, attempt: Attempt<'_>, supervised: &Supervised) -> Result<Ending, Stop> {
        let signals = attempt.signals;
        let ending = tokio::select! {
            biased;
            ending = supervised.ending(&signals.cancel) => ending,
            () = signals.lost.cancelled() => return Err(Stop::Left),
            () = signals.leave.cancelled() => return Err(Stop::Left),
        };
        ending.map_err(|error| self.unread(error))?.ok_or(Stop::Interrupted)
    }

    fn unread(&self, error: io::Error) -> Stop {
        Stop::Unread(FlowError::disk(&self.config.data_dir, error))
    }

    /// What an ending means for the run; inside, why the plan could not be used.
    fn told(&self, attempt: Attempt<'_>, place: &Place, ending: Ending) -> Result<Result<ApplyReport, String>, Stop> {
        let Ending { verdict, blocked, errored_state } = ending;
        blocked.into_iter().for_each(|refusal| attempt.blocked.add(refusal));
        match verdict {
            Verdict::Ran(mut report) => {
                if errored_state && let Some(failure) = &mut report.failure {
                    failure.message = match self.keep_errored_state(attempt.run, place) {
                        Ok(name) => format!("{} {}", failure.message, errored(&name)),
                        Err(error) => return Err(self.unread(error)),
                    };
                }
                Ok(Ok(report))
            }
            Verdict::Stale => Ok(Err(STATE_CHANGED.to_owned())),
            Verdict::Foreign(why) => Err(Stop::Failed(failure(Step::State, why))),
            Verdict::Failed(failure) => Err(Stop::Failed(Failure::from(failure))),
            Verdict::NotBuilt(why) => {
                tracing::error!(run = %attempt.run.id, why, "an apply's sandbox could not be built");
                Err(not_prepared("the sandbox could not be built; the server's log says more"))
            }
        }
    }

    /// Beside the archive and not in it: an operator must get at it with nothing but a shell. Its name below `data_dir`.
    fn keep_errored_state(&self, run: &Run, place: &Place) -> io::Result<String> {
        let name = format!("errored/{}.tfstate", run.id);
        let path = self.config.data_dir.join(&name);
        if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
            super::bench::private_dir(dir)?;
        }
        match std::fs::rename(place.errored_state(), &path) {
            // Moved by an earlier try.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(name),
            moved => moved.map(|()| name),
        }
    }
}

fn errored(name: &str) -> String {
    format!(
        "Terraform could not write the new state to its backend. It is kept on the server as `{name}` in `data_dir`: whoever \
         runs the server brings it there with `terraform state push` before anything else is planned or applied."
    )
}

/// Nothing of it is needed any more.
pub(super) fn forget(place: &Place) {
    if let Err(error) = place.remove() {
        tracing::warn!(%error, "an apply's directory could not be removed; the next start does it");
    }
}

/// The work trees that applies without a server use.
pub(super) fn in_use(flow: &Flow) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for (_, place) in flow.applies.all()? {
        if place.is_attended()?
            && let Some(about) = place.about()?
        {
            found.push(about.work);
        }
    }
    Ok(found)
}
