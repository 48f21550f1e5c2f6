//! Commit statuses: one for the plans and one for the applies, on the head, and after the merge on the merge commit too.
//!
//! Before the merge, an apply that the merge will do counts as success: a required status that waits for the merge would
//! block the merge for ever.

use super::standing::{Standing, Tally};
use crate::domain::decide::{Problem, ProjectState, PullState};
use crate::domain::id::Sha;
use crate::domain::project::StateKind;
use crate::domain::pull::Phase;
use std::collections::BTreeSet;

/// The most that forges take (GitHub answers 422 above it), in characters.
pub const DESCRIPTION_LIMIT: usize = 140;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub sha: Sha,
    /// `terraplane/plan` or `terraplane/apply`.
    pub context: String,
    pub state: StatusState,
    /// At most [`DESCRIPTION_LIMIT`] characters.
    pub description: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusState {
    Pending,
    Success,
    Failure,
}

impl StatusState {
    /// The word that forges and the store have for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// A state, and what it says.
pub type Verdict = (StatusState, String);

/// Everything that the forge should show for a pull request now. `name`: the server's.
#[must_use]
pub fn statuses(state: &PullState, name: &str) -> Vec<Status> {
    let pull = state.pull();
    let head = state.record.affected.as_ref().map_or(&pull.head, |affected| &affected.head);
    let apply = apply(state, name);
    let mut all =
        vec![status(head, &format!("{name}/plan"), plan(state)), status(head, &format!("{name}/apply"), apply.clone())];
    if let Some(commit) = pull.merge_commit().filter(|commit| *commit != head) {
        all.push(status(commit, &format!("{name}/apply"), apply));
    }
    all
}

pub(super) fn status(sha: &Sha, context: &str, (state, text): Verdict) -> Status {
    let description = shortened(text, DESCRIPTION_LIMIT);
    Status { sha: sha.clone(), context: context.to_owned(), state, description }
}

/// At most so many characters, the last one an ellipsis if some had to go.
pub(super) fn shortened(text: String, limit: usize) -> String {
    if text.chars().count() <= limit { text } else { text.chars().take(limit - 1).chain(['…']).collect() }
}

pub(super) fn problem_verdict(problem: &Problem) -> Verdict {
    let waits = matches!(problem, Problem::ForkWaits { .. });
    let text = match problem {
        Problem::Fork => "Refused: the head is in a fork".into(),
        Problem::ForkWaits { .. } => "From a fork: waits for somebody with write permission to ask for a plan".into(),
        Problem::Sandbox { .. } => "Not planned: the server's sandbox is not good enough".into(),
        Problem::Conflict { files } => {
            format!("Not planned: conflicts with the base branch ({})", count(files.len(), "file"))
        }
        Problem::Configuration { .. } => "Not planned: the configuration can't be used".into(),
        Problem::Fetch { .. } => "Not planned: the repository could not be fetched".into(),
    };
    (if waits { StatusState::Pending } else { StatusState::Failure }, text)
}

/// Projects that the present head concerns.
fn affected(state: &PullState) -> impl Iterator<Item = &ProjectState> {
    state.projects.iter().filter(|project| project.target.is_some())
}

fn plan(state: &PullState) -> Verdict {
    use StatusState::{Failure, Pending, Success};
    if let Some(problem) = &state.record.problem {
        return problem_verdict(problem);
    }
    if state.record.affected.is_none() {
        return match state.pull().phase {
            Phase::Open => (Pending, "Looking for the projects that this changes".into()),
            _ => (Success, "Nothing was planned".into()),
        };
    }
    let all: Vec<Standing> = affected(state).map(Standing::of_plan).collect();
    if all.is_empty() {
        return (Success, "No project is concerned".into());
    }
    let with = |wanted: &[Standing]| all.iter().filter(|standing| wanted.contains(standing)).count();
    let total = count(all.len(), "project");
    let waiting = with(&[Standing::WaitsToPlan]);
    let open = waiting + with(&[Standing::PlanQueued, Standing::Planning]);
    let failed = with(&[Standing::PlanFailed]);
    if failed > 0 {
        return (Failure, format!("{failed} of {total} could not be planned"));
    }
    if open > 0 && open == waiting && state.pull().is_open() {
        return (Pending, format!("Not planned yet: {}", needs(state)));
    }
    if open > 0 && state.pull().is_open() {
        return (Pending, format!("Planning: {} of {total} done", all.len() - open));
    }
    if open > 0 {
        return (Success, format!("Ended before {open} of {total} had a plan"));
    }
    (Success, format!("{total}: {}", totals(state)))
}

/// What the rules ask for before a plan, of the projects that wait for it.
fn needs(state: &PullState) -> String {
    let waiting = affected(state).filter(|project| Standing::of_plan(project) == Standing::WaitsToPlan);
    let needs: BTreeSet<String> =
        waiting.flat_map(|project| &project.project.require_plan).map(|one| format!("`{one}`")).collect();
    format!("the rules ask for {} before", needs.into_iter().collect::<Vec<_>>().join(", "))
}

/// `+2 ~1 −1` over all plans.
fn totals(state: &PullState) -> String {
    let tally = Tally::counts(affected(state).filter_map(|project| Some(&project.plan.as_ref()?.planned()?.summary)));
    tally.map_or_else(|| "no changes".into(), |counts| counts.to_string())
}

pub(super) fn apply(state: &PullState, name: &str) -> Verdict {
    use StatusState::{Failure, Pending, Success};
    let pull = state.pull();
    if let Some(problem) = &state.record.problem {
        return problem_verdict(problem);
    }
    let standings: Vec<(&ProjectState, Standing)> =
        state.projects.iter().map(|p| (p, Standing::of(state, p))).collect();
    let with = |wanted: &[Standing]| standings.iter().filter(|(_, standing)| wanted.contains(standing)).count();
    let total = count(standings.len(), "project");

    let held_back = state.record.affected.as_ref().is_some_and(|affected| affected.held_back.is_some());
    let failed = with(&[Standing::ApplyFailed, Standing::Interrupted]);
    if failed > 0 {
        return (Failure, format!("The apply of {failed} of {total} failed"));
    }
    let differs = with(&[Standing::Differs]);
    if differs > 0 {
        return (Failure, format!("Not applied: the plan is not the reviewed one; waits for `{name} approve`"));
    }
    let waiting = with(&[Standing::WaitsForLock]);
    let applying = with(&[Standing::ApplyQueued, Standing::Applying]);
    if applying > 0 {
        return (Pending, format!("Applying: {} of {total} done", with(&[Standing::Applied])));
    }
    if waiting > 0 {
        return (Pending, format!("Waits for another pull request to let go ({})", count(waiting, "project")));
    }
    match plan(state) {
        (Success, _) => {}
        (Pending, _) => return (Pending, "Waits for the plans".into()),
        (Failure, _) => return (Failure, "Nothing to apply until all plans succeed".into()),
    }
    let open: Vec<&ProjectState> = standings
        .iter()
        .filter(|(project, standing)| {
            project.target.is_some() && project.project.state != StateKind::Nowhere && standing.waits_to_be_applied()
        })
        .map(|(project, _)| *project)
        .collect();
    let merged = matches!(pull.phase, Phase::Merged { .. });
    let by_hand = open.iter().filter(|project| merged || !project.project.apply.on_merge()).count();
    if matches!(pull.phase, Phase::Closed) {
        return (Success, "Closed: nothing more will be applied".into());
    }
    if merged && by_hand > 0 && open.iter().any(|project| project.project.apply.on_merge()) {
        return (Pending, format!("{} to be applied", count(by_hand, "project")));
    }
    if held_back && !open.is_empty() {
        // Not a failure: merging may be what mends it.
        return (Success, "Nothing is applied as the rules are: the comment says why".into());
    }
    if by_hand > 0 {
        return (Pending, format!("Waits for `{name} apply` ({})", count(by_hand, "project")));
    }
    if !open.is_empty() {
        return (Success, "Applies on merge".into());
    }
    match (with(&[Standing::Applied]), with(&[Standing::NotPlanned])) {
        (applied, _) if applied > 0 => (Success, format!("Applied: {}", count(applied, "project"))),
        _ if standings.iter().any(|(p, s)| p.project.state == StateKind::Nowhere && s.waits_to_be_applied()) => {
            (Success, "Not applied: neither a backend nor managed state".into())
        }
        _ => (Success, "Nothing to apply".into()),
    }
}

/// `1 file`, `2 files`.
pub(super) fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
