//! What the server did not hear: a forge's list of what changed lately, compared with what is known.

use super::event::{Comment, PullChange};
use super::id::{Branch, PullId, Sha, Timestamp};
use super::pull::{Phase, Pull};
use serde::{Deserialize, Serialize};

/// A pull request as a forge's list has it: enough to see that something about it was missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glimpse {
    pub pull: PullId,
    pub head: Sha,
    pub base_branch: Branch,
    pub draft: bool,
    pub stage: Stage,
    /// When the forge last changed it in any way, by the forge's clock.
    pub updated_at: Timestamp,
}

impl Glimpse {
    /// Where a list has whole pull requests.
    #[must_use]
    pub fn of(pull: &Pull) -> Self {
        let stage = match &pull.phase {
            Phase::Open => Stage::Open,
            Phase::Closed => Stage::Closed,
            Phase::Merged { at, .. } => Stage::Merged { at: *at },
        };
        Self {
            pull: pull.id.clone(),
            head: pull.head.clone(),
            base_branch: pull.base_branch.clone(),
            draft: pull.draft,
            stage,
            updated_at: pull.updated_at,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Open,
    /// Without a merge.
    Closed,
    Merged {
        at: Timestamp,
    },
}

/// A comment as a forge's list has it, which nobody has edited since it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    pub pull: PullId,
    pub comment: Comment,
}

/// How far a repository is known: what a forge says changed after these moments is still to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub pulls: Mark,
    pub comments: Mark,
}

/// A moment by the forge's clock, so that no clock of ours matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub until: Timestamp,
    /// The forge's name for the list as it was then (an `ETag`). With it, asking again costs next to nothing.
    pub tag: Option<String>,
}

impl Seen {
    /// Before the first look.
    #[must_use]
    pub fn until(until: Timestamp) -> Self {
        let mark = Mark { until, tag: None };
        Self { pulls: mark.clone(), comments: mark }
    }
}

/// What was missed of a pull request; `None`: nothing that anything follows from. A pull request that was over before it
/// was ever heard of is news only if it was merged after `since`: what the server never saw is not its to apply.
#[must_use]
pub fn missed(known: Option<&Pull>, now: &Glimpse, since: Timestamp) -> Option<PullChange> {
    let Some(known) = known else {
        return match now.stage {
            Stage::Open => Some(PullChange::Opened),
            Stage::Merged { at } if at > since => Some(PullChange::Closed),
            Stage::Merged { .. } | Stage::Closed => None,
        };
    };
    match (&known.phase, now.stage) {
        (Phase::Open, Stage::Closed | Stage::Merged { .. }) | (Phase::Closed, Stage::Merged { .. }) => {
            Some(PullChange::Closed)
        }
        (Phase::Closed, Stage::Open) => Some(PullChange::Reopened),
        // A merge is never taken back, and what follows from it was decided when it was heard of.
        (Phase::Merged { .. }, _) | (Phase::Closed, Stage::Closed) => None,
        (Phase::Open, Stage::Open) if known.head != now.head => Some(PullChange::Pushed),
        (Phase::Open, Stage::Open) if known.base_branch != now.base_branch => Some(PullChange::Retargeted),
        (Phase::Open, Stage::Open) if known.draft && !now.draft => Some(PullChange::MadeReady),
        (Phase::Open, Stage::Open) if !known.draft && now.draft => Some(PullChange::MadeDraft),
        (Phase::Open, Stage::Open) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::fixture::{at, merged, pull};

    fn glimpse(head: char, stage: Stage) -> Glimpse {
        Glimpse { stage, ..Glimpse::of(&pull(head)) }
    }

    #[test]
    fn what_differs_is_what_was_missed() {
        use PullChange::{Closed, MadeDraft, MadeReady, Opened, Pushed, Reopened, Retargeted};
        let merge = Stage::Merged { at: at(50) };
        let closed = Pull { phase: Phase::Closed, ..pull('a') };
        let draft = Pull { draft: true, ..pull('a') };
        let drafted = Glimpse { draft: true, ..glimpse('a', Stage::Open) };
        let other_base = Glimpse { base_branch: "next".parse().unwrap(), ..glimpse('a', Stage::Open) };
        let rows = [
            (None, glimpse('a', Stage::Open), Some(Opened)),
            (None, glimpse('a', Stage::Closed), None),
            (None, glimpse('a', merge), Some(Closed)),
            (None, glimpse('a', Stage::Merged { at: at(10) }), None),
            (Some(pull('a')), glimpse('a', Stage::Open), None),
            (Some(pull('a')), glimpse('b', Stage::Open), Some(Pushed)),
            (Some(pull('a')), other_base, Some(Retargeted)),
            (Some(pull('a')), drafted, Some(MadeDraft)),
            (Some(draft), glimpse('a', Stage::Open), Some(MadeReady)),
            (Some(pull('a')), glimpse('a', Stage::Closed), Some(Closed)),
            (Some(pull('a')), glimpse('a', merge), Some(Closed)),
            (Some(closed.clone()), glimpse('a', Stage::Open), Some(Reopened)),
            (Some(closed.clone()), glimpse('a', merge), Some(Closed)),
            (Some(closed), glimpse('b', Stage::Closed), None),
            (Some(merged(pull('a'))), glimpse('a', merge), None),
        ];
        for (known, now, wanted) in rows {
            assert_eq!(missed(known.as_ref(), &now, at(10)), wanted, "{known:?} {now:?}");
        }
    }
}
