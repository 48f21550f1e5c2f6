//! An apply that had to wait asks once more when its turn has come: whoever ordered it may have lost the right, an approval
//! may be gone, a rule may be another one.

use super::merge::applying;
use super::{Found, ProjectState, PullState, Rules};
use crate::domain::pull::{Actor, Review};
use crate::domain::requirement::{Asked, allow_apply};
use crate::domain::run::Run;

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
    let now = match found {
        Found::Affected(affected) => affected.projects.iter().find(|entry| entry.project.key == run.project.key),
        Found::Problem(_) => None,
    };
    let project = now.map_or(&run.project, |entry| &entry.project);
    let known = state.projects.iter().find(|known| known.project.key == run.project.key);
    let made = |known: &ProjectState| {
        let runs = [known.plan.as_ref(), known.apply.as_ref()].into_iter().flatten();
        runs.into_iter().find(|run| Some(run.id) == order.plan).cloned()
    };
    let plan = known.and_then(made);
    let asked = Asked { pull: state.pull(), review, verb: order.verb, actor, rules };
    allow_apply(project, asked, applying(known, plan.as_ref())).map(drop)
}
