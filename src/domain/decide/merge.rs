//! A pull request was merged: what is applied by that, and what has to wait for a person.

use super::{Affected, Effect, Found, Missing, Present, Problem, ProjectState, PullState, Rules, Say, change, present};
use crate::domain::command::Verb;
use crate::domain::id::{Fingerprint, Login, RunId};
use crate::domain::permission::MayApply;
use crate::domain::project::{Project, StateKind, Target};
use crate::domain::pull::{Actor, Phase, Review};
use crate::domain::requirement::{Asked, allow_apply, approvers};
use crate::domain::run::{ApplyOrder, Run, RunState};

pub(super) fn merged(state: &PullState, review: &Review, by: &Actor, found: &Found, rules: &Rules) -> Vec<Effect> {
    if state.pull().merge_commit().is_none() {
        return Vec::new();
    }
    // Plans that are still running would be shown for a pull request that is over: the applies plan for themselves.
    let mut effects = change::supersede_plans(state, |_| true);
    let affected = match affected_by_merge(state, Some(found)) {
        Ok(affected) => affected,
        Err(problem) => {
            effects.push(Effect::Remember { affected: None, problem: problem.cloned() });
            return effects;
        }
    };
    effects.extend(remember(state, &affected));
    let asked = Asked { pull: state.pull(), review, verb: Verb::Apply, actor: by, rules };
    let mut missing = Vec::new();
    for project in present(state, &affected) {
        if let Some(known) = project.known.filter(|known| begun_by_merge(known) || known.is_settled()) {
            // Only once, as it lets go: heard again later, an old merge must not count as the last that was applied.
            if known.is_settled() && state.holds_lock(known) {
                effects.extend(landed(state, known));
                effects.push(Effect::FreeLock { project: project.project.key.clone() });
            }
            continue;
        }
        // The live comment says why such a project is not applied; a refusal would say it a second time.
        if !project.project.apply.on_merge() || project.project.state == StateKind::Nowhere {
            continue;
        }
        match allow_apply(project.project, asked) {
            Ok(proof) => effects.extend(start(state, &project, &by.login, review, proof)),
            Err(reasons) => missing.extend(per_project(project.project, reasons)),
        }
    }
    if !missing.is_empty() {
        effects.push(Effect::Say(Say::MergedNotApplied { by: by.login.clone(), missing }));
    }
    effects
}

/// What was applied before the merge came into the base branch with it.
pub(super) fn landed(state: &PullState, known: &ProjectState) -> Option<Effect> {
    let commit = state.pull().merge_commit()?.clone();
    let before_the_merge = |apply: &Run| apply.apply_order().is_some_and(|order| order.merge_commit.is_none());
    let landed = known.is_applied() && known.apply.as_ref().is_some_and(before_the_merge);
    landed.then(|| Effect::NoteApplied { project: known.project.key.clone(), commit })
}

/// What was merged: what people saw planned, if that was of this head, under the rules that were found. The error is why
/// nothing is known of it.
pub(super) fn affected_by_merge<'a>(
    state: &PullState,
    found: Option<&'a Found>,
) -> Result<Affected, Option<&'a Problem>> {
    let seen = state.record.affected.as_ref().filter(|affected| affected.head == state.pull().head);
    match (seen, found) {
        (Some(seen), Some(Found::Affected(found))) => Ok(seen.clone().under_the_rules_of(found)),
        // The rules say themselves that they are not known then.
        (Some(seen), _) => Ok(seen.clone()),
        (None, Some(Found::Affected(found))) => Ok(found.clone()),
        (None, Some(Found::Problem(problem))) => Err(Some(problem)),
        (None, None) => Err(None),
    }
}

/// Keeps what was merged, if that is news.
pub(super) fn remember(state: &PullState, affected: &Affected) -> Option<Effect> {
    let news = state.record.affected.as_ref() != Some(affected);
    news.then(|| Effect::Remember { affected: Some(affected.clone()), problem: None })
}

/// An apply that this merge began, or one that is still under way: heard twice, a merge applies once.
fn begun_by_merge(known: &ProjectState) -> bool {
    known.apply.as_ref().is_some_and(|apply| {
        !apply.state.is_over() || apply.apply_order().is_some_and(|order| order.merge_commit.is_some())
    })
}

/// The plan that people saw, if it is of exactly what was merged, and was there before the merge.
pub(super) fn reviewed(state: &PullState, project: &Present<'_>) -> Option<(RunId, Fingerprint)> {
    let plan = project.known?.current_plan().filter(|plan| plan.target == project.target)?;
    if let Phase::Merged { at, .. } = &state.pull().phase
        && !plan.was_over_by(*at)
    {
        return None;
    }
    shown(plan)
}

/// A run with the plan that it made, as an order names them.
pub(super) fn shown(run: &Run) -> Option<(RunId, Fingerprint)> {
    run.made_plan().map(|planned| (run.id, planned.fingerprint.clone()))
}

/// Starts an apply of the reviewed plan, or queues it behind whoever holds the project.
pub(super) fn start(
    state: &PullState,
    project: &Present<'_>,
    ordered_by: &Login,
    review: &Review,
    proof: MayApply,
) -> Vec<Effect> {
    let (plan, approved_by) = (reviewed(state, project), approvers(state.pull(), review));
    begin(state, project, plan, ordered_by, approved_by, proof)
}

/// Starts an apply of this plan, or queues it behind whoever holds the project. Without a plan it makes one, and stops.
pub(super) fn begin(
    state: &PullState,
    present: &Present<'_>,
    plan: Option<(RunId, Fingerprint)>,
    ordered_by: &Login,
    approved_by: Vec<Login>,
    proof: MayApply,
) -> Vec<Effect> {
    let (plan, reviewed) = plan.unzip();
    let last = present.known.and_then(ProjectState::apply_state);
    let order = ApplyOrder {
        plan,
        plan_anew: last == Some(RunState::Interrupted),
        reviewed,
        merge_commit: state.pull().merge_commit().cloned(),
        ordered_by: ordered_by.clone(),
        approved_by,
    };
    let project: Project = present.project.clone();
    let target: Target = present.target.clone();
    let held_by_other =
        present.known.and_then(|known| known.lock.as_ref()).is_some_and(|lock| lock.held_by != state.pull().id);
    if held_by_other {
        return vec![Effect::WaitForLock { project, target, order, proof }];
    }
    vec![Effect::TakeLock { project: project.key.clone() }, Effect::StartApply { project, target, order, proof }]
}

pub(super) fn per_project(project: &Project, reasons: Vec<String>) -> impl Iterator<Item = Missing> {
    let name = project.name.clone();
    reasons.into_iter().map(move |what| Missing { project: Some(name.clone()), what })
}

/// Whether an apply of the project is queued, waiting or running.
pub(super) fn is_applying(known: &ProjectState) -> bool {
    known.apply_state().is_some_and(|state| !state.is_over())
}
