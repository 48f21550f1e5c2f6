//! Somebody wrote a command: what follows, or everything that stands in its way.

use super::merge::{affected_by_merge, per_project, remember};
use super::{Affected, Effect, Found, Missing, Present, Problem, PullState, Rules, Say, change, present};
use super::{apply, help, keep};
use crate::domain::command::{Call, Command, MOST_COMMANDS, Origin, Parsed, Selector, Surface, Verb, permitted_extra};
use crate::domain::event::Reaction;
use crate::domain::id::{ProjectName, Timestamp};
use crate::domain::permission::Rights;
use crate::domain::pull::{Actor, Phase, Review};
use crate::domain::report::mark;
use crate::domain::requirement::{Asked, On, authorize};
use crate::domain::run::{Run, RunState};

#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) origin: &'a Origin,
    pub(super) actor: &'a Actor,
    pub(super) review: &'a Review,
    pub(super) found: Option<&'a Found>,
    pub(super) rules: &'a Rules,
    pub(super) now: Timestamp,
}

pub(super) fn commanded(state: &PullState, parsed: &Parsed, asking: Asking<'_>) -> Vec<Effect> {
    let to = asking.actor.login.clone();
    let mut effects = match parsed {
        Parsed::UnknownVerb { word, meant } => {
            vec![Effect::Say(Say::UnknownVerb { to, word: word.clone(), meant: *meant })]
        }
        Parsed::BadArgument { verb, argument, why } => {
            let shown: String = argument.chars().filter(|c| *c != '`' && !c.is_control()).take(100).collect();
            refuse(asking, *verb, vec![Missing { project: None, what: format!("the argument `{shown}` {why}") }])
        }
        Parsed::OneTooMany(verb) => {
            let what = format!(
                "more than {MOST_COMMANDS} commands in one comment are not carried out: this one and those after it were not"
            );
            refuse(asking, *verb, vec![Missing { project: None, what }])
        }
        Parsed::Command(command) => carry_out(state, command, asking),
    };
    effects
        .extend(asking.origin.comment().zip(reaction(&effects)).map(|(comment, with)| Effect::React { comment, with }));
    effects
}

/// How the comment is acknowledged; the end of an apply changes it once more.
fn reaction(effects: &[Effect]) -> Option<Reaction> {
    let says =
        |wanted: fn(&Say) -> bool| effects.iter().any(|effect| matches!(effect, Effect::Say(say) if wanted(say)));
    let refused = says(|say| {
        matches!(say, Say::Refused { .. } | Say::NothingMatched { .. } | Say::UnknownVerb { .. } | Say::ForkRefused)
    });
    let begun = effects.iter().any(|effect| matches!(effect, Effect::StartApply { .. } | Effect::Wait { .. }));
    match (refused, begun) {
        (true, _) => Some(Reaction::Failed),
        // What comes of it is told at the end.
        (false, true) => None,
        (false, false) if effects.is_empty() => None,
        (false, false) => Some(Reaction::Done),
    }
}

/// Why what somebody asked for by a button or a call is not what they saw.
fn changed_since(state: &PullState, call: &Call) -> Option<String> {
    let head = &state.pull().head;
    if let Some(other) = call.head.as_ref().filter(|other| *other != head) {
        let (now, then) = (head.short(), other.short());
        return Some(format!("the head is `{now}` now and not `{then}`: look at what has changed since"));
    }
    let other = call.seen.as_ref().is_some_and(|seen| *seen != mark(state));
    other.then(|| "what is planned has changed since the button was shown: look at it, and try again".to_owned())
}

fn carry_out(state: &PullState, command: &Command, asking: Asking<'_>) -> Vec<Effect> {
    let whole = |what: String| refuse(asking, command.verb, vec![Missing { project: None, what }]);
    // Nothing was looked for on behalf of those who may do nothing anywhere. Everybody else is told all that is missing.
    if asking.found.is_none()
        && let Err(lacking) = for_somebody(state, command.verb, asking)
    {
        return refuse(asking, command.verb, of_command(lacking));
    }
    if matches!(command.verb, Verb::Apply | Verb::Approve) && asking.origin.is_stale() {
        return whole(
            "the comment was heard more than 15 minutes after it was written, and nothing is applied by surprise: comment \
             again"
                .to_owned(),
        );
    }
    if let (Verb::Apply | Verb::Approve, Surface::Call(call)) = (command.verb, &asking.origin.surface)
        && let Some(changed) = changed_since(state, call)
    {
        return whole(changed);
    }
    match command.verb {
        Verb::Help => return help::help(state, asking),
        Verb::Version => return vec![Effect::Say(Say::Version { to: asking.actor.login.clone() })],
        Verb::Locks => return help::locks(state, asking),
        Verb::Why => return help::why(state, &command.selector, asking),
        Verb::Unlock => return keep::unlock(state, command, asking),
        Verb::Lock => return keep::lock(state, command, asking),
        Verb::Cancel => return super::cancel::cancel(state, &command.selector, asking),
        // Of the whole repository: no project's rules count.
        Verb::Freeze | Verb::Thaw => {
            return match authorize(ask(state, asking, command.verb), On::Repository) {
                Err(missing) => refuse(asking, command.verb, of_command(missing)),
                Ok(_) if command.verb == Verb::Freeze => keep::freeze(command, asking),
                Ok(_) => keep::thaw(state, &command.selector, asking),
            };
        }
        Verb::Plan | Verb::Apply | Verb::Approve => {}
    }
    let head = &state.pull().head;
    if let Some(other) = command.sha.as_ref().filter(|sha| *sha != head) {
        return whole(format!(
            "the head is `{}` now and not `{}`: look at what has changed since",
            head.short(),
            other.short()
        ));
    }
    let extra = match extra(command) {
        Ok(extra) => extra,
        Err(missing) => return refuse(asking, command.verb, missing),
    };
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
    if let Some(moved) = moved_since(state, command.verb, asking) {
        effects.extend(whole(moved));
        return effects;
    }
    let chosen = match choose(state, affected.as_ref(), &command.selector, asking, command.verb) {
        Ok(chosen) => chosen,
        Err(say) => {
            effects.push(Effect::Say(*say));
            return effects;
        }
    };
    effects.extend(match command.verb {
        Verb::Plan => plan(state, &chosen, &extra, asking),
        Verb::Approve => apply::approve(state, &chosen, asking),
        _ => apply::apply(state, chosen, asking),
    });
    one_plan_each(&mut effects);
    effects
}

/// A plan that was asked for and one that was due anyway are one plan: the one that was asked for.
fn one_plan_each(effects: &mut Vec<Effect>) {
    let key = |effect: &Effect| match effect {
        Effect::StartPlan { project, .. } => Some(project.key.clone()),
        _ => None,
    };
    let mut kept: Vec<Effect> = Vec::new();
    for effect in effects.drain(..).rev() {
        let again = match key(&effect) {
            Some(project) => kept.iter().any(|other| key(other).as_ref() == Some(&project)),
            None => kept.contains(&effect),
        };
        if !again {
            kept.push(effect);
        }
    }
    kept.reverse();
    *effects = kept;
}

/// Refuses those to whom no rule of any project gives the verb. What one project gives and another does not is said
/// project by project.
///
/// # Errors
/// What is missing for the last of them.
fn for_somebody(state: &PullState, verb: Verb, asking: Asking<'_>) -> Result<(), Vec<String>> {
    let asked = ask(state, asking, verb);
    let general = authorize(asked, On::Project(&asking.rules.rights)).map(drop);
    let found = match asking.found {
        Some(Found::Affected(affected)) => Some(affected),
        _ => None,
    };
    let mut all =
        found.or(state.record.affected.as_ref()).into_iter().flat_map(|affected| &affected.projects).peekable();
    if matches!(verb, Verb::Freeze | Verb::Thaw) || all.peek().is_none() {
        return general;
    }
    let mut refused = general;
    for entry in all {
        refused = authorize(asked, On::Project(&entry.project.can)).map(drop);
        if refused.is_ok() {
            break;
        }
    }
    refused
}

/// # Errors
/// The arguments that terraform is not given.
fn extra(command: &Command) -> Result<Vec<String>, Vec<Missing>> {
    if command.verb == Verb::Apply && !command.extra.is_empty() {
        let what =
            "an apply runs the plan that was reviewed, with the arguments that it was planned with: `plan` with these \
                    arguments first"
                .to_owned();
        return Err(vec![Missing { project: None, what }]);
    }
    permitted_extra(&command.extra)
        .map_err(|refused| refused.iter().map(|refused| Missing { project: None, what: refused.to_string() }).collect())
}

/// A command is bound to the head that the live comment showed when it was written.
fn moved_since(state: &PullState, verb: Verb, asking: Asking<'_>) -> Option<String> {
    if verb == Verb::Plan || !state.pull().is_open() {
        return None;
    }
    let (shown, head) = (state.head_shown_for(asking.origin)?, &state.pull().head);
    (shown != head).then(|| {
        format!(
            "`{}` was shown when you wrote this, and the head is `{}` now: look at its plan, which is on its way, and \
             comment again",
            shown.short(),
            head.short()
        )
    })
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
            (change::changed(state, found, asking.review, asking.rules), affected)
        }
        (Phase::Merged { .. }, found) => match affected_by_merge(state, found) {
            Ok(affected) => (remember(state, &affected).into_iter().collect(), Ok(Some(affected))),
            Err(problem) => (Vec::new(), problem.map_or(Ok(None), |problem| Err(problem.sentence()))),
        },
    }
}

/// The projects that a selector names. Every word must name one: a typo must not make a command do less, or more.
pub(super) fn choose<'a>(
    state: &'a PullState,
    affected: Option<&'a Affected>,
    selector: &Selector,
    asking: Asking<'_>,
    verb: Verb,
) -> Result<Vec<Present<'a>>, Box<Say>> {
    let all = affected.map(|affected| present(state, affected)).unwrap_or_default();
    let unmatched = selector.words_without(all.iter().map(|project| project.project));
    let matcher = selector.matcher();
    let names: Vec<ProjectName> = all.iter().map(|project| project.project.name.clone()).collect();
    let chosen: Vec<Present<'a>> = all
        .into_iter()
        .filter(|project| matcher.matches(project.project) && (!selector.failed || has_failed(project)))
        .collect();
    if chosen.is_empty() || !unmatched.is_empty() {
        let to = asking.actor.login.clone();
        return Err(Box::new(Say::NothingMatched { to, verb, selector: unmatched, projects: names }));
    }
    Ok(chosen)
}

/// Its last plan or apply failed.
fn has_failed(project: &Present<'_>) -> bool {
    let failed =
        |run: Option<&Run>| run.is_some_and(|run| matches!(run.state, RunState::Failed | RunState::Interrupted));
    project.known.is_some_and(|known| failed(known.plan.as_ref()) || failed(known.apply.as_ref()))
}

/// All or nothing, as with an apply.
fn plan(state: &PullState, chosen: &[Present<'_>], extra: &[String], asking: Asking<'_>) -> Vec<Effect> {
    if !state.pull().is_open() {
        let what = "the pull request is merged: `apply` plans what is left of it anew, and shows it first".to_owned();
        return refuse(asking, Verb::Plan, vec![Missing { project: None, what }]);
    }
    let asked = ask(state, asking, Verb::Plan);
    let mut missing: Vec<Missing> = Vec::new();
    for project in chosen {
        let refused = authorize(asked, On::ToPlan(project.project)).err().unwrap_or_default();
        missing.extend(per_project(project.project, refused));
    }
    if !missing.is_empty() {
        return refuse(asking, Verb::Plan, missing);
    }
    let again = |project: &Present<'_>| {
        let replaced = change::supersede_plans(state, |run| run.project.key == project.project.key);
        replaced.into_iter().chain([project.start_plan(Some(extra.to_vec()))])
    };
    chosen.iter().flat_map(again).collect()
}

pub(super) fn ask<'a>(state: &'a PullState, asking: Asking<'a>, verb: Verb) -> Asked<'a> {
    Asked { pull: state.pull(), review: asking.review, verb, actor: asking.actor, rules: asking.rules }
}

/// What is missing for the command as a whole.
fn of_command(missing: Vec<String>) -> Vec<Missing> {
    missing.into_iter().map(|what| Missing { project: None, what }).collect()
}

pub(super) fn refuse(asking: Asking<'_>, verb: Verb, missing: Vec<Missing>) -> Vec<Effect> {
    vec![Effect::Say(Say::Refused { to: asking.actor.login.clone(), verb, missing })]
}

/// The rights that count for what is about a project which is known from earlier: as they are now, if they were found.
pub(super) fn rights<'a>(asking: Asking<'a>, project: &'a crate::domain::project::Project) -> &'a Rights {
    let found = match asking.found {
        Some(Found::Affected(affected)) => affected.projects.iter().find(|entry| entry.project.key == project.key),
        _ => None,
    };
    found.map_or(&project.can, |entry| &entry.project.can)
}
