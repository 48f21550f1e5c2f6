//! What may follow from an event. Effects are data; `flow` performs them in one transaction.
//!
//! There is no effect for statuses and the live comment: both are views, computed from the store whenever it changed
//! (see `domain::report`). A `SetStatus` effect could be lost, repeated or overtaken; a view can't.

use super::hold::Hold;
use super::queue::QueuedCommit;
use super::say::Say;
use super::state::{Affected, Problem};
use crate::domain::command::Selector;
use crate::domain::event::Reaction;
use crate::domain::freeze::Freeze;
use crate::domain::id::{CommentId, Login, ProjectKey, ProjectName, PullId, RunId, Sha};
use crate::domain::permission::MayApply;
use crate::domain::project::{MergeHow, Project, Target};
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
        /// Arguments for `terraform plan`.
        extra: Vec<String>,
    },
    /// Keep what the merge queue would merge, or that it no longer would.
    NoteQueued(QueuedCommit),
    /// Plan what the merge queue would merge.
    StartTrial {
        project: Project,
        target: Target,
    },
    /// The proof can only be had from `permission` and `requirement`.
    StartApply {
        project: Project,
        target: Target,
        order: ApplyOrder,
        /// Those of the plan that was reviewed.
        extra: Vec<String>,
        proof: MayApply,
    },
    /// An apply that is allowed, and runs as soon as nothing holds it any more.
    Wait {
        project: Project,
        target: Target,
        order: ApplyOrder,
        extra: Vec<String>,
        hold: Hold,
        proof: MayApply,
    },
    /// Whoever waits for this project may be able to go on.
    TakeTurn {
        project: ProjectKey,
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
        /// Who took it by `lock`, and why.
        by: Option<Holding>,
    },
    FreeLock {
        project: ProjectKey,
        /// The pull request that holds it.
        holder: PullId,
        /// Who freed it by `unlock`, and why.
        by: Option<Holding>,
    },
    /// What was applied before the merge is in the base branch by this commit: no older one may take it back.
    NoteApplied {
        project: ProjectKey,
        commit: Sha,
    },
    /// Other open pull requests with a plan of this project are planned again: what it is made from has changed.
    ReplanOthers {
        project: ProjectKey,
    },
    Freeze(Freeze),
    /// Ends the freezes of exactly this selector; `None`: all of the repository.
    Thaw {
        selector: Option<Selector>,
        by: Login,
    },
    /// The pull request is merged, if the forge lets us.
    Merge {
        how: MergeHow,
    },
    React {
        comment: CommentId,
        with: Reaction,
    },
    /// A comment of its own.
    Say(Say),
}

/// Who took or freed a lock by a command, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub by: Login,
    pub reason: Option<String>,
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// `None`: it concerns the command as a whole.
    pub project: Option<ProjectName>,
    /// One sentence for a person, Markdown allowed, forge text already made safe.
    pub what: String,
}
