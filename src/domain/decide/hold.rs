//! What keeps an apply that is allowed from beginning at once.

use super::{ProjectState, PullState};
use crate::domain::freeze::{Frozen, frozen};
use crate::domain::id::{ProjectKey, ProjectName, PullId, Timestamp};
use crate::domain::lock::{self, Lock, Wait};
use crate::domain::project::{Project, StateKind};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// This project of the same pull request is applied first.
    After(ProjectName),
    Frozen(Frozen),
    /// Another pull request holds the project.
    Lock(PullId),
}

/// The first thing that holds it; `None`: it may begin.
#[must_use]
pub fn hold(state: &PullState, project: &Project, now: Timestamp) -> Option<Hold> {
    if let Some(first) = comes_before(state, project).next() {
        return Some(Hold::After(first.project.name.clone()));
    }
    held_from_outside(state, project, now)
}

/// The same, without what this pull request decides by itself.
#[must_use]
pub fn held_from_outside(state: &PullState, project: &Project, now: Timestamp) -> Option<Hold> {
    if let Some(frozen) = frozen(project, &state.around.freezes, now) {
        return Some(Hold::Frozen(frozen));
    }
    // Not what is known of its projects: of one that was never looked at, that is nothing.
    let lock = state.around.locks.iter().find(|lock| lock.project == project.key);
    lock.filter(|lock| lock.held_by != state.pull().id).map(|lock| Hold::Lock(lock.held_by.clone()))
}

/// What an apply that waits comes to when its turn may have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    GoesOn,
    /// It is asked again then; `None`: when something happens.
    Waits(Option<Timestamp>),
}

/// Whether an apply that waits may go on. Who comes after it in the queue may, even if it may not.
#[must_use]
pub fn turn(state: &PullState, project: &Project, now: Timestamp) -> Turn {
    match hold(state, project, now) {
        Some(Hold::Frozen(frozen)) => Turn::Waits(frozen.until),
        Some(Hold::After(_) | Hold::Lock(_)) => Turn::Waits(None),
        // Somebody who stands before it in the queue for this project has to pass first.
        None if circle(state, &[&project.key], &[]).is_some() => Turn::Waits(None),
        None => Turn::GoesOn,
    }
}

/// The wait that closes a circle if this pull request takes the first of these projects, and waits for the others: of
/// somebody for whom it waits, and who waits for it. Merged pull requests keep nobody waiting.
pub(super) fn circle(state: &PullState, takes: &[&ProjectKey], waits_for: &[&ProjectKey]) -> Option<Wait> {
    let pull = &state.pull().id;
    if state.pull().merge_commit().is_some() {
        return None;
    }
    let mut locks = state.around.locks.clone();
    for project in takes.iter().filter(|project| !state.around.locks.iter().any(|lock| lock.project == ***project)) {
        let (project, held_by) = ((*project).clone(), pull.clone());
        locks.push(Lock { project, held_by, since: Timestamp(0), applied: false, taken_by: None, reason: None });
    }
    let own = state.around.waits.iter().filter(|wait| wait.pull == *pull).map(|wait| &wait.project);
    let mut wanted = own.filter(|project| !takes.contains(project)).chain(waits_for.iter().copied());
    wanted.find_map(|project| lock::circle(pull, project, &locks, &state.around.waits)).cloned()
}

/// Projects of this pull request that are applied before this one, and are not yet.
pub(super) fn comes_before<'a>(state: &'a PullState, project: &'a Project) -> impl Iterator<Item = &'a ProjectState> {
    state.projects.iter().filter(|known| {
        project.after.contains(&known.project.name)
            && known.target.is_some()
            && known.project.state != StateKind::Nowhere
            && !known.is_settled()
    })
}
