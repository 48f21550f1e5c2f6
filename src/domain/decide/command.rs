//! Somebody wrote a command: what follows, or everything that stands in its way.

use super::merge::{affected_by_merge, begin, is_applying, per_project, remember, shown, start};
use super::{Affected, Effect, Found, Missing, Present, Problem, ProjectState, PullState, Rules, Say, change, present};
use crate::domain::command::{Command, Origin, Parsed, Selector, Verb};
use crate::domain::id::ProjectName;
use crate::domain::permission::{MayApply, authorize};
use crate::domain::pull::{Actor, Phase, Review};
use crate::domain::requirement::{Asked, allow_apply};
use crate::domain::run::{Run, RunState};

#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) origin: &'a Origin,
    pub(super) actor: &'a Actor,
    pub(super) review: &'a Review,
    pub(super) found: Option<&'a Found>,
}

pub(super) fn commanded(state: &PullState, parsed: &Parsed, asking: Asking<'_>, rules: &Rules) -> Vec<Effect> {
    let to = asking.actor.login.clone();
    match parsed {
        Parsed::UnknownVerb { word, suggestion } => {
            vec![Effect::Say(Say::UnknownVerb { to, word: word.clone(), suggestion: Some(*suggestion) })]
        }
        Parsed::BadArgument { verb, argument } => {
            let what = format!("the argument `{}` is not understood", argument.replace('`', ""));
            refuse(asking, *verb, vec![Missing { project: None, what }])
        }
        Parsed::Command(command) => carry_out(state, command, asking, rules),
    }
}

fn carry_out(state: &PullState, command: &Command, asking: Asking<'_>, rules: &Rules) -> Vec<Effect> {
    let whole = |what: String| refuse(asking, command.verb, vec![Missing { project: None, what }]);
    if command.verb == Verb::Help {
        return vec![Effect::Say(Say::Help { to: asking.actor.login.clone() })];
    }
    if let Err(lacking) = authorize(command.verb, asking.actor) {
        return whole(lacking);
    }
    if matches!(command.verb, Verb::Apply | Verb::Approve) && asking.origin.is_stale() {
        return whole(
            "the comment was heard more than 15 minutes after it was written, and nothing is applied by surprise: comment \
             again"
                .to_owned(),
        );
    }
    if command.verb == Verb::Unlock {
        return unlock(state, &command.selector, asking);
    }
    if command.verb == Verb::Cancel {
        return super::cancel::cancel(state, &command.selector, asking);
    }
    if let Some(other) = command.sha.as_ref().filter(|sha| **sha != state.pull().head) {
        let head = &state.pull().head;
        return whole(format!(
            "the head is `{}` now and not `{}`: look at what has changed since",
            head.short(),
            other.short()
        ));
    }
    let (mut effects, affected) = present_code(state, asking);
    let affected = match affected {
        Ok(affected) => affected,
        // Of a fork people are told in a comment of its own anyway.
        Err(_) if asking.found == Some(&Found::Problem(Problem::Fork)) => return effects,
        Err(why) => {
            effects.extend(whole(why.to_owned()));
            return effects;
        }
    };
    let chosen = match choose(state, affected.as_ref(), &command.selector, asking, command.verb) {
        Ok(chosen) => chosen,
        Err(say) => {
            effects.push(Effect::Say(say));
            return effects;
        }
    };
    effects.extend(match command.verb {
        Verb::Plan => plan(state, &chosen, asking),
        Verb::Approve => approve(state, &chosen, asking, rules),
        Verb::Apply | Verb::Unlock | Verb::Cancel | Verb::Help => apply(state, &chosen, asking, rules),
    });
    // A plan that was asked for and one that was due anyway are one plan.
    let mut seen = Vec::new();
    effects.retain(|effect| {
        let repeated = seen.contains(effect);
        seen.push(effect.clone());
        !repeated
    });
    effects
}

/// What follows alone from how things are now (a plan of an older head is stopped, a missing one begun), and what the
/// pull request concerns, or why nothing can be done.
fn present_code(state: &PullState, asking: Asking<'_>) -> (Vec<Effect>, Result<Option<Affected>, &'static str>) {
    match (&state.pull().phase, asking.found) {
        (Phase::Closed, _) => (Vec::new(), Err("the pull request is closed without a merge")),
        (Phase::Open, None) => (Vec::new(), Ok(state.record.affected.clone())),
        (Phase::Open, Some(found)) => {
            let affected = match found {
                Found::Affected(affected) => Ok(Some(affected.clone())),
                Found::Problem(problem) => Err(problem.sentence()),
            };
            (change::changed(state, found), affected)
        }
        (Phase::Merged { .. }, found) => match affected_by_merge(state, found) {
            Ok(affected) => (remember(state, &affected).into_iter().collect(), Ok(Some(affected))),
            Err(problem) => (Vec::new(), problem.map_or(Ok(None), |problem| Err(problem.sentence()))),
        },
    }
}

/// The projects that a selector names. Every word must name one: a typo must not make a command do less, or more.
fn choose<'a>(
    state: &'a PullState,
    affected: Option<&'a Affected>,
    selector: &Selector,
    asking: Asking<'_>,
    verb: Verb,
) -> Result<Vec<Present<'a>>, Say> {
    let all = affected.map(|affected| present(state, affected)).unwrap_or_default();
    let names_one = |word: &String| {
        let word = Selector { any_of: vec![word.clone()] };
        all.iter().any(|project| word.matches(project.project))
    };
    let unmatched: Vec<String> = selector.any_of.iter().filter(|word| !names_one(word)).cloned().collect();
    if all.is_empty() || !unmatched.is_empty() {
        let projects: Vec<ProjectName> = all.iter().map(|project| project.project.name.clone()).collect();
        return Err(Say::NothingMatched { to: asking.actor.login.clone(), verb, selector: unmatched, projects });
    }
    Ok(all.into_iter().filter(|project| selector.matches(project.project)).collect())
}

fn plan(state: &PullState, chosen: &[Present<'_>], asking: Asking<'_>) -> Vec<Effect> {
    if !state.pull().is_open() {
        let what = "the pull request is merged: `apply` plans what is left of it anew, and shows it first".to_owned();
        return refuse(asking, Verb::Plan, vec![Missing { project: None, what }]);
    }
    let again = |project: &Present<'_>| {
        let replaced = change::supersede_plans(state, |run| run.project.key == project.project.key);
        replaced.into_iter().chain([project.start_plan()])
    };
    chosen.iter().flat_map(again).collect()
}

/// All or nothing: a command that could only do a part says what is missing for the rest, and how to ask for the part.
fn apply(state: &PullState, chosen: &[Present<'_>], asking: Asking<'_>, rules: &Rules) -> Vec<Effect> {
    let asked = ask(state, asking, Verb::Apply, rules);
    let mut effects = Vec::new();
    let mut missing = Vec::new();
    let mut settled = 0;
    for project in chosen {
        if project.known.is_some_and(ProjectState::is_settled) {
            settled += 1;
            continue;
        }
        match may_apply(state, project, asking, asked) {
            Ok(proof) => effects.extend(start(state, project, &asking.actor.login, asking.review, proof)),
            Err(reasons) => missing.extend(per_project(project.project, reasons)),
        }
    }
    if settled == chosen.len() {
        missing.push(Missing { project: None, what: "there is nothing left to apply".to_owned() });
    }
    if !missing.is_empty() {
        return refuse(asking, Verb::Apply, missing);
    }
    effects.extend(told_to_wait(state, &effects, asking));
    effects
}

fn may_apply(
    state: &PullState,
    project: &Present<'_>,
    asking: Asking<'_>,
    asked: Asked<'_>,
) -> Result<MayApply, Vec<String>> {
    let merged = state.pull().merge_commit().is_some();
    let mut reasons = Vec::new();
    if project.known.is_some_and(is_applying) {
        reasons.push("an apply of it is under way".to_owned());
    }
    if !merged && !project.project.apply.on_comment() {
        reasons.push("it is applied by the merge (`apply: on_merge`)".to_owned());
    }
    if !merged {
        reasons.extend(unseen(project, asking.origin));
    }
    match allow_apply(project.project, asked) {
        Ok(proof) if reasons.is_empty() => Ok(proof),
        Ok(_) => Err(reasons),
        Err(more) => {
            reasons.extend(more);
            Err(reasons)
        }
    }
}

/// Before the merge, only a plan that stood in the live comment when the command was written is applied.
fn unseen(project: &Present<'_>, origin: &Origin) -> Option<String> {
    let plan = project.known.and_then(|known| known.plan.as_ref()).filter(|plan| plan.target == project.target);
    match plan {
        Some(plan) if plan.state == RunState::Failed => Some("its plan failed".to_owned()),
        Some(plan) if plan.state == RunState::Succeeded => not_shown(plan, origin),
        _ => Some("it is still being planned: comment again when its plan is shown".to_owned()),
    }
}

/// Why nobody who wrote the comment can have seen the plan that the run made.
fn not_shown(run: &Run, origin: &Origin) -> Option<String> {
    (!run.was_over_by(origin.at))
        .then(|| "its plan was finished after your comment: look at it, and comment again".to_owned())
}

/// Accepts what an apply stopped at: a new plan that is not the reviewed one, or a merge without the approval it needs.
fn approve(state: &PullState, chosen: &[Present<'_>], asking: Asking<'_>, rules: &Rules) -> Vec<Effect> {
    let asked = ask(state, asking, Verb::Approve, rules);
    let mut effects = Vec::new();
    let mut missing = Vec::new();
    for project in chosen {
        let Some(run) = waits_for_approval(state, project) else { continue };
        if let Some(reason) = run.and_then(|run| not_shown(run, asking.origin)) {
            missing.extend(per_project(project.project, vec![reason]));
            continue;
        }
        match allow_apply(project.project, asked) {
            Ok(proof) => {
                let by = &asking.actor.login;
                effects.extend(begin(state, project, run.and_then(shown), by, vec![by.clone()], proof));
            }
            Err(reasons) => missing.extend(per_project(project.project, reasons)),
        }
    }
    if effects.is_empty() && missing.is_empty() {
        missing.push(Missing { project: None, what: "no plan waits for an approval".to_owned() });
    }
    if !missing.is_empty() {
        return refuse(asking, Verb::Approve, missing);
    }
    effects.extend(told_to_wait(state, &effects, asking));
    effects
}

/// The run whose plan `approve` would accept: the one that was shown last. `Some(None)`: there is no plan, and the apply
/// will stop once it has made one. `None`: nothing waits.
fn waits_for_approval<'a>(state: &PullState, project: &Present<'a>) -> Option<Option<&'a Run>> {
    let merged = state.pull().merge_commit().is_some();
    let apply = project.known.and_then(|known| known.apply.as_ref());
    let differs = apply.filter(|apply| apply.state == RunState::Differs && apply.target == project.target);
    if let Some(differs) = differs {
        return (merged || project.project.apply.on_comment()).then_some(Some(differs));
    }
    // A merge that was not approved, or whose approved apply failed. What only a comment applies waits for that.
    let left = merged && !project.known.is_some_and(|known| known.is_settled() || is_applying(known));
    let plan = project.known.and_then(ProjectState::current_plan).filter(|plan| plan.target == project.target);
    (left && (apply.is_some() || project.project.apply.on_merge())).then_some(plan)
}

fn unlock(state: &PullState, selector: &Selector, asking: Asking<'_>) -> Vec<Effect> {
    let chosen = |project: &&ProjectState| selector.matches(&project.project);
    let waiting = |project: &ProjectState| project.apply_state() == Some(RunState::Waiting);
    let held: Vec<_> =
        state.projects.iter().filter(chosen).filter(|project| state.holds_lock(project) || waiting(project)).collect();
    if held.is_empty() {
        let what = "this pull request holds no lock on what was named".to_owned();
        return refuse(asking, Verb::Unlock, vec![Missing { project: None, what }]);
    }
    let under_way: Vec<Missing> = held
        .iter()
        .filter(|project| matches!(project.apply_state(), Some(RunState::Running | RunState::Queued)))
        .flat_map(|project| per_project(&project.project, vec!["an apply of it is under way".to_owned()]))
        .collect();
    if !under_way.is_empty() {
        return refuse(asking, Verb::Unlock, under_way);
    }
    let mut effects =
        change::call_off_applies(state, |run| held.iter().any(|project| project.project.key == run.project.key));
    for project in held.iter().filter(|project| state.holds_lock(project)) {
        effects.push(Effect::FreeLock { project: project.project.key.clone() });
    }
    let projects = held.iter().map(|project| project.project.name.clone()).collect();
    effects.push(Effect::Say(Say::Unlocked { by: asking.actor.login.clone(), projects }));
    effects
}

fn told_to_wait(state: &PullState, effects: &[Effect], asking: Asking<'_>) -> Option<Effect> {
    let waits = |effect: &Effect| {
        let Effect::WaitForLock { project, .. } = effect else { return None };
        let known = state.projects.iter().find(|known| known.project.key == project.key)?;
        Some((project.name.clone(), known.lock.as_ref()?.held_by.clone()))
    };
    let projects: Vec<_> = effects.iter().filter_map(waits).collect();
    (!projects.is_empty()).then(|| Effect::Say(Say::Waiting { to: asking.actor.login.clone(), projects }))
}

fn ask<'a>(state: &'a PullState, asking: Asking<'a>, verb: Verb, rules: &'a Rules) -> Asked<'a> {
    Asked { pull: state.pull(), review: asking.review, verb, actor: asking.actor, rules }
}

pub(super) fn refuse(asking: Asking<'_>, verb: Verb, missing: Vec<Missing>) -> Vec<Effect> {
    vec![Effect::Say(Say::Refused { to: asking.actor.login.clone(), verb, missing })]
}
