//! Answers that change nothing: what this person may do, who holds what, and why a project is concerned.

use super::apply::waits_for_approval;
use super::command::{Asking, ask, choose};
use super::hold::hold;
use super::merge::{applying, reviewed};
use super::{Because, Effect, Held, Helped, Hold, Present, ProjectState, PullState, Say, present};
use crate::domain::command::{Selector, Verb};
use crate::domain::project::{ApplyMode, Project};
use crate::domain::requirement::{On, allow_apply, authorize};
use crate::domain::run::RunState;

pub(super) fn help(state: &PullState, asking: Asking<'_>) -> Vec<Effect> {
    let verbs = Verb::ALL.into_iter().map(|verb| Helped { verb, lacks: lacks(state, verb, asking) }).collect();
    vec![Effect::Say(Say::Help { to: asking.actor.login.clone(), verbs })]
}

fn now<'a>(state: &'a PullState, asking: Asking<'a>) -> Vec<Present<'a>> {
    let found = match asking.found {
        Some(super::Found::Affected(affected)) => Some(affected),
        _ => state.record.affected.as_ref(),
    };
    found.map(|affected| present(state, affected)).unwrap_or_default()
}

/// Why this person would not get what they ask for now, shortly; `None`: they would.
fn lacks(state: &PullState, verb: Verb, asking: Asking<'_>) -> Option<String> {
    let all = now(state, asking);
    let rights = all.iter().map(|project| &project.project.can);
    let door = |on| authorize(ask(state, asking, verb), on).err().and_then(|missing| missing.into_iter().next());
    let refused = || {
        let mut answers = rights.clone().chain(all.is_empty().then_some(&asking.rules.rights));
        let mut last = None;
        let allowed = answers.any(|can| match door(On::Project(can)) {
            None => true,
            why => {
                last = why;
                false
            }
        });
        if allowed { None } else { last }
    };
    match verb {
        Verb::Help | Verb::Version | Verb::Locks | Verb::Why => door(On::Repository),
        Verb::Freeze | Verb::Thaw => {
            let frozen = state.around.freezes.iter().any(|freeze| !freeze.is_over(asking.now));
            let allowed = door(On::Repository);
            allowed.or_else(|| (verb == Verb::Thaw && !frozen).then(|| "nothing is frozen".to_owned()))
        }
        Verb::Plan => refused().or_else(|| (!state.pull().is_open()).then(|| "it is not open".to_owned())),
        Verb::Lock => refused().or_else(|| (!state.pull().is_open()).then(|| "it is not open".to_owned())),
        Verb::Cancel => refused().or_else(|| state.unfinished.is_empty().then(|| "nothing is under way".to_owned())),
        Verb::Apply => refused().or_else(|| {
            let open: Vec<&Present<'_>> =
                all.iter().filter(|project| !project.known.is_some_and(ProjectState::is_settled)).collect();
            let missing = open.iter().filter_map(|project| not_now(state, project, asking));
            let mut missing: Vec<String> = missing.collect();
            missing.dedup();
            match (open.len(), missing.len()) {
                (0, _) => Some("there is nothing to apply".to_owned()),
                (_, 0) => None,
                _ => Some(missing.remove(0)),
            }
        }),
        Verb::Approve => refused().or_else(|| {
            let waits = all.iter().any(|project| waits_for_approval(state, project).is_some());
            let author = asking.actor.login.same_as(&state.pull().author);
            match (waits, author) {
                (false, _) => Some("no plan waits for an approval".to_owned()),
                (true, true) => Some("somebody other than the author has to".to_owned()),
                (true, false) => None,
            }
        }),
        Verb::Unlock => {
            let held: Vec<_> = state.projects.iter().filter(|project| state.holds_lock(project)).collect();
            if held.is_empty() {
                return refused().or_else(|| Some("it holds nothing".to_owned()));
            }
            let mine = super::keep::is_theirs(state, asking);
            held.iter().find_map(|project| {
                let can = &project.project.can;
                door(if mine { On::Project(can) } else { On::LockOfOthers(can) })
            })
        }
    }
}

/// The first thing that an apply of the project lacks now.
fn not_now(state: &PullState, project: &Present<'_>, asking: Asking<'_>) -> Option<String> {
    missing(state, project, asking).into_iter().next().map(|why| format!("`{}`: {why}", project.project.name))
}

fn missing(state: &PullState, project: &Present<'_>, asking: Asking<'_>) -> Vec<String> {
    let merged = state.pull().merge_commit().is_some();
    let mut missing = Vec::new();
    if !merged && !project.project.apply.on_comment() {
        missing.push("it is applied by the merge".to_owned());
    }
    let plan = project.known.and_then(|known| known.plan.as_ref()).filter(|plan| plan.target == project.target);
    match plan.map(|plan| plan.state) {
        Some(RunState::Succeeded) => {}
        Some(RunState::Failed) => missing.push("its plan failed".to_owned()),
        _ if merged => {}
        _ => missing.push("it is being planned".to_owned()),
    }
    let asked = ask(state, asking, Verb::Apply);
    missing.extend(
        allow_apply(project.project, asked, applying(project.known, reviewed(state, project)))
            .err()
            .into_iter()
            .flatten(),
    );
    match hold(state, project.project, asking.now) {
        Some(Hold::After(first)) => missing.push(format!("`{first}` is applied first")),
        Some(Hold::Frozen(frozen)) => missing.push(frozen.to_string()),
        Some(Hold::Lock(other)) => missing.push(format!("#{} holds it", other.number)),
        None => {}
    }
    missing
}

pub(super) fn locks(state: &PullState, asking: Asking<'_>) -> Vec<Effect> {
    let held = state.around.locks.iter().map(|lock| Held {
        project: lock.project.to_string(),
        by: lock.held_by.clone(),
        since: lock.since,
        applied: lock.applied,
        taken_by: lock.taken_by.clone(),
        reason: lock.reason.clone(),
        waiting: {
            let waiting = state.around.waits.iter().filter(|wait| wait.project == lock.project);
            waiting.map(|wait| wait.pull.clone()).collect()
        },
    });
    let freezes = state.around.freezes.iter().filter(|freeze| !freeze.is_over(asking.now)).cloned().collect();
    vec![Effect::Say(Say::Locks { to: asking.actor.login.clone(), held: held.collect(), freezes })]
}

pub(super) fn why(state: &PullState, selector: &Selector, asking: Asking<'_>) -> Vec<Effect> {
    let affected = match asking.found {
        Some(super::Found::Affected(affected)) => Some(affected),
        _ => state.record.affected.as_ref(),
    };
    let chosen = match choose(state, affected, selector, asking, Verb::Why) {
        Ok(chosen) => chosen,
        Err(say) => return vec![Effect::Say(*say)],
    };
    let because = |project: &Present<'_>| Because {
        project: project.project.name.clone(),
        reason: project.project.reason.clone(),
        rules: rules(project.project),
        missing: if project.known.is_some_and(ProjectState::is_settled) {
            Vec::new()
        } else {
            missing(state, project, asking)
        },
    };
    let projects = chosen.iter().map(because).collect();
    vec![Effect::Say(Say::Why { to: asking.actor.login.clone(), projects })]
}

/// What the rules say of a project, for people.
fn rules(project: &Project) -> Vec<String> {
    let mut said = vec![match project.apply {
        ApplyMode::OnMerge => "applied by the merge".to_owned(),
        ApplyMode::OnComment => "applied by the comment `apply`".to_owned(),
        ApplyMode::Both => "applied by the comment `apply`, or by the merge".to_owned(),
    }];
    let listed = |all: &[crate::domain::requirement::Requirement]| {
        all.iter().map(|requirement| format!("`{requirement}`")).collect::<Vec<_>>().join(", ")
    };
    for (what, all) in [
        ("an apply requires", &project.require),
        ("a plan requires", &project.require_plan),
        ("an import requires besides", &project.require_import),
    ] {
        if !all.is_empty() {
            said.push(format!("{what} {}", listed(all)));
        }
    }
    for (verb, lists) in &project.can.0 {
        for list in lists {
            let names: Vec<String> = list.iter().map(|who| format!("`{who}`")).collect();
            said.push(format!("`{}` is for {}", verb.as_str(), crate::domain::permission::one_of(&names)));
        }
    }
    if !project.after.is_empty() {
        let names: Vec<String> = project.after.iter().map(|name| format!("`{name}`")).collect();
        said.push(format!("it comes after {}", names.join(", ")));
    }
    said
}
