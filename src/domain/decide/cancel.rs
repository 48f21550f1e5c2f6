//! Somebody wants work to be stopped. What has not begun is called off; what runs is told to stop, and tells itself how
//! far it came.

use super::change::free_untouched;
use super::command::{Asking, ask, refuse, rights};
use super::merge::per_project;
use super::over::{end_of_batches, waiting_in_vain};
use super::{Effect, Missing, ProjectState, PullState, Say};
use crate::domain::command::{Selector, Verb};
use crate::domain::id::ProjectName;
use crate::domain::requirement::{On, authorize};
use crate::domain::run::{Run, RunState};

/// All or nothing, as every command.
pub(super) fn cancel(state: &PullState, selector: &Selector, asking: Asking<'_>) -> Vec<Effect> {
    let at_work: Vec<&Run> = state.unfinished.iter().filter(|run| run.cancelled_by.is_none()).collect();
    let unmatched = selector.words_without(at_work.iter().map(|run| &run.project));
    if !unmatched.is_empty() {
        let to = asking.actor.login.clone();
        let projects = names(&at_work);
        return vec![Effect::Say(Say::NothingMatched { to, verb: Verb::Cancel, selector: unmatched, projects })];
    }
    let matcher = selector.matcher();
    let chosen: Vec<&Run> = at_work.into_iter().filter(|run| matcher.matches(&run.project)).collect();
    if chosen.is_empty() {
        let what = "nothing of this pull request is planned or applied now".to_owned();
        return refuse(asking, Verb::Cancel, vec![Missing { project: None, what }]);
    }
    let mut missing: Vec<Missing> = Vec::new();
    for run in &chosen {
        let can = rights(asking, &run.project);
        let on = if run.is_apply() { On::Apply(can) } else { On::Project(can) };
        let lacking = authorize(ask(state, asking, Verb::Cancel), on).err().unwrap_or_default();
        missing.extend(per_project(&run.project, lacking));
    }
    if !missing.is_empty() {
        return refuse(asking, Verb::Cancel, missing);
    }
    let by = &asking.actor.login;
    let mut effects: Vec<Effect> = chosen.iter().map(|run| Effect::Cancel { run: run.id, by: by.clone() }).collect();
    // Those that have not begun end by this; the others when they have stopped.
    let ending: Vec<&Run> =
        chosen.iter().copied().filter(|run| run.is_apply() && run.state != RunState::Running).collect();
    let given_up: Vec<&ProjectName> = ending.iter().map(|run| &run.project.name).collect();
    let mut in_vain = waiting_in_vain(state, &given_up);
    in_vain.retain(|run| !chosen.iter().any(|chosen| chosen.id == run.id));
    effects.extend(in_vain.iter().map(|run| Effect::Supersede { run: run.id }));
    let ending: Vec<&Run> = ending.into_iter().chain(in_vain).collect();
    effects.extend(end_of_batches(state, &ending));
    effects.extend(untouched(state, &ending));
    effects.push(Effect::Say(Say::Cancelling { by: by.clone(), projects: names(&chosen) }));
    effects
}

/// Before the merge, a project whose apply never began is free again, unless somebody took it by a command.
fn untouched(state: &PullState, ending: &[&Run]) -> Vec<Effect> {
    let ended = |project: &&ProjectState| ending.iter().any(|run| run.project.key == project.project.key);
    let taken = |project: &&ProjectState| project.lock.as_ref().is_some_and(|lock| lock.taken_by.is_some());
    let ended = state.projects.iter().filter(|_| state.pull().is_open()).filter(ended);
    free_untouched(state, ended.filter(|project| !taken(project)))
}

fn names(runs: &[&Run]) -> Vec<ProjectName> {
    let mut names: Vec<ProjectName> = Vec::new();
    for run in runs {
        if !names.contains(&run.project.name) {
            names.push(run.project.name.clone());
        }
    }
    names
}
