//! What is said in a comment of its own, and by a reaction. All else is in the live comment.

use super::effect::Missing;
use super::hold::Hold;
use super::state::Problem;
use crate::domain::command::{Meant, Verb};
use crate::domain::freeze::Freeze;
use crate::domain::id::{Login, ProjectName, PullId, RunId, Sha, Timestamp};
use crate::domain::plan::Difference;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Say {
    /// Pull requests from forks are refused.
    ForkRefused,
    /// What this person may do in this pull request now.
    Help {
        to: Login,
        verbs: Vec<Helped>,
    },
    /// `terraplane aply`: did you mean `apply`?
    UnknownVerb {
        to: Login,
        word: String,
        meant: Meant,
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
        /// The pull request that held them, if it is another one.
        of: Option<PullId>,
        reason: Option<String>,
    },
    Locked {
        by: Login,
        projects: Vec<ProjectName>,
        reason: Option<String>,
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
    /// Applies that have to wait. Their places in the queue change, so that the live comment shows them.
    Waiting {
        to: Login,
        projects: Vec<(ProjectName, Hold)>,
    },
    Frozen(Freeze),
    Thawed {
        by: Login,
        freezes: Vec<Freeze>,
    },
    /// Who holds what in the repository, who waits for it, and what is frozen.
    Locks {
        to: Login,
        held: Vec<Held>,
        freezes: Vec<Freeze>,
    },
    /// Why this pull request concerns its projects, and what each still needs.
    Why {
        to: Login,
        projects: Vec<Because>,
    },
    Version {
        to: Login,
    },
    /// The forge's merge queue is told no: its commit would not do what was reviewed.
    NotAsReviewed {
        commit: Sha,
        projects: Vec<Astray>,
    },
    /// The same, because nothing of its commit can be planned.
    QueueUnplanned {
        commit: Sha,
        problem: Problem,
    },
    /// Everything is applied, and the forge did not merge.
    NotMerged {
        why: String,
    },
}

/// A verb, and what this person is answered if they use it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helped {
    pub verb: Verb,
    /// Why not, as the end of a line; `None`: they may.
    pub lacks: Option<String>,
}

/// A project that a merge queue's commit would change otherwise than was reviewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Astray {
    pub project: ProjectName,
    /// The end of a sentence.
    pub why: String,
    /// The page of its plan, if there is one.
    pub url: Option<String>,
    /// `None`: there is nothing to compare, or not any more.
    pub differences: Option<Vec<Difference>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub project: String,
    pub by: PullId,
    pub since: Timestamp,
    pub applied: bool,
    pub taken_by: Option<Login>,
    pub reason: Option<String>,
    /// In the order in which they get it.
    pub waiting: Vec<PullId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    pub project: ProjectName,
    /// Markdown: "`modules/vpc/main.tf` changed".
    pub reason: String,
    /// When it is applied, and what it needs for that.
    pub rules: Vec<String>,
    /// What stands in the way now.
    pub missing: Vec<String>,
}
