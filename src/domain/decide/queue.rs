//! The forge's merge queue: what it would merge is planned at the very commit that it would merge, and compared with what
//! was reviewed (see `domain::report`).
//!
//! Such a plan is a [trial](crate::domain::run::Work::Trial): nothing that happens to the pull request's own plans stops
//! it, and the pull request never shows it as its plan. It ends with its commit's time in the queue.

use super::{Effect, Found, PullState, Rules, present};
use crate::domain::id::{ProjectKey, Sha, Timestamp};
use crate::domain::project::Project;
use crate::domain::pull::{MergeGroup, Review};
use crate::domain::requirement::lacks_to_plan;
use crate::domain::run::Run;
use serde::{Deserialize, Serialize};

/// What the queue would merge, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedCommit {
    pub group: MergeGroup,
    /// The pull request's head when it was heard of.
    pub of: Sha,
    /// When the queue asked about it, by our clock: of two, the later one is in the queue.
    pub heard_at: Timestamp,
    /// What it concerns; `None` of one that has left the queue.
    pub found: Option<Found>,
    /// It is no longer in the queue. It stays known, so that a webhook that comes late does not bring it back.
    pub ended: bool,
}

/// With the newest trial of each project. Those of a commit that has left the queue are not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    pub commit: QueuedCommit,
    pub trials: Vec<Run>,
}

impl Queued {
    #[must_use]
    pub fn trial(&self, project: &ProjectKey) -> Option<&Run> {
        self.trials.iter().find(|run| run.project.key == *project)
    }
}

/// What was heard of a commit, and what was found there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) group: &'a MergeGroup,
    pub(super) at: Timestamp,
    pub(super) found: &'a Found,
    pub(super) review: &'a Review,
}

/// Heard twice, it begins once.
pub(super) fn queued(state: &PullState, heard: Heard<'_>, rules: &Rules) -> Vec<Effect> {
    let Heard { group, at, found, review } = heard;
    if !state.pull().is_open() || state.queued.iter().any(|known| known.commit.group.head == group.head) {
        return Vec::new();
    }
    let of = state.pull().head.clone();
    let commit = QueuedCommit { group: group.clone(), of, heard_at: at, found: Some(found.clone()), ended: false };
    // The queue has one commit for a pull request at a time, and it takes a while to find out what is in one.
    if state.in_queue().any(|other| other.commit.heard_at > at) {
        return vec![Effect::NoteQueued(QueuedCommit { found: None, ended: true, ..commit })];
    }
    let mut effects = end(state, |_| true);
    effects.push(Effect::NoteQueued(commit));
    let Found::Affected(affected) = found else { return effects };
    // What must be there before anything of it is run holds here too.
    let present = present(state, affected);
    let may = |project: &Project| lacks_to_plan(project, state.pull(), review, rules).is_empty();
    let due = present.into_iter().filter(|present| may(present.project));
    effects.extend(due.map(|present| Effect::StartTrial { project: present.project.clone(), target: present.target }));
    effects
}

/// Of one that nobody has heard of, it is noted all the same: webhooks may change places.
pub(super) fn unqueued(state: &PullState, group: &MergeGroup, now: Timestamp) -> Vec<Effect> {
    if state.queued.iter().any(|known| known.commit.group.head == group.head) {
        return end(state, |commit| commit.group.head == group.head);
    }
    let of = state.pull().head.clone();
    let commit = QueuedCommit { group: group.clone(), of, heard_at: now, found: None, ended: true };
    vec![Effect::NoteQueued(commit)]
}

/// The queue lets go of what was pushed to, and the webhook that says so may be lost.
pub(super) fn end_overtaken(state: &PullState) -> Vec<Effect> {
    end(state, |commit| commit.of != state.pull().head)
}

pub(super) fn end_all(state: &PullState) -> Vec<Effect> {
    end(state, |_| true)
}

fn end(state: &PullState, which: impl Fn(&QueuedCommit) -> bool) -> Vec<Effect> {
    let mut effects = Vec::new();
    for Queued { commit, .. } in state.in_queue().filter(|queued| which(&queued.commit)) {
        let of_commit = |run: &&Run| run.is_trial() && run.target.head == commit.group.head;
        effects.extend(state.unfinished.iter().filter(of_commit).map(|run| Effect::Supersede { run: run.id }));
        effects.push(Effect::NoteQueued(QueuedCommit { found: None, ended: true, ..commit.clone() }));
    }
    effects
}
