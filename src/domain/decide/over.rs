//! A run came to its end: who is told, and whose turn it is.

use super::merge::landed;
use super::{Effect, ProjectState, PullState, Say};
use crate::domain::id::RunId;
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
        effects.extend(landed(project));
        effects.push(Effect::FreeLock { project: project.project.key.clone() });
    }
    if let Some(batch) = finished_batch(state, apply) {
        effects.push(Effect::Say(Say::ApplyResult { batch }));
    }
    effects
}

/// A project is free again when what was merged is applied. A failed or interrupted apply keeps it: nobody else should
/// build on a reality that is half changed.
fn lets_go(state: &PullState, project: &ProjectState, apply: &Run) -> bool {
    state.pull().merge_commit().is_some()
        && state.holds_lock(project)
        && matches!(apply.outcome, Some(Outcome::Applied(_)))
}

/// The batch of this run, if it was the last one of it.
fn finished_batch(state: &PullState, apply: &Run) -> Option<RunId> {
    let batch = apply.batch?;
    let others = state.unfinished.iter().filter(|run| run.id != apply.id);
    (!others.into_iter().any(|run| run.batch == Some(batch))).then_some(batch)
}
