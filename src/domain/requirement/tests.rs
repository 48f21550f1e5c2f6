use super::*;
use crate::domain::decide::fixture;
use crate::domain::pull::{Approval, Phase, Role};
use std::sync::LazyLock;

static MAY_APPLY: LazyLock<Rules> = LazyLock::new(fixture::rules);
static MAY_NOT: LazyLock<Rules> = LazyLock::new(|| Rules { base_may_apply: false, ..fixture::rules() });

fn asked<'a>(pull: &'a Pull, review: &'a Review, verb: Verb, actor: &'a Actor) -> Asked<'a> {
    Asked { pull, review, verb, actor, rules: &MAY_APPLY }
}

fn allow_apply(project: &Project, asked: Asked<'_>) -> Result<MayApply, Vec<String>> {
    super::allow_apply(project, asked, Applying::default())
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
        let lacking = missing(&[Requirement::APPROVED], |_, review| review.approvals = approvals.clone());
        assert_eq!(lacking.is_empty(), enough, "{approvals:?}: {lacking:?}");
    }
}

#[test]
fn a_stale_approval_is_named() {
    let lacking = missing(&[Requirement::APPROVED], |_, review| {
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
    let all = Requirement::PLAIN;
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
fn everything_that_is_missing_is_said_at_once() {
    let mut pull = fixture::pull('a');
    pull.draft = true;
    let mut project = fixture::project("prod");
    project.require = Requirement::PLAIN.to_vec();
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
    project.require = vec![Requirement::APPROVED];
    let sam = fixture::actor("sam", Role::Admin);
    let lee = fixture::actor("lee", Role::Write);
    assert!(allow_apply(&project, asked(&pull, &review, Verb::Approve, &sam)).is_err());
    assert!(allow_apply(&project, asked(&pull, &review, Verb::Approve, &lee)).is_ok());
}

fn team(name: &str) -> crate::domain::id::TeamName {
    name.parse().unwrap()
}

#[test]
fn approvals_are_counted_by_number_team_and_the_forges_judgement() {
    let two = || vec![approval("lee", 'a', true), approval("kim", 'a', true)];
    let sre = |who: &str| vec![(team("sre"), fixture::login(who))];
    type Case<'a> = (&'a str, Vec<Approval>, Vec<(crate::domain::id::TeamName, Login)>, ReviewsAsked, bool);
    let cases: [Case<'_>; 12] = [
        ("approved by 2", vec![approval("lee", 'a', true)], vec![], ReviewsAsked::None, false),
        ("approved by 2", two(), vec![], ReviewsAsked::None, true),
        ("approved by team:sre", two(), vec![], ReviewsAsked::None, false),
        ("approved by team:sre", two(), sre("LEE"), ReviewsAsked::None, true),
        ("approved by 2 of team:sre", two(), sre("lee"), ReviewsAsked::None, false),
        ("approved by team:dba", two(), sre("lee"), ReviewsAsked::None, false),
        ("approved by codeowners", vec![approval("lee", 'a', true)], vec![], ReviewsAsked::Given, true),
        ("approved by codeowners", vec![approval("lee", 'b', true)], vec![], ReviewsAsked::Given, false),
        ("approved by codeowners", vec![], vec![], ReviewsAsked::Given, false),
        ("approved by codeowners", two(), vec![], ReviewsAsked::Missing, false),
        ("approved by codeowners", two(), vec![], ReviewsAsked::None, false),
        ("approved by codeowners", two(), vec![], ReviewsAsked::ChangesRequested, false),
    ];
    for (requirement, approvals, members, reviews, enough) in cases {
        let lacking = missing(&[requirement.parse().unwrap()], |_, review| {
            (review.approvals, review.members) = (approvals.clone(), members.clone());
            review.judgement.reviews = reviews;
        });
        assert_eq!(lacking.is_empty(), enough, "{requirement}: {lacking:?}");
    }
    let lacking = missing(&["approved by 2 of team:sre".parse().unwrap()], |_, review| {
        (review.approvals, review.members) = (two(), sre("lee"));
    });
    assert_eq!(lacking, ["it needs 2 approvals by members of `team:sre` who are not the author, and has 1 (`lee`)"]);
}

#[test]
fn an_approval_is_for_the_plan_that_was_shown_by_then() {
    let (pull, ana) = (fixture::pull('a'), fixture::actor("ana", Role::Write));
    let mut project = fixture::project("prod");
    project.require = vec![Requirement::APPROVED];
    let at = |seconds| Approval { at: fixture::at(seconds), ..approval("lee", 'a', true) };
    for (approved, shown, enough) in
        [(10, Some(9), true), (10, Some(10), true), (10, Some(11), false), (10, None, true)]
    {
        let review = Review { approvals: vec![at(approved)], ..Review::default() };
        let applying =
            Applying { shown: shown.map_or(ShownPlan::None, |at| ShownPlan::Since(fixture::at(at))), imports: false };
        let answer = super::allow_apply(&project, asked(&pull, &review, Verb::Apply, &ana), applying);
        assert_eq!(answer.is_ok(), enough, "{shown:?}: {answer:?}");
    }
    let review = Review { approvals: vec![at(10)], ..Review::default() };
    let applying = Applying { shown: ShownPlan::Since(fixture::at(11)), imports: false };
    assert_eq!(
        super::allow_apply(&project, asked(&pull, &review, Verb::Apply, &ana), applying).unwrap_err(),
        [
            "it needs an approval by somebody with write permission who is not the author; the approval of `lee` is older than the plan that is shown"
        ]
    );
}

#[test]
fn our_own_statuses_never_stand_in_the_way_and_others_do() {
    let check = |name: &str, state, required| Check { name: name.into(), state, required };
    let ours =
        [check("terraplane/plan", CheckState::Pending, true), check("terraplane/apply", CheckState::Failed, true)];
    let with = |more: Vec<Check>, requirement: &str| {
        missing(&[requirement.parse().unwrap()], |_, review| {
            review.judgement.checks = ours.iter().cloned().chain(more.clone()).collect();
        })
    };
    for requirement in ["mergeable", "checks"] {
        assert_eq!(with(vec![check("ci", CheckState::Green, true)], requirement), [""; 0]);
        assert_eq!(with(vec![check("ci", CheckState::Failed, true)], requirement).len(), 1);
    }
    assert_eq!(with(vec![check("lint", CheckState::Failed, false)], "mergeable"), [""; 0], "nobody requires it");
    assert_eq!(
        with(vec![check("lint", CheckState::Failed, false), check("e2e", CheckState::Pending, false)], "checks"),
        ["checks are not green (failed: `lint`; not done yet: `e2e`)"]
    );
    assert_eq!(
        missing(&[Requirement::Mergeable], |_, review| review.judgement.reviews = ReviewsAsked::Missing),
        ["a review that the forge asks for is missing"]
    );
    let blocked = |requirement: Requirement| {
        missing(&[requirement], |_, review| review.judgement.blocked = Some("discussions are not resolved".into()))
    };
    assert_eq!(blocked(Requirement::Mergeable), ["discussions are not resolved"]);
    assert_eq!(blocked(Requirement::Checks), [""; 0], "it is about the merge");
    let blind =
        missing(&[Requirement::Checks], |_, review| review.judgement.unknown = Some("GitHub does not tell".into()));
    assert_eq!(blind, ["GitHub does not tell"], "what can't be seen does not hold");
}

#[test]
fn an_import_can_be_asked_more() {
    let (pull, review, ana) = (fixture::pull('a'), Review::default(), fixture::actor("ana", Role::Write));
    let mut project = fixture::project("prod");
    project.require_import = vec![Requirement::APPROVED];
    let allowed = |imports| {
        let applying = Applying { imports, ..Applying::default() };
        super::allow_apply(&project, asked(&pull, &review, Verb::Apply, &ana), applying).is_ok()
    };
    assert!(allowed(false) && !allowed(true));
}

#[test]
fn a_plan_can_be_asked_for_too() {
    let mut project = fixture::project("prod");
    project.require_plan = vec![Requirement::Undiverged];
    let (pull, ana) = (fixture::pull('a'), fixture::actor("ana", Role::Write));
    for diverged in [false, true] {
        let review = Review { diverged, ..Review::default() };
        let allowed = authorize(asked(&pull, &review, Verb::Plan, &ana), On::ToPlan(&project));
        assert_eq!(allowed.is_err(), diverged);
        assert_eq!(lacks_to_plan(&project, &pull, &review, &MAY_APPLY).len(), usize::from(diverged));
    }
}
