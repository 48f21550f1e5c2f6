//! Performs what was decided: every effect of one decision in one transaction, so that a crash leaves all or nothing.

use super::run::cancelled;
use super::tell::tell_neighbours;
use super::turn::look_again;
use super::{Flow, FlowError, now};
use crate::domain::decide::{
    Effect, Hold, Holding, Input, PullRecord, PullState, Rules, Say, awaits_the_forge, decide,
};
use crate::domain::id::{Login, ProjectKey, PullId, RunId, Timestamp};
use crate::domain::lock::Lock;
use crate::domain::project::{Project, Target};
use crate::domain::pull::Pull;
use crate::domain::run::{Outcome, Run, RunState, Work};
use crate::store::{Job, MergeWish, Tx};
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
            // Somebody else has heard of the merge since this one asked.
            Some(state) if state.pull().merge_commit().is_some() => return Ok(state),
            // What was loaded with it is as it was before this: who has to be told that it is over, for one.
            Some(state) => PullState { record: PullRecord { pull, ..state.record }, ..state },
            None => {
                let record = PullRecord { pull, affected: None, problem: None };
                tx.save_pull(&record, now()).await?;
                // With what others in the repository do, though nothing was known of this one.
                let state = tx.pull_state(&record.pull.id).await?;
                return state.ok_or_else(|| FlowError::Broken("a pull request was saved and is not there".to_owned()));
            }
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
        let at = now();
        let effects = decide(state, input, rules, at);
        let mut aftermath = Aftermath::default();
        let mut performing = Performing { flow: self, tx, state, batch: None, at, occasion, left: Vec::new() };
        for effect in effects {
            performing.perform(effect, &mut aftermath).await?;
        }
        for project in std::mem::take(&mut performing.left) {
            self.take_turn(performing.tx, &state.pull().id.repo, &project, at).await?;
        }
        if matches!(input, Input::Closed | Input::Merged { .. }) {
            tell_neighbours(tx, state).await?;
        }
        if looked_for_plans(input)
            && let Some(now) = tx.pull_state(&state.pull().id).await?
            && let Some(project) = awaits_the_forge(&now)
        {
            // Nothing was applied at that time: it is looked at, and planned if it may be.
            let job = Job::Replan { pull: state.pull().id.clone(), project: project.clone(), at: Timestamp(0) };
            tx.enqueue(&job, next_look(state.pull(), at)).await?;
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

/// It may have begun plans, or have let them wait.
const fn looked_for_plans(input: &Input) -> bool {
    matches!(input, Input::Changed { .. } | Input::Overtaken { .. } | Input::Commanded { found: Some(_), .. })
}

/// When to ask the forge again for what it tells nobody. What is new is waited for by people; what has waited for a day
/// can wait some minutes more.
fn next_look(pull: &Pull, at: Timestamp) -> Timestamp {
    const SOONEST_MS: i64 = 5_000;
    const LATEST_MS: i64 = 10 * 60 * 1000;
    let age = at.since(pull.updated_at);
    at.plus_ms((age / 20).clamp(SOONEST_MS, LATEST_MS))
}

/// What a run is made of.
struct Begin {
    project: Project,
    target: Target,
    extra: Vec<String>,
    work: Work,
}

struct Performing<'a> {
    flow: &'a Flow,
    tx: &'a mut Tx,
    state: &'a PullState,
    /// The first apply of this decision names the batch of all.
    batch: Option<RunId>,
    at: Timestamp,
    occasion: &'a Occasion,
    /// What somebody no longer waits for: whoever stood behind them may be next.
    left: Vec<ProjectKey>,
}

impl Performing<'_> {
    async fn perform(&mut self, effect: Effect, aftermath: &mut Aftermath) -> Result<(), FlowError> {
        match effect {
            Effect::Remember { affected, problem } => {
                let record = PullRecord { pull: self.state.pull().clone(), affected, problem };
                self.tx.save_pull(&record, self.at).await?;
            }
            Effect::StartPlan { project, target, extra } => {
                self.begin(Begin { project, target, extra, work: Work::Plan }, RunState::Queued).await?;
            }
            Effect::NoteQueued(commit) => {
                self.tx.save_queued(&self.state.pull().id, &commit).await?;
            }
            Effect::StartTrial { project, target } => {
                self.begin(Begin { project, target, extra: Vec::new(), work: Work::Trial }, RunState::Queued).await?;
            }
            Effect::StartApply { project, target, order, extra, proof: _ } => {
                let begin = Begin { project, target, extra, work: Work::Apply(order) };
                self.order(begin, RunState::Queued).await?;
            }
            Effect::Wait { project, target, order, extra, hold, proof: _ } => {
                let begin = Begin { project, target, extra, work: Work::Apply(order) };
                let run = self.order(begin, RunState::Waiting).await?;
                if let Hold::Frozen(frozen) = hold {
                    look_again(self.tx, &run, frozen.until).await?;
                }
            }
            Effect::TakeTurn { project } => {
                self.flow.take_turn(self.tx, &self.state.pull().id.repo, &project, self.at).await?;
            }
            Effect::Supersede { run } => {
                self.supersede(run).await?;
                aftermath.stopped.push(run);
            }
            Effect::Cancel { run, by } => {
                self.cancel(run, by).await?;
                aftermath.stopped.push(run);
            }
            Effect::TakeLock { project, by } => self.lock(project, by).await?,
            Effect::FreeLock { project, holder, by } => self.free(&project, &holder, by).await?,
            Effect::NoteApplied { project, commit } => {
                self.tx.set_applied_commit(&self.pull().repo.clone(), &project, &commit).await?;
            }
            Effect::ReplanOthers { project } => {
                let pull = self.pull().clone();
                for other in self.tx.others_that_plan(&pull, &project).await? {
                    let job = Job::Replan { pull: other, project: project.clone(), at: self.at };
                    self.tx.enqueue(&job, self.at).await?;
                }
            }
            Effect::Freeze(freeze) => {
                let (pull, by) = (self.pull().clone(), freeze.by.to_string());
                self.tx.add_freeze(&pull.repo, &freeze).await?;
                self.tx.audit(self.at, &by, "freeze", &pull, None, &json!(freeze)).await?;
                self.tell_all().await?;
            }
            Effect::Thaw { selector, by } => {
                let pull = self.pull().clone();
                self.tx.thaw(&pull.repo, selector.as_ref(), self.at).await?;
                self.tx.audit(self.at, by.as_str(), "thaw", &pull, None, &json!({ "selector": selector })).await?;
                self.flow.take_all_turns(self.tx, &pull.repo, self.at).await?;
                self.tell_all().await?;
            }
            Effect::Merge { how } => {
                let (pull, head) = (self.pull().clone(), self.state.pull().head.clone());
                self.tx.want_merge(&pull, &MergeWish { head, how }, self.at).await?;
            }
            Effect::React { comment, with } => {
                let pull = self.pull().clone();
                self.tx.want_reaction(&pull, comment, with, self.at).await?;
            }
            Effect::Say(say) => self.say(&say).await?,
        }
        Ok(())
    }

    fn pull(&self) -> &PullId {
        &self.state.pull().id
    }

    /// What is frozen stands in every live comment of the repository.
    async fn tell_all(&mut self) -> Result<(), FlowError> {
        let repo = self.pull().repo.clone();
        for pull in self.tx.pulls_under_way(&repo).await? {
            self.tx.enqueue(&Job::Tell { pull }, self.at).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, begin: Begin, state: RunState) -> Result<Run, FlowError> {
        let Begin { project, target, extra, work } = begin;
        let id = RunId(Uuid::now_v7());
        let batch = matches!(work, Work::Apply(_)).then(|| *self.batch.get_or_insert(id));
        let run = Run {
            id,
            pull: self.pull().clone(),
            project,
            target,
            work,
            extra,
            resumed_at: None,
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
        Ok(run)
    }

    /// Every apply leaves a record: what was shown, who ordered it, who approved it and when.
    async fn order(&mut self, begin: Begin, state: RunState) -> Result<Run, FlowError> {
        let (key, head) = (begin.project.key.clone(), begin.target.head.clone());
        let run = self.begin(begin, state).await?;
        let Some(order) = run.apply_order() else { return Ok(run) };
        let known = self.state.projects.iter().find(|known| known.project.key == key);
        let shown = order.plan.and_then(|plan| known?.shown_run(plan)).map(|shown| shown.at);
        let approved: Vec<_> =
            order.approved_by.iter().zip(&order.approved_at).map(|(by, at)| json!({ "by": by, "at": at })).collect();
        let data = json!({
            "run": run.id,
            "verb": order.verb,
            "reviewed": order.reviewed,
            "shown_at": shown,
            "plan": order.plan,
            "extra": run.extra,
            "approved": approved,
            "merge_commit": order.merge_commit,
            "head": head,
            "state": state.as_str(),
        });
        let (by, pull) = (order.ordered_by.to_string(), self.pull().clone());
        self.tx.audit(self.at, &by, "apply", &pull, Some(&key), &data).await?;
        Ok(run)
    }

    async fn supersede(&mut self, run: RunId) -> Result<(), FlowError> {
        if let Some(mut run) = self.tx.run(run).await?
            && !run.state.is_over()
        {
            if run.state == RunState::Waiting {
                self.left.push(run.project.key.clone());
            }
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
            if run.state == RunState::Waiting {
                self.left.push(run.project.key.clone());
            }
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

    async fn lock(&mut self, project: ProjectKey, by: Option<Holding>) -> Result<(), FlowError> {
        let (taken_by, reason) = by.map(|holding| (holding.by, holding.reason)).unzip();
        let reason = reason.flatten();
        let lock = Lock {
            project,
            held_by: self.pull().clone(),
            since: self.at,
            applied: false,
            taken_by: taken_by.clone(),
            reason: reason.clone(),
        };
        let pull = self.pull().clone();
        if !self.tx.take_lock(&pull.repo, &lock).await? {
            return Err(FlowError::Broken(format!("{} is held by another pull request", lock.project)));
        }
        if let Some(by) = taken_by {
            let data = json!({ "reason": reason });
            self.tx.audit(self.at, by.as_str(), "lock", &pull, Some(&lock.project), &data).await?;
        }
        Ok(())
    }

    /// Frees a project and hands it to whoever comes next.
    async fn free(&mut self, project: &ProjectKey, holder: &PullId, by: Option<Holding>) -> Result<(), FlowError> {
        if !self.tx.free_lock(&holder.repo, project, holder).await? {
            return Ok(());
        }
        let (actor, data) = match by {
            Some(Holding { by, reason }) => (by.to_string(), json!({ "reason": reason, "from": self.pull() })),
            None => ("terraplane".to_owned(), json!({})),
        };
        self.tx.audit(self.at, &actor, "free", holder, Some(project), &data).await?;
        if holder != self.pull() {
            self.tx.enqueue(&Job::Tell { pull: holder.clone() }, self.at).await?;
        }
        // What their comments offer depends on whether the project is free.
        for other in self.tx.other_pulls_waiting_to_apply(&holder.repo, project, holder).await? {
            self.tx.enqueue(&Job::Tell { pull: other }, self.at).await?;
        }
        self.flow.take_turn(self.tx, &holder.repo, project, self.at).await
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
        self.flow.reply_text(self.state.pull(), key, say)
    }
}

pub(super) fn job(run: &Run) -> Job {
    Job::Run { run: run.id, pull: run.pull.clone(), project: run.project.key.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::fixture;

    #[test]
    fn the_longer_nothing_happened_the_rarer_the_forge_is_asked() {
        let pull = Pull { updated_at: Timestamp(0), ..fixture::pull('a') };
        let minutes = |minutes: i64| Timestamp(minutes * 60_000);
        for (now, wait_seconds) in [(0, 5), (1, 5), (20, 60), (60, 180), (10_000, 600)] {
            let due = next_look(&pull, minutes(now));
            assert_eq!(due.since(minutes(now)), wait_seconds * 1000, "after {now} minutes");
        }
    }
}
