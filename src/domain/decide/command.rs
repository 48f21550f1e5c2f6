//! Somebody wrote a command: what follows, or everything that stands in its way.

use super::merge::{begin, is_applying, per_project, reviewed, start};
use super::{Affected, Effect, Found, Missing, Present, Problem, ProjectState, PullState, Rules, Say, change, present};
use crate::domain::command::{Command, Origin, Parsed, Selector, Verb};
use crate::domain::id::{Fingerprint, ProjectName, RunId};
use crate::domain::permission::{MayApply, authorize};
use crate::domain::pull::{Actor, Phase, Review};
use crate::domain::requirement::{Asked, allow_apply};
use crate::domain::run::{ApplyOrder, Outcome, Run, RunState};

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
    if command.verb == Verb::Unlock {
        return unlock(state, &command.selector, asking);
    }
    let mut effects = match asking.found {
        Some(found @ Found::Problem(problem)) => {
            let mut effects = change::changed(state, found);
            // Of a fork people are told in a comment of its own anyway.
            if *problem != Problem::Fork {
                effects.extend(whole(cannot_be_planned(problem)));
            }
            return effects;
        }
        // A command first brings what is known up to date: a plan of an older head is stopped, a missing one begun.
        Some(found) if state.pull().is_open() => change::changed(state, found),
        _ => Vec::new(),
    };
    let affected = match asking.found {
        Some(Found::Affected(affected)) => Some(affected),
        _ => state.record.affected.as_ref(),
    };
    let chosen = match choose(state, affected, &command.selector, asking, command.verb) {
        Ok(chosen) => chosen,
        Err(say) => {
            effects.push(Effect::Say(say));
            return effects;
        }
    };
    effects.extend(match command.verb {
        Verb::Plan => plan(state, &chosen, asking),
        Verb::Approve => approve(state, &chosen, asking, rules),
        Verb::Apply | Verb::Unlock | Verb::Help => apply(state, &chosen, asking, rules),
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

fn cannot_be_planned(problem: &Problem) -> String {
    let what = match problem {
        Problem::Fork => "its head is in a fork",
        Problem::Conflict { .. } => "it conflicts with its base branch",
        Problem::Configuration { .. } => "its configuration can't be used",
        Problem::Fetch { .. } => "the repository could not be fetched",
    };
    format!("the pull request can't be planned, for {what}: the first comment says more")
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
    let not_open = match state.pull().phase {
        Phase::Open => None,
        Phase::Closed => Some("the pull request is closed".to_owned()),
        Phase::Merged { .. } => {
            Some("the pull request is merged: `apply` plans what is left of it anew, and shows it first".to_owned())
        }
    };
    if let Some(what) = not_open {
        return refuse(asking, Verb::Plan, vec![Missing { project: None, what }]);
    }
    let again = |project: &Present<'_>| {
        let replaced = state
            .unfinished
            .iter()
            .filter(|run| run.is_plan() && run.project.key == project.project.key)
            .map(|run| Effect::Supersede { run: run.id });
        replaced.chain([project.start_plan()]).collect::<Vec<_>>()
    };
    chosen.iter().flat_map(again).collect()
}

/// All or nothing: a command that could only do a part says what is missing for the rest, and how to ask for the part.
fn apply(state: &PullState, chosen: &[Present<'_>], asking: Asking<'_>, rules: &Rules) -> Vec<Effect> {
    if state.pull().phase == Phase::Closed {
        let what = "the pull request is closed without a merge".to_owned();
        return refuse(asking, Verb::Apply, vec![Missing { project: None, what }]);
    }
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
            Ok((plan, proof)) => {
                effects.extend(start(state, project, plan, &asking.actor.login, asking.review, proof));
            }
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

/// The plan that people saw, with its fingerprint.
type ReviewedPlan = Option<(RunId, Fingerprint)>;

fn may_apply(
    state: &PullState,
    project: &Present<'_>,
    asking: Asking<'_>,
    asked: Asked<'_>,
) -> Result<(ReviewedPlan, MayApply), Vec<String>> {
    let merged = state.pull().merge_commit().is_some();
    let mut reasons = Vec::new();
    if project.known.is_some_and(is_applying) {
        reasons.push("an apply of it is under way".to_owned());
    }
    if !merged && !project.project.apply.on_comment() {
        reasons.push("it is applied by the merge (`apply: on_merge`)".to_owned());
    }
    let plan = reviewed(project);
    if !merged {
        reasons.extend(unseen(project, asking.origin));
    }
    match allow_apply(project.project, asked) {
        Ok(proof) if reasons.is_empty() => Ok((plan, proof)),
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
        Some(plan) if plan.state == RunState::Succeeded => {
            // The forge's clock counts whole seconds.
            let finished = plan.finished_at.map_or(0, |at| at.0 / 1000);
            (finished > origin.at.0 / 1000)
                .then(|| "its plan was finished after your comment: look at it, and comment again".to_owned())
        }
        _ => Some("it is still being planned: comment again when its plan is shown".to_owned()),
    }
}

/// Accepts what an apply stopped at: a new plan that is not the reviewed one, or a merge without the approval it needs.
fn approve(state: &PullState, chosen: &[Present<'_>], asking: Asking<'_>, rules: &Rules) -> Vec<Effect> {
    let asked = ask(state, asking, Verb::Approve, rules);
    let mut effects = Vec::new();
    let mut missing = Vec::new();
    for project in chosen {
        let Some(plan) = waits_for_approval(state, project) else { continue };
        match allow_apply(project.project, asked) {
            Ok(proof) => {
                let order = ApplyOrder {
                    plan: Some(plan.0),
                    plan_anew: false,
                    reviewed: Some(plan.1),
                    merge_commit: state.pull().merge_commit().cloned(),
                    ordered_by: asking.actor.login.clone(),
                    approved_by: vec![asking.actor.login.clone()],
                };
                effects.extend(begin(state, project, order, proof));
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

/// The plan that `approve` would accept: the one that was shown last.
fn waits_for_approval(state: &PullState, project: &Present<'_>) -> ReviewedPlan {
    let merged = state.pull().merge_commit().is_some();
    match project.known.and_then(|known| known.apply.as_ref()) {
        Some(Run { id, state: RunState::Differs, outcome: Some(Outcome::Differs(differs)), target, .. })
            if *target == project.target && (merged || project.project.apply.on_comment()) =>
        {
            Some((*id, differs.planned.fingerprint.clone()))
        }
        None if merged && !project.known.is_some_and(ProjectState::is_settled) => {
            reviewed(project).filter(|_| project.project.apply.on_merge())
        }
        _ => None,
    }
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
    let mut effects = Vec::new();
    for project in &held {
        if waiting(project) {
            effects.extend(project.apply.as_ref().map(|run| Effect::Supersede { run: run.id }));
        }
        if state.holds_lock(project) {
            effects.push(Effect::FreeLock { project: project.project.key.clone() });
        }
    }
    let projects = held.iter().map(|project| project.project.name.clone()).collect();
    effects.push(Effect::Say(Say::Unlocked { by: asking.actor.login.clone(), projects }));
    effects
}

fn told_to_wait(state: &PullState, effects: &[Effect], asking: Asking<'_>) -> Option<Effect> {
    let waits = |effect: &Effect| {
        let Effect::WaitForLock { project, .. } = effect else { return None };
        let known = state.projects.iter().find(|known| known.project.key == project.key)?;
        Some((project.name.clone(), known.lock.as_ref()?.held_by.clone(), known.queue_position))
    };
    let projects: Vec<_> = effects.iter().filter_map(waits).collect();
    (!projects.is_empty()).then(|| Effect::Say(Say::Waiting { to: asking.actor.login.clone(), projects }))
}

fn ask<'a>(state: &'a PullState, asking: Asking<'a>, verb: Verb, rules: &'a Rules) -> Asked<'a> {
    Asked { pull: state.pull(), review: asking.review, verb, actor: asking.actor, base_may_apply: rules.base_may_apply }
}

fn refuse(asking: Asking<'_>, verb: Verb, missing: Vec<Missing>) -> Vec<Effect> {
    vec![Effect::Say(Say::Refused { to: asking.actor.login.clone(), verb, missing })]
}
