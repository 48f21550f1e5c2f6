//! A pull request's hold on a project: from its apply (or merge) until it is merged and applied. Planning takes none.

use super::id::{Login, ProjectKey, PullId, RunId, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub project: ProjectKey,
    pub held_by: PullId,
    pub since: Timestamp,
    /// Something was applied under this lock: reality may differ from the base branch, so closing does not free it.
    pub applied: bool,
    /// Who took it by `lock`; `None`: an apply or a merge did.
    #[serde(default)]
    pub taken_by: Option<Login>,
    /// Why, in their words.
    #[serde(default)]
    pub reason: Option<String>,
}

/// An apply that waits until it may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub run: RunId,
    pub project: ProjectKey,
    pub pull: PullId,
    /// Merged ones come before the others.
    pub merged: bool,
    pub since: Timestamp,
}

/// An apply that runs, or does so as soon as there is room for it: whoever holds the project keeps it until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtWork {
    pub project: ProjectKey,
    pub pull: PullId,
}

/// The wait that closes a circle if an open pull request waits for this project, or begins to: following who waits for
/// whom leads back to it. Whoever waits for a project waits for its holder, and for those that get it before. Merged pull
/// requests let go project by project, and never keep anybody waiting.
#[must_use]
pub fn circle<'a>(pull: &PullId, wanted: &ProjectKey, locks: &'a [Lock], waits: &'a [Wait]) -> Option<&'a Wait> {
    let before_us = waits.iter().filter(|wait| wait.project == *wanted).take_while(|wait| wait.pull != *pull);
    let mut open: Vec<&PullId> = ahead(wanted, locks, before_us).collect();
    let mut seen: Vec<&PullId> = vec![pull];
    while let Some(other) = open.pop() {
        if seen.contains(&other) {
            continue;
        }
        seen.push(other);
        for (place, wait) in waits.iter().enumerate().filter(|(_, wait)| wait.pull == *other && !wait.merged) {
            let earlier = waits[..place].iter().filter(|earlier| earlier.project == wait.project);
            for next in ahead(&wait.project, locks, earlier) {
                if next == pull {
                    return Some(wait);
                }
                open.push(next);
            }
        }
    }
    None
}

/// Who holds the project, and who gets it before somebody whom these waits precede.
fn ahead<'a>(
    project: &ProjectKey,
    locks: &'a [Lock],
    earlier: impl Iterator<Item = &'a Wait>,
) -> impl Iterator<Item = &'a PullId> {
    let holder = locks.iter().find(|lock| lock.project == *project).map(|lock| &lock.held_by);
    holder.into_iter().chain(earlier.filter(|wait| !wait.merged).map(|wait| &wait.pull))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn pull(number: u64) -> PullId {
        format!("github.com/acme/infra#{number}").parse().unwrap()
    }

    fn locks(held: &[(&str, u64)]) -> Vec<Lock> {
        let lock = |(project, holder): &(&str, u64)| Lock {
            project: project.parse().unwrap(),
            held_by: pull(*holder),
            since: Timestamp(0),
            applied: true,
            taken_by: None,
            reason: None,
        };
        held.iter().map(lock).collect()
    }

    fn waits(waiting: &[(u64, &str, bool)]) -> Vec<Wait> {
        let wait = |(number, project, merged): &(u64, &str, bool)| Wait {
            run: RunId(Uuid::from_u128(1)),
            project: project.parse().unwrap(),
            pull: pull(*number),
            merged: *merged,
            since: Timestamp(0),
        };
        waiting.iter().map(wait).collect()
    }

    #[test]
    fn a_wait_closes_a_circle_if_it_leads_back() {
        let held = [("a", 1), ("b", 2), ("c", 3)];
        for (what, waiting, closes) in [
            ("nobody waits", &[][..], false),
            ("2 waits for 1", &[(2, "a", false)], true),
            ("2 waits for 3, and 3 for 1", &[(2, "c", false), (3, "a", false)], true),
            ("2 waits for 3, and 3 for nobody", &[(2, "c", false)], false),
            ("2 is merged and lets go", &[(2, "a", true)], false),
            ("others go round and round", &[(2, "c", false), (3, "b", false)], false),
            ("4 waits for both, and gets `b` first", &[(4, "a", false), (4, "b", false)], true),
        ] {
            let (locks, waits) = (locks(&held), waits(waiting));
            assert_eq!(circle(&pull(1), &"b".parse().unwrap(), &locks, &waits).is_some(), closes, "{what}");
        }
        // #1 waits for `c` already, and gets it before #2 does.
        for (what, waiting, closes) in [
            ("2 waits behind 1", &[(1, "c", false), (2, "c", false)][..], true),
            ("2 waits before 1", &[(2, "c", false), (1, "c", false)], false),
            ("2 waits behind 4, which waits for 1", &[(4, "c", false), (2, "c", false), (4, "a", false)], true),
            ("2 waits behind 4, which is merged", &[(4, "c", true), (2, "c", false), (4, "a", true)], false),
        ] {
            let (locks, waits) = (locks(&held), waits(waiting));
            assert_eq!(circle(&pull(1), &"b".parse().unwrap(), &locks, &waits).is_some(), closes, "{what}");
        }
        // Nobody holds it, and #4, which comes first, waits for #1.
        let (locks, waits) = (locks(&held), waits(&[(4, "free", false), (4, "a", false)]));
        assert!(circle(&pull(1), &"free".parse().unwrap(), &locks, &waits).is_some());
    }

    #[test]
    fn what_is_free_is_not_waited_for() {
        let held = [("a", 1), ("b", 2), ("c", 3)];
        assert_eq!(circle(&pull(1), &"free".parse().unwrap(), &locks(&held), &[]), None);
    }
}
