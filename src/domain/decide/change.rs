//! A pull request was opened, pushed to, retargeted, closed: what is planned, and what is made pointless.

use super::over::end_of_batches;
use super::{Affected, Effect, Found, Present, Problem, ProjectState, PullState, Rules, Say, present, queue};
use crate::domain::id::{ProjectKey, Timestamp};
use crate::domain::pull::Review;
use crate::domain::requirement::{Requirement, lacks_to_plan};
use crate::domain::run::{Run, RunState};

pub(super) fn changed(state: &PullState, found: &Found, review: &Review, rules: &Rules) -> Vec<Effect> {
    let mut effects = queue::end_overtaken(state);
    effects.extend(match found {
        Found::Problem(problem) => broken(state, problem),
        Found::Affected(affected) => plan_all(state, affected, review, rules),
    });
    effects
}

/// What was planned of the project before this moment is planned again. A plan that is under way since is new enough.
pub(super) fn overtaken(
    state: &PullState,
    found: &Found,
    review: &Review,
    rules: &Rules,
    (project, at): (&ProjectKey, Timestamp),
) -> Vec<Effect> {
    let mut effects = changed(state, found, review, rules);
    let Found::Affected(affected) = found else { return effects };
    let all = present(state, affected);
    let old = |present: &&Present<'_>| {
        let plan = present.known.and_then(|known| known.plan.as_ref()).filter(|plan| stands_for(plan, present));
        present.project.key == *project && plan.is_some_and(|plan| plan.created_at < at)
    };
    for present in all.iter().filter(old) {
        let unfinished = |run: &Run| run.project.key == present.project.key && stands_for(run, present);
        effects.extend(supersede_plans(state, unfinished));
        effects.push(
            present.start_plan(present.known.and_then(|known| known.plan.as_ref()).map(|plan| plan.extra.clone())),
        );
    }
    effects
}

/// Nothing can be planned: what runs for older code is stopped, and people are told why.
fn broken(state: &PullState, problem: &Problem) -> Vec<Effect> {
    let mut effects = supersede_plans(state, |_| true);
    effects.extend(call_off_overtaken(state));
    effects.push(Effect::Remember { affected: None, problem: Some(problem.clone()) });
    if *problem == Problem::Fork {
        effects.push(Effect::Say(Say::ForkRefused));
    }
    effects
}

fn plan_all(state: &PullState, affected: &Affected, review: &Review, rules: &Rules) -> Vec<Effect> {
    let present = present(state, affected);
    let mut effects = supersede_plans(state, |run| !present.iter().any(|project| stands_for(run, project)));
    effects.extend(call_off_overtaken(state));
    effects.push(Effect::Remember { affected: Some(affected.clone()), problem: None });
    // What must be there before a plan is waited for; a review or a comment is another try.
    let may = |project: &&Present<'_>| lacks_to_plan(project.project, state.pull(), review, rules).is_empty();
    let due = present.iter().filter(|project| !has_plan(project)).filter(may);
    effects.extend(due.map(|project| project.start_plan(None)));
    effects
}

/// A project whose plan waits for what only the forge can tell: checks of others, or that it would merge. No webhook says
/// when that has changed.
#[must_use]
pub fn awaits_the_forge(state: &PullState) -> Option<&ProjectKey> {
    let waits = |project: &&ProjectState| {
        let asks = project.project.require_plan.iter().any(Requirement::asks_the_forge);
        asks && project.target.is_some() && project.plan.is_none()
    };
    state.projects.iter().filter(|_| state.pull().is_open()).find(waits).map(|project| &project.project.key)
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
    pub(super) fn start_plan(&self, extra: Option<Vec<String>>) -> Effect {
        let extra = extra.unwrap_or_default();
        Effect::StartPlan { project: self.project.clone(), target: self.target.clone(), extra }
    }
}

/// A newer push makes plans of older code pointless.
pub(super) fn supersede_plans(state: &PullState, pointless: impl Fn(&Run) -> bool) -> Vec<Effect> {
    state
        .unfinished
        .iter()
        .filter(|run| run.is_plan() && pointless(run))
        .map(|run| Effect::Supersede { run: run.id })
        .collect()
}

/// A newer push calls off applies of older code that have not begun: what is applied is what the head has. One that runs
/// goes on.
fn call_off_overtaken(state: &PullState) -> Vec<Effect> {
    let overtaken = |run: &Run| run.target.head != state.pull().head;
    let mut effects = call_off_applies(state, overtaken);
    let not_begun = |project: &&ProjectState| {
        let apply = project.apply.as_ref();
        apply.is_some_and(|apply| matches!(apply.state, RunState::Queued | RunState::Waiting) && overtaken(apply))
    };
    let taken = |project: &&ProjectState| project.lock.as_ref().is_some_and(|lock| lock.taken_by.is_some());
    effects.extend(free_untouched(state, state.projects.iter().filter(not_begun).filter(|project| !taken(project))));
    effects
}

/// Stops applies that have not begun, and says so: people were told that they would go on by themselves.
pub(super) fn call_off_applies(state: &PullState, pointless: impl Fn(&Run) -> bool) -> Vec<Effect> {
    let begun = |run: &Run| run.state == RunState::Running;
    let called_off: Vec<&Run> =
        state.unfinished.iter().filter(|run| run.is_apply() && !begun(run) && pointless(run)).collect();
    let mut effects: Vec<Effect> = called_off.iter().map(|run| Effect::Supersede { run: run.id }).collect();
    effects.extend(end_of_batches(state, &called_off));
    effects
}

/// Lets go of what this pull request holds.
pub(super) fn free(state: &PullState, project: &ProjectState) -> Effect {
    Effect::FreeLock { project: project.project.key.clone(), holder: state.pull().id.clone(), by: None }
}

/// Lets go of projects under whose lock nothing was applied.
pub(super) fn free_untouched<'a>(state: &PullState, projects: impl Iterator<Item = &'a ProjectState>) -> Vec<Effect> {
    projects
        .filter(|project| state.holds_lock(project) && project.lock.as_ref().is_some_and(|lock| !lock.applied))
        .map(|project| free(state, project))
        .collect()
}

/// Closed without a merge: plans and applies that have not begun are stopped, a running apply goes on. A lock stays where
/// something was applied, for reality then differs from the base branch.
pub(super) fn closed(state: &PullState) -> Vec<Effect> {
    let mut effects = supersede_plans(state, |_| true);
    effects.extend(queue::end_all(state));
    effects.extend(call_off_applies(state, |_| true));
    let applying = |project: &&ProjectState| project.apply_state() == Some(RunState::Running);
    effects.extend(free_untouched(state, state.projects.iter().filter(|project| !applying(project))));
    effects
}
