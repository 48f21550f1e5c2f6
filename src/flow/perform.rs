//! Performs what was decided: every effect of one decision in one transaction, so that a crash leaves all or nothing.

use super::run::cancelled;
use super::{Flow, FlowError, now};
use crate::domain::decide::{Effect, Input, PullRecord, PullState, Rules, Say, decide};
use crate::domain::id::{Login, ProjectKey, PullId, RunId, Timestamp};
use crate::domain::lock::Lock;
use crate::domain::project::{Project, Target};
use crate::domain::pull::Pull;
use crate::domain::run::{ApplyOrder, Outcome, Run, RunState, Work};
use crate::render::SayInput;
use crate::store::{Job, Tx};
use serde_json::json;
use uuid::Uuid;

/// What to do once the transaction is committed.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    stopped: Vec<RunId>,
}

/// Where a `Say` came from: makes its comment's key, so that what is said twice is posted once.
#[derive(Debug, Clone)]
pub(super) struct Occasion(pub(super) String);

impl Flow {
    /// Notes the pull request as the forge tells it now, and loads all that is known of it.
    pub(super) async fn known(&self, tx: &mut Tx, pull: Pull) -> Result<PullState, FlowError> {
        let state = match tx.pull_state(&pull.id).await? {
            // Nothing that is loaded with it depends on what the forge says.
            Some(state) => PullState { record: PullRecord { pull, ..state.record }, ..state },
            None => PullState {
                record: PullRecord { pull, affected: None, problem: None },
                projects: Vec::new(),
                unfinished: Vec::new(),
            },
        };
        tx.save_pull(&state.record, now()).await?;
        Ok(state)
    }

    /// Asks the core and performs its answer within `tx`.
    pub(super) async fn follow(
        &self,
        tx: &mut Tx,
        state: &PullState,
        input: &Input,
        rules: &Rules,
        occasion: &Occasion,
    ) -> Result<Aftermath, FlowError> {
        let effects = decide(state, input, rules);
        let mut aftermath = Aftermath::default();
        let mut performing = Performing { flow: self, tx, state, batch: None, at: now(), occasion };
        for effect in effects {
            performing.perform(effect, &mut aftermath).await?;
        }
        // Whatever happened, the forge is told what is now.
        tx.enqueue(&Job::Tell { pull: state.pull().id.clone() }, now()).await?;
        Ok(aftermath)
    }

    /// After the commit: stops what became pointless and rings the worker.
    pub(super) fn settle(&self, aftermath: &Aftermath) {
        for run in &aftermath.stopped {
            self.running.stop(*run);
        }
        self.wake.notify_waiters();
    }
}

struct Performing<'a> {
    flow: &'a Flow,
    tx: &'a mut Tx,
    state: &'a PullState,
    /// The first apply of this decision names the batch of all.
    batch: Option<RunId>,
    at: Timestamp,
    occasion: &'a Occasion,
}

impl Performing<'_> {
    async fn perform(&mut self, effect: Effect, aftermath: &mut Aftermath) -> Result<(), FlowError> {
        match effect {
            Effect::Remember { affected, problem } => {
                let record = PullRecord { pull: self.state.pull().clone(), affected, problem };
                self.tx.save_pull(&record, self.at).await?;
            }
            Effect::StartPlan { project, target } => {
                self.begin(project, target, Work::Plan, RunState::Queued).await?;
            }
            Effect::StartApply { project, target, order, proof: _ } => {
                self.order(project, target, order, RunState::Queued).await?;
            }
            Effect::WaitForLock { project, target, order, proof: _ } => {
                self.order(project, target, order, RunState::Waiting).await?;
            }
            Effect::Supersede { run } => {
                self.supersede(run).await?;
                aftermath.stopped.push(run);
            }
            Effect::Cancel { run, by } => {
                self.cancel(run, by).await?;
                aftermath.stopped.push(run);
            }
            Effect::TakeLock { project } => {
                let lock = Lock { project, held_by: self.pull().clone(), since: self.at, applied: false };
                if !self.tx.take_lock(&self.pull().repo.clone(), &lock).await? {
                    return Err(FlowError::Broken(format!("{} is held by another pull request", lock.project)));
                }
            }
            Effect::FreeLock { project } => self.free(&project).await?,
            Effect::NoteApplied { project, commit } => {
                self.tx.set_applied_commit(&self.pull().repo.clone(), &project, &commit).await?;
            }
            Effect::Say(say) => self.say(&say).await?,
        }
        Ok(())
    }

    fn pull(&self) -> &PullId {
        &self.state.pull().id
    }

    async fn begin(
        &mut self,
        project: Project,
        target: Target,
        work: Work,
        state: RunState,
    ) -> Result<RunId, FlowError> {
        let id = RunId(Uuid::now_v7());
        let batch = (!matches!(work, Work::Plan)).then(|| *self.batch.get_or_insert(id));
        let run = Run {
            id,
            pull: self.pull().clone(),
            project,
            target,
            work,
            batch,
            state,
            created_at: self.at,
            started_at: None,
            finished_at: None,
            level: None,
            network: None,
            blocked: Vec::new(),
            cancelled_by: None,
            left: None,
            outcome: None,
        };
        self.tx.insert_run(&run).await?;
        if state == RunState::Queued {
            self.tx.enqueue(&job(&run), self.at).await?;
        }
        Ok(id)
    }

    /// Every apply leaves a record: what was shown, who ordered it, who approved it.
    async fn order(
        &mut self,
        project: Project,
        target: Target,
        order: ApplyOrder,
        state: RunState,
    ) -> Result<(), FlowError> {
        let data = json!({
            "reviewed": order.reviewed,
            "plan": order.plan,
            "approved_by": order.approved_by,
            "merge_commit": order.merge_commit,
            "head": target.head,
            "state": state.as_str(),
        });
        let (by, key) = (order.ordered_by.to_string(), project.key.clone());
        let pull = self.pull().clone();
        self.tx.audit(self.at, &by, "apply", &pull, Some(&key), &data).await?;
        self.begin(project, target, Work::Apply(order), state).await?;
        Ok(())
    }

    async fn resume(&mut self, run: RunId) -> Result<(), FlowError> {
        if let Some(mut run) = self.tx.run(run).await?
            && run.state == RunState::Waiting
        {
            run.state = RunState::Queued;
            self.tx.update_run(&run).await?;
            self.tx.enqueue(&job(&run), self.at).await?;
        }
        Ok(())
    }

    async fn supersede(&mut self, run: RunId) -> Result<(), FlowError> {
        if let Some(mut run) = self.tx.run(run).await?
            && !run.state.is_over()
        {
            // A running one keeps its job until terraform has stopped; its result is thrown away then.
            if run.state != RunState::Running {
                self.tx.drop_job(&job(&run)).await?;
            }
            run.state = RunState::Superseded;
            run.finished_at = Some(self.at);
            self.tx.update_run(&run).await?;
        }
        Ok(())
    }

    /// One that runs ends when terraform has stopped; any other ends now.
    async fn cancel(&mut self, run: RunId, by: Login) -> Result<(), FlowError> {
        if let Some(mut run) = self.tx.run(run).await?
            && !run.state.is_over()
        {
            let data = json!({ "run": run.id, "state": run.state.as_str() });
            self.tx.audit(self.at, by.as_str(), "cancel", &run.pull, Some(&run.project.key), &data).await?;
            run.cancelled_by = Some(by.clone());
            if run.state != RunState::Running {
                self.tx.drop_job(&job(&run)).await?;
                run.state = RunState::Failed;
                run.finished_at = Some(self.at);
                run.outcome = Some(Outcome::Failed(cancelled(&by)));
            }
            self.tx.update_run(&run).await?;
        }
        Ok(())
    }

    /// Frees a project and hands it to whoever waited longest.
    async fn free(&mut self, project: &ProjectKey) -> Result<(), FlowError> {
        let pull = self.pull().clone();
        if !self.tx.free_lock(&pull.repo, project, &pull).await? {
            return Ok(());
        }
        self.tx.audit(self.at, "terraplane", "free", &pull, Some(project), &json!({})).await?;
        // What their comments offer depends on whether the project is free.
        for other in self.tx.other_pulls_waiting_to_apply(&pull.repo, project, &pull).await? {
            self.tx.enqueue(&Job::Tell { pull: other }, self.at).await?;
        }
        if let Some(next) = self.tx.next_waiting(&pull.repo, project).await? {
            let lock = Lock { project: project.clone(), held_by: next.pull.clone(), since: self.at, applied: false };
            if self.tx.take_lock(&pull.repo, &lock).await? {
                self.resume(next.id).await?;
                self.tx.enqueue(&Job::Tell { pull: next.pull }, self.at).await?;
            }
        }
        Ok(())
    }

    async fn say(&mut self, say: &Say) -> Result<(), FlowError> {
        let pull = self.pull().clone();
        let (key, body) = match say {
            Say::ApplyResult { batch } => {
                (format!("run {batch}"), self.flow.result_text(self.tx, self.state.pull(), *batch).await?)
            }
            Say::ForkRefused => ("fork".to_owned(), self.reply(say, "fork")?),
            _ => (self.occasion.0.clone(), self.reply(say, &self.occasion.0)?),
        };
        self.tx.add_comment(&pull, &key, &body, self.at).await?;
        Ok(())
    }

    fn reply(&self, say: &Say, key: &str) -> Result<String, FlowError> {
        let input = SayInput { pull: self.state.pull(), key, server: &self.flow.server };
        self.flow.renderer.say(say, &input).ok_or_else(|| FlowError::Broken(format!("no reply says {say:?}")))
    }
}

pub(super) fn job(run: &Run) -> Job {
    Job::Run { run: run.id, pull: run.pull.clone(), project: run.project.key.clone() }
}
