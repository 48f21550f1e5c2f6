//! The heart: what follows from something that happened. A pure function of what is known, what happened and the
//! rules; the same input twice gives the same effects once, because effects change what is known.
//!
//! One file for each kind of input.

mod again;
mod apply;
mod cancel;
mod change;
mod command;
mod effect;
#[cfg(test)]
pub(crate) mod fixture;
mod fork;
mod help;
mod hold;
mod keep;
mod merge;
mod over;
mod queue;
mod say;
mod shown;
mod state;
#[cfg(test)]
mod tests;

pub use super::requirement::Rules;
pub use again::{ask_again, under_the_rules_found};
pub use change::awaits_the_forge;
pub use effect::{Effect, Holding, Missing};
pub use fork::admit;
pub use hold::{Hold, Turn, held_from_outside, hold, turn};
pub use queue::{Queued, QueuedCommit};
pub use say::{Astray, Because, Held, Helped, Say};
pub use shown::Shown;
pub use state::{Affected, AffectedProject, Around, Overlap, Problem, ProjectState, PullRecord, PullState};

use super::command::{Origin, Parsed};
use super::id::{ProjectKey, RunId, Timestamp};
use super::project::{Project, Target};
use super::pull::{Actor, MergeGroup, Review};
use serde::{Deserialize, Serialize};

/// What the changed files decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    Affected(Affected),
    Problem(Problem),
}

/// Something that happened.
#[expect(clippy::large_enum_variant, reason = "one is made for each event, and none is kept")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// An open pull request was opened, pushed to, retargeted, reviewed, …; what it concerns was found anew. `review`: if
    /// plans depend on it.
    Changed { found: Found, review: Review },
    /// Somebody applied something of a project that this open pull request plans too: a plan that is older says nothing
    /// any more.
    Overtaken { found: Found, review: Review, project: ProjectKey, at: Timestamp },
    /// Closed without a merge.
    Closed,
    /// `found`: what the merge was, under the rules as they were before it.
    Merged { review: Review, by: Actor, found: Found },
    /// One line of a comment. `found`: as it is now; `None` for what needs no projects.
    Commanded { parsed: Parsed, origin: Origin, actor: Actor, review: Review, found: Option<Found> },
    /// The forge's merge queue would merge an open pull request as this commit. `found`: what the commit is.
    Queued { group: MergeGroup, heard_at: Timestamp, found: Found, review: Review },
    /// The commit has left the queue.
    Unqueued { group: MergeGroup },
    /// A run came to its end, whatever it was.
    RunOver { run: RunId },
}

#[must_use]
pub fn decide(state: &PullState, input: &Input, rules: &Rules, now: Timestamp) -> Vec<Effect> {
    match input {
        // Merged while it was looked at: what was found then is of no merge.
        Input::Changed { .. } | Input::Overtaken { .. } if !state.pull().is_open() => Vec::new(),
        Input::Changed { found, review } => change::changed(state, found, review, rules),
        Input::Overtaken { found, review, project, at } => {
            change::overtaken(state, found, review, rules, (project, *at))
        }
        Input::Closed => change::closed(state),
        Input::Merged { review, by, found } => merge::merged(state, review, by, found, (rules, now)),
        Input::Commanded { parsed, origin, actor, review, found } => {
            let asked = command::Asking { origin, actor, review, found: found.as_ref(), rules, now };
            command::commanded(state, parsed, asked)
        }
        Input::Queued { group, heard_at, found, review } => {
            queue::queued(state, queue::Heard { group, at: *heard_at, found, review }, rules)
        }
        Input::Unqueued { group } => queue::unqueued(state, group, now),
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
