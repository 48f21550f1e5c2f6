//! Which plans stood in the live comment, since when, and which of them somebody approved.
//!
//! A command, an approval or a merge means what could be seen when it was given, and nothing else.

use super::{ProjectState, PullState};
use crate::domain::command::Origin;
use crate::domain::id::{Fingerprint, Login, RunId, Sha, Timestamp};
use crate::domain::pull::Approval;

/// A plan that stood in the live comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// A plan run, or an apply that stopped at this plan.
    pub run: RunId,
    pub fingerprint: Fingerprint,
    pub head: Sha,
    /// Since when, by our clock.
    pub at: Timestamp,
    /// Who was the first to approve the pull request while this was what stood there.
    pub approved_by: Option<Login>,
}

impl Shown {
    /// Whether whoever did something at this time of the forge's clock can have seen it.
    #[must_use]
    pub const fn was_there_at(&self, at: Timestamp) -> bool {
        self.at.was_there_at(at)
    }

    /// Whether whoever wrote the comment can have seen it.
    #[must_use]
    pub const fn was_there_for(&self, origin: &Origin) -> bool {
        self.was_there_at(origin.at) && self.at.0 <= origin.heard_at.0
    }
}

impl ProjectState {
    /// Since when plans with this fingerprint have been what is shown: a new plan that does the same changes nothing for
    /// whoever approved the old one.
    #[must_use]
    pub fn shown_since(&self, fingerprint: &Fingerprint) -> Option<Timestamp> {
        let newest_first = self.shown.iter().rev();
        newest_first.take_while(|shown| shown.fingerprint == *fingerprint).last().map(|shown| shown.at)
    }

    #[must_use]
    pub fn shown_run(&self, run: RunId) -> Option<&Shown> {
        self.shown.iter().find(|shown| shown.run == run)
    }

    /// The plan that was approved last, and by whom.
    #[must_use]
    pub fn approved(&self) -> Option<(&Shown, &Login)> {
        self.shown.iter().rev().find_map(|shown| Some((shown, shown.approved_by.as_ref()?)))
    }

    /// The same, if what is planned now is another plan.
    #[must_use]
    pub fn approved_another(&self) -> Option<(&Shown, &Login)> {
        let planned = self.plan.as_ref()?.planned()?;
        self.approved().filter(|(shown, _)| shown.fingerprint != planned.fingerprint)
    }
}

impl PullState {
    /// The head that the live comment showed when the comment was written; `None`: there was no plan in it.
    #[must_use]
    pub fn head_shown_for(&self, origin: &Origin) -> Option<&Sha> {
        let all = self.projects.iter().flat_map(|project| &project.shown);
        let seen = all.filter(|shown| shown.was_there_for(origin)).max_by_key(|shown| shown.at);
        seen.map(|shown| &shown.head)
    }

    /// Which plans these approvals approve that nobody had approved: what stood there of the head that they are of, as
    /// far as they count at all.
    #[must_use]
    pub fn newly_approved(&self, approvals: &[Approval]) -> Vec<(RunId, Login)> {
        let counts = |approval: &&Approval| approval.by_writer && !approval.by.same_as(&self.pull().author);
        let mut found: Vec<(RunId, Login)> = Vec::new();
        for approval in approvals.iter().filter(counts) {
            for project in &self.projects {
                let newest_first = project.shown.iter().rev();
                let seen =
                    newest_first.filter(|shown| shown.head == approval.head).find(|s| s.was_there_at(approval.at));
                if let Some(shown) = seen.filter(|shown| shown.approved_by.is_none())
                    && !found.iter().any(|(run, _)| *run == shown.run)
                {
                    found.push((shown.run, approval.by.clone()));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn shown(run: u128, head: char, at: i64) -> Shown {
        let fingerprint = format!("{run:064}").parse().unwrap();
        Shown { run: fixture::run_id(run), fingerprint, head: fixture::sha(head), at: Timestamp(at), approved_by: None }
    }

    fn approval(by: &str, head: char, at: i64) -> Approval {
        Approval { by: by.parse().unwrap(), head: fixture::sha(head), by_writer: true, at: Timestamp(at) }
    }

    #[test]
    fn an_approval_is_of_what_stood_there() {
        let mut state = fixture::state(fixture::pull('a'), &fixture::project("prod"), None, None);
        let author = state.pull().author.to_string();
        let minute = 60_000;
        state.projects[0].shown = vec![shown(1, 'a', minute), shown(2, 'a', 3 * minute), shown(3, 'b', 5 * minute)];
        let cases = [
            ("while the first stood there", vec![approval("kim", 'a', 2 * minute)], vec![(1, "kim")]),
            ("while the second did", vec![approval("kim", 'a', 4 * minute)], vec![(2, "kim")]),
            ("of a head that is gone", vec![approval("kim", 'a', 6 * minute)], vec![(2, "kim")]),
            ("before anything was shown", vec![approval("kim", 'a', 0)], vec![]),
            ("of a head that was never planned", vec![approval("kim", 'c', 6 * minute)], vec![]),
            ("the author's own", vec![approval(&author, 'a', 4 * minute)], vec![]),
            (
                "of somebody who may not write",
                vec![Approval { by_writer: false, ..approval("kim", 'a', 4 * minute) }],
                vec![],
            ),
            (
                "of two people: the first counts",
                vec![approval("kim", 'a', 4 * minute), approval("lee", 'a', 4 * minute)],
                vec![(2, "kim")],
            ),
        ];
        for (when, approvals, wanted) in cases {
            let wanted: Vec<(RunId, Login)> =
                wanted.into_iter().map(|(run, by)| (fixture::run_id(run), by.parse().unwrap())).collect();
            assert_eq!(state.newly_approved(&approvals), wanted, "{when}");
        }
        state.projects[0].shown[1].approved_by = Some("kim".parse().unwrap());
        assert_eq!(state.newly_approved(&[approval("lee", 'a', 4 * minute)]), [], "it is approved already");
        assert_eq!(state.projects[0].approved().map(|(shown, _)| shown.run), Some(fixture::run_id(2)));
    }
}
