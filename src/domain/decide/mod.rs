//! The heart: what follows from something that happened. A pure function of what is known, what happened and the
//! rules; the same input twice gives the same effects once, because effects change what is known.
//!
//! One file for each kind of input.

mod cancel;
mod change;
mod command;
mod effect;
#[cfg(test)]
pub(crate) mod fixture;
mod fork;
mod merge;
mod over;
mod state;
#[cfg(test)]
mod tests;

pub use super::requirement::Rules;
pub use effect::{Effect, Missing, Say};
pub use fork::admit;
pub use state::{Affected, AffectedProject, Problem, ProjectState, PullRecord, PullState};

use super::command::{Origin, Parsed};
use super::id::RunId;
use super::project::{Project, Target};
use super::pull::{Actor, Review};

/// What the changed files decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Affected(Affected),
    Problem(Problem),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// An open pull request was opened, pushed to, retargeted, …; what it concerns was found anew.
    Changed(Found),
    /// Closed without a merge.
    Closed,
    /// `found`: what the merge was, under the rules as they were before it.
    Merged { review: Review, by: Actor, found: Found },
    /// One line of a comment. `found`: as it is now; `None` for what needs no projects.
    Commanded { parsed: Parsed, origin: Origin, actor: Actor, review: Review, found: Option<Found> },
    /// A run came to its end, whatever it was.
    RunOver { run: RunId },
}

#[must_use]
pub fn decide(state: &PullState, input: &Input, rules: &Rules) -> Vec<Effect> {
    match input {
        Input::Changed(found) => change::changed(state, found),
        Input::Closed => change::closed(state),
        Input::Merged { review, by, found } => merge::merged(state, review, by, found, rules),
        Input::Commanded { parsed, origin, actor, review, found } => {
            let asked = command::Asking { origin, actor, review, found: found.as_ref() };
            command::commanded(state, parsed, asked, rules)
        }
        Input::RunOver { run } => over::run_over(state, *run),
    }
}

/// A project with what is known of it, for the head that `affected` was found at.
struct Present<'a> {
    project: &'a Project,
    target: Target,
    known: Option<&'a ProjectState>,
}

fn present<'a>(state: &'a PullState, affected: &'a Affected) -> Vec<Present<'a>> {
    let with_known = |entry: &'a AffectedProject| Present {
        project: &entry.project,
        target: Target {
            head: affected.head.clone(),
            base: affected.base.clone(),
            tree: affected.tree.clone(),
            inputs: entry.inputs.clone(),
        },
        known: state.projects.iter().find(|known| known.project.key == entry.project.key),
    };
    affected.projects.iter().map(with_known).collect()
}
