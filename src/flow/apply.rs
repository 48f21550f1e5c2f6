//! Applies exactly what was reviewed.
//!
//! The saved plan runs if code, state, terraform and variables are what they were when it was made. Otherwise a new
//! plan is made and compared with the reviewed one by fingerprint: equal, it runs; different, or never reviewed, nothing
//! runs, and the difference waits for `approve`.
//!
//! Whichever plan runs comes from the archive, and into a work tree in which no code of the pull request has run yet: what
//! planning left in its own (providers, the lock file, the plan) may be anybody's. The archive's encryption is
//! authenticated and bound to the run, so a plan that decrypts is the plan that was kept; no other hash is compared.

use super::asking::Wanted;
use super::bench::{Attempt, Stop, not_prepared};
use super::find::extent;
use super::survey::LARGEST;
use super::{Flow, FlowError, now};
use crate::archive::RunFile;
use crate::config::Phase;
use crate::domain::decide::{PullRecord, PullState, ask_again, under_the_rules_found};
use crate::domain::freeze::frozen;
use crate::domain::id::{Fingerprint, RunId, Sha, TreeId};
use crate::domain::project::Target;
use crate::domain::pull::{Phase as PullPhase, Pull};
use crate::domain::run::{Applied, ApplyOrder, Differs, Outcome, Planned, Run};
use crate::git::{GitError, Merge, Mirror, Want};
use crate::terraform::integrity;
use crate::terraform::steps::ApplyReport;

/// What can't be found is not looked for again.
const ALL_TRIES: u32 = u32::MAX;

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
    pub(super) async fn apply(&self, attempt: Attempt<'_>) -> Result<Done, Stop> {
        let run = attempt.run;
        let Some(order) = run.apply_order() else {
            return Err(not_prepared("this run is no apply"));
        };
        let pull = self.pull_now(run, order).await?;
        if run.resumed_at.is_some() {
            self.may_still(run, order, &pull).await?;
        }
        let mirror = self.fetch_what_is_applied(run, &pull).await?;
        let code = self.code(run, &pull, &mirror).await?;
        let saved = match self.saved_plan(run, order, &code).await? {
            Ok(saved) => match self.apply_saved(attempt, &mirror, &saved, (code.commit.clone(), true)).await? {
                Ok(report) => {
                    let outcome = outcome(report, &saved.1.fingerprint, true);
                    return Ok(Done { outcome, commit: code.commit });
                }
                Err(because) => because,
            },
            Err(because) => because,
        };
        let outcome = self.apply_new(attempt, order, &mirror, &code, saved).await?;
        Ok(Done { outcome, commit: code.commit })
    }

    /// The pull request as it is now: an apply that had to wait may begin days after it was ordered. What was merged
    /// stays merged.
    async fn pull_now(&self, run: &Run, order: &ApplyOrder) -> Result<Pull, Stop> {
        let known = self.store.pull_state(&run.pull).await?.map(|state| state.record.pull);
        let pull = match known {
            Some(pull) if order.merge_commit.is_some() => pull,
            _ => self.forge(&run.pull.repo)?.pull(&run.pull).await.map_err(FlowError::from)?,
        };
        if pull.phase == PullPhase::Closed {
            return Err(not_prepared("The pull request was closed before this apply began."));
        }
        if pull.head != run.target.head {
            return Err(not_prepared(format!(
                "`{}` was pushed before this apply began: look at its plan, and comment again.",
                pull.head.short()
            )));
        }
        Ok(pull)
    }

    /// It had to wait: whoever ordered it may have lost the right since, an approval may be gone, a rule may be another.
    async fn may_still(&self, run: &Run, order: &ApplyOrder, pull: &Pull) -> Result<(), Stop> {
        let forge = self.forge(&pull.id.repo)?;
        let default = forge.default_branch(&pull.id.repo).await.map_err(FlowError::from)?;
        let finding = self.find(pull, default, None, ALL_TRIES).await?;
        let mut wanted = Wanted::of(Some(&finding.found), None, &finding.rules);
        wanted.add(&run.project);
        let actor = self.orderer(&pull.id.repo, order, &wanted).await?;
        let review = self.review(pull, Some(&finding), &wanted).await?;
        let Some(state) = self.store.pull_state(&run.pull).await? else { return Ok(()) };
        let state = PullState { record: PullRecord { pull: pull.clone(), ..state.record }, ..state };
        ask_again(&state, run, (&actor, &review), &finding.found, &finding.rules).map_err(|missing| {
            not_prepared(format!("When its turn came, it was not allowed any more: {}.", missing.join("; ")))
        })?;
        let project = under_the_rules_found(run, &finding.found);
        match frozen(&project, &state.around.freezes, now()) {
            Some(_) => Err(Stop::Frozen(Box::new(project))),
            None => Ok(()),
        }
    }

    /// A branch that was deleted after the merge is only missed by those who need more than the merge commit.
    async fn fetch_what_is_applied(&self, run: &Run, pull: &Pull) -> Result<Mirror, FlowError> {
        let mut wants = wanted(run, pull);
        match self.fetch(&run.pull.repo, &wants).await {
            Err(FlowError::Git(GitError::NotFound { .. })) if pull.merge_commit().is_some() => {
                wants.retain(|want| !matches!(want, Want::Branch(_)));
                self.fetch(&run.pull.repo, &wants).await
            }
            fetched => fetched,
        }
    }

    async fn code(&self, run: &Run, pull: &Pull, mirror: &Mirror) -> Result<Code, Stop> {
        // The tree that was planned has no name in git: merging makes it again.
        mirror.merge(&run.target.base, &run.target.head).await?;
        match pull.merge_commit() {
            Some(merge_commit) => self.code_after_merge(run, pull, merge_commit, mirror).await,
            None => self.code_before_merge(run, pull, mirror).await,
        }
    }

    /// What was planned, unless the base branch has changed it since: nobody saw that planned.
    async fn code_before_merge(&self, run: &Run, pull: &Pull, mirror: &Mirror) -> Result<Code, Stop> {
        let Target { head, base, tree, inputs } = &run.target;
        let tip = mirror.tip(&pull.base_branch)?;
        let same = |tree| Ok(Code { commit: None, tree, inputs: inputs.clone() });
        if tip == *base {
            return same(tree.clone());
        }
        match mirror.merge(&tip, head).await? {
            Merge::Clean(tree) if self.inputs(run, mirror, &tree).await? == *inputs => same(tree),
            _ => Err(not_prepared(format!(
                "`{}` has changed what this project is made of since it was planned: comment `{} plan`, and apply the new \
                 plan.",
                pull.base_branch, self.config.name
            ))),
        }
    }

    /// The merge commit, unless a newer apply of the project is not contained in it; then the tip of the base branch, so
    /// that a late apply never takes back a newer one.
    async fn code_after_merge(
        &self,
        run: &Run,
        pull: &Pull,
        merge_commit: &Sha,
        mirror: &Mirror,
    ) -> Result<Code, Stop> {
        let applied = self.store.applied_commit(&run.pull.repo, &run.project.key).await?;
        let commit = match applied {
            Some(applied) if !mirror.is_ancestor(&applied, merge_commit).await.unwrap_or(false) => {
                mirror.tip(&pull.base_branch).map_err(|_| {
                    not_prepared(format!(
                        "`{}` is gone, and something newer than this merge was applied to the project since.",
                        pull.base_branch
                    ))
                })?
            }
            _ => merge_commit.clone(),
        };
        let tree = mirror.tree(&commit).await?;
        let inputs = self.inputs(run, mirror, &tree).await?;
        Ok(Code { commit: Some(commit), tree, inputs })
    }

    async fn inputs(&self, run: &Run, mirror: &Mirror, tree: &TreeId) -> Result<String, FlowError> {
        Ok(self.survey(&mut mirror.reader(LARGEST), tree, None).await?.inputs(&extent(&run.project)))
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
        let Some(planned) = self.store.run(plan).await?.as_ref().and_then(Run::made_plan).cloned() else {
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
        } else if identity.state_address != self.managed_state(run).await?.map(|state| self.state_address(run, state)) {
            Some("The state is reached at another address since it was planned.")
        } else {
            None
        };
        Ok(because.map_or(Ok((plan, planned)), |because| Err(because.to_owned())))
    }

    /// Runs the saved plan in the planned tree; or says why it can't be used any more.
    async fn apply_saved(
        &self,
        attempt: Attempt<'_>,
        mirror: &Mirror,
        (plan, planned): &(RunId, Planned),
        what: (Option<Sha>, bool),
    ) -> Result<Result<ApplyReport, String>, Stop> {
        let file = match self.load(*plan, RunFile::Plan).await {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Err("The saved plan is no longer kept.".to_owned())),
            Err(error) => {
                tracing::warn!(run = %attempt.run.id, error = %error.chain(), "a saved plan can't be read");
                return Ok(Err("The saved plan can't be read any more.".to_owned()));
            }
        };
        let mut bench = self.bench(attempt, mirror, &planned.tree).await?;
        if bench.tool.identity() != planned.identity.terraform {
            return Ok(Err(format!("It was planned with {}.", planned.identity.terraform)));
        }
        let lock = self.load(*plan, RunFile::LockFile).await?;
        if let Some(lock) = &lock {
            bench.restore_lock(lock)?;
        }
        let snapshot = bench.init(Phase::Apply, lock.is_some()).await?;
        let verified = {
            let file = file.clone();
            tokio::task::spawn_blocking(move || integrity::verify(&file, &snapshot).is_ok()).await.unwrap_or(false)
        };
        // The tree is the planned one, so it is a module from elsewhere: its files are read again by an apply.
        if !verified {
            return Ok(Err("A module that is fetched from elsewhere has changed since it was planned.".to_owned()));
        }
        bench.restore_plan(&file)?;
        self.apply_supervised(attempt, &mut bench, (*plan, planned), what).await
    }

    /// Plans anew and compares.
    async fn apply_new(
        &self,
        attempt: Attempt<'_>,
        order: &ApplyOrder,
        mirror: &Mirror,
        code: &Code,
        because: String,
    ) -> Result<Outcome, Stop> {
        let mut bench = self.bench(attempt, mirror, &code.tree).await?;
        bench.say(&format!("A new plan is made. {because}"));
        let snapshot = bench.init(Phase::Plan, false).await?;
        let planned = self.make_plan(&mut bench, snapshot, &code.tree, &code.inputs).await?;
        if order.reviewed.as_ref() != Some(&planned.fingerprint) {
            // What changes nothing needs nobody's eyes.
            if planned.summary.is_empty() {
                let fingerprint = planned.fingerprint;
                let (done, used_saved_plan) = (vec![], false);
                return Ok(Outcome::Applied(Applied { done, fingerprint, used_saved_plan, nothing_left: true }));
            }
            return Ok(Outcome::Differs(Differs { because, planned }));
        }
        bench.say("The new plan is equal to the reviewed one.");
        drop(bench);
        let made = (attempt.run.id, planned);
        match self.apply_saved(attempt, mirror, &made, (code.commit.clone(), false)).await? {
            Ok(report) => Ok(outcome(report, &made.1.fingerprint, false)),
            Err(because) => Err(not_prepared(format!("The new plan could not be applied either. {because}"))),
        }
    }
}

fn wanted(run: &Run, pull: &Pull) -> Vec<Want> {
    let commits = [&run.target.head, &run.target.base].into_iter().chain(pull.merge_commit());
    commits.cloned().map(Want::Commit).chain([Want::Branch(pull.base_branch.clone())]).collect()
}

pub(super) fn outcome(mut report: ApplyReport, fingerprint: &Fingerprint, used_saved_plan: bool) -> Outcome {
    let done = std::mem::take(&mut report.done);
    match (ApplyReport { done: done.clone(), ..report }).into_failure() {
        None => {
            Outcome::Applied(Applied { done, fingerprint: fingerprint.clone(), used_saved_plan, nothing_left: false })
        }
        Some(failure) => Outcome::Failed(failure),
    }
}
