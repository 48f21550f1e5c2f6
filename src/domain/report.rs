//! What people are told: pure choices about the live comment, the results of applies and the statuses. The words are in
//! `templates/comments`, set by `render`.
//!
//! All of these are views of the store. They are computed anew whenever it changed and never patched, so that nothing
//! that is shown can be lost, repeated or overtaken.

mod check;
mod danger;
mod group;
mod hint;
mod label;
mod live;
mod notice;
mod outcome;
mod queue;
#[cfg(test)]
pub(crate) mod sample;
mod standing;
mod status;

pub use check::{Annotation, Button, Check, checks};
pub use danger::{Danger, DangerAddress};
pub use group::Member;
pub use hint::Hint;
pub use label::{Labelling, label_family, labelling};
pub use live::{Detail, Footer, LiveView, PhaseWord, Row, Since, live, live_due, mark, pull_text, shown_plans};
pub use notice::{Notice, notices_change_at};
pub use outcome::{Named, OutcomeRow, ResultView, result};
pub use queue::{Fault, QueueRefusal, queue_refusals, unqueued};
pub use standing::{Counts, Standing, Tally};
pub use status::{DESCRIPTION_LIMIT, Status, StatusState, Verdict, statuses};

use super::decide::PullState;
use super::id::{RunId, Timestamp};
use super::plan::PlanView;
use super::pull::Pull;
use super::run::Run;
use super::sandbox::Level;
use std::collections::HashMap;

/// Plans as people read them, by the run that made them: a plan run, or an apply that found its plan to differ.
pub type Views = HashMap<RunId, PlanView>;

/// What of the server is seen in comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The word that commands begin with, and the name in markers and statuses.
    pub name: String,
    /// What holds the code of pull requests.
    pub level: Level,
}

/// What the live comment is made from. A view that is missing is left out; its row stays.
#[derive(Clone, Copy)]
pub struct LiveInput<'a> {
    pub state: &'a PullState,
    pub views: &'a Views,
    pub server: &'a Server,
    /// The signed address of a run's page.
    pub run_url: &'a dyn Fn(RunId) -> String,
    /// Decides what is frozen.
    pub now: Timestamp,
    /// Characters that the forge takes.
    pub limit: usize,
}

/// What the comment about a finished batch of applies is made from.
#[derive(Clone, Copy)]
pub struct ResultInput<'a> {
    pub pull: &'a Pull,
    pub batch: RunId,
    /// The runs of the batch, in any order.
    pub runs: &'a [Run],
    /// Of the reviewed plans and of the applies that differ.
    pub views: &'a Views,
    pub server: &'a Server,
    pub run_url: &'a dyn Fn(RunId) -> String,
    /// Characters that the forge takes.
    pub limit: usize,
}
