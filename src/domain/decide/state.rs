//! What is known when something happens: the pull request, the projects that it concerns, their runs and locks.

use super::Shown;
use super::queue::Queued;
use crate::domain::freeze::Freeze;
use crate::domain::id::{ProjectKey, PullId, RunId, Sha, TreeId};
use crate::domain::lock::{AtWork, Lock, Wait};
use crate::domain::project::{Project, StateKind, Target};
use crate::domain::pull::{Phase, Pull};
use crate::domain::run::{Run, RunState};
use crate::domain::sandbox::Level;
use serde::{Deserialize, Serialize};

/// A pull request as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRecord {
    pub pull: Pull,
    /// Which projects the changed files concern; `None` until that was found out for the present head and base.
    pub affected: Option<Affected>,
    /// Why nothing can be planned, if so.
    pub problem: Option<Problem>,
}

/// The projects that a pull request concerns, as found at one head and base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    pub head: Sha,
    pub base: Sha,
    /// The merge of the two.
    pub tree: TreeId,
    pub projects: Vec<AffectedProject>,
    /// Why nothing of it would be applied as the rules are now, as a sentence for people; `None`: they allow it.
    #[serde(default)]
    pub held_back: Option<String>,
    /// What merging its configuration would change of who may do what and of what must hold, a sentence each.
    #[serde(default)]
    pub grants: Vec<String>,
    /// What it would change besides, a sentence each.
    #[serde(default)]
    pub config_changes: Vec<String>,
}

impl Affected {
    /// The same code under the rules of a later look. What was merged stays what people saw planned, while a rule that
    /// came after that plan holds all the same.
    #[must_use]
    pub fn under_the_rules_of(mut self, later: &Self) -> Self {
        for AffectedProject { project, .. } in &mut self.projects {
            if let Some(now) = later.projects.iter().map(|entry| &entry.project).find(|now| now.key == project.key) {
                project.name.clone_from(&now.name);
                project.tags.clone_from(&now.tags);
                project.require.clone_from(&now.require);
                project.require_plan.clone_from(&now.require_plan);
                project.require_import.clone_from(&now.require_import);
                project.can.clone_from(&now.can);
                project.windows.clone_from(&now.windows);
                project.automerge = now.automerge;
                project.automerge_on_no_change = now.automerge_on_no_change;
                project.unknown = now.unknown;
                project.apply = now.apply;
            }
        }
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedProject {
    pub project: Project,
    /// See [`Target::inputs`].
    pub inputs: String,
}

/// Why nothing of a pull request can be planned; shown in the live comment until it is mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// The head comes from another repository, and nothing less than the sandbox's best level may hold strangers' code.
    Fork,
    /// The head comes from another repository: somebody with write permission has to ask for a plan of exactly this
    /// commit.
    ForkWaits { head: Sha },
    /// This server's sandbox is less than its operator demands: nothing is run for anybody.
    Sandbox { have: Level, required: Level },
    /// Head and base can't be merged.
    Conflict { files: Vec<String> },
    /// `terraplane.yaml` can't be used: the rendered errors, with file, line and snippet.
    Configuration { errors: String },
    /// The repository could not be fetched, and trying again did not help.
    Fetch { message: String },
}

impl Problem {
    /// What it is, as a sentence for people.
    #[must_use]
    pub fn sentence(&self) -> &'static str {
        match self {
            Self::Fork => "pull requests from forks are refused",
            Self::ForkWaits { .. } => {
                "its head is in a fork: read the changes, then ask for a plan of this very commit, as the live comment says"
            }
            Self::Sandbox { .. } => {
                "this server's sandbox is not good enough for its operator: nothing is run until that is mended"
            }
            Self::Conflict { .. } => "it conflicts with the base branch: resolve that, and push",
            Self::Configuration { .. } => {
                "`terraplane.yaml` can't be used: the live comment says what is wrong with it"
            }
            Self::Fetch { .. } => "the repository could not be read: the live comment says why",
        }
    }
}

/// What `decide` and the report see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullState {
    pub record: PullRecord,
    /// In the order of `affected`, followed by projects of older heads that still have an apply or a lock.
    pub projects: Vec<ProjectState>,
    /// Every run of this pull request that is not over, of whatever head.
    pub unfinished: Vec<Run>,
    /// What the forge's merge queue would merge of it, or would have, oldest first.
    pub queued: Vec<Queued>,
    pub around: Around,
}

/// What others in the repository do, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Around {
    /// Every lock, this pull request's too.
    pub locks: Vec<Lock>,
    /// Every apply that waits, in the order in which they get their projects.
    pub waits: Vec<Wait>,
    /// Every apply that runs, or is about to.
    pub at_work: Vec<AtWork>,
    pub freezes: Vec<Freeze>,
    /// Other open pull requests whose plans change what this one's plans change.
    pub overlaps: Vec<Overlap>,
}

/// Two open pull requests change the same resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    pub project: ProjectKey,
    pub pull: PullId,
    /// Sorted.
    pub addresses: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectState {
    pub project: Project,
    /// What a plan of it would be made from now; `None` if the present head no longer concerns it.
    pub target: Option<Target>,
    /// The newest plan run for the present head and base that was not superseded.
    pub plan: Option<Run>,
    /// The newest apply run that was not superseded.
    pub apply: Option<Run>,
    /// Whoever holds the project, be it this pull request or another.
    pub lock: Option<Lock>,
    /// This pull request's place among those that wait for the lock, counted from 1; if it does not wait, the one that
    /// it would get.
    pub queue_position: usize,
    /// The plans of it that were shown, oldest first.
    pub shown: Vec<Shown>,
}

impl PullState {
    #[must_use]
    pub fn pull(&self) -> &Pull {
        &self.record.pull
    }

    /// Commits that are in the forge's merge queue now.
    pub fn in_queue(&self) -> impl Iterator<Item = &Queued> {
        self.queued.iter().filter(|queued| !queued.commit.ended)
    }

    /// Whether the run stands in the live comment, or its plan does; or the merge queue is told of it.
    #[must_use]
    pub fn shows(&self, run: RunId) -> bool {
        let shown = |project: &ProjectState| {
            let apply = project.apply.as_ref();
            let ordered = apply.and_then(Run::apply_order).and_then(|order| order.plan);
            // What was approved is what a newer plan is compared with.
            let approved = project.approved().map(|(shown, _)| shown.run);
            [project.plan.as_ref().map(|plan| plan.id), apply.map(|apply| apply.id), ordered, approved]
                .contains(&Some(run))
        };
        let tried = |queued: &Queued| queued.trials.iter().any(|trial| trial.id == run);
        self.projects.iter().any(shown) || self.in_queue().any(tried)
    }

    /// Whether the run's plan may still be applied, shown or compared with: the pull request is not over, or still holds
    /// a project, and the run is not of older code.
    #[must_use]
    pub fn may_ask_for(&self, run: RunId) -> bool {
        let settled = |project: &ProjectState| project.is_settled() || project.project.state == StateKind::Nowhere;
        let over = match self.pull().phase {
            Phase::Open => false,
            Phase::Closed => true,
            Phase::Merged { .. } => self.projects.iter().all(settled),
        };
        let holds = self.projects.iter().any(|project| self.holds_lock(project));
        let ordered = |unfinished: &Run| unfinished.apply_order().is_some_and(|order| order.plan == Some(run));
        let at_work = self.unfinished.iter().any(|unfinished| unfinished.id == run || ordered(unfinished));
        at_work || ((!over || holds) && self.shows(run))
    }

    #[must_use]
    pub fn holds_lock(&self, project: &ProjectState) -> bool {
        project.lock.as_ref().is_some_and(|lock| lock.held_by == self.record.pull.id)
    }
}

impl ProjectState {
    #[must_use]
    pub fn plan_state(&self) -> Option<RunState> {
        self.plan.as_ref().map(|run| run.state)
    }

    #[must_use]
    pub fn apply_state(&self) -> Option<RunState> {
        self.apply.as_ref().map(|run| run.state)
    }

    /// Nothing is left to do: what the present head has is applied, or changes nothing.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let plans_nothing = || self.current_plan().is_some_and(|plan| plan.plans_nothing() && plan.is_whole());
        self.is_applied() || self.apply.is_none() && plans_nothing()
    }

    /// The code that the present head has was applied, all of it. What was planned since has the last word: it may show
    /// that something is left, or that nothing is.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        let (Some(apply), Some(target)) = (&self.apply, &self.target) else { return false };
        if apply.applied().is_none() || apply.target.inputs != target.inputs {
            return false;
        }
        let since = |plan: &&Run| apply.finished_at.is_some_and(|end| end <= plan.created_at);
        match self.current_plan().filter(since) {
            Some(plan) => plan.plans_nothing() && (plan.is_whole() || apply.is_whole()),
            None => apply.is_whole(),
        }
    }

    /// The newest apply did what there was to do, and not only found that there was nothing.
    #[must_use]
    pub fn has_changed_something(&self) -> bool {
        let applied = self.apply.as_ref().and_then(Run::applied);
        let planned_nothing = self.plan.as_ref().is_some_and(Run::plans_nothing);
        applied.is_some_and(|applied| !(applied.nothing_left || applied.done.is_empty() && planned_nothing))
    }

    /// The finished plan of exactly what the present head is.
    #[must_use]
    pub fn current_plan(&self) -> Option<&Run> {
        let target = self.target.as_ref()?;
        self.plan.as_ref().filter(|run| run.state == RunState::Succeeded && run.target == *target)
    }
}
