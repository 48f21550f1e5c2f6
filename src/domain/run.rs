//! The life of a run: one plan or apply of one project at one commit.
//!
//! ```text
//! queued ─▶ running ─▶ succeeded | failed | interrupted
//!    │         └─────▶ differs        (apply: the new plan is not the reviewed one; waits for approval)
//!    ├───────▶ superseded             (a newer push, or the pull request closed)
//!    └─ waiting ─▶ queued             (apply: another pull request holds the project)
//! ```

use super::command::{Verb, plans_everything};
use super::egress::Refusal;
use super::id::{CommentId, Fingerprint, Login, PullId, RunId, Sha, Timestamp, TreeId};
use super::plan::PlanSummary;
use super::project::{Project, Target};
use super::sandbox::{Level, Network};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub id: RunId,
    pub pull: PullId,
    /// The project as it was resolved when the run was made.
    pub project: Project,
    pub target: Target,
    pub work: Work,
    /// Arguments for `terraform plan` that a comment gave; of an apply, those of the plan that was reviewed.
    #[serde(default)]
    pub extra: Vec<String>,
    /// An apply that had to wait: when its turn came. Whoever ordered it may have lost the right since.
    #[serde(default)]
    pub resumed_at: Option<Timestamp>,
    /// Applies only: the first run of those that the same command or merge began. They are reported together.
    pub batch: Option<RunId>,
    pub state: RunState,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// What held it when it ran; `None` before.
    #[serde(default)]
    pub level: Option<Level>,
    /// What it might reach when it ran; `None` before, and where nothing held it.
    #[serde(default)]
    pub network: Option<Network>,
    /// What it wanted to reach and was refused.
    #[serde(default)]
    pub blocked: Vec<Refusal>,
    /// Who has asked for it to be stopped, if anybody. It stops as soon as it can.
    #[serde(default)]
    pub cancelled_by: Option<Login>,
    /// An interrupted apply: what was found where it had been at work.
    #[serde(default)]
    pub left: Option<Left>,
    /// What came of it; `None` until it ended (or superseded before it began).
    pub outcome: Option<Outcome>,
}

/// What an apply that lost its server has left behind, as far as that can be found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The state's serial that its plan was made from.
    pub before: Option<u64>,
    /// The state's serial after it was lost.
    pub after: Option<u64>,
    pub lock: LeftLock,
}

/// Terraform's lock on the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftLock {
    Free,
    /// Under this id. A state that Terraplane keeps gives it to the next apply by itself.
    Held(String),
    /// No backend but our own can be asked without locking it.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Waiting,
    Running,
    Succeeded,
    Failed,
    /// An apply whose new plan is not the one that was reviewed: nothing was changed.
    Differs,
    /// Made pointless by a newer push or by the end of the pull request; its result is never shown.
    Superseded,
    /// An apply that lost its server: nobody knows how far it came.
    Interrupted,
}

impl RunState {
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Waiting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Differs,
        Self::Superseded,
        Self::Interrupted,
    ];

    /// No more will come of it by itself.
    #[must_use]
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Waiting | Self::Running)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Differs => "differs",
            Self::Superseded => "superseded",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    Plan,
    /// A plan of a commit that the forge's merge queue would merge. It is compared with the reviewed one, and never shown
    /// as the pull request's, nor applied.
    Trial,
    Apply(ApplyOrder),
}

impl Work {
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Plan | Self::Trial => "plan",
            Self::Apply(_) => "apply",
        }
    }
}

/// What an apply may do, settled when it was allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyOrder {
    /// The plan that the reviewers saw; `None` when there was none when the pull request was merged.
    pub plan: Option<RunId>,
    /// The saved plan must not run, though nothing may tell that it is stale: an apply of it was interrupted, and nobody
    /// knows what it did.
    #[serde(default)]
    pub plan_anew: bool,
    /// What may run: the reviewed plan's fingerprint, or the one that somebody approved since.
    pub reviewed: Option<Fingerprint>,
    /// Applies at this commit of the base branch; `None`: before the merge, on the planned tree.
    pub merge_commit: Option<Sha>,
    pub ordered_by: Login,
    /// Who approved and when, for the record: reviewers, or whoever wrote `approve`.
    pub approved_by: Vec<Login>,
    #[serde(default)]
    pub approved_at: Vec<Timestamp>,
    /// What was asked for: `apply`, or `approve`. A merge asks for `apply`.
    #[serde(default = "apply")]
    pub verb: Verb,
    /// The comment that asked for it; `None`: a merge did, or whoever made a call.
    #[serde(default)]
    pub comment: Option<CommentId>,
    /// A button or a call of the API asked for it.
    #[serde(default)]
    pub called: bool,
}

impl ApplyOrder {
    /// Nobody asked for it but the merge.
    #[must_use]
    pub const fn is_by_merge(&self) -> bool {
        self.comment.is_none() && !self.called
    }
}

const fn apply() -> Verb {
    Verb::Apply
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    Planned(Planned),
    Applied(Applied),
    Failed(Failure),
    /// An apply that stopped before it changed anything, because the new plan is not the reviewed one.
    Differs(Differs),
}

/// A finished plan. The plan file, plan JSON, lock file and diff are in the archive under the run's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    pub summary: PlanSummary,
    pub fingerprint: Fingerprint,
    /// What must be the same for the saved plan to be used.
    pub identity: PlanIdentity,
    /// The tree it was made in; an apply of it gets this very tree.
    pub tree: TreeId,
    /// See [`Target::inputs`].
    pub inputs: String,
    /// Addresses of what it changes, sorted: the first 500. Kept in a table of their own, and not with the run.
    #[serde(skip)]
    pub touched: Vec<String>,
}

/// Everything besides the code that a saved plan depends on. Compared whole: any difference makes the plan stale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanIdentity {
    /// `terraform 1.11.4` or `opentofu 1.6.2`.
    pub terraform: String,
    pub workspace: String,
    /// Hash of the granted variables and the steps that are run.
    pub workflow: String,
    /// Where managed state was reached: a saved plan holds the address.
    pub state_address: Option<String>,
    /// The state's lineage and serial as the plan file itself has them.
    pub state: StateMark,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateMark {
    pub lineage: String,
    pub serial: u64,
}

impl StateMark {
    /// Whether a state is still what a plan was made from. Before the first apply there is no lineage yet, and Terraform
    /// compares the serial alone.
    #[must_use]
    pub fn is_still(&self, now: &Self) -> bool {
        let first = self.lineage.is_empty() && self.serial == 0;
        self.serial == now.serial && (first || self.lineage == now.lineage)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What terraform reported as done, by address.
    pub done: Vec<ResourceOutcome>,
    pub fingerprint: Fingerprint,
    /// Whether the saved plan ran, or a new one that was equal to it.
    pub used_saved_plan: bool,
    /// There was nothing left to do: a new plan was made, and it changes nothing, whatever was reviewed.
    #[serde(default)]
    pub nothing_left: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceOutcome {
    pub address: String,
    /// `create`, `update`, `delete`, …: terraform's word.
    pub action: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// Why the reviewed plan could not be used: one sentence.
    pub because: String,
    /// The new plan, which waits for `approve`.
    pub planned: Planned,
}

/// Why a run failed, for people. Nothing decides by its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub step: Step,
    /// One sentence.
    pub message: String,
    /// Terraform's own words, bounded, with control characters removed.
    pub output: String,
    /// What Terraform itself named as errors, as data: the first ten. Empty where it did not get to that.
    #[serde(default)]
    pub diagnostics: Box<[Diagnostic]>,
    /// Apply only: what had been done and what had not.
    pub done: Vec<ResourceOutcome>,
    pub not_done: Vec<ResourceOutcome>,
    /// Whether any change may have been made.
    pub changed_something: bool,
}

/// One error of Terraform's: <https://developer.hashicorp.com/terraform/cli/commands/validate#json>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub summary: String,
    pub detail: String,
    /// The resource that it is about.
    pub address: Option<String>,
    /// The file, relative to the project's directory, and the line, from 1.
    pub place: Option<(String, u64)>,
}

impl Diagnostic {
    /// `main.tf:12`.
    #[must_use]
    pub fn place_text(&self) -> Option<String> {
        self.place.as_ref().map(|(file, line)| format!("{file}:{line}"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Before terraform: the configuration, the merge, the work tree, the terraform binary.
    Prepare,
    Init,
    Plan,
    Show,
    State,
    Apply,
}

impl Step {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Init => "init",
            Self::Plan => "plan",
            Self::Show => "show",
            Self::State => "state pull",
            Self::Apply => "apply",
        }
    }
}

impl Run {
    /// The pull request's own plan.
    #[must_use]
    pub const fn is_plan(&self) -> bool {
        matches!(self.work, Work::Plan)
    }

    #[must_use]
    pub const fn is_trial(&self) -> bool {
        matches!(self.work, Work::Trial)
    }

    #[must_use]
    pub const fn is_apply(&self) -> bool {
        matches!(self.work, Work::Apply(_))
    }

    #[must_use]
    pub const fn apply_order(&self) -> Option<&ApplyOrder> {
        match &self.work {
            Work::Plan | Work::Trial => None,
            Work::Apply(order) => Some(order),
        }
    }

    /// It was of everything that the code says, and not of a part, or of something else.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        plans_everything(&self.extra)
    }

    /// It is a finished plan, and applying it would change nothing.
    #[must_use]
    pub fn plans_nothing(&self) -> bool {
        let writes_state = self.extra.iter().any(|argument| argument == "-refresh-only");
        !writes_state && self.planned().is_some_and(|planned| planned.summary.is_empty())
    }

    /// What it applied, if it is an apply that succeeded.
    #[must_use]
    pub const fn applied(&self) -> Option<&Applied> {
        match &self.outcome {
            Some(Outcome::Applied(applied)) => Some(applied),
            _ => None,
        }
    }

    /// The plan that it made: a plan run's, or the one that an apply stopped at.
    #[must_use]
    pub const fn made_plan(&self) -> Option<&Planned> {
        match &self.outcome {
            Some(Outcome::Differs(differs)) => Some(&differs.planned),
            _ => self.planned(),
        }
    }

    #[must_use]
    pub const fn planned(&self) -> Option<&Planned> {
        match &self.outcome {
            Some(Outcome::Planned(planned)) => Some(planned),
            _ => None,
        }
    }
}
