//! Who holds what, and who waits for whom.

use super::*;
use crate::domain::id::PullNumber;
use crate::domain::lock::{AtWork, Lock};

/// `a`, and `b` after it: the apply of `a` is in this state, that of `b` waits for it.
fn one_after_the_other(state: RunState) -> PullState {
    let mut known = in_order(Phase::Open, None);
    for project in &mut known.projects {
        let (id, state) = if project.project.key.to_string() == "a" { (3, state) } else { (4, RunState::Waiting) };
        let run = apply_run(id, &project.project, 'a', state, order(None));
        let run = Run { batch: Some(run_id(3)), ..run };
        known.unfinished.extend((!state.is_over()).then(|| run.clone()));
        project.apply = Some(run);
    }
    known
}

#[test]
fn nobody_takes_a_project_away_while_it_is_applied() {
    let a = project("a");
    let mut known = fixture::state(pull('a'), &a, None, None);
    lock_of(&mut known, "github.com/acme/infra#3", true);
    let unlock = |known: &PullState| {
        let of = Some(PullNumber(3));
        let command = Command { of, reason: Some("he is ill".into()), ..Command::of(Verb::Unlock) };
        on(known, &commanded(known, Parsed::Command(command), actor("kim", Role::Maintain), 10))
    };
    let holder = "github.com/acme/infra#3".parse().unwrap();
    known.around.at_work.push(AtWork { project: "a".parse().unwrap(), pull: holder });
    assert_eq!(unlock(&known), ["refuse: an apply of it is under way in `#3`: `cancel` it there first"]);
    known.around.at_work[0].project = "b".parse().unwrap();
    assert_eq!(unlock(&known), ["free a", "say Unlocked"]);
}

#[test]
fn a_merge_that_was_never_looked_at_waits_for_whoever_holds_its_project() {
    let a = project("a");
    let mut known = fresh(merged(pull('a')));
    known.around.locks.push(Lock {
        project: "a".parse().unwrap(),
        held_by: "github.com/acme/infra#3".parse().unwrap(),
        since: at(5),
        applied: true,
        taken_by: None,
        reason: None,
    });
    let found = Found::Affected(affected('a', &[a]));
    let merge = Input::Merged { review: Review::default(), by: ana(), found };
    assert_eq!(on(&known, &merge), ["remember 1 projects", "wait a"]);
}

#[test]
fn what_comes_after_an_apply_that_is_given_up_is_given_up_too() {
    let known = one_after_the_other(RunState::Queued);
    let cancel = says(Verb::Cancel, &["a"]);
    assert_eq!(
        on(&known, &commanded(&known, cancel, ana(), 10)),
        ["cancel 3 by ana", "supersede 4", "say result of 3", "say Cancelling"]
    );
    let mut known = one_after_the_other(RunState::Waiting);
    let a = known.projects.iter().position(|project| project.project.key.to_string() == "a").unwrap();
    known.projects.swap(0, a);
    lock_of(&mut known, "github.com/acme/infra#7", true);
    let unlock = says(Verb::Unlock, &["a"]);
    assert_eq!(
        on(&known, &commanded(&known, unlock, actor("kim", Role::Maintain), 10)),
        ["supersede 4", "supersede 3", "say result of 3", "free a", "say Unlocked"]
    );
}

#[test]
fn what_comes_after_by_way_of_another_is_given_up_too() {
    let mut known = one_after_the_other(RunState::Failed);
    let mut c = project("c");
    c.after = vec!["b".parse().unwrap()];
    let waiting = Run { batch: Some(run_id(3)), ..apply_run(5, &c, 'a', RunState::Waiting, order(None)) };
    fixture::with(&mut known, &c, None, Some(waiting));
    assert_eq!(on(&known, &Input::RunOver { run: run_id(3) }), ["supersede 4", "supersede 5", "say result of 3"]);
}

#[test]
fn a_push_lets_go_of_what_a_waiting_apply_holds() {
    let a = project("a");
    let waiting = apply_run(2, &a, 'a', RunState::Waiting, order(None));
    let mut known = fixture::state(pull('b'), &a, None, Some(waiting));
    lock_of(&mut known, "github.com/acme/infra#7", false);
    let found = heard(Found::Affected(affected('b', &[a])));
    assert_eq!(
        on(&known, &found),
        ["supersede 2", "say result of 2", "free a", "remember 1 projects", "plan a at bbbbbbb"]
    );
}

#[test]
fn an_apply_that_waited_needs_its_mode_still() {
    let a = Project { apply: ApplyMode::OnComment, ..project("a") };
    let run = apply_run(2, &a, 'a', RunState::Queued, order(None));
    let mut known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), Some(run.clone()));
    let ask = |known: &PullState, mode: ApplyMode, run: &Run| {
        let now = Project { apply: mode, ..a.clone() };
        let found = Found::Affected(affected('a', &[now]));
        let review = Review { mergeable: Some(true), ..Review::default() };
        ask_again(known, run, (&ana(), &review), &found, &rules())
    };
    assert_eq!(ask(&known, ApplyMode::Both, &run), Ok(()));
    assert_eq!(
        ask(&known, ApplyMode::OnMerge, &run),
        Err(vec!["it is applied by the merge (`apply: on_merge`)".into()])
    );
    known.record.pull = merged(known.record.pull);
    assert_eq!(ask(&known, ApplyMode::OnMerge, &run), Ok(()));
    let by_merge = apply_run(2, &a, 'a', RunState::Queued, order(Some('e')));
    assert_eq!(ask(&known, ApplyMode::OnMerge, &by_merge), Ok(()));
    assert_eq!(
        ask(&known, ApplyMode::OnComment, &by_merge),
        Err(vec!["it is applied by a comment (`apply: on_comment`)".into()])
    );
    // A button or a call is a command too, though no comment.
    let called = ApplyOrder { called: true, ..order(Some('e')) };
    let called = apply_run(2, &a, 'a', RunState::Queued, called);
    assert_eq!(ask(&known, ApplyMode::OnComment, &called), Ok(()));
}

#[test]
fn a_wait_behind_somebody_who_waits_for_us_is_a_circle() {
    let a = Project { apply: ApplyMode::OnComment, ..project("a") };
    let mut known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    lock_of(&mut known, "github.com/acme/infra#3", true);
    let mut own = known.around.locks[0].clone();
    (own.project, own.held_by) = ("b".parse().unwrap(), known.pull().id.clone());
    known.around.locks.push(own);
    for project in ["a", "b"] {
        known.around.waits.push(crate::domain::lock::Wait {
            run: run_id(9),
            project: project.parse().unwrap(),
            pull: "github.com/acme/infra#1".parse().unwrap(),
            merged: false,
            since: at(5),
        });
    }
    // #1 gets `a` before us, and lets go of it when it has `b`, which we hold.
    assert_eq!(
        on(&known, &commanded(&known, says(Verb::Apply, &[]), ana(), 10))[1],
        "refuse: this would close a circle of waits: `#1` waits for `b`, which this pull request holds; merge or `unlock` one of the two first"
    );
}

#[test]
fn the_order_of_an_apply_names_those_who_approved_what_they_saw() {
    let a = Project { apply: ApplyMode::OnComment, ..project("a") };
    let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    let approval =
        |by: &str, seconds: i64| Approval { by: login(by), head: sha('a'), by_writer: true, at: at(seconds) };
    let Input::Commanded { parsed, origin, actor, review, found } =
        commanded(&known, says(Verb::Apply, &[]), ana(), 10)
    else {
        unreachable!()
    };
    // The plan was shown at 3.
    let review = Review { approvals: vec![approval("kim", 1), approval("lee", 4)], ..review };
    let apply = Input::Commanded { parsed, origin, actor, review, found };
    let effects = decide(&known, &apply, &rules(), at(1000));
    let order = effects.iter().find_map(|effect| match effect {
        Effect::StartApply { order, .. } => Some(order),
        _ => None,
    });
    assert_eq!(order.map(|order| &order.approved_by), Some(&vec![login("lee")]), "{effects:?}");
}

#[test]
fn a_plan_that_waits_for_the_forge_is_looked_at_again() {
    let gated = |requirement: &str| Project { require_plan: vec![requirement.parse().unwrap()], ..project("a") };
    for (requirement, plan, waits) in
        [("checks", false, true), ("mergeable", false, true), ("approved", false, false), ("checks", true, false)]
    {
        let a = gated(requirement);
        let plan = plan.then(|| plan_run(1, &a, 'a', RunState::Queued));
        let mut known = fixture::state(pull('a'), &a, plan, None);
        assert_eq!(awaits_the_forge(&known).is_some(), waits, "{requirement}");
        known.record.pull.phase = Phase::Closed;
        assert_eq!(awaits_the_forge(&known), None);
    }
}

#[test]
fn what_would_be_taken_closes_a_circle_too() {
    let (a, b) = (project("a"), project("b"));
    let [a, b] = [a, b].map(|project| Project { apply: ApplyMode::OnComment, ..project });
    let mut known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    fixture::with(&mut known, &b, Some(plan_run(2, &b, 'a', RunState::Succeeded)), None);
    lock_of(&mut known, "github.com/acme/infra#3", true);
    let wait = |number: u64, project: &str| crate::domain::lock::Wait {
        run: run_id(9),
        project: project.parse().unwrap(),
        pull: format!("github.com/acme/infra#{number}").parse().unwrap(),
        merged: false,
        since: at(5),
    };
    // #3 holds `a`, and waits for `b` until something else is applied: `b` is free.
    known.around.waits = vec![wait(3, "b")];
    let say = |known: &PullState, verb, words: &[&str]| on(known, &commanded(known, says(verb, words), ana(), 10));
    let both = say(&known, Verb::Apply, &[]);
    assert_eq!(
        both[1],
        "refuse: this would close a circle of waits: `#3` waits for `b`, which this pull request would take; merge or `unlock` one of the two first"
    );
    assert_eq!(say(&known, Verb::Apply, &["b"])[1..], ["lock b", "apply b reviewed p_aaaaaaaa"]);
    assert_eq!(say(&known, Verb::Lock, &["b"]), ["lock b", "say Locked"]);
    // This pull request waits for `a` already.
    known.around.waits.push(wait(7, "a"));
    assert_eq!(
        say(&known, Verb::Lock, &["b"]),
        ["refuse: this would close a circle of waits: `#3` waits for `b`, and this pull request for `#3`"]
    );
    assert!(say(&known, Verb::Apply, &["b"])[1].starts_with("refuse: this would close a circle of waits"));
    known.around.waits.push(wait(7, "b"));
    assert_eq!(turn(&known, &b, at(10)), Turn::Waits(None), "#3 has to pass first");
    known.around.waits.remove(0);
    assert_eq!(turn(&known, &b, at(10)), Turn::GoesOn);
}
