//! An apply that had to wait asks once more when its turn has come: whoever ordered it may have lost the right, an approval
//! may be gone, a rule may be another one.

use super::merge::applying;
use super::{Found, ProjectState, PullState, Rules};
use crate::domain::project::Project;
use crate::domain::pull::{Actor, Review};
use crate::domain::requirement::{Asked, allow_apply};
use crate::domain::run::{ApplyOrder, Run};

/// The project of an apply that had to wait, with the windows of the rules as they were found now.
#[must_use]
pub fn under_the_rules_found(run: &Run, found: &Found) -> Project {
    let now = found_now(run, found).unwrap_or(&run.project);
    Project { windows: now.windows.clone(), unknown: now.unknown, ..run.project.clone() }
}

fn found_now<'a>(run: &Run, found: &'a Found) -> Option<&'a Project> {
    match found {
        Found::Affected(affected) => {
            affected.projects.iter().map(|entry| &entry.project).find(|project| project.key == run.project.key)
        }
        Found::Problem(_) => None,
    }
}

/// # Errors
/// Everything that is missing now, as sentences for a person.
pub fn ask_again(
    state: &PullState,
    run: &Run,
    (actor, review): (&Actor, &Review),
    found: &Found,
    rules: &Rules,
) -> Result<(), Vec<String>> {
    let Some(order) = run.apply_order() else { return Ok(()) };
    let project = found_now(run, found).unwrap_or(&run.project);
    let known = state.projects.iter().find(|known| known.project.key == run.project.key);
    let made = |known: &ProjectState| {
        let runs = [known.plan.as_ref(), known.apply.as_ref()].into_iter().flatten();
        runs.into_iter().find(|run| Some(run.id) == order.plan).cloned()
    };
    let plan = known.and_then(made);
    let asked = Asked { pull: state.pull(), review, verb: order.verb, actor, rules };
    let missing = allow_apply(project, asked, applying(known, plan.as_ref())).err().unwrap_or_default();
    let missing: Vec<String> = other_mode(state, project, order).into_iter().chain(missing).collect();
    if missing.is_empty() { Ok(()) } else { Err(missing) }
}

/// The rules no longer want it applied in the way in which it was ordered.
fn other_mode(state: &PullState, project: &Project, order: &ApplyOrder) -> Option<String> {
    let by_merge = order.merge_commit.is_some() && order.is_by_merge();
    if by_merge && !project.apply.on_merge() {
        return Some("it is applied by a comment (`apply: on_comment`)".to_owned());
    }
    let too_early = !by_merge && state.pull().is_open() && !project.apply.on_comment();
    too_early.then(|| "it is applied by the merge (`apply: on_merge`)".to_owned())
}
