//! What to do next: only what would work now, ready to be copied. When something is missing, that is said instead.

use super::standing::{Standing, current_apply};
use crate::domain::command::Verb;
use crate::domain::decide::{Problem, ProjectState, PullState};
use crate::domain::project::StateKind;
use crate::domain::pull::Phase;
use serde::Serialize;
use std::collections::BTreeSet;

/// So many commands are offered: more are not read.
const MOST_COMMANDS: usize = 3;

/// The longest list of names that anybody would copy; above it, no command is offered.
const NAMES_LIMIT: usize = 300;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "hint", rename_all = "snake_case")]
pub enum Hint {
    /// Accepts the plan that differs from the reviewed one.
    Approve {
        command: String,
    },
    /// After a failed apply.
    Retry {
        command: String,
        merged: bool,
    },
    /// Gives up what a failed apply left behind, and frees the projects.
    Unlock {
        command: String,
    },
    /// The merge will apply.
    OnMerge {
        projects: usize,
        /// Each kind in one word.
        requires: Vec<&'static str>,
    },
    Apply {
        command: String,
        /// Each kind in one word.
        requires: Vec<&'static str>,
    },
    /// Planned, and never applied: neither a backend nor managed state.
    Nowhere {
        projects: Vec<String>,
    },
    Plan {
        command: String,
    },
    /// Somebody vouches for the code of a fork.
    PlanFork {
        command: String,
    },
    /// After somebody resolved the conflict, everything goes on by itself.
    Resolve,
    Check,
}

pub(super) fn hints(state: &PullState, name: &str) -> Vec<Hint> {
    if let Some(problem) = &state.record.problem {
        return match problem {
            Problem::Fork => Vec::new(),
            Problem::Sandbox { .. } if state.pull().is_open() => vec![Hint::Plan { command: format!("{name} plan") }],
            Problem::Sandbox { .. } => vec![Hint::Apply { command: format!("{name} apply"), requires: vec![] }],
            Problem::ForkWaits { head } => vec![Hint::PlanFork { command: format!("{name} plan --sha {head}") }],
            Problem::Conflict { .. } => vec![Hint::Resolve],
            Problem::Configuration { .. } => vec![Hint::Check],
            Problem::Fetch { .. } if state.pull().is_open() => vec![Hint::Plan { command: format!("{name} plan") }],
            Problem::Fetch { .. } => vec![Hint::Apply { command: format!("{name} apply"), requires: vec![] }],
        };
    }
    let phase = &state.pull().phase;
    let merged = matches!(phase, Phase::Merged { .. });
    let all: Vec<(&ProjectState, Standing)> = state.projects.iter().map(|p| (p, Standing::of(state, p))).collect();
    let command = |verb: Verb, chosen: &[&ProjectState]| command(name, verb, chosen, all.len());
    let standing = |wanted: &[Standing]| -> Vec<&ProjectState> {
        all.iter().filter(|(_, standing)| wanted.contains(standing)).map(|(project, _)| *project).collect()
    };
    let mut hints = Vec::new();
    if matches!(phase, Phase::Closed) {
        let kept: Vec<_> = state.projects.iter().filter(|project| state.holds_lock(project)).collect();
        hints.extend(command(Verb::Unlock, &kept).map(|command| Hint::Unlock { command }));
        return hints;
    }

    hints.extend(command(Verb::Approve, &standing(&[Standing::Differs])).map(|command| Hint::Approve { command }));
    let broken = standing(&[Standing::ApplyFailed, Standing::Interrupted]);
    if merged || broken.iter().all(|project| project.project.apply.on_comment()) {
        hints.extend(command(Verb::Apply, &broken).map(|command| Hint::Retry { command, merged }));
    }
    let held: Vec<_> = broken.into_iter().filter(|project| state.holds_lock(project)).collect();
    hints.extend(command(Verb::Unlock, &held).map(|command| Hint::Unlock { command }));
    hints.extend(command(Verb::Plan, &standing(&[Standing::PlanFailed])).map(|command| Hint::Plan { command }));

    let ready: Vec<&ProjectState> =
        all.iter().filter(|(_, standing)| standing.waits_to_be_applied()).map(|(project, _)| *project).collect();
    let (nowhere, ready): (Vec<_>, Vec<_>) =
        ready.into_iter().partition(|project| project.project.state == StateKind::Nowhere);
    if !merged {
        let by_merge: Vec<_> = ready.iter().copied().filter(|project| project.project.apply.on_merge()).collect();
        let held_back = state.record.affected.as_ref().is_some_and(|affected| affected.held_back.is_some());
        if !by_merge.is_empty() && !held_back {
            hints.push(Hint::OnMerge { projects: by_merge.len(), requires: requirements(&by_merge) });
        }
    }
    let by_comment: Vec<_> = ready.iter().copied().filter(|project| can_be_commanded(state, project, merged)).collect();
    let requires = if merged { approval_only(&by_comment) } else { requirements(&by_comment) };
    hints.extend(command(Verb::Apply, &by_comment).map(|command| Hint::Apply { command, requires }));
    if !nowhere.is_empty() {
        let projects = nowhere.iter().take(10).map(|project| project.project.name.to_string()).collect();
        hints.push(Hint::Nowhere { projects });
    }
    few(hints)
}

/// Leaves out the commands that matter least, where there are too many; what is no command stays.
pub(super) fn few(mut hints: Vec<Hint>) -> Vec<Hint> {
    let mut all: Vec<u8> = hints.iter().filter_map(Hint::rank).collect();
    all.sort_unstable();
    if let Some(least) = all.get(MOST_COMMANDS) {
        hints.retain(|hint| hint.rank().is_none_or(|rank| rank < *least));
    }
    hints
}

impl Hint {
    /// Of those that offer a command: what goes on with the work before what gives it up.
    const fn rank(&self) -> Option<u8> {
        match self {
            Self::Approve { .. } => Some(0),
            Self::Apply { .. } => Some(1),
            Self::Retry { .. } => Some(2),
            Self::PlanFork { .. } => Some(3),
            Self::Plan { .. } => Some(4),
            Self::Unlock { .. } => Some(5),
            Self::OnMerge { .. } | Self::Nowhere { .. } | Self::Resolve | Self::Check => None,
        }
    }
}

/// Whether `apply` as a comment would be taken up, as far as that is known without asking the forge.
fn can_be_commanded(state: &PullState, project: &ProjectState, merged: bool) -> bool {
    let free = project.lock.is_none() || state.holds_lock(project);
    let drafted = state.pull().draft && project.project.require.iter().any(|one| one.word() == "mergeable");
    let mode = project.project.apply;
    let at_work = current_apply(state, project).is_some_and(|apply| !apply.state.is_over());
    free && !at_work && project.target.is_some() && if merged { true } else { mode.on_comment() && !drafted }
}

fn requirements(projects: &[&ProjectState]) -> Vec<&'static str> {
    let all: BTreeSet<_> = projects.iter().flat_map(|project| &project.project.require).collect();
    let mut words: Vec<&str> = all.into_iter().map(|requirement| requirement.word()).collect();
    words.dedup();
    words
}

/// After the merge the other requirements count as satisfied.
fn approval_only(projects: &[&ProjectState]) -> Vec<&'static str> {
    requirements(projects).into_iter().filter(|word| *word == "approved").collect()
}

/// `None` when there is nothing to name, or too much. All projects need no naming.
pub(super) fn command(name: &str, verb: Verb, chosen: &[&ProjectState], of: usize) -> Option<String> {
    let names = chosen.iter().map(|project| project.project.name.as_str());
    command_for(name, verb, &names.collect::<Vec<_>>(), of)
}

pub(super) fn command_for(name: &str, verb: Verb, chosen: &[&str], of: usize) -> Option<String> {
    let verb = verb.as_str();
    match chosen {
        [] => None,
        all if all.len() == of => Some(format!("{name} {verb}")),
        some => {
            let names = some.join(" ");
            (names.len() <= NAMES_LIMIT).then(|| format!("{name} {verb} {names}"))
        }
    }
}
