//! A run came to its end: who is told, and whose turn it is.

use super::merge::landed;
use super::{Effect, ProjectState, PullState, Say};
use crate::domain::id::RunId;
use crate::domain::pull::Phase;
use crate::domain::run::{Outcome, Run};

pub(super) fn run_over(state: &PullState, run: RunId) -> Vec<Effect> {
    // Plans need nothing more: the live comment and the statuses are views.
    let Some(project) = state.projects.iter().find(|project| project.apply.as_ref().is_some_and(|a| a.id == run))
    else {
        return Vec::new();
    };
    let Some(apply) = project.apply.as_ref().filter(|apply| apply.state.is_over()) else { return Vec::new() };
    let mut effects = Vec::new();
    if lets_go(state, project, apply) {
        effects.extend(landed(state, project));
        effects.push(Effect::FreeLock { project: project.project.key.clone() });
    }
    if let Some(batch) = finished_batch(state, apply) {
        effects.push(Effect::Say(Say::ApplyResult { batch }));
    }
    effects
}

/// A project is free again when what was merged is applied, or when the pull request was closed and nothing was. A failed
/// or interrupted apply keeps it: nobody else should build on a reality that is half changed.
fn lets_go(state: &PullState, project: &ProjectState, apply: &Run) -> bool {
    let over = match state.pull().phase {
        Phase::Open => false,
        Phase::Closed => project.lock.as_ref().is_some_and(|lock| !lock.applied),
        Phase::Merged { .. } => matches!(apply.outcome, Some(Outcome::Applied(_))),
    };
    over && state.holds_lock(project)
}

/// The batch of this run, if it was the last one of it.
fn finished_batch(state: &PullState, apply: &Run) -> Option<RunId> {
    apply.batch.filter(|batch| !is_unfinished(state, *batch, &[apply]))
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
