//! What keeps an apply that is allowed from beginning at once.

use super::{ProjectState, PullState};
use crate::domain::freeze::{Frozen, frozen};
use crate::domain::id::{ProjectName, PullId, Timestamp};
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

/// Projects of this pull request that are applied before this one, and are not yet.
pub(super) fn comes_before<'a>(state: &'a PullState, project: &'a Project) -> impl Iterator<Item = &'a ProjectState> {
    state.projects.iter().filter(|known| {
        project.after.contains(&known.project.name)
            && known.target.is_some()
            && known.project.state != StateKind::Nowhere
            && !known.is_settled()
    })
}
