use super::*;
use crate::domain::decide::fixture;
use crate::domain::pull::{Approval, Phase, Role};

static MAY_APPLY: Rules = Rules { base_may_apply: true, unknown: None };
static MAY_NOT: Rules = Rules { base_may_apply: false, unknown: None };

fn asked<'a>(pull: &'a Pull, review: &'a Review, verb: Verb, actor: &'a Actor) -> Asked<'a> {
    Asked { pull, review, verb, actor, rules: &MAY_APPLY }
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
    allow_apply(&project, asked(&pull, &review, Verb::Apply, &actor)).err().unwrap_or_default()
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
    let lacking = missing(&[Requirement::Approved], |_, review| {
        review.approvals = vec![approval("sam", 'b', true), approval("lee", 'b', true)];
    });
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
    let (pull, review, ana) = (fixture::pull('a'), Review::default(), fixture::actor("ana", Role::Write));
    let asked = Asked { rules: &MAY_NOT, ..asked(&pull, &review, Verb::Apply, &ana) };
    let lacking = allow_apply(&fixture::project("prod"), asked).unwrap_err();
    assert_eq!(lacking, ["the base branch `main` is not among `branches`"]);
}

#[test]
fn nothing_is_applied_while_the_rules_are_not_known() {
    let (pull, review, ana) = (fixture::pull('a'), Review::default(), fixture::actor("ana", Role::Admin));
    let broken = Rules::unknown("`terraplane.yaml` on `main` can't be used");
    let asked = Asked { rules: &broken, ..asked(&pull, &review, Verb::Apply, &ana) };
    let lacking = allow_apply(&fixture::project("prod"), asked).unwrap_err();
    assert_eq!(lacking, ["`terraplane.yaml` on `main` can't be used"]);
}

#[test]
fn a_rule_may_ask_for_a_higher_role() {
    let (pull, review) = (fixture::pull('a'), Review::default());
    let mut project = fixture::project("prod");
    project.least_role = Some(Role::Maintain);
    let (writer, keeper) = (fixture::actor("ana", Role::Write), fixture::actor("kim", Role::Maintain));
    assert_eq!(
        allow_apply(&project, asked(&pull, &review, Verb::Apply, &writer)).unwrap_err(),
        ["a rule says that only `maintain` and above may apply it"]
    );
    assert!(allow_apply(&project, asked(&pull, &review, Verb::Apply, &keeper)).is_ok());
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
    let lacking =
        allow_apply(&project, Asked { rules: &MAY_NOT, ..asked(&pull, &review, Verb::Apply, &reader) }).unwrap_err();
    assert_eq!(lacking.len(), 6, "{lacking:#?}");
}

#[test]
fn an_author_cannot_approve_and_another_writer_can() {
    let pull = fixture::pull('a');
    let review = Review::default();
    let mut project = fixture::project("prod");
    project.require = vec![Requirement::Approved];
    let sam = fixture::actor("sam", Role::Admin);
    let lee = fixture::actor("lee", Role::Write);
    assert!(allow_apply(&project, asked(&pull, &review, Verb::Approve, &sam)).is_err());
    assert!(allow_apply(&project, asked(&pull, &review, Verb::Approve, &lee)).is_ok());
}
