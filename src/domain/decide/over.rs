//! A run came to its end: who is told, and whose turn it is.

use super::change::free;
use super::hold::comes_before;
use super::merge::landed;
use super::{Effect, ProjectState, PullState, Say};
use crate::domain::event::Reaction;
use crate::domain::id::{ProjectName, RunId};
use crate::domain::project::{MergeHow, StateKind};
use crate::domain::pull::Phase;
use crate::domain::run::{Outcome, Run, RunState, Step};

pub(super) fn run_over(state: &PullState, run: RunId) -> Vec<Effect> {
    // Plans need nothing more: the live comment and the statuses are views.
    let Some(project) = state.projects.iter().find(|project| project.apply.as_ref().is_some_and(|a| a.id == run))
    else {
        return Vec::new();
    };
    let Some(apply) = project.apply.as_ref().filter(|apply| apply.state.is_over()) else { return Vec::new() };
    let mut effects = Vec::new();
    if changed_something(apply) {
        effects.push(Effect::ReplanOthers { project: project.project.key.clone() });
    }
    if lets_go(state, project, apply) {
        effects.extend(landed(state, project));
        effects.push(free(state, project));
    }
    let (go_on, called_off) = those_after(state, project, apply);
    effects.extend(called_off.iter().map(|run| Effect::Supersede { run: run.id }));
    effects.extend(go_on.iter().map(|run| Effect::TakeTurn { project: run.project.key.clone() }));
    let ending: Vec<&Run> = std::iter::once(apply).chain(called_off).collect();
    let ended = end_of_batches(state, &ending);
    if !ended.is_empty() {
        effects.extend(outcome(state, apply));
        effects.extend(automerge(state).map(|how| Effect::Merge { how }));
    }
    effects.extend(ended);
    effects
}

/// Reality is another one now, by all or a part of the apply.
fn changed_something(apply: &Run) -> bool {
    match &apply.outcome {
        Some(Outcome::Applied(applied)) => !applied.done.is_empty(),
        Some(Outcome::Failed(failure)) => failure.changed_something,
        _ => false,
    }
}

/// Applies that wait for this project to be applied first: those that may go on, and those that can't any more.
fn those_after<'a>(state: &'a PullState, over: &'a ProjectState, apply: &Run) -> (Vec<&'a Run>, Vec<&'a Run>) {
    let may_go_on = |run: &&Run| {
        run.state == RunState::Waiting
            && run.project.after.contains(&over.project.name)
            && comes_before(state, &run.project).next().is_none()
    };
    let go_on = state.unfinished.iter().filter(|run| run.is_apply()).filter(may_go_on).collect();
    let applied = matches!(apply.outcome, Some(Outcome::Applied(_)));
    let in_vain = if applied { Vec::new() } else { waiting_in_vain(state, &[&over.project.name]) };
    (go_on, in_vain)
}

/// Applies that wait for one of these to be applied first, or for one that does so, when these are given up.
pub(super) fn waiting_in_vain<'a>(state: &'a PullState, given_up: &[&'a ProjectName]) -> Vec<&'a Run> {
    let mut names = given_up.to_vec();
    let mut found: Vec<&Run> = Vec::new();
    let waiting = |run: &&Run| run.state == RunState::Waiting && run.is_apply();
    loop {
        let next = state.unfinished.iter().filter(waiting).find(|run| {
            let new = !found.iter().any(|other| other.id == run.id);
            let after = run.project.after.iter().any(|first| names.contains(&first));
            new && after && comes_before(state, &run.project).next().is_some()
        });
        let Some(run) = next else { return found };
        names.push(&run.project.name);
        found.push(run);
    }
}

/// The reaction on the comment that asked for the batch.
fn outcome(state: &PullState, apply: &Run) -> Option<Effect> {
    let comment = apply.apply_order()?.comment?;
    let of_batch =
        state.projects.iter().filter_map(|project| project.apply.as_ref()).filter(|a| a.batch == apply.batch);
    let all = of_batch.chain([apply]).all(|run| run.state == RunState::Succeeded);
    Some(Effect::React { comment, with: if all { Reaction::Done } else { Reaction::Failed } })
}

/// Everything of an open pull request is applied, and its rules want it merged then. Something must have been applied,
/// unless the rules say otherwise: that a plan changes nothing does not say that anybody wants it merged.
pub(super) fn automerge(state: &PullState) -> Option<MergeHow> {
    let mine: Vec<&ProjectState> = state.projects.iter().filter(|project| project.target.is_some()).collect();
    let settled = mine.iter().all(|project| project.is_settled() || project.project.state == StateKind::Nowhere);
    let applied = mine.iter().any(|project| project.is_applied() && project.has_changed_something());
    let wanted = applied || !mine.is_empty() && mine.iter().all(|project| project.project.automerge_on_no_change);
    if !state.pull().is_open() || !settled || !wanted {
        return None;
    }
    mine.iter().find_map(|project| project.project.automerge)
}

/// A project is free again when what was merged is applied, or when the pull request was closed and nothing was. A failed
/// or interrupted apply keeps it: nobody else should build on a reality that is half changed. One that failed before it
/// began anything changed nothing, so that nobody has to wait for it.
fn lets_go(state: &PullState, project: &ProjectState, apply: &Run) -> bool {
    let over = match state.pull().phase {
        Phase::Open => {
            let not_begun = matches!(&apply.outcome, Some(Outcome::Failed(failure)) if failure.step == Step::Prepare && !failure.changed_something);
            let lock = project.lock.as_ref();
            not_begun && lock.is_some_and(|lock| !lock.applied && lock.taken_by.is_none())
        }
        Phase::Closed => project.lock.as_ref().is_some_and(|lock| !lock.applied),
        // A part of it is not what was merged.
        Phase::Merged { .. } => apply.applied().is_some() && apply.is_whole(),
    };
    over && state.holds_lock(project)
}

/// The batches that have come to their end by these runs being called off.
pub(super) fn end_of_batches(state: &PullState, called_off: &[&Run]) -> Vec<Effect> {
    let mut batches: Vec<RunId> = called_off.iter().filter_map(|run| run.batch).collect();
    batches.sort_unstable();
    batches.dedup();
    batches.retain(|batch| !is_unfinished(state, *batch, called_off));
    batches.into_iter().map(|batch| Effect::Say(Say::ApplyResult { batch })).collect()
}

/// Whether a run of the batch, besides those that end now, is still to come to its end.
fn is_unfinished(state: &PullState, batch: RunId, ending: &[&Run]) -> bool {
    let others = state.unfinished.iter().filter(|run| !ending.iter().any(|ending| ending.id == run.id));
    others.into_iter().any(|run| run.batch == Some(batch))
}
