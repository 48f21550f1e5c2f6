//! Locks and freezes by hand: taken, given back, and what waits for them.

use super::command::{Asking, ask, choose, refuse, rights};
use super::merge::per_project;
use super::over::waiting_in_vain;
use super::{Effect, Holding, Missing, ProjectState, PullState, Say, change};
use crate::domain::command::{Command, Selector, Verb};
use crate::domain::freeze::Freeze;
use crate::domain::id::{ProjectKey, ProjectName, PullId};
use crate::domain::lock::AtWork;
use crate::domain::requirement::{On, authorize};
use crate::domain::run::{Run, RunState};

pub(super) fn unlock(state: &PullState, command: &Command, asking: Asking<'_>) -> Vec<Effect> {
    match command.of.filter(|number| *number != state.pull().id.number) {
        Some(number) => {
            let other = PullId { repo: state.pull().id.repo.clone(), number };
            unlock_of_other(state, &other, command, asking)
        }
        None => unlock_own(state, command, asking),
    }
}

/// Whoever wrote the pull request, or ordered what it applied, is at home in it.
pub(super) fn is_theirs(state: &PullState, asking: Asking<'_>) -> bool {
    let login = &asking.actor.login;
    let ordered = |project: &ProjectState| {
        project.apply.as_ref().and_then(Run::apply_order).is_some_and(|order| order.ordered_by.same_as(login))
    };
    login.same_as(&state.pull().author) || state.projects.iter().any(ordered)
}

fn unlock_own(state: &PullState, command: &Command, asking: Asking<'_>) -> Vec<Effect> {
    let chosen = |project: &&ProjectState| command.selector.matches(&project.project);
    let waiting = |project: &ProjectState| project.apply_state() == Some(RunState::Waiting);
    let held: Vec<_> =
        state.projects.iter().filter(chosen).filter(|project| state.holds_lock(project) || waiting(project)).collect();
    if held.is_empty() {
        let what = "this pull request holds no lock on what was named".to_owned();
        return refuse(asking, Verb::Unlock, vec![Missing { project: None, what }]);
    }
    let theirs = is_theirs(state, asking);
    let stands_in_the_way = |project: &&ProjectState| {
        let mut reasons = Vec::new();
        if matches!(project.apply_state(), Some(RunState::Running | RunState::Queued)) {
            reasons.push("an apply of it is under way".to_owned());
        }
        let can = rights(asking, &project.project);
        let on = if theirs { On::Project(can) } else { On::LockOfOthers(can) };
        reasons.extend(authorize(ask(state, asking, Verb::Unlock), on).err().unwrap_or_default());
        per_project(&project.project, reasons).collect::<Vec<_>>()
    };
    let missing: Vec<Missing> = held.iter().flat_map(stands_in_the_way).collect();
    if !missing.is_empty() {
        return refuse(asking, Verb::Unlock, missing);
    }
    let given_up: Vec<&ProjectName> = held.iter().map(|project| &project.project.name).collect();
    let in_vain = waiting_in_vain(state, &given_up);
    let ends = |run: &Run| {
        let named = held.iter().any(|project| project.project.key == run.project.key);
        named || in_vain.iter().any(|other| other.id == run.id)
    };
    let mut effects = change::call_off_applies(state, ends);
    // What is named is in the answer, so that no result has to say it once more.
    let more_than_named = in_vain.iter().any(|run| !given_up.contains(&&run.project.name));
    effects.retain(|effect| more_than_named || !matches!(effect, Effect::Say(Say::ApplyResult { .. })));
    for project in held.iter().filter(|project| state.holds_lock(project)) {
        let by = Some(Holding { by: asking.actor.login.clone(), reason: command.reason.clone() });
        effects.push(Effect::FreeLock { project: project.project.key.clone(), holder: state.pull().id.clone(), by });
    }
    effects.push(Effect::Say(Say::Unlocked {
        by: asking.actor.login.clone(),
        projects: held.iter().map(|project| project.project.name.clone()).collect(),
        of: None,
        reason: command.reason.clone(),
    }));
    effects
}

/// Takes a project away from another pull request, for a reason that is recorded.
fn unlock_of_other(state: &PullState, other: &PullId, command: &Command, asking: Asking<'_>) -> Vec<Effect> {
    let whole = |what: String| refuse(asking, Verb::Unlock, vec![Missing { project: None, what }]);
    let held = |key: &ProjectKey| {
        state.projects.iter().find(|project| {
            project.project.key == *key && project.lock.as_ref().is_some_and(|lock| lock.held_by == *other)
        })
    };
    let of_other = state.around.locks.iter().filter(|lock| lock.held_by == *other);
    // Only of projects that this pull request concerns too is known what they are called, and who may free them.
    let chosen: Vec<&ProjectState> = of_other
        .filter_map(|lock| held(&lock.project))
        .filter(|project| command.selector.matches(&project.project))
        .collect();
    if chosen.is_empty() {
        return whole(format!("#{} holds nothing of what this pull request concerns; comment there", other.number));
    }
    let mut missing: Vec<Missing> = Vec::new();
    for project in &chosen {
        let on = On::LockOfOthers(rights(asking, &project.project));
        let mut reasons = authorize(ask(state, asking, Verb::Unlock), on).err().unwrap_or_default();
        // Two applies of one project at once would be the end of its state.
        let applied = |at_work: &AtWork| at_work.project == project.project.key && at_work.pull == *other;
        if state.around.at_work.iter().any(applied) {
            reasons.push(format!("an apply of it is under way in `#{}`: `cancel` it there first", other.number));
        }
        missing.extend(per_project(&project.project, reasons));
    }
    if command.reason.as_ref().is_none_or(String::is_empty) {
        let what = "taking a lock from another pull request needs a reason: `--reason \"…\"`".to_owned();
        missing.push(Missing { project: None, what });
    }
    if !missing.is_empty() {
        return refuse(asking, Verb::Unlock, missing);
    }
    let by = Some(Holding { by: asking.actor.login.clone(), reason: command.reason.clone() });
    let mut effects: Vec<Effect> = chosen
        .iter()
        .map(|project| Effect::FreeLock { project: project.project.key.clone(), holder: other.clone(), by: by.clone() })
        .collect();
    effects.push(Effect::Say(Say::Unlocked {
        by: asking.actor.login.clone(),
        projects: chosen.iter().map(|project| project.project.name.clone()).collect(),
        of: Some(other.clone()),
        reason: command.reason.clone(),
    }));
    effects
}

/// Holds projects before anything is applied.
pub(super) fn lock(state: &PullState, command: &Command, asking: Asking<'_>) -> Vec<Effect> {
    if !state.pull().is_open() {
        let what = "only an open pull request can hold projects".to_owned();
        return refuse(asking, Verb::Lock, vec![Missing { project: None, what }]);
    }
    let chosen = match choose(state, state.record.affected.as_ref(), &command.selector, asking, Verb::Lock) {
        Ok(chosen) => chosen,
        Err(say) => return vec![Effect::Say(*say)],
    };
    let mut missing = Vec::new();
    for project in &chosen {
        let on = On::Project(rights(asking, project.project));
        let mut reasons = authorize(ask(state, asking, Verb::Lock), on).err().unwrap_or_default();
        let lock = project.known.and_then(|known| known.lock.as_ref());
        if let Some(lock) = lock.filter(|lock| lock.held_by != state.pull().id) {
            reasons.push(format!("#{} holds it", lock.held_by.number));
        }
        missing.extend(per_project(project.project, reasons));
    }
    let keys: Vec<&ProjectKey> = chosen.iter().map(|project| &project.project.key).collect();
    if missing.is_empty()
        && let Some(wait) = super::hold::circle(state, &keys, &[])
    {
        let what = format!(
            "this would close a circle of waits: `#{}` waits for `{}`, and this pull request for `#{}`",
            wait.pull.number, wait.project, wait.pull.number
        );
        missing.push(Missing { project: None, what });
    }
    if !missing.is_empty() {
        return refuse(asking, Verb::Lock, missing);
    }
    let by = || Some(Holding { by: asking.actor.login.clone(), reason: command.reason.clone() });
    let take = |project: &super::Present<'_>| Effect::TakeLock { project: project.project.key.clone(), by: by() };
    let mut effects: Vec<Effect> = chosen.iter().map(take).collect();
    effects.push(Effect::Say(Say::Locked {
        by: asking.actor.login.clone(),
        projects: chosen.iter().map(|project| project.project.name.clone()).collect(),
        reason: command.reason.clone(),
    }));
    effects
}

/// Of the whole repository, whether this pull request concerns it or not. Who may is checked before.
pub(super) fn freeze(command: &Command, asking: Asking<'_>) -> Vec<Effect> {
    if command.until.is_some_and(|until| until <= asking.now) {
        let what = "that time is over already".to_owned();
        return refuse(asking, Verb::Freeze, vec![Missing { project: None, what }]);
    }
    // A slip would freeze nothing, and say that it does.
    let all = &asking.rules.repository;
    let unmatched = command.selector.words_without(all);
    if !unmatched.is_empty() {
        let no_project = |word: &String| {
            let shown: String = word.chars().filter(|c| *c != '`' && !c.is_control()).take(100).collect();
            Missing { project: None, what: format!("`{shown}` names no project of the default branch") }
        };
        return refuse(asking, Verb::Freeze, unmatched.iter().map(no_project).collect());
    }
    let freeze = Freeze {
        selector: command.selector.clone(),
        by: asking.actor.login.clone(),
        since: asking.now,
        until: command.until,
        reason: command.reason.clone(),
    };
    vec![Effect::Freeze(freeze.clone()), Effect::Say(Say::Frozen(freeze))]
}

/// Ends the freeze that was begun with the same words; without words, all of them.
pub(super) fn thaw(state: &PullState, selector: &Selector, asking: Asking<'_>) -> Vec<Effect> {
    let all = selector.is_everything();
    let now = asking.now;
    let running = state.around.freezes.iter().filter(|freeze| !freeze.is_over(now));
    // What is shown is what people write.
    let shown = selector.to_string();
    let ended: Vec<Freeze> = running.filter(|freeze| all || freeze.selector.to_string() == shown).cloned().collect();
    if ended.is_empty() {
        let what = if all {
            "nothing is frozen".to_owned()
        } else {
            format!("nothing is frozen as `{selector}`: `locks` shows what is")
        };
        return refuse(asking, Verb::Thaw, vec![Missing { project: None, what }]);
    }
    let by = asking.actor.login.clone();
    let mut selectors: Vec<Option<Selector>> = Vec::new();
    for freeze in &ended {
        let selector = (!all).then(|| freeze.selector.clone());
        if !selectors.contains(&selector) {
            selectors.push(selector);
        }
    }
    let thaw = |selector| Effect::Thaw { selector, by: by.clone() };
    let mut effects: Vec<Effect> = selectors.into_iter().map(thaw).collect();
    effects.push(Effect::Say(Say::Thawed { by, freezes: ended }));
    effects
}
