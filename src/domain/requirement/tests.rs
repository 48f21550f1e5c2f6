use super::*;
use crate::domain::decide::fixture;
use crate::domain::pull::{Approval, Phase, Role};

fn asked<'a>(pull: &'a Pull, review: &'a Review, verb: Verb, actor: &'a Actor, branches: &'a [String]) -> Asked<'a> {
    Asked { pull, review, verb, actor, branches }
}

fn approval(by: &str, head: char, by_writer: bool) -> Approval {
    Approval { by: fixture::login(by), head: fixture::sha(head), by_writer, at: fixture::at(0) }
}

/// What is missing for `ana` to apply a project with these requirements.
fn missing(require: &[Requirement], change: impl FnOnce(&mut Pull, &mut Review)) -> Vec<String> {
    let mut pull = fixture::pull('a');
    let mut review = Review { mergeable: Some(true), ..Review::default() };
    change(&mut pull, &mut review);
    let mut project = fixture::project("prod");
    project.require = require.to_vec();
    let actor = fixture::actor("ana", Role::Write);
    let branches = ["main".to_owned()];
    allow_apply(&project, asked(&pull, &review, Verb::Apply, &actor, &branches)).err().unwrap_or_default()
}

#[test]
fn approvals_count_when_they_are_a_writers_for_this_head_and_not_the_authors() {
    let cases: [(Vec<Approval>, bool); 5] = [
        (vec![], false),
        (vec![approval("lee", 'a', true)], true),
        (vec![approval("lee", 'a', false)], false),
        (vec![approval("lee", 'b', true)], false),
        (vec![approval("SAM", 'a', true)], false),
    ];
    for (approvals, enough) in cases {
        let lacking = missing(&[Requirement::Approved], |_, review| review.approvals = approvals.clone());
        assert_eq!(lacking.is_empty(), enough, "{approvals:?}: {lacking:?}");
    }
}

#[test]
fn a_stale_approval_is_named() {
    let lacking = missing(&[Requirement::Approved], |_, review| review.approvals = vec![approval("lee", 'b', true)]);
    assert_eq!(
        lacking,
        [
            "it needs an approval by somebody with write permission who is not the author; the approval of `lee` is for `bbbbbbb`, an older commit"
        ]
    );
}

#[test]
fn mergeable_and_undiverged() {
    let both = [Requirement::Mergeable, Requirement::Undiverged];
    assert!(missing(&both, |_, _| ()).is_empty());
    assert_eq!(missing(&both, |pull, _| pull.draft = true).len(), 1);
    assert_eq!(missing(&both, |_, review| review.mergeable = Some(false)).len(), 1);
    assert_eq!(missing(&both, |_, review| review.mergeable = None).len(), 1);
    assert_eq!(missing(&both, |_, review| review.diverged = true).len(), 1);
}

#[test]
fn after_the_merge_mergeable_and_undiverged_are_satisfied_and_approved_is_not() {
    let all = Requirement::ALL;
    let lacking = missing(&all, |pull, review| {
        pull.phase = Phase::Merged { commit: fixture::sha('e'), by: None, at: fixture::at(0) };
        review.mergeable = Some(false);
        review.diverged = true;
    });
    assert_eq!(lacking.len(), 1, "{lacking:?}");
}

#[test]
fn only_listed_base_branches_apply() {
    assert_eq!(
        missing(&[], |pull, _| pull.base_branch = "feature".parse().unwrap()),
        ["the base branch `feature` is not among `branches`"]
    );
}

#[test]
fn everything_that_is_missing_is_said_at_once() {
    let mut pull = fixture::pull('a');
    pull.draft = true;
    let mut project = fixture::project("prod");
    project.require = Requirement::ALL.to_vec();
    project.state = StateKind::Nowhere;
    let review = Review { diverged: true, ..Review::default() };
    let reader = fixture::actor("eve", Role::Read);
    let lacking = allow_apply(&project, asked(&pull, &review, Verb::Apply, &reader, &[])).unwrap_err();
    assert_eq!(lacking.len(), 6, "{lacking:#?}");
}

#[test]
fn an_author_cannot_approve_and_another_writer_can() {
    let pull = fixture::pull('a');
    let review = Review::default();
    let mut project = fixture::project("prod");
    project.require = vec![Requirement::Approved];
    let branches = ["main".to_owned()];
    let sam = fixture::actor("sam", Role::Admin);
    let lee = fixture::actor("lee", Role::Write);
    assert!(allow_apply(&project, asked(&pull, &review, Verb::Approve, &sam, &branches)).is_err());
    assert!(allow_apply(&project, asked(&pull, &review, Verb::Approve, &lee, &branches)).is_ok());
}
