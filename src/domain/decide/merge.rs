//! A pull request was merged: what is applied by that, and what has to wait for a person.

use super::hold::hold;
use super::{
    Affected, Effect, Found, Missing, Present, Problem, ProjectState, PullState, Rules, Say, change, present, queue,
};
use crate::domain::command::Verb;
use crate::domain::id::{CommentId, Fingerprint, Login, ProjectName, RunId, Timestamp};
use crate::domain::permission::MayApply;
use crate::domain::project::{Project, StateKind, Target};
use crate::domain::pull::{Actor, Phase, Review};
use crate::domain::requirement::{Applying, Asked, ShownPlan, allow_apply, counting};
use crate::domain::run::{ApplyOrder, Run, RunState};

pub(super) fn merged(
    state: &PullState,
    review: &Review,
    by: &Actor,
    found: &Found,
    (rules, now): (&Rules, Timestamp),
) -> Vec<Effect> {
    if state.pull().merge_commit().is_none() {
        return Vec::new();
    }
    // Plans that are still running would be shown for a pull request that is over: the applies plan for themselves.
    let mut effects = change::supersede_plans(state, |_| true);
    effects.extend(queue::end_all(state));
    let affected = match affected_by_merge(state, Some(found)) {
        Ok(affected) => affected,
        Err(problem) => {
            effects.push(Effect::Remember { affected: None, problem: problem.cloned() });
            return effects;
        }
    };
    effects.extend(remember(state, &affected));
    let asked = Asked { pull: state.pull(), review, verb: Verb::Apply, actor: by, rules };
    let mut missing: Vec<Missing> = Vec::new();
    // What this merge does not apply: whatever comes after it is not applied either.
    let mut left: Vec<&ProjectName> = Vec::new();
    let all = present(state, &affected);
    for project in in_order(all) {
        if let Some(known) = project.known.filter(|known| begun_by_merge(known) || known.is_settled()) {
            // Only once, as it lets go: heard again later, an old merge must not count as the last that was applied.
            if known.is_settled() && state.holds_lock(known) {
                effects.extend(landed(state, known));
                effects.push(change::free(state, known));
            }
            continue;
        }
        // The live comment says why such a project is not applied; a refusal would say it a second time.
        if !project.project.apply.on_merge() || project.project.state == StateKind::Nowhere {
            left.extend((project.project.state != StateKind::Nowhere).then_some(&project.project.name));
            continue;
        }
        let plan = reviewed(state, &project);
        if let Some(first) = project.project.after.iter().find(|name| left.contains(name)) {
            let reason = format!("it comes after `{first}`, which is not applied");
            missing.extend(per_project(project.project, vec![reason]));
            left.push(&project.project.name);
            continue;
        }
        match allow_apply(project.project, asked, applying(project.known, plan)) {
            Ok(proof) => {
                let order = Ordering { by: &by.login, verb: Verb::Apply, comment: None, called: false, review, now };
                effects.extend(begin(state, &project, plan, order, proof));
            }
            Err(reasons) => {
                missing.extend(per_project(project.project, reasons));
                left.push(&project.project.name);
            }
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

/// The plan that people saw, if it is of exactly what was merged, and stood in the live comment before the merge.
pub(super) fn reviewed<'a>(state: &PullState, project: &Present<'a>) -> Option<&'a Run> {
    let known = project.known?;
    let plan = known.current_plan().filter(|plan| plan.target == project.target && !is_used_up(state, known, plan))?;
    if let Phase::Merged { at, .. } = &state.pull().phase
        && !known.shown_run(plan.id).is_some_and(|shown| shown.was_there_at(*at))
    {
        return None;
    }
    Some(plan)
}

/// A merge applies all of it in the end: a plan of a part that has been applied by it, or that changes nothing, is not asked
/// about again.
pub(super) fn is_used_up(state: &PullState, known: &ProjectState, plan: &Run) -> bool {
    let by_merge = |apply: &Run| {
        apply.applied().is_some() && apply.apply_order().is_some_and(|order| order.merge_commit.is_some())
    };
    let over = plan.plans_nothing() || known.apply.as_ref().is_some_and(by_merge);
    state.pull().merge_commit().is_some() && !plan.is_whole() && over
}

/// What the requirements want to know of the plan that would be applied.
pub(super) fn applying(known: Option<&ProjectState>, plan: Option<&Run>) -> Applying {
    let planned = plan.and_then(Run::made_plan);
    Applying {
        shown: planned.map_or(ShownPlan::None, |planned| {
            let since = known.and_then(|known| known.shown_since(&planned.fingerprint));
            since.map_or(ShownPlan::Hidden, ShownPlan::Since)
        }),
        imports: planned.is_some_and(|planned| planned.summary.import > 0),
    }
}

/// A run with the plan that it made, as an order names them.
fn shown(run: &Run) -> Option<(RunId, Fingerprint)> {
    run.made_plan().map(|planned| (run.id, planned.fingerprint.clone()))
}

/// Those that others come after, first.
pub(super) fn in_order(mut projects: Vec<Present<'_>>) -> Vec<Present<'_>> {
    let mut ordered: Vec<Present<'_>> = Vec::with_capacity(projects.len());
    while !projects.is_empty() {
        let waits = |one: &Present<'_>| {
            projects
                .iter()
                .any(|other| one.project.after.contains(&other.project.name) && other.project.key != one.project.key)
        };
        // A circle is refused by the configuration; if there is one all the same, nobody waits for ever.
        let next = projects.iter().position(|project| !waits(project)).unwrap_or(0);
        ordered.push(projects.remove(next));
    }
    ordered
}

/// Who wants an apply, and how.
#[derive(Clone, Copy)]
pub(super) struct Ordering<'a> {
    pub(super) by: &'a Login,
    pub(super) verb: Verb,
    /// The comment that asked for it.
    pub(super) comment: Option<CommentId>,
    /// A button or a call asked for it, and no comment.
    pub(super) called: bool,
    pub(super) review: &'a Review,
    pub(super) now: Timestamp,
}

/// Starts an apply of what this run planned, or lets it wait for what holds it. Without a plan it makes one, and stops.
pub(super) fn begin(
    state: &PullState,
    present: &Present<'_>,
    plan: Option<&Run>,
    Ordering { by, verb, comment, called, review, now }: Ordering<'_>,
    proof: MayApply,
) -> Vec<Effect> {
    let last = present.known.and_then(|known| known.apply.as_ref());
    let extra = plan.map(|plan| plan.extra.clone()).unwrap_or_default();
    let shown_plan = applying(present.known, plan).shown;
    let (plan, reviewed) = plan.and_then(shown).unzip();
    let (approved_by, approved_at) = approvals(state, by, verb, review, (shown_plan, now)).into_iter().unzip();
    let order = ApplyOrder {
        plan,
        plan_anew: last.is_some_and(must_plan_anew),
        reviewed,
        merge_commit: state.pull().merge_commit().cloned(),
        ordered_by: by.clone(),
        approved_by,
        approved_at,
        verb,
        comment,
        called,
    };
    let project: Project = present.project.clone();
    let target: Target = present.target.clone();
    match hold(state, &project, now) {
        Some(hold) => vec![Effect::Wait { project, target, order, extra, hold, proof }],
        None => vec![
            Effect::TakeLock { project: project.key.clone(), by: None },
            Effect::StartApply { project, target, order, extra, proof },
        ],
    }
}

/// An apply was interrupted, and none has succeeded since: nobody knows what it did, whatever came of those after it.
fn must_plan_anew(last: &Run) -> bool {
    let earlier = last.apply_order().is_some_and(|order| order.plan_anew);
    last.state == RunState::Interrupted || earlier && last.applied().is_none()
}

/// Who approved what is applied, and when: not those who did so before it was shown.
fn approvals(
    state: &PullState,
    by: &Login,
    verb: Verb,
    review: &Review,
    (shown, now): (ShownPlan, Timestamp),
) -> Vec<(Login, Timestamp)> {
    if verb == Verb::Approve {
        return vec![(by.clone(), now)];
    }
    let counting = counting(state.pull(), review).filter(|approval| shown.was_meant_at(approval.at));
    counting.map(|approval| (approval.by.clone(), approval.at)).collect()
}

pub(super) fn per_project(project: &Project, reasons: Vec<String>) -> impl Iterator<Item = Missing> {
    let name = project.name.clone();
    reasons.into_iter().map(move |what| Missing { project: Some(name.clone()), what })
}

/// Whether an apply of the project is queued, waiting or running.
pub(super) fn is_applying(known: &ProjectState) -> bool {
    known.apply_state().is_some_and(|state| !state.is_over())
}
