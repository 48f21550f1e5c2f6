//! How a project stands, in one word, riskiest first: the order in which people should look at them.

use crate::domain::decide::{ProjectState, PullState};
use crate::domain::plan::PlanSummary;
use crate::domain::pull::Phase;
use crate::domain::run::{Differs, Outcome, Run, RunState};
use serde::Serialize;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    ApplyFailed,
    /// The server was lost during the apply.
    Interrupted,
    PlanFailed,
    /// Not applied, because the plan is not the reviewed one.
    Differs,
    /// Not planned, because something that its rules ask for before a plan is missing.
    WaitsToPlan,
    /// Planned; something would be destroyed or replaced.
    Destroys,
    /// Planned; nothing would be destroyed.
    Changes,
    /// An apply that waits for another pull request's lock.
    WaitsForLock,
    Applying,
    ApplyQueued,
    Planning,
    PlanQueued,
    Applied,
    /// Planned; nothing to do.
    Unchanged,
    /// There is no plan and none is coming.
    NotPlanned,
}

impl Standing {
    #[must_use]
    pub fn of(state: &PullState, project: &ProjectState) -> Self {
        // A part that was applied leaves the rest to be applied.
        let whole = |apply: &&Run| apply.applied().is_none() || apply.is_whole();
        match current_apply(state, project).filter(whole) {
            Some(apply) => Self::of_apply(apply).unwrap_or_else(|| Self::of_plan(project)),
            None => match Self::of_plan(project) {
                Self::PlanQueued | Self::WaitsToPlan if !state.pull().is_open() || project.target.is_none() => {
                    Self::NotPlanned
                }
                standing => standing,
            },
        }
    }

    /// As if nothing had ever been applied.
    #[must_use]
    pub fn of_plan(project: &ProjectState) -> Self {
        let Some(plan) = &project.plan else {
            // Whatever may be planned has a run from the moment on at which it was found.
            let free = project.project.require_plan.is_empty();
            return if free { Self::PlanQueued } else { Self::WaitsToPlan };
        };
        match (plan.state, plan.planned()) {
            (_, Some(planned)) if planned.summary.is_empty() => Self::Unchanged,
            (_, Some(planned)) if planned.summary.destroy + planned.summary.replace > 0 => Self::Destroys,
            (_, Some(_)) => Self::Changes,
            (RunState::Queued | RunState::Waiting | RunState::Superseded, None) => Self::PlanQueued,
            (RunState::Running, None) => Self::Planning,
            (_, None) => Self::PlanFailed,
        }
    }

    fn of_apply(apply: &Run) -> Option<Self> {
        match apply.state {
            RunState::Queued => Some(Self::ApplyQueued),
            RunState::Waiting => Some(Self::WaitsForLock),
            RunState::Running => Some(Self::Applying),
            RunState::Succeeded => Some(Self::Applied),
            RunState::Failed => Some(Self::ApplyFailed),
            RunState::Differs => Some(Self::Differs),
            RunState::Interrupted => Some(Self::Interrupted),
            RunState::Superseded => None,
        }
    }

    /// There is a plan with changes, and no apply has taken it up.
    #[must_use]
    pub const fn waits_to_be_applied(self) -> bool {
        matches!(self, Self::Destroys | Self::Changes)
    }
}

/// The apply that says how the project stands. An apply that is over and older than the plan says nothing of this plan:
/// the head moved on, or what was left was planned anew. After the merge it is the outcome, whatever was planned later,
/// unless it was of other code than was merged.
pub(super) fn current_apply<'a>(state: &PullState, project: &'a ProjectState) -> Option<&'a Run> {
    let merged = matches!(state.pull().phase, Phase::Merged { .. });
    project.apply.as_ref().filter(|apply| {
        let of_this_code = project.target.as_ref().is_none_or(|target| target.inputs == apply.target.inputs);
        let newer = project.plan.as_ref().is_none_or(|plan| (apply.created_at, apply.id) > (plan.created_at, plan.id));
        merged && of_this_code || newer || !apply.state.is_over()
    })
}

/// How many of each, for the heading.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    pub projects: usize,
    pub failed: usize,
    pub differ: usize,
    pub with_changes: usize,
    pub unchanged: usize,
    pub planning: usize,
    pub waiting: usize,
    pub applying: usize,
    pub applied: usize,
}

impl Tally {
    pub(super) fn of(standings: impl Iterator<Item = Standing>) -> Self {
        let mut tally = Self::default();
        for standing in standings {
            tally.projects += 1;
            match standing {
                Standing::ApplyFailed | Standing::Interrupted | Standing::PlanFailed => tally.failed += 1,
                Standing::Differs => tally.differ += 1,
                Standing::Destroys | Standing::Changes => tally.with_changes += 1,
                Standing::WaitsForLock | Standing::WaitsToPlan => tally.waiting += 1,
                Standing::Applying | Standing::ApplyQueued => tally.applying += 1,
                Standing::Planning | Standing::PlanQueued => tally.planning += 1,
                Standing::Applied => tally.applied += 1,
                Standing::Unchanged => tally.unchanged += 1,
                Standing::NotPlanned => {}
            }
        }
        tally
    }

    /// The sum of several plans; `None` if they change nothing.
    pub(super) fn counts<'a>(summaries: impl Iterator<Item = &'a PlanSummary>) -> Option<Counts> {
        let all = summaries.map(Counts::of).fold(Counts::default(), |sum, counts| sum.plus(&counts));
        (all != Counts::default()).then_some(all)
    }
}

/// A plan's numbers, as people read them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub add: usize,
    pub change: usize,
    pub replace: usize,
    pub destroy: usize,
    pub import: usize,
    pub moved: usize,
    pub forget: usize,
    pub outputs: usize,
}

impl Counts {
    #[must_use]
    pub const fn of(summary: &PlanSummary) -> Self {
        Self {
            add: summary.add,
            change: summary.change,
            replace: summary.replace,
            destroy: summary.destroy,
            import: summary.import,
            moved: summary.moved,
            forget: summary.forget,
            outputs: summary.outputs,
        }
    }

    const fn plus(&self, other: &Self) -> Self {
        Self {
            add: self.add + other.add,
            change: self.change + other.change,
            replace: self.replace + other.replace,
            destroy: self.destroy + other.destroy,
            import: self.import + other.import,
            moved: self.moved + other.moved,
            forget: self.forget + other.forget,
            outputs: self.outputs + other.outputs,
        }
    }

    /// What the four columns don't show: `1 moved, 2 outputs`.
    #[must_use]
    pub fn others(&self) -> String {
        let outputs = if self.outputs == 1 { "output" } else { "outputs" };
        let words =
            [(self.import, "imported"), (self.moved, "moved"), (self.forget, "forgotten"), (self.outputs, outputs)];
        let shown: Vec<String> = words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        shown.join(", ")
    }
}

/// `+2 ~1 ±1 −1, 1 moved`; without the zeros.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signs = [(self.add, '+'), (self.change, '~'), (self.replace, '±'), (self.destroy, '−')];
        let numbers: Vec<String> = signs.iter().filter(|(n, _)| *n > 0).map(|(n, sign)| format!("{sign}{n}")).collect();
        let others = self.others();
        let comma = if numbers.is_empty() || others.is_empty() { "" } else { ", " };
        write!(f, "{}{comma}{others}", numbers.join(" "))
    }
}

/// Whole seconds that a run took.
pub(super) fn seconds(run: &Run) -> Option<i64> {
    Some(run.finished_at?.since(run.started_at?).max(0) / 1000)
}

/// What an apply found when the plan was not the reviewed one.
pub(super) fn differs(run: &Run) -> Option<&Differs> {
    match &run.outcome {
        Some(Outcome::Differs(differs)) => Some(differs),
        _ => None,
    }
}
