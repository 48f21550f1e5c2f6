//! A pull request was opened, pushed to, retargeted, closed: what is planned, and what is made pointless.

use super::{Affected, Effect, Found, Present, Problem, PullState, Say, present};
use crate::domain::run::{Run, RunState};

pub(super) fn changed(state: &PullState, found: &Found) -> Vec<Effect> {
    match found {
        Found::Problem(problem) => broken(state, problem),
        Found::Affected(affected) => plan_all(state, affected),
    }
}

/// Nothing can be planned: what runs for older code is stopped, and people are told why.
fn broken(state: &PullState, problem: &Problem) -> Vec<Effect> {
    let mut effects = supersede_plans(state, |_| true);
    effects.push(Effect::Remember { affected: None, problem: Some(problem.clone()) });
    if *problem == Problem::Fork {
        effects.push(Effect::Say(Say::ForkRefused));
    }
    effects
}

fn plan_all(state: &PullState, affected: &Affected) -> Vec<Effect> {
    let present = present(state, affected);
    let mut effects = supersede_plans(state, |run| !present.iter().any(|project| stands_for(run, project)));
    effects.push(Effect::Remember { affected: Some(affected.clone()), problem: None });
    effects.extend(present.iter().filter(|project| !has_plan(project)).map(Present::start_plan));
    effects
}

/// The run plans exactly this project, as it is configured now, at this target.
fn stands_for(run: &Run, present: &Present<'_>) -> bool {
    run.project == *present.project && run.target == present.target
}

/// A plan of this very target is there or on its way, so that an event seen twice plans once.
fn has_plan(present: &Present<'_>) -> bool {
    present.known.and_then(|known| known.plan.as_ref()).is_some_and(|plan| stands_for(plan, present))
}

impl Present<'_> {
    pub(super) fn start_plan(&self) -> Effect {
        Effect::StartPlan { project: self.project.clone(), target: self.target.clone() }
    }
}

/// A newer push makes plans of older code pointless. Applies are never stopped by a push.
pub(super) fn supersede_plans(state: &PullState, pointless: impl Fn(&Run) -> bool) -> Vec<Effect> {
    state
        .unfinished
        .iter()
        .filter(|run| run.is_plan() && pointless(run))
        .map(|run| Effect::Supersede { run: run.id })
        .collect()
}

/// Closed without a merge: plans and queued applies are stopped, a running apply goes on. A lock stays where something
/// was applied, for reality then differs from the base branch.
pub(super) fn closed(state: &PullState) -> Vec<Effect> {
    let mut effects: Vec<Effect> = state
        .unfinished
        .iter()
        .filter(|run| run.is_plan() || run.state != RunState::Running)
        .map(|run| Effect::Supersede { run: run.id })
        .collect();
    let applying =
        |project: &super::ProjectState| project.apply_state().is_some_and(|apply| apply == RunState::Running);
    effects.extend(
        state
            .projects
            .iter()
            .filter(|project| state.holds_lock(project) && !applying(project))
            .filter(|project| project.lock.as_ref().is_some_and(|lock| !lock.applied))
            .map(|project| Effect::FreeLock { project: project.project.key.clone() }),
    );
    effects
}
