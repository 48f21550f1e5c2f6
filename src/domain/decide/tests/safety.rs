//! What must never be taken for more than it is: a part for the whole, an old approval for a new one, a plan that nobody
//! made for one that was seen.

use super::*;
use crate::domain::project::MergeHow;

fn on_comment() -> Project {
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    a
}

/// An apply of `a` that ended so, with these arguments.
fn applied(project: &Project, state: RunState, extra: &[&str]) -> Run {
    let extra = extra.iter().map(|argument| (*argument).to_owned()).collect();
    Run { extra, ..apply_run(2, project, 'a', state, order(None)) }
}

/// A plan that was made and shown after `applied` had ended.
fn newer_plan(project: &Project, changes: usize, extra: &[&str]) -> Run {
    let extra = extra.iter().map(|argument| (*argument).to_owned()).collect();
    let mut plan = Run { extra, created_at: at(10), ..plan_run(5, project, 'a', RunState::Succeeded) };
    plan.finished_at = Some(at(11));
    plan.outcome = Some(Outcome::Planned(planned('b', changes)));
    plan
}

fn plan(project: &Project) -> Option<Run> {
    Some(plan_run(1, project, 'a', RunState::Succeeded))
}

#[test]
fn a_part_that_was_applied_is_not_all() {
    let a = on_comment();
    let part = applied(&a, RunState::Succeeded, &["-target=null_resource.a"]);
    let rest = fixture::state(pull('a'), &a, Some(newer_plan(&a, 1, &[])), Some(part.clone()));
    let apply = |known: &PullState| on(known, &commanded(known, says(Verb::Apply, &[]), ana(), 20));
    assert_eq!(apply(&rest)[1..], ["lock a", "apply a reviewed p_bbbbbbbb"]);
    let nothing_more = fixture::state(pull('a'), &a, Some(newer_plan(&a, 0, &[])), Some(part.clone()));
    assert_eq!(apply(&nothing_more)[1..], ["refuse: there is nothing left to apply"]);
    let only_the_part = fixture::state(pull('a'), &a, Some(newer_plan(&a, 0, &["-target=x"])), Some(part));
    assert_ne!(apply(&only_the_part)[1..], ["refuse: there is nothing left to apply"]);
}

#[test]
fn what_was_planned_since_the_apply_can_be_applied() {
    let a = on_comment();
    let all = applied(&a, RunState::Succeeded, &[]);
    for (extra, changes, applies) in [
        (&["-destroy"][..], 1, true),
        (&["-replace=x"], 1, true),
        (&["-refresh-only"], 0, true),
        (&["-target=x"], 0, false),
    ] {
        let known = fixture::state(pull('a'), &a, Some(newer_plan(&a, changes, extra)), Some(all.clone()));
        let words = on(&known, &commanded(&known, says(Verb::Apply, &[]), ana(), 20));
        assert_eq!(words.contains(&"lock a".to_owned()), applies, "{extra:?}: {words:?}");
    }
}

#[test]
fn a_merge_lets_go_only_of_what_is_applied_whole() {
    let a = project("a");
    let over = Input::RunOver { run: run_id(2) };
    for (extra, frees) in [(&[][..], true), (&["-replace=x", "-parallelism=3"], true), (&["-target=x"], false)] {
        let of_merge =
            Run { work: crate::domain::run::Work::Apply(order(Some('e'))), ..applied(&a, RunState::Succeeded, extra) };
        let mut known = fixture::state(merged(pull('a')), &a, plan(&a), Some(of_merge));
        lock_of(&mut known, "github.com/acme/infra#7", true);
        assert_eq!(on(&known, &over).contains(&"free a".to_owned()), frees, "{extra:?}");
    }
    let part = Run { extra: vec!["-target=x".into()], ..plan_run(1, &a, 'a', RunState::Succeeded) };
    let part = Run { outcome: Some(Outcome::Planned(planned('a', 0))), ..part };
    let known = fixture::state(merged(pull('a')), &a, Some(part), None);
    assert_eq!(on(&known, &merge(&known))[..1], ["lock a"], "that a part changes nothing says nothing of the rest");
}

#[test]
fn what_a_merge_applied_in_part_is_planned_whole_by_the_next_apply() {
    let a = project("a");
    let part = Run { extra: vec!["-target=x".into()], ..plan_run(1, &a, 'a', RunState::Succeeded) };
    let of_merge = Run {
        work: crate::domain::run::Work::Apply(order(Some('e'))),
        ..applied(&a, RunState::Succeeded, &["-target=x"])
    };
    let known = fixture::state(merged(pull('a')), &a, Some(part), Some(of_merge));
    let effects = decide(&known, &commanded(&known, says(Verb::Apply, &[]), ana(), 200), &rules(), at(1000));
    let begun = effects.iter().find_map(|effect| match effect {
        Effect::StartApply { order, extra, .. } => Some((order.reviewed.clone(), extra.clone())),
        _ => None,
    });
    assert_eq!(begun, Some((None, vec![])), "{effects:?}");
}

#[test]
fn a_part_that_was_applied_merges_nothing() {
    let mut a = on_comment();
    a.automerge = Some(MergeHow::Squash);
    let over = |extra| {
        let known = fixture::state(pull('a'), &a, plan(&a), Some(applied(&a, RunState::Succeeded, extra)));
        on(&known, &Input::RunOver { run: run_id(2) })
    };
    assert_eq!(over(&[]), ["merge by Squash", "say result of 2"]);
    assert_eq!(over(&["-target=x"]), ["say result of 2"]);
}

#[test]
fn nothing_is_merged_because_of_a_plan_that_changed_nothing() {
    let mut a = on_comment();
    a.automerge = Some(MergeHow::Squash);
    let mut apply = applied(&a, RunState::Succeeded, &[]);
    let Some(Outcome::Applied(applied)) = &mut apply.outcome else { unreachable!() };
    (applied.done, applied.nothing_left) = (vec![], true);
    let known = fixture::state(pull('a'), &a, plan(&a), Some(apply));
    assert_eq!(on(&known, &Input::RunOver { run: run_id(2) }), ["say result of 2"]);
}

#[test]
fn nothing_is_applied_before_anything_was_planned() {
    let a = on_comment();
    let mut known = fixture::fresh(pull('a'));
    known.record.affected = None;
    let found = Some(Found::Affected(affected('a', std::slice::from_ref(&a))));
    let (origin, actor, review) = (origin(10), ana(), Review::default());
    let input = Input::Commanded { parsed: says(Verb::Apply, &[]), origin, actor, review, found };
    assert_eq!(
        on(&known, &input),
        [
            "remember 1 projects",
            "plan a at aaaaaaa",
            "refuse: it is still being planned: comment again when its plan is shown"
        ]
    );
}

#[test]
fn an_interrupted_apply_is_remembered_until_one_succeeds() {
    let a = on_comment();
    let anew = ApplyOrder { plan_anew: true, ..order(None) };
    for (state, expected) in [(RunState::Failed, true), (RunState::Superseded, true), (RunState::Differs, true)] {
        let known = fixture::state(pull('a'), &a, plan(&a), Some(apply_run(2, &a, 'a', state, anew.clone())));
        let mut known = known;
        known.projects[0].shown = fixture::shown(&plan_run(1, &a, 'a', RunState::Succeeded)).into_iter().collect();
        let effects = decide(&known, &commanded(&known, says(Verb::Apply, &[]), ana(), 10), &rules(), at(1000));
        let ordered = effects.iter().find_map(|effect| match effect {
            Effect::StartApply { order, .. } => Some(order.plan_anew),
            _ => None,
        });
        assert_eq!(ordered, Some(expected), "{state:?}: {effects:?}");
    }
}

fn approved_by_lee(seconds: i64) -> Review {
    let approval = Approval { by: login("lee"), head: sha('a'), by_writer: true, at: at(seconds) };
    Review { approvals: vec![approval], ..Review::default() }
}

#[test]
fn an_approval_does_not_outlive_a_different_plan_that_was_shown() {
    let mut a = on_comment();
    a.require = vec![Requirement::APPROVED];
    let differs = Run { finished_at: Some(at(50)), ..apply_run(2, &a, 'a', RunState::Differs, order(None)) };
    let known = fixture::state(pull('a'), &a, plan(&a), Some(differs));
    let mut input = commanded(&known, says(Verb::Apply, &[]), ana(), 100);
    let Input::Commanded { review, .. } = &mut input else { unreachable!() };
    *review = approved_by_lee(10);
    let words = on(&known, &input);
    assert!(words[1].contains("the approval of `lee` is older than the plan that is shown"), "{words:?}");
}

#[test]
fn approve_counts_as_an_approval_of_those_only_who_may_write() {
    let mut a = project("a");
    a.can = Rights(std::collections::BTreeMap::from([(Verb::Approve, vec![vec!["team:x".parse().unwrap()]])]));
    for requirement in ["approved", "approved by team:x"] {
        a.require = vec![requirement.parse().unwrap()];
        let known = fixture::state(merged(pull('a')), &a, plan(&a), None);
        let by = |role| Actor { teams: vec!["x".parse().unwrap()], ..actor("lee", role) };
        let approve = |role| on(&known, &commanded(&known, says(Verb::Approve, &[]), by(role), 200));
        assert_eq!(approve(Role::Write), ["lock a", "apply a reviewed p_aaaaaaaa"], "{requirement}");
        assert!(approve(Role::Read)[0].starts_with("refuse: it needs an approval"), "{requirement}");
    }
}

#[test]
fn where_the_rules_want_it_an_apply_of_nothing_merges() {
    let mut a = on_comment();
    a.automerge = Some(MergeHow::Squash);
    a.require = vec![Requirement::APPROVED];
    let apply = |a: &Project, review: Review| {
        let nothing =
            Run { outcome: Some(Outcome::Planned(planned('a', 0))), ..plan_run(1, a, 'a', RunState::Succeeded) };
        let known = fixture::state(pull('a'), a, Some(nothing), None);
        let mut input = commanded(&known, says(Verb::Apply, &[]), ana(), 100);
        let Input::Commanded { review: asked, .. } = &mut input else { unreachable!() };
        *asked = review;
        on(&known, &input)[1..].to_vec()
    };
    assert_eq!(apply(&a, approved_by_lee(10)), ["refuse: there is nothing left to apply"]);
    a.automerge_on_no_change = true;
    assert_eq!(apply(&a, approved_by_lee(10)), ["merge by Squash"]);
    assert!(apply(&a, Review::default())[0].starts_with("refuse: it needs an approval"));
}
