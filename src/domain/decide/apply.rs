//! Somebody asks for an apply, or accepts the plan that one stopped at.

use super::command::{Asking, ask, refuse};
use super::hold::hold;
use super::merge::{Ordering, applying, begin, in_order, is_applying, is_used_up, per_project, reviewed};
use super::{Effect, Missing, Present, ProjectState, PullState, Say};
use crate::domain::command::{Origin, Verb};
use crate::domain::id::Timestamp;
use crate::domain::lock::Lock;
use crate::domain::permission::MayApply;
use crate::domain::project::StateKind;
use crate::domain::report::pull_text;
use crate::domain::requirement::{Asked, allow_apply};
use crate::domain::run::{Run, RunState};

/// All or nothing: a command that could only do a part says what is missing for the rest, and how to ask for the part.
pub(super) fn apply(state: &PullState, chosen: Vec<Present<'_>>, asking: Asking<'_>) -> Vec<Effect> {
    let asked = ask(state, asking, Verb::Apply);
    let chosen = in_order(chosen);
    let mut effects = Vec::new();
    let mut missing = Vec::new();
    let mut settled = 0;
    for project in &chosen {
        if project.known.is_some_and(ProjectState::is_settled) {
            settled += 1;
            continue;
        }
        let plan = reviewed(state, project);
        match may_apply(state, project, plan, asking, asked) {
            Ok(proof) => match order_of(state, project, &chosen) {
                Some(reason) => missing.extend(per_project(project.project, vec![reason])),
                None => effects.extend(begin(state, project, plan, ordering(asking, Verb::Apply), proof)),
            },
            Err(reasons) => missing.extend(per_project(project.project, reasons)),
        }
    }
    if missing.is_empty() {
        let new = chosen.iter().filter(|project| !project.known.is_some_and(ProjectState::is_settled));
        missing.extend(circle(state, new, asking.now));
    }
    if settled == chosen.len() && missing.is_empty() {
        // What the rules ask for before an apply, they ask for before this too.
        let refused = |project: &Present<'_>| {
            let refused = allow_apply(project.project, asked, applying(project.known, reviewed(state, project))).err();
            per_project(project.project, refused.unwrap_or_default()).collect::<Vec<_>>()
        };
        if let Some(how) = super::over::automerge(state) {
            missing.extend(chosen.iter().flat_map(refused));
            return if missing.is_empty() { vec![Effect::Merge { how }] } else { refuse(asking, Verb::Apply, missing) };
        }
        missing.push(Missing { project: None, what: "there is nothing left to apply".to_owned() });
    }
    if !missing.is_empty() {
        return refuse(asking, Verb::Apply, missing);
    }
    effects.extend(told_to_wait(&effects, asking));
    effects
}

const fn ordering(asking: Asking<'_>, verb: Verb) -> Ordering<'_> {
    let (by, comment) = (&asking.actor.login, asking.origin.comment());
    Ordering { by, verb, comment, called: comment.is_none(), review: asking.review, now: asking.now }
}

/// What comes before it has to be applied already, be under way, or be asked for too.
fn order_of(state: &PullState, project: &Present<'_>, chosen: &[Present<'_>]) -> Option<String> {
    let is_chosen = |first: &ProjectState| chosen.iter().any(|other| other.project.key == first.project.key);
    let first = super::hold::comes_before(state, project.project)
        .find(|first| !is_chosen(first) && !is_applying(first) && first.project.state != StateKind::Nowhere)?;
    Some(format!("it comes after `{}`, which is not applied: apply that first, or both", first.project.name))
}

fn may_apply(
    state: &PullState,
    project: &Present<'_>,
    plan: Option<&Run>,
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
        reasons.extend(seen(project, asking.origin).err());
    }
    match allow_apply(project.project, asked, applying(project.known, plan)) {
        Ok(proof) if reasons.is_empty() => Ok(proof),
        Ok(_) => Err(reasons),
        Err(more) => {
            reasons.extend(more);
            Err(reasons)
        }
    }
}

/// Why these may not be taken, or waited for, together: somebody for whom this pull request would wait waits for it.
fn circle<'a>(state: &PullState, new: impl Iterator<Item = &'a Present<'a>>, now: Timestamp) -> Option<Missing> {
    // Nobody waits for what was merged: it is let go of project by project.
    if state.pull().merge_commit().is_some() {
        return None;
    }
    let (waits, takes): (Vec<_>, Vec<_>) = new.partition(|project| hold(state, project.project, now).is_some());
    let keys =
        |projects: &[&Present<'_>]| projects.iter().map(|project| project.project.key.clone()).collect::<Vec<_>>();
    let (waits, takes) = (keys(&waits), keys(&takes));
    let wait = super::hold::circle(state, &takes.iter().collect::<Vec<_>>(), &waits.iter().collect::<Vec<_>>())?;
    let (here, project) = (&state.pull().id.repo, &wait.project);
    let other = format!("`{}`", pull_text(&wait.pull, here));
    let held = |lock: &Lock| lock.project == *project && lock.held_by == state.pull().id;
    let how = match state.around.locks.iter().any(held) {
        true => "holds",
        false if takes.contains(project) => "would take",
        false => "gets before",
    };
    let what = format!(
        "this would close a circle of waits: {other} waits for `{project}`, which this pull request {how}; merge or \
         `unlock` one of the two first"
    );
    Some(Missing { project: None, what })
}

/// Before the merge, only a plan that stood in the live comment when the command was written is applied.
///
/// # Errors
/// There was none.
fn seen(project: &Present<'_>, origin: &Origin) -> Result<(), String> {
    let planned = project.known.and_then(|known| Some((known, known.plan.as_ref()?)));
    match planned.filter(|(_, plan)| plan.target == project.target) {
        Some((_, plan)) if plan.state == RunState::Failed => Err("its plan failed".to_owned()),
        Some((known, plan)) if plan.state == RunState::Succeeded => was_shown(known, plan, origin),
        _ => Err("it is still being planned: comment again when its plan is shown".to_owned()),
    }
}

/// # Errors
/// Whoever wrote the comment can't have seen the plan that the run made.
fn was_shown(known: &ProjectState, run: &Run, origin: &Origin) -> Result<(), String> {
    let seen = known.shown_run(run.id).is_some_and(|shown| shown.was_there_for(origin));
    if seen { Ok(()) } else { Err("its plan was shown after your comment: look at it, and comment again".to_owned()) }
}

/// Accepts what an apply stopped at: a new plan that is not the reviewed one, or a merge without the approval it needs.
pub(super) fn approve(state: &PullState, chosen: &[Present<'_>], asking: Asking<'_>) -> Vec<Effect> {
    let asked = ask(state, asking, Verb::Approve);
    let mut effects = Vec::new();
    let mut missing = Vec::new();
    let mut begun = Vec::new();
    for project in chosen {
        let Some(run) = waits_for_approval(state, project) else { continue };
        let shown = run.zip(project.known).map_or(Ok(()), |(run, known)| was_shown(known, run, asking.origin));
        if let Err(reason) = shown {
            missing.extend(per_project(project.project, vec![reason]));
            continue;
        }
        match allow_apply(project.project, asked, applying(project.known, run)) {
            Ok(proof) => {
                effects.extend(begin(state, project, run, ordering(asking, Verb::Approve), proof));
                begun.push(project);
            }
            Err(reasons) => missing.extend(per_project(project.project, reasons)),
        }
    }
    missing.extend(circle(state, begun.into_iter(), asking.now));
    if effects.is_empty() && missing.is_empty() {
        missing.push(Missing { project: None, what: "no plan waits for an approval".to_owned() });
    }
    if !missing.is_empty() {
        return refuse(asking, Verb::Approve, missing);
    }
    effects.extend(told_to_wait(&effects, asking));
    effects
}

/// The run whose plan `approve` would accept: the one that was shown last. `Some(None)`: there is no plan, and the apply
/// will stop once it has made one. `None`: nothing waits.
pub(super) fn waits_for_approval<'a>(state: &PullState, project: &Present<'a>) -> Option<Option<&'a Run>> {
    let merged = state.pull().merge_commit().is_some();
    let apply = project.known.and_then(|known| known.apply.as_ref());
    let differs = apply.filter(|apply| apply.state == RunState::Differs && apply.target == project.target);
    if let Some(differs) = differs {
        return (merged || project.project.apply.on_comment()).then_some(Some(differs));
    }
    // A merge that was not approved, or whose approved apply failed. What only a comment applies waits for that.
    let left = merged && !project.known.is_some_and(|known| known.is_settled() || is_applying(known));
    let asks = |known: &&'a ProjectState, plan: &&Run| plan.target == project.target && !is_used_up(state, known, plan);
    let plan = project.known.and_then(|known| known.current_plan().filter(|plan| asks(&known, plan)));
    (left && (apply.is_some() || project.project.apply.on_merge())).then_some(plan)
}

fn told_to_wait(effects: &[Effect], asking: Asking<'_>) -> Option<Effect> {
    let waits = |effect: &Effect| match effect {
        Effect::Wait { project, hold, .. } => Some((project.name.clone(), hold.clone())),
        _ => None,
    };
    // That one project comes after another one goes without saying.
    let projects: Vec<_> =
        effects.iter().filter_map(waits).filter(|(_, hold)| !matches!(hold, super::Hold::After(_))).collect();
    (!projects.is_empty()).then(|| Effect::Say(Say::Waiting { to: asking.actor.login.clone(), projects }))
}
