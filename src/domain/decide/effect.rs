//! What may follow from an event. Effects are data; `flow` performs them in one transaction.
//!
//! There is no effect for statuses and the live comment: both are views, computed from the store whenever it changed
//! (see `domain::report`). A `SetStatus` effect could be lost, repeated or overtaken; a view can't.

use super::state::{Affected, Problem};
use crate::domain::command::Verb;
use crate::domain::id::{Login, ProjectKey, ProjectName, PullId, RunId, Sha};
use crate::domain::permission::MayApply;
use crate::domain::project::{Project, Target};
use crate::domain::run::ApplyOrder;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keep what the changed files decided.
    Remember {
        affected: Option<Affected>,
        problem: Option<Problem>,
    },
    StartPlan {
        project: Project,
        target: Target,
    },
    /// The proof can only be had from `permission` and `requirement`.
    StartApply {
        project: Project,
        target: Target,
        order: ApplyOrder,
        proof: MayApply,
    },
    /// An apply that may run as soon as another pull request lets go of the project.
    WaitForLock {
        project: Project,
        target: Target,
        order: ApplyOrder,
        proof: MayApply,
    },
    /// Stop a run and never show its result.
    Supersede {
        run: RunId,
    },
    /// Stop a run, and show how far it came.
    Cancel {
        run: RunId,
        by: Login,
    },
    TakeLock {
        project: ProjectKey,
    },
    FreeLock {
        project: ProjectKey,
    },
    /// What was applied before the merge is in the base branch by this commit: no older one may take it back.
    NoteApplied {
        project: ProjectKey,
        commit: Sha,
    },
    /// A comment of its own.
    Say(Say),
}

/// What is said in a comment of its own. All else is in the live comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// Pull requests from forks are refused.
    ForkRefused,
    Help {
        to: Login,
    },
    /// `terraplane aply`: did you mean `apply`?
    UnknownVerb {
        to: Login,
        word: String,
        suggestion: Option<Verb>,
    },
    /// A command that was not carried out, with everything that is missing, per project where it differs.
    Refused {
        to: Login,
        verb: Verb,
        missing: Vec<Missing>,
    },
    /// A merge that did not apply, because something that the rules ask for was missing. `approve` makes good for it.
    MergedNotApplied {
        by: Login,
        missing: Vec<Missing>,
    },
    /// A command that named no project of this pull request.
    NothingMatched {
        to: Login,
        verb: Verb,
        selector: Vec<String>,
        projects: Vec<ProjectName>,
    },
    Unlocked {
        by: Login,
        projects: Vec<ProjectName>,
    },
    /// What is stopped now; how far it came is told when it has stopped.
    Cancelling {
        by: Login,
        projects: Vec<ProjectName>,
    },
    /// Every apply of the batch is over: the result, rendered from the runs.
    ApplyResult {
        batch: RunId,
    },
    /// Applies that have to wait for another pull request's lock. Their places in the queue change, so that the live
    /// comment shows them.
    Waiting {
        to: Login,
        projects: Vec<(ProjectName, PullId)>,
    },
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// `None`: it concerns the command as a whole.
    pub project: Option<ProjectName>,
    /// One sentence for a person, Markdown allowed, forge text already made safe.
    pub what: String,
}
