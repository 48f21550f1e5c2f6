//! Applies exactly what was reviewed.
//!
//! The saved plan runs if code, state, terraform and variables are what they were when it was made. Otherwise a new
//! plan is made and compared with the reviewed one by fingerprint: equal, it runs; different, or never reviewed, nothing
//! runs, and the difference waits for `approve`.

use super::bench::{Bench, Stop, not_prepared};
use super::find::extent;
use super::plan::{LOCK_FILE, same_state};
use super::{Flow, FlowError};
use crate::archive::RunFile;
use crate::config::Phase;
use crate::domain::id::{Fingerprint, RunId, Sha, TreeId};
use crate::domain::run::{Applied, ApplyOrder, Differs, Outcome, Planned, Run};
use crate::git::{Mirror, Want};
use crate::terraform::steps::ApplyReport;
use crate::terraform::untrusted;
use tokio_util::sync::CancellationToken;

/// What an apply comes to, and the commit of the base branch that it was made at.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    pub(super) commit: Option<Sha>,
}

/// The code that is applied.
struct Code {
    commit: Option<Sha>,
    tree: TreeId,
    inputs: String,
}

impl Flow {
    pub(super) async fn apply(&self, run: &Run, cancel: &CancellationToken) -> Result<Done, Stop> {
        let Some(order) = run.apply_order() else {
            return Err(not_prepared("this run is no apply"));
        };
        let mirror = self.fetch(&run.pull.repo, &self.wanted(run, order).await?).await?;
        let code = self.code(run, order, &mirror).await?;
        let saved = match self.saved_plan(run, order, &code).await? {
            Ok(saved) => match self.apply_saved(run, &mirror, &saved, cancel).await? {
                Ok(outcome) => return Ok(Done { outcome, commit: code.commit }),
                Err(because) => because,
            },
            Err(because) => because,
        };
        let outcome = self.apply_new(run, order, &mirror, &code, saved, cancel).await?;
        Ok(Done { outcome, commit: code.commit })
    }

    async fn wanted(&self, run: &Run, order: &ApplyOrder) -> Result<Vec<Want>, FlowError> {
        let mut wants = vec![Want::Commit(run.target.head.clone()), Want::Commit(run.target.base.clone())];
        if let Some(commit) = &order.merge_commit {
            wants.push(Want::Commit(commit.clone()));
            if let Some(state) = self.store.pull_state(&run.pull).await? {
                wants.push(Want::Branch(state.pull().base_branch.clone()));
            }
        }
        Ok(wants)
    }

    /// After the merge: the merge commit, unless a newer apply of the project is not contained in it; then the tip of
    /// the base branch, so that a late apply never takes back a newer one. Before the merge: what was planned.
    async fn code(&self, run: &Run, order: &ApplyOrder, mirror: &Mirror) -> Result<Code, Stop> {
        mirror.merge(&run.target.base, &run.target.head).await?;
        let Some(merge_commit) = &order.merge_commit else {
            return Ok(Code { commit: None, tree: run.target.tree.clone(), inputs: run.target.inputs.clone() });
        };
        let mut tx = self.store.write(&run.pull.repo).await?;
        let applied = tx.applied_commit(&run.pull.repo, &run.project.key).await?;
        tx.commit().await?;
        let commit = match applied {
            Some(applied) if !mirror.is_ancestor(&applied, merge_commit).await.unwrap_or(false) => {
                let state = self.store.pull_state(&run.pull).await?;
                let branch = state.map(|state| state.pull().base_branch.clone());
                match branch {
                    Some(branch) => mirror.tip(&branch)?,
                    None => merge_commit.clone(),
                }
            }
            _ => merge_commit.clone(),
        };
        let tree = mirror.tree(&commit).await?;
        let inputs = self.survey(mirror, &tree).await?.inputs(&extent(&run.project));
        Ok(Code { commit: Some(commit), tree, inputs })
    }

    /// The reviewed plan if it may still run as far as that can be known before terraform is asked; otherwise why not.
    async fn saved_plan(
        &self,
        run: &Run,
        order: &ApplyOrder,
        code: &Code,
    ) -> Result<Result<(RunId, Planned), String>, FlowError> {
        let (Some(plan), Some(reviewed)) = (order.plan, &order.reviewed) else {
            return Ok(Err("It was merged before its plan was shown.".to_owned()));
        };
        let Some(planned) = self.store.run(plan).await?.as_ref().and_then(planned_by).cloned() else {
            return Ok(Err("The reviewed plan is gone.".to_owned()));
        };
        let identity = &planned.identity;
        let because = if order.plan_anew {
            Some("An earlier apply of it was interrupted.")
        } else if planned.fingerprint != *reviewed {
            Some("The reviewed plan is another one.")
        } else if planned.inputs != code.inputs {
            Some("The code has changed since it was planned.")
        } else if identity.workflow != self.workflow(run) {
            Some("The variables have changed since it was planned.")
        } else if identity.state_address != self.state_address(run).await? {
            Some("The state is reached at another address since it was planned.")
        } else {
            None
        };
        Ok(because.map_or(Ok((plan, planned)), |because| Err(because.to_owned())))
    }

    /// Runs the saved plan in the planned tree; or says why it can't be used any more.
    async fn apply_saved(
        &self,
        run: &Run,
        mirror: &Mirror,
        (plan, planned): &(RunId, Planned),
        cancel: &CancellationToken,
    ) -> Result<Result<Outcome, String>, Stop> {
        let file = match self.load(*plan, RunFile::Plan).await {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Err("The saved plan is no longer kept.".to_owned())),
            Err(error) => {
                tracing::warn!(run = %run.id, error = %error.chain(), "a saved plan can't be read");
                return Ok(Err("The saved plan can't be read any more.".to_owned()));
            }
        };
        let bench = self.bench(run, mirror, &planned.tree, cancel).await?;
        if bench.tool.identity() != planned.identity.terraform {
            return Ok(Err(format!("It was planned with {}.", planned.identity.terraform)));
        }
        let lock = self.load(*plan, RunFile::LockFile).await?;
        restore(&bench, &file, lock.as_deref())?;
        let steps = bench.steps(Phase::Apply).await?;
        steps.init(lock.is_some()).await?;
        if !same_state(&planned.identity.state, &steps.state_pull().await?) {
            return Ok(Err("The state has changed since it was planned.".to_owned()));
        }
        let report = steps.apply(&bench.plan_path()).await?;
        // Somebody may have come between the look and the apply; terraform then refuses before it starts anything.
        if !report.succeeded()
            && !report.started_something()
            && !same_state(&planned.identity.state, &steps.state_pull().await?)
        {
            return Ok(Err("The state has changed since it was planned.".to_owned()));
        }
        Ok(Ok(outcome(report, &planned.fingerprint, true)))
    }

    /// Plans anew and compares.
    async fn apply_new(
        &self,
        run: &Run,
        order: &ApplyOrder,
        mirror: &Mirror,
        code: &Code,
        because: String,
        cancel: &CancellationToken,
    ) -> Result<Outcome, Stop> {
        let bench = self.bench(run, mirror, &code.tree, cancel).await?;
        bench.say(&format!("A new plan is made. {because}"));
        bench.steps(Phase::Plan).await?.init(false).await?;
        let planned = self.make_plan(&bench, &code.tree, &code.inputs).await?;
        if order.reviewed.as_ref() != Some(&planned.fingerprint) {
            // What changes nothing needs nobody's eyes.
            if planned.summary.is_empty() {
                let fingerprint = planned.fingerprint;
                return Ok(Outcome::Applied(Applied { done: vec![], fingerprint, used_saved_plan: false }));
            }
            return Ok(Outcome::Differs(Differs { because, planned }));
        }
        bench.say("The new plan is equal to the reviewed one.");
        let report = bench.steps(Phase::Apply).await?.apply(&bench.plan_path()).await?;
        Ok(outcome(report, &planned.fingerprint, false))
    }
}

/// The plan that a run made: a plan run's, or the one that an apply stopped at.
fn planned_by(run: &Run) -> Option<&Planned> {
    match &run.outcome {
        Some(Outcome::Planned(planned)) => Some(planned),
        Some(Outcome::Differs(differs)) => Some(&differs.planned),
        _ => None,
    }
}

fn restore(bench: &Bench<'_>, plan: &[u8], lock: Option<&[u8]>) -> Result<(), Stop> {
    let write = |path: std::path::PathBuf, bytes: &[u8]| {
        untrusted::replace(&path, bytes).map_err(|error| Stop::from(FlowError::disk(&path, error)))
    };
    write(bench.plan_path(), plan)?;
    lock.map_or(Ok(()), |lock| write(bench.dir().join(LOCK_FILE), lock))
}

fn outcome(mut report: ApplyReport, fingerprint: &Fingerprint, used_saved_plan: bool) -> Outcome {
    let done = std::mem::take(&mut report.done);
    match (ApplyReport { done: done.clone(), ..report }).into_failure() {
        None => Outcome::Applied(Applied { done, fingerprint: fingerprint.clone(), used_saved_plan }),
        Some(failure) => Outcome::Failed(failure),
    }
}
