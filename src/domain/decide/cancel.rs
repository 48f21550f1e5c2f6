//! Somebody wants work to be stopped. What has not begun is called off; what runs is told to stop, and tells itself how
//! far it came.

use super::command::{Asking, refuse};
use super::over::end_of_batches;
use super::{Effect, Missing, ProjectState, PullState, Say};
use crate::domain::command::{Selector, Verb};
use crate::domain::id::ProjectName;
use crate::domain::pull::Role;
use crate::domain::run::{Run, RunState};

/// All or nothing, as every command.
pub(super) fn cancel(state: &PullState, selector: &Selector, asking: Asking<'_>) -> Vec<Effect> {
    let at_work: Vec<&Run> = state.unfinished.iter().filter(|run| run.cancelled_by.is_none()).collect();
    let names_none = |word: &&String| {
        let word = Selector { any_of: vec![(*word).clone()] };
        !at_work.iter().any(|run| word.matches(&run.project))
    };
    let unmatched: Vec<String> = selector.any_of.iter().filter(names_none).cloned().collect();
    if !unmatched.is_empty() {
        let to = asking.actor.login.clone();
        let projects = names(&at_work);
        return vec![Effect::Say(Say::NothingMatched { to, verb: Verb::Cancel, selector: unmatched, projects })];
    }
    let chosen: Vec<&Run> = at_work.into_iter().filter(|run| selector.matches(&run.project)).collect();
    if chosen.is_empty() {
        let what = "nothing of this pull request is planned or applied now".to_owned();
        return refuse(asking, Verb::Cancel, vec![Missing { project: None, what }]);
    }
    let missing: Vec<Missing> = chosen.iter().filter_map(|run| lacks_the_right(run, asking.actor.role)).collect();
    if !missing.is_empty() {
        return refuse(asking, Verb::Cancel, missing);
    }
    let by = &asking.actor.login;
    let mut effects: Vec<Effect> = chosen.iter().map(|run| Effect::Cancel { run: run.id, by: by.clone() }).collect();
    // Those that have not begun end by this; the others when they have stopped.
    let ending: Vec<&Run> =
        chosen.iter().copied().filter(|run| !run.is_plan() && run.state != RunState::Running).collect();
    effects.extend(end_of_batches(state, &ending));
    effects.extend(untouched(state, &ending));
    effects.push(Effect::Say(Say::Cancelling { by: by.clone(), projects: names(&chosen) }));
    effects
}

/// What is half applied is worse than what is not: a running apply is stopped by those only who may apply.
fn lacks_the_right(run: &Run, role: Role) -> Option<Missing> {
    let needed = run.project.least_role.filter(|needed| !run.is_plan() && role < *needed)?;
    let what = format!(
        "stopping its apply needs the role `{}` in this repository, and you have `{}`",
        needed.as_str(),
        role.as_str()
    );
    Some(Missing { project: Some(run.project.name.clone()), what })
}

/// Before the merge, a project whose apply never began is free again.
fn untouched<'a>(state: &'a PullState, ending: &'a [&Run]) -> impl Iterator<Item = Effect> + 'a {
    let ended = |project: &&ProjectState| ending.iter().any(|run| run.project.key == project.project.key);
    let free = |project: &&ProjectState| {
        state.pull().is_open() && state.holds_lock(project) && project.lock.as_ref().is_some_and(|lock| !lock.applied)
    };
    let freed = state.projects.iter().filter(ended).filter(free).collect::<Vec<_>>();
    freed.into_iter().map(|project| Effect::FreeLock { project: project.project.key.clone() })
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
