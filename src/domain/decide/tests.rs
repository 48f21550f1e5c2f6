//! Tables for the rules; properties for what must hold whatever happens.

use super::fixture::*;
use super::*;
use crate::domain::command::{Command, Verb};
use crate::domain::permission::{Rights, Who};
use crate::domain::project::{ApplyMode, StateKind};
use crate::domain::pull::{Approval, Phase, Role};
use crate::domain::requirement::Requirement;
use crate::domain::run::{ApplyOrder, Outcome, Run, RunState};

/// Effects in a few words, so that a table can be read.
fn words(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        // Reactions have a table of their own.
        .filter(|effect| !matches!(effect, Effect::React { .. }))
        .map(|effect| match effect {
            Effect::Remember { problem: Some(problem), .. } => format!("remember {problem:?}"),
            Effect::Remember { affected, .. } => {
                format!("remember {} projects", affected.as_ref().map_or(0, |affected| affected.projects.len()))
            }
            Effect::StartPlan { project, target, .. } => format!("plan {} at {}", project.name, target.head.short()),
            Effect::StartTrial { project, target } => format!("try {} at {}", project.name, target.head.short()),
            Effect::NoteQueued(commit) => format!("note {} ended: {}", commit.group.head.short(), commit.ended),
            Effect::StartApply { project, order, .. } => {
                format!(
                    "apply {} reviewed {}",
                    project.name,
                    order.reviewed.as_ref().map_or("nothing".into(), |fingerprint| fingerprint.short())
                )
            }
            Effect::Wait { project, .. } => format!("wait {}", project.name),
            Effect::TakeTurn { project } => format!("turn {project}"),
            Effect::ReplanOthers { project } => format!("replan others of {project}"),
            Effect::Freeze(freeze) => format!("freeze {}", freeze.selector),
            Effect::Thaw { .. } => "thaw".to_owned(),
            Effect::Merge { how } => format!("merge by {how:?}"),
            Effect::React { .. } => unreachable!(),
            Effect::NoteApplied { project, commit } => format!("applied {project} by {}", commit.short()),
            Effect::Supersede { run } => format!("supersede {}", run.0.as_u128()),
            Effect::Cancel { run, by } => format!("cancel {} by {by}", run.0.as_u128()),
            Effect::TakeLock { project, .. } => format!("lock {project}"),
            Effect::FreeLock { project, .. } => format!("free {project}"),
            Effect::Say(Say::Refused { missing, .. } | Say::MergedNotApplied { missing, .. }) => {
                format!(
                    "refuse: {}",
                    missing.iter().map(|missing| missing.what.as_str()).collect::<Vec<_>>().join("; ")
                )
            }
            Effect::Say(Say::Waiting { projects, .. }) => match &projects[0].1 {
                Hold::Lock(by) => format!("say waiting for {by}"),
                other => format!("say waiting: {other:?}"),
            },
            Effect::Say(Say::ApplyResult { batch }) => format!("say result of {}", batch.0.as_u128()),
            Effect::Say(say) => format!("say {}", format!("{say:?}").split([' ', '{']).next().unwrap_or_default()),
        })
        .collect()
}

fn on(state: &PullState, input: &Input) -> Vec<String> {
    words(&decide(state, input, &rules(), at(1000)))
}

fn heard(found: Found) -> Input {
    Input::Changed { found, review: Review::default() }
}

fn commanded(state: &PullState, parsed: Parsed, actor: Actor, seconds: i64) -> Input {
    let found = state.pull().is_open().then(|| Found::Affected(state.record.affected.clone().unwrap()));
    let review = Review { mergeable: Some(true), ..Review::default() };
    Input::Commanded { parsed, origin: origin(seconds), actor, review, found }
}

fn ana() -> Actor {
    actor("ana", Role::Write)
}

/// The merge of what is known.
fn merge(state: &PullState) -> Input {
    let found = Found::Affected(state.record.affected.clone().unwrap());
    Input::Merged { review: Review::default(), by: ana(), found }
}

#[test]
fn an_opened_pull_request_is_planned_once() {
    let (a, b) = (project("a"), project("b"));
    let found = heard(Found::Affected(affected('a', &[a.clone(), b])));
    assert_eq!(on(&fresh(pull('a')), &found), ["remember 2 projects", "plan a at aaaaaaa", "plan b at aaaaaaa"]);
    for state in [RunState::Queued, RunState::Running, RunState::Succeeded, RunState::Failed] {
        let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', state)), None);
        let found = heard(Found::Affected(affected('a', std::slice::from_ref(&a))));
        assert_eq!(on(&known, &found), ["remember 1 projects"], "{state:?}");
    }
}

#[test]
fn a_newer_push_stops_plans_of_the_older_head_and_no_apply() {
    let a = project("a");
    let mut known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Running)), None);
    known.unfinished.push(apply_run(2, &a, 'a', RunState::Running, order(None)));
    known.record.pull = pull('b');
    let found = heard(Found::Affected(affected('b', &[a])));
    assert_eq!(on(&known, &found), ["supersede 1", "remember 1 projects", "plan a at bbbbbbb"]);
}

#[test]
fn a_changed_configuration_plans_again() {
    let a = project("a");
    let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Queued)), None);
    let mut with_variables = a;
    with_variables.var_files = vec!["prod.tfvars".into()];
    let found = heard(Found::Affected(affected('a', &[with_variables])));
    assert_eq!(on(&known, &found), ["supersede 1", "remember 1 projects", "plan a at aaaaaaa"]);
}

#[test]
fn a_problem_stops_everything_and_a_fork_is_refused() {
    let a = project("a");
    let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Running)), None);
    let conflict = Problem::Conflict { files: vec!["main.tf".into()] };
    assert_eq!(
        on(&known, &heard(Found::Problem(conflict.clone()))),
        ["supersede 1", "remember Conflict { files: [\"main.tf\"] }"]
    );
    let mut asked = commanded(&known, says(Verb::Plan, &[]), ana(), 10);
    let Input::Commanded { found, .. } = &mut asked else { unreachable!() };
    *found = Some(Found::Problem(conflict));
    assert_eq!(
        on(&known, &asked),
        [
            "supersede 1",
            "remember Conflict { files: [\"main.tf\"] }",
            "refuse: it conflicts with the base branch: resolve that, and push"
        ]
    );
    assert_eq!(on(&fresh(pull('a')), &heard(Found::Problem(Problem::Fork))), ["remember Fork", "say ForkRefused"]);
    let waits = Problem::ForkWaits { head: fixture::sha('a') };
    let remembered = format!("remember {waits:?}");
    assert_eq!(on(&fresh(pull('a')), &heard(Found::Problem(waits))), [remembered], "the live comment says it");
}

#[test]
fn a_plan_of_a_commit_that_is_no_longer_the_head_is_refused() {
    let a = project("a");
    let known = fixture::state(pull('a'), &a, None, None);
    let of = |letter: char| {
        let parsed = Parsed::Command(Command { sha: Some(fixture::sha(letter)), ..Command::of(Verb::Plan) });
        on(&known, &commanded(&known, parsed, ana(), 10))
    };
    assert_eq!(of('b'), ["refuse: the head is `aaaaaaa` now and not `bbbbbbb`: look at what has changed since"]);
    assert_eq!(of('a'), ["remember 1 projects", "plan a at aaaaaaa"]);
}

#[test]
fn a_merge_applies_what_was_reviewed_once() {
    let a = project("a");
    let known = fixture::state(merged(pull('a')), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    assert_eq!(on(&known, &merge(&known)), ["lock a", "apply a reviewed p_aaaaaaaa"]);
    for state in RunState::ALL {
        let mut known = known.clone();
        known.projects[0].apply = Some(apply_run(2, &a, 'a', state, order(Some('e'))));
        assert_eq!(on(&known, &merge(&known)), [""; 0], "{state:?}: heard twice, applied once");
    }
}

#[test]
fn a_merge_before_its_plan_applies_nothing_that_nobody_saw() {
    let a = project("a");
    let running = plan_run(1, &a, 'a', RunState::Running);
    let known = fixture::state(merged(pull('a')), &a, Some(running), None);
    assert_eq!(on(&known, &merge(&known)), ["supersede 1", "lock a", "apply a reviewed nothing"]);
    let found = Found::Affected(affected('a', &[a]));
    let unheard = Input::Merged { review: Review::default(), by: ana(), found };
    assert_eq!(on(&fresh(merged(pull('a'))), &unheard), ["remember 1 projects", "lock a", "apply a reviewed nothing"]);
}

#[test]
fn what_a_merge_leaves_alone() {
    type Case = (&'static str, fn(&mut Project), fn(&mut PullState));
    let cases: [Case; 4] = [
        ("applies on comment only", |project| project.apply = ApplyMode::OnComment, |_| ()),
        ("has no place for its state", |project| project.state = StateKind::Nowhere, |_| ()),
        (
            "changes nothing",
            |_| (),
            |state| {
                if let Some(Outcome::Planned(planned)) = &mut state.projects[0].plan.as_mut().unwrap().outcome {
                    planned.summary.change = 0;
                }
            },
        ),
        (
            "is already applied",
            |_| (),
            |state| {
                let project = state.projects[0].project.clone();
                state.projects[0].apply = Some(apply_run(2, &project, 'a', RunState::Succeeded, order(None)));
            },
        ),
    ];
    for (why, shape, change) in cases {
        let mut a = project("a");
        shape(&mut a);
        let mut known = fixture::state(merged(pull('a')), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
        change(&mut known);
        assert_eq!(on(&known, &merge(&known)), [""; 0], "{why}");
        // If it holds the project, it lets go; what it had applied is in the base branch now.
        lock_of(&mut known, "github.com/acme/infra#7", true);
        let expected: &[&str] = match why {
            "changes nothing" => &["free a"],
            "is already applied" => &["applied a by eeeeeee", "free a"],
            _ => &[],
        };
        assert_eq!(on(&known, &merge(&known)), expected, "{why}");
    }
}

#[test]
fn a_merge_without_the_approval_it_needs_waits_for_approve() {
    let mut a = project("a");
    a.require = vec![Requirement::APPROVED];
    let known = fixture::state(merged(pull('a')), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    let refused = on(&known, &merge(&known));
    assert!(refused[0].starts_with("refuse: it needs an approval"), "{refused:?}");
    let lee = commanded(&known, says(Verb::Approve, &[]), actor("lee", Role::Write), 200);
    assert_eq!(on(&known, &lee), ["lock a", "apply a reviewed p_aaaaaaaa"]);
    let sam = commanded(&known, says(Verb::Approve, &[]), actor("sam", Role::Admin), 200);
    assert_eq!(on(&known, &sam), ["refuse: `approve` needs somebody other than the author of the pull request"]);
}

#[test]
fn a_project_that_another_pull_request_holds_is_waited_for() {
    let mut a = project("a");
    a.apply = ApplyMode::Both;
    let mut known = fixture::state(merged(pull('a')), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    lock_of(&mut known, "github.com/acme/infra#3", true);
    assert_eq!(on(&known, &merge(&known)), ["wait a"]);
    known.record.pull.phase = Phase::Open;
    assert_eq!(
        on(&known, &commanded(&known, says(Verb::Apply, &[]), ana(), 10)),
        ["remember 1 projects", "wait a", "say waiting for github.com/acme/infra#3"]
    );
}

#[test]
fn apply_before_the_merge() {
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    let plan = |state| Some(plan_run(1, &a, 'a', state));
    let apply = || says(Verb::Apply, &[]);
    let after = |state: &PullState, seconds| on(state, &commanded(state, apply(), ana(), seconds));

    let ready = fixture::state(pull('a'), &a, plan(RunState::Succeeded), None);
    assert_eq!(after(&ready, 10), ["remember 1 projects", "lock a", "apply a reviewed p_aaaaaaaa"]);
    assert_eq!(
        after(&ready, 1),
        ["remember 1 projects", "refuse: its plan was shown after your comment: look at it, and comment again"]
    );
    let planning = fixture::state(pull('a'), &a, plan(RunState::Running), None);
    assert!(after(&planning, 10)[1].contains("still being planned"));
    let failed = fixture::state(pull('a'), &a, plan(RunState::Failed), None);
    assert!(after(&failed, 10)[1].contains("its plan failed"));
    let applying = apply_run(2, &a, 'a', RunState::Running, order(None));
    let busy = fixture::state(pull('a'), &a, plan(RunState::Succeeded), Some(applying));
    assert!(after(&busy, 10)[1].contains("under way"));
    let done = apply_run(2, &a, 'a', RunState::Succeeded, order(None));
    let done = fixture::state(pull('a'), &a, plan(RunState::Succeeded), Some(done));
    assert!(after(&done, 10)[1].contains("nothing left to apply"));

    let on_merge = project("a");
    let ready = fixture::state(pull('a'), &on_merge, Some(plan_run(1, &on_merge, 'a', RunState::Succeeded)), None);
    assert!(after(&ready, 10)[1].contains("applied by the merge"));
}

#[test]
fn a_new_plan_that_differs_runs_when_somebody_else_approves_it() {
    let a = project("a");
    let differs = apply_run(2, &a, 'a', RunState::Differs, order(Some('e')));
    let known = fixture::state(merged(pull('a')), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), Some(differs));
    let approve = commanded(&known, says(Verb::Approve, &["a"]), actor("lee", Role::Write), 200);
    assert_eq!(on(&known, &approve), ["lock a", "apply a reviewed p_dddddddd"]);
    let nobody = actor("eve", Role::Read);
    let refused = on(&known, &commanded(&known, says(Verb::Approve, &[]), nobody, 200));
    assert_eq!(refused, ["refuse: `approve` needs the role `write` in this repository, and you have `read`"]);
}

#[test]
fn closing_frees_what_was_not_applied() {
    let a = project("a");
    let running = plan_run(1, &a, 'a', RunState::Running);
    let mut known = fixture::state(pull('a'), &a, Some(running), None);
    lock_of(&mut known, "github.com/acme/infra#7", false);
    assert_eq!(on(&known, &Input::Closed), ["supersede 1", "free a"]);
    lock_of(&mut known, "github.com/acme/infra#7", true);
    assert_eq!(on(&known, &Input::Closed), ["supersede 1"]);
    let waiting = apply_run(2, &a, 'a', RunState::Waiting, order(None));
    let known = fixture::state(pull('a'), &a, None, Some(waiting));
    assert_eq!(on(&known, &Input::Closed), ["supersede 2", "say result of 2"]);
    let applying = apply_run(2, &a, 'a', RunState::Running, order(None));
    let mut known = fixture::state(pull('a'), &a, None, Some(applying));
    lock_of(&mut known, "github.com/acme/infra#7", false);
    assert_eq!(on(&known, &Input::Closed), [""; 0], "a running apply goes on, and keeps its lock");
}

#[test]
fn after_an_interrupted_apply_the_saved_plan_does_not_run_again() {
    let a = project("a");
    let saved = Some(plan_run(1, &a, 'a', RunState::Succeeded));
    for (end, anew) in [(RunState::Interrupted, true), (RunState::Failed, false)] {
        let earlier = apply_run(2, &a, 'a', end, order(Some('e')));
        let known = fixture::state(merged(pull('a')), &a, saved.clone(), Some(earlier));
        let effects = decide(&known, &commanded(&known, says(Verb::Apply, &[]), ana(), 10), &rules(), at(1000));
        let ordered = effects.iter().find_map(|effect| match effect {
            Effect::StartApply { order, .. } => Some(order.plan_anew),
            _ => None,
        });
        assert_eq!(ordered, Some(anew), "{end:?}: {effects:?}");
    }
}

#[test]
fn the_end_of_an_apply_frees_the_project_and_is_told_once_for_the_batch() {
    let a = project("a");
    let over = Input::RunOver { run: run_id(2) };
    let mut known =
        fixture::state(merged(pull('a')), &a, None, Some(apply_run(2, &a, 'a', RunState::Succeeded, order(Some('e')))));
    lock_of(&mut known, "github.com/acme/infra#7", true);
    assert_eq!(on(&known, &over), ["free a", "say result of 2"]);
    let mut other = apply_run(3, &project("b"), 'a', RunState::Running, order(Some('e')));
    other.batch = Some(run_id(2));
    known.unfinished.push(other);
    assert_eq!(on(&known, &over), ["free a"], "the other one of the batch still runs");
    let mut commanded = known.clone();
    commanded.projects[0].apply = Some(apply_run(2, &a, 'a', RunState::Succeeded, order(None)));
    assert_eq!(on(&commanded, &over), ["applied a by eeeeeee", "free a"], "merged while an earlier apply was running");

    let mut failed = known.clone();
    failed.unfinished.clear();
    failed.projects[0].apply = Some(apply_run(2, &a, 'a', RunState::Failed, order(Some('e'))));
    assert_eq!(on(&failed, &over), ["say result of 2"], "a failed apply keeps its project");

    let mut open = known;
    open.unfinished.clear();
    open.record.pull.phase = Phase::Open;
    assert_eq!(on(&open, &over), ["say result of 2"], "applied, and not yet merged");
}

#[test]
fn a_newer_push_calls_off_applies_that_have_not_begun() {
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    let found = heard(Found::Affected(affected('b', std::slice::from_ref(&a))));
    for (state, applied, then) in [
        (RunState::Waiting, false, &["supersede 2", "say result of 2"][..]),
        (RunState::Queued, false, &["supersede 2", "say result of 2", "free a"]),
        (RunState::Queued, true, &["supersede 2", "say result of 2"]),
        (RunState::Running, false, &[]),
    ] {
        let mut known = fixture::state(pull('a'), &a, None, Some(apply_run(2, &a, 'a', state, order(None))));
        known.record.pull = pull('b');
        let holder = if state == RunState::Waiting { "github.com/acme/infra#3" } else { "github.com/acme/infra#7" };
        lock_of(&mut known, holder, applied);
        let expected: Vec<&str> = then.iter().copied().chain(["remember 1 projects", "plan a at bbbbbbb"]).collect();
        assert_eq!(on(&known, &found), expected, "{state:?}");
    }
}

#[test]
fn an_apply_that_outlives_its_pull_request_lets_go_if_it_changed_nothing() {
    let a = project("a");
    let mut closed = pull('a');
    closed.phase = Phase::Closed;
    for (state, applied, then) in [
        (RunState::Differs, false, &["free a", "say result of 2"][..]),
        (RunState::Failed, false, &["free a", "say result of 2"]),
        (RunState::Failed, true, &["say result of 2"]),
    ] {
        let mut known = fixture::state(closed.clone(), &a, None, Some(apply_run(2, &a, 'a', state, order(None))));
        lock_of(&mut known, "github.com/acme/infra#7", applied);
        assert_eq!(on(&known, &Input::RunOver { run: run_id(2) }), then, "{state:?}");
    }
}

#[test]
fn a_plan_that_nobody_can_have_seen_before_the_merge_is_not_reviewed() {
    let a = project("a");
    let mut plan = plan_run(1, &a, 'a', RunState::Succeeded);
    plan.finished_at = Some(at(101));
    let known = fixture::state(merged(pull('a')), &a, Some(plan), None);
    assert_eq!(on(&known, &merge(&known)), ["lock a", "apply a reviewed nothing"]);
}

#[test]
fn a_rule_that_came_after_the_plan_holds_for_the_merge() {
    let a = project("a");
    let known = fixture::state(merged(pull('a')), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    let mut strict = a;
    strict.require = vec![Requirement::APPROVED];
    // Another base, as it is after a merge: what people saw planned stays what was merged.
    let mut later = affected('a', &[strict]);
    later.base = sha('9');
    let input = Input::Merged { review: Review::default(), by: ana(), found: Found::Affected(later) };
    let words = on(&known, &input);
    assert_eq!(words[0], "remember 1 projects");
    assert!(words[1].starts_with("refuse: it needs an approval"), "{words:?}");
    let Some(Effect::Remember { affected: Some(kept), .. }) =
        decide(&known, &input, &rules(), at(1000)).into_iter().next()
    else {
        panic!("not remembered")
    };
    assert_eq!((kept.base, kept.projects[0].project.require.len()), (sha('0'), 1));
}

#[test]
fn nothing_is_applied_while_the_default_branch_says_no_rules() {
    let mut a = project("a");
    a.apply = ApplyMode::Both;
    let broken = Rules::unknown("it is broken");
    let plan = Some(plan_run(1, &a, 'a', RunState::Succeeded));
    let known = fixture::state(merged(pull('a')), &a, plan.clone(), None);
    assert_eq!(words(&decide(&known, &merge(&known), &broken, at(1000))), ["refuse: it is broken"]);
    let open = fixture::state(pull('a'), &a, plan, None);
    let apply = commanded(&open, says(Verb::Apply, &[]), ana(), 10);
    assert_eq!(words(&decide(&open, &apply, &broken, at(1000))), ["remember 1 projects", "refuse: it is broken"]);
    let opened = heard(Found::Affected(affected('a', &[a])));
    assert_eq!(
        words(&decide(&fresh(pull('a')), &opened, &broken, at(1000))),
        ["remember 1 projects", "plan a at aaaaaaa"]
    );
}

#[test]
fn what_was_applied_before_the_merge_counts_as_applied_by_it() {
    let a = project("a");
    let applied = apply_run(2, &a, 'a', RunState::Succeeded, order(None));
    let mut known =
        fixture::state(merged(pull('a')), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), Some(applied));
    lock_of(&mut known, "github.com/acme/infra#7", true);
    assert_eq!(on(&known, &merge(&known)), ["applied a by eeeeeee", "free a"]);
}

#[test]
fn approve_accepts_only_what_was_shown_and_never_for_a_closed_pull_request() {
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    let lee = || actor("lee", Role::Write);
    let approve = |state: &PullState, seconds| on(state, &commanded(state, says(Verb::Approve, &[]), lee(), seconds));
    let plan = Some(plan_run(1, &a, 'a', RunState::Succeeded));
    let mut differs = apply_run(2, &a, 'a', RunState::Differs, order(None));
    differs.finished_at = Some(at(50));
    let known = fixture::state(pull('a'), &a, plan, Some(differs));
    assert!(approve(&known, 49)[1].contains("shown after your comment"));
    assert_eq!(approve(&known, 50)[1..], ["lock a", "apply a reviewed p_dddddddd"]);
    let mut closed = known;
    closed.record.pull.phase = Phase::Closed;
    assert_eq!(approve(&closed, 60), ["refuse: the pull request is closed without a merge"]);
}

#[test]
fn an_approved_apply_that_failed_after_the_merge_can_be_approved_again() {
    let mut a = project("a");
    a.require = vec![Requirement::APPROVED];
    let failed = apply_run(2, &a, 'a', RunState::Failed, order(Some('e')));
    let known = fixture::state(merged(pull('a')), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), Some(failed));
    let approve = commanded(&known, says(Verb::Approve, &[]), actor("lee", Role::Write), 200);
    assert_eq!(on(&known, &approve), ["lock a", "apply a reviewed p_aaaaaaaa"]);
    let unplanned = fixture::state(merged(pull('a')), &a, None, None);
    let approve = commanded(&unplanned, says(Verb::Approve, &[]), actor("lee", Role::Write), 200);
    assert_eq!(on(&unplanned, &approve), ["lock a", "apply a reviewed nothing"], "its plan will be shown first");
}

#[test]
fn a_command_that_a_problem_stops_is_answered() {
    let a = project("a");
    let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    let Input::Commanded { parsed, origin, actor, review, .. } = commanded(&known, says(Verb::Plan, &[]), ana(), 10)
    else {
        panic!("a command")
    };
    let found = Some(Found::Problem(Problem::Conflict { files: vec![] }));
    let words = on(&known, &Input::Commanded { parsed, origin, actor, review, found });
    assert_eq!(words[1], "refuse: it conflicts with the base branch: resolve that, and push");
}

#[test]
fn unlock() {
    let a = project("a");
    let unlock = says(Verb::Unlock, &[]);
    let sam = || actor("sam", Role::Write);
    let mut known = fixture::state(pull('a'), &a, None, None);
    let refused = on(&known, &commanded(&known, unlock.clone(), sam(), 10));
    assert_eq!(refused, ["refuse: this pull request holds no lock on what was named"]);
    lock_of(&mut known, "github.com/acme/infra#7", true);
    assert_eq!(on(&known, &commanded(&known, unlock.clone(), sam(), 10)), ["free a", "say Unlocked"]);
    assert_eq!(
        on(&known, &commanded(&known, unlock.clone(), ana(), 10)),
        [
            "refuse: `unlock` needs the role `maintain` in this repository, and you have `write`, because it is not yours"
        ]
    );
    let keeper = actor("kim", Role::Maintain);
    assert_eq!(on(&known, &commanded(&known, unlock.clone(), keeper, 10)), ["free a", "say Unlocked"]);
    known.projects[0].apply = Some(apply_run(2, &a, 'a', RunState::Running, order(None)));
    assert_eq!(on(&known, &commanded(&known, unlock, sam(), 10)), ["refuse: an apply of it is under way"]);
}

#[test]
fn a_lock_is_taken_from_another_pull_request_for_a_reason_and_by_those_who_may() {
    let a = project("a");
    let mut known = fixture::state(pull('a'), &a, None, None);
    lock_of(&mut known, "github.com/acme/infra#3", true);
    let unlock = |reason: Option<&str>, by: Actor| {
        let command = Command {
            of: Some(crate::domain::id::PullNumber(3)),
            reason: reason.map(str::to_owned),
            ..Command::of(Verb::Unlock)
        };
        on(&known, &commanded(&known, Parsed::Command(command), by, 10))
    };
    assert_eq!(unlock(Some("he is ill"), actor("kim", Role::Maintain)), ["free a", "say Unlocked"]);
    assert_eq!(
        unlock(None, actor("kim", Role::Maintain)),
        ["refuse: taking a lock from another pull request needs a reason: `--reason \"…\"`"]
    );
    assert!(unlock(Some("now"), ana())[0].starts_with("refuse: `unlock` needs the role `maintain`"));
}

#[test]
fn a_project_can_be_held_before_anything_is_applied() {
    let a = project("a");
    let mut known = fixture::state(pull('a'), &a, None, None);
    let lock = |known: &PullState| on(known, &commanded(known, says(Verb::Lock, &[]), ana(), 10));
    assert_eq!(lock(&known), ["lock a", "say Locked"]);
    lock_of(&mut known, "github.com/acme/infra#3", true);
    assert_eq!(lock(&known), ["refuse: #3 holds it"]);
    known.record.pull.phase = Phase::Closed;
    assert_eq!(lock(&known), ["refuse: only an open pull request can hold projects"]);
}

#[test]
fn cancel_leaves_what_was_taken_by_a_command_with_whom_it_was_taken() {
    let a = project("a");
    let mut queued = fixture::state(pull('a'), &a, None, Some(apply_run(2, &a, 'a', RunState::Queued, order(None))));
    lock_of(&mut queued, "github.com/acme/infra#7", false);
    queued.projects[0].lock.as_mut().unwrap().taken_by = Some(login("ana"));
    assert_eq!(
        on(&queued, &commanded(&queued, says(Verb::Cancel, &[]), ana(), 10)),
        ["cancel 2 by ana", "say result of 2", "say Cancelling"]
    );
}

fn freeze(words: &[&str], until: Option<i64>) -> crate::domain::freeze::Freeze {
    let Parsed::Command(Command { selector, .. }) = says(Verb::Freeze, words) else { unreachable!() };
    crate::domain::freeze::Freeze { selector, by: login("kim"), since: at(0), until: until.map(at), reason: None }
}

#[test]
fn what_is_frozen_is_planned_and_waits_to_be_applied() {
    let mut a = project("a");
    a.apply = ApplyMode::Both;
    let plan = Some(plan_run(1, &a, 'a', RunState::Succeeded));
    let mut known = fixture::state(pull('a'), &a, plan, None);
    known.around.freezes = vec![freeze(&["a"], Some(2000))];
    let apply = commanded(&known, says(Verb::Apply, &[]), ana(), 10);
    let waits = on(&known, &apply);
    assert!(waits[1] == "wait a" && waits[2].contains("frozen by `@kim`"), "{waits:?}");
    known.record.pull.phase = merged(pull('a')).phase;
    assert_eq!(on(&known, &merge(&known)), ["wait a"]);
    known.around.freezes = vec![freeze(&["a"], Some(900))];
    assert_eq!(on(&known, &merge(&known)), ["lock a", "apply a reviewed p_aaaaaaaa"], "it is over");
}

#[test]
fn freeze_and_thaw_are_for_those_who_may() {
    let a = project("a");
    let mut known = fixture::state(pull('a'), &a, None, None);
    let by = |known: &PullState, verb, words: &[&str], role| {
        on(known, &commanded(known, says(verb, words), actor("kim", role), 10))
    };
    assert_eq!(by(&known, Verb::Freeze, &["prod/*"], Role::Maintain), ["freeze prod/*", "say Frozen(Freeze"]);
    assert_eq!(
        by(&known, Verb::Freeze, &["prod/*", "pord"], Role::Maintain),
        ["refuse: `pord` names no project of the default branch"]
    );
    assert!(by(&known, Verb::Freeze, &[], Role::Write)[0].contains("needs the role `maintain`"));
    assert_eq!(by(&known, Verb::Thaw, &[], Role::Maintain), ["refuse: nothing is frozen"]);
    let as_dir = crate::domain::command::Choice::Dir("prod".into());
    let mut of_dir = freeze(&[], None);
    of_dir.selector.choice = Some(as_dir);
    known.around.freezes = vec![of_dir];
    assert_eq!(by(&known, Verb::Thaw, &["dir:prod"], Role::Maintain), ["thaw", "say Thawed"], "as it is shown");
    known.around.freezes = vec![freeze(&["prod/*"], None)];
    assert_eq!(
        by(&known, Verb::Thaw, &["dev"], Role::Maintain),
        ["refuse: nothing is frozen as `dev`: `locks` shows what is"]
    );
    assert_eq!(by(&known, Verb::Thaw, &["prod/*"], Role::Maintain), ["thaw", "say Thawed"]);
    assert_eq!(by(&known, Verb::Thaw, &[], Role::Maintain), ["thaw", "say Thawed"]);
}

/// Two projects; `b` comes after `a`.
fn in_order(phase: Phase, apply_of_a: Option<RunState>) -> PullState {
    let (mut a, mut b) = (project("a"), project("b"));
    (a.apply, b.apply) = (ApplyMode::Both, ApplyMode::Both);
    b.after = vec!["a".parse().unwrap()];
    let merge = matches!(phase, Phase::Merged { .. }).then_some('e');
    let apply = apply_of_a.map(|state| apply_run(3, &a, 'a', state, order(merge)));
    let mut known = fixture::state(pull('a'), &b, Some(plan_run(2, &b, 'a', RunState::Succeeded)), None);
    fixture::with(&mut known, &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), apply);
    known.record.pull.phase = phase;
    known
}

#[test]
fn what_comes_after_another_project_waits_for_it() {
    let known = in_order(merged(pull('a')).phase, None);
    assert_eq!(on(&known, &merge(&known)), ["lock a", "apply a reviewed p_aaaaaaaa", "wait b"]);
    let open = in_order(Phase::Open, None);
    let apply = |words: &[&str]| on(&open, &commanded(&open, says(Verb::Apply, words), ana(), 10));
    assert_eq!(apply(&[])[1..], ["lock a", "apply a reviewed p_aaaaaaaa", "wait b"]);
    assert_eq!(apply(&["b"])[1..], ["refuse: it comes after `a`, which is not applied: apply that first, or both"]);

    for (state, then) in [
        (RunState::Succeeded, &["turn b"][..]),
        (RunState::Failed, &["supersede 4", "say result of 3"]),
        (RunState::Differs, &["supersede 4", "say result of 3"]),
    ] {
        let mut known = in_order(Phase::Open, Some(state));
        let waiting = apply_run(4, &known.projects[0].project, 'a', RunState::Waiting, order(None));
        let waiting = Run { batch: Some(run_id(3)), ..waiting };
        known.projects[0].apply = Some(waiting.clone());
        known.unfinished.push(waiting);
        let words = on(&known, &Input::RunOver { run: run_id(3) });
        assert_eq!(words, then, "{state:?}");
    }
}

#[test]
fn a_wait_that_would_close_a_circle_is_refused() {
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    let mut known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    lock_of(&mut known, "github.com/acme/infra#3", true);
    let mut own = known.around.locks[0].clone();
    (own.project, own.held_by) = ("b".parse().unwrap(), known.pull().id.clone());
    known.around.locks.push(own);
    let apply = |known: &PullState| on(known, &commanded(known, says(Verb::Apply, &[]), ana(), 10));
    assert_eq!(apply(&known)[1], "wait a");
    known.around.waits.push(crate::domain::lock::Wait {
        run: run_id(9),
        project: "b".parse().unwrap(),
        pull: "github.com/acme/infra#3".parse().unwrap(),
        merged: false,
        since: at(5),
    });
    assert_eq!(
        apply(&known)[1],
        "refuse: this would close a circle of waits: `#3` waits for `b`, which this pull request holds; merge or `unlock` one of the two first"
    );
}

#[test]
fn a_command_is_bound_to_the_head_that_was_shown_when_it_was_written() {
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    let mut known = fixture::state(pull('b'), &a, Some(plan_run(2, &a, 'b', RunState::Running)), None);
    known.projects[0].shown = fixture::shown(&plan_run(1, &a, 'a', RunState::Succeeded)).into_iter().collect();
    assert_eq!(
        on(&known, &commanded(&known, says(Verb::Apply, &[]), ana(), 10))[1..],
        [
            "refuse: `aaaaaaa` was shown when you wrote this, and the head is `bbbbbbb` now: look at its plan, which is on its way, and comment again"
        ]
    );
    assert_eq!(
        on(&known, &commanded(&known, says(Verb::Plan, &[]), ana(), 10))[1..],
        ["supersede 2", "plan a at bbbbbbb"]
    );
}

#[test]
fn a_comment_that_was_heard_before_the_plan_was_shown_can_not_have_meant_it() {
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    let mut input = commanded(&known, says(Verb::Apply, &[]), ana(), 3);
    assert_eq!(on(&known, &input)[1], "lock a", "in the same second, and heard after it");
    let Input::Commanded { origin, .. } = &mut input else { unreachable!() };
    origin.heard_at = crate::domain::id::Timestamp(at(3).0 - 1);
    assert!(on(&known, &input)[1].contains("shown after your comment"));
}

#[test]
fn reactions_tell_what_became_of_a_command() {
    use crate::domain::event::Reaction;
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    let plan = Some(plan_run(1, &a, 'a', RunState::Succeeded));
    let known = fixture::state(pull('a'), &a, plan.clone(), None);
    let reacts = |known: &PullState, input: &Input| {
        decide(known, input, &rules(), at(1000)).into_iter().find_map(|effect| match effect {
            Effect::React { with, .. } => Some(with),
            _ => None,
        })
    };
    for (verb, role, expected) in [
        (Verb::Plan, Role::Write, Some(Reaction::Done)),
        (Verb::Help, Role::None, Some(Reaction::Done)),
        (Verb::Plan, Role::Read, Some(Reaction::Failed)),
        (Verb::Unlock, Role::Write, Some(Reaction::Failed)),
        // Its end tells.
        (Verb::Apply, Role::Write, None),
    ] {
        let input = commanded(&known, says(verb, &[]), actor("ana", role), 10);
        assert_eq!(reacts(&known, &input), expected, "{verb:?}");
    }
    for (state, expected) in [(RunState::Succeeded, Reaction::Done), (RunState::Failed, Reaction::Failed)] {
        let order = ApplyOrder { comment: Some(crate::domain::id::CommentId(5)), ..order(None) };
        let known = fixture::state(pull('a'), &a, plan.clone(), Some(apply_run(2, &a, 'a', state, order)));
        assert_eq!(reacts(&known, &Input::RunOver { run: run_id(2) }), Some(expected), "{state:?}");
    }
}

#[test]
fn what_is_applied_is_merged_where_the_rules_want_it() {
    use crate::domain::project::MergeHow;
    let mut a = project("a");
    a.apply = ApplyMode::OnComment;
    a.automerge = Some(MergeHow::Squash);
    let plan = || Some(plan_run(1, &a, 'a', RunState::Succeeded));
    let over = |state| {
        let known = fixture::state(pull('a'), &a, plan(), Some(apply_run(2, &a, 'a', state, order(None))));
        on(&known, &Input::RunOver { run: run_id(2) })
    };
    assert_eq!(over(RunState::Succeeded), ["merge by Squash", "say result of 2"]);
    assert_eq!(over(RunState::Failed), ["say result of 2"]);
    let mut b = project("b");
    b.apply = ApplyMode::OnComment;
    let done = Some(apply_run(2, &a, 'a', RunState::Succeeded, order(None)));
    let mut more = fixture::state(pull('a'), &a, plan(), done);
    fixture::with(&mut more, &b, Some(plan_run(3, &b, 'a', RunState::Succeeded)), None);
    assert_eq!(on(&more, &Input::RunOver { run: run_id(2) }), ["say result of 2"], "one is not applied");
}

#[test]
fn what_others_applied_is_planned_again_unless_that_was_done_since() {
    let a = project("a");
    let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    let overtaken = |seconds| Input::Overtaken {
        found: Found::Affected(affected('a', std::slice::from_ref(&a))),
        review: Review::default(),
        project: "a".parse().unwrap(),
        at: at(seconds),
    };
    assert_eq!(on(&known, &overtaken(2)), ["remember 1 projects", "plan a at aaaaaaa"]);
    assert_eq!(on(&known, &overtaken(1)), ["remember 1 projects"]);
}

#[test]
fn a_plan_waits_for_what_its_rules_require() {
    let mut a = project("a");
    a.require_plan = vec![Requirement::APPROVED];
    let found = || Found::Affected(affected('a', std::slice::from_ref(&a)));
    let changed = |review| on(&fresh(pull('a')), &Input::Changed { found: found(), review });
    assert_eq!(changed(Review::default()), ["remember 1 projects"]);
    let approval = Approval { by: login("lee"), head: sha('a'), by_writer: true, at: at(1) };
    let approved = Review { approvals: vec![approval], ..Review::default() };
    assert_eq!(changed(approved), ["remember 1 projects", "plan a at aaaaaaa"]);
    let known = fixture::state(pull('a'), &a, None, None);
    let refused = on(&known, &commanded(&known, says(Verb::Plan, &[]), ana(), 10));
    assert!(refused[1].contains("it needs an approval"), "{refused:?}");
}

#[test]
fn terraform_arguments_reach_the_plan_and_bad_ones_stop_the_command() {
    let a = project("a");
    let known = fixture::state(pull('a'), &a, None, None);
    let with = |verb, extra: &[&str]| {
        let extra = extra.iter().map(|word| (*word).to_owned()).collect();
        let parsed = Parsed::Command(Command { extra, ..Command::of(verb) });
        decide(&known, &commanded(&known, parsed, ana(), 10), &rules(), at(1000))
    };
    let planned = with(Verb::Plan, &["-target", "x.y"]);
    let extras: Vec<_> = planned
        .iter()
        .filter_map(|effect| match effect {
            Effect::StartPlan { extra, .. } => Some(extra.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(extras, [vec!["-target=x.y".to_owned()]], "one plan, with the arguments");
    assert_eq!(
        words(&with(Verb::Plan, &["-chdir=other"])),
        ["refuse: terraform is not given `-chdir=other`: which code is planned is not for a comment to say"]
    );
    assert!(
        words(&with(Verb::Apply, &["-target=x"]))[0].starts_with("refuse: an apply runs the plan that was reviewed")
    );
}

#[test]
fn cancel() {
    let a = project("a");
    let cancel = says(Verb::Cancel, &[]);
    let idle = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    let nothing = ["refuse: nothing of this pull request is planned or applied now"];
    assert_eq!(on(&idle, &commanded(&idle, cancel.clone(), ana(), 10)), nothing);

    let planning = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Running)), None);
    assert_eq!(on(&planning, &commanded(&planning, cancel.clone(), ana(), 10)), ["cancel 1 by ana", "say Cancelling"]);
    let other = commanded(&planning, says(Verb::Cancel, &["b"]), ana(), 10);
    assert_eq!(on(&planning, &other), ["say NothingMatched"]);

    // What has not begun ends at once, and lets go of the project.
    let mut queued = fixture::state(pull('a'), &a, None, Some(apply_run(2, &a, 'a', RunState::Queued, order(None))));
    lock_of(&mut queued, "github.com/acme/infra#7", false);
    assert_eq!(
        on(&queued, &commanded(&queued, cancel.clone(), ana(), 10)),
        ["cancel 2 by ana", "say result of 2", "free a", "say Cancelling"]
    );

    // What runs keeps it, and is stopped only by somebody who may apply.
    let guarded =
        Project { can: Rights([(Verb::Apply, vec![vec![Who::Role(Role::Maintain)]])].into()), ..project("a") };
    let run = apply_run(2, &guarded, 'a', RunState::Running, order(None));
    let mut running = fixture::state(pull('a'), &guarded, None, Some(run));
    lock_of(&mut running, "github.com/acme/infra#7", false);
    assert_eq!(
        on(&running, &commanded(&running, cancel.clone(), actor("kim", Role::Write), 10)),
        [
            "refuse: its apply is stopped by those who may apply: `apply` is for `role:maintain`, and you have the role `write`"
        ]
    );
    let maintainer = actor("kim", Role::Maintain);
    assert_eq!(on(&running, &commanded(&running, cancel, maintainer, 10)), ["cancel 2 by kim", "say Cancelling"]);
}

#[test]
fn a_comment_that_was_heard_late_applies_nothing() {
    let a = Project { apply: ApplyMode::Both, ..project("a") };
    let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    for (verb, minutes, stopped) in
        [(Verb::Apply, 15, false), (Verb::Apply, 16, true), (Verb::Approve, 16, true), (Verb::Plan, 16, false)]
    {
        let Input::Commanded { parsed, origin, actor, review, found } = commanded(&known, says(verb, &[]), ana(), 10)
        else {
            panic!("a command")
        };
        let origin = Origin { heard_at: origin.at.plus_ms(minutes * 60_000), ..origin };
        let words = on(&known, &Input::Commanded { parsed, origin, actor, review, found });
        let late = words.iter().any(|word| word.contains("more than 15 minutes after it was written"));
        assert_eq!(late, stopped, "{verb:?} {minutes}: {words:?}");
    }
}

#[test]
fn a_word_that_names_no_project_stops_the_whole_command() {
    let a = project("a");
    let known = fixture::state(pull('a'), &a, Some(plan_run(1, &a, 'a', RunState::Succeeded)), None);
    let typo = commanded(&known, says(Verb::Plan, &["a", "bb"]), ana(), 10);
    assert_eq!(on(&known, &typo), ["remember 1 projects", "say NothingMatched"]);
    let again = commanded(&known, says(Verb::Plan, &["a"]), ana(), 10);
    assert_eq!(on(&known, &again), ["remember 1 projects", "plan a at aaaaaaa"]);
}

mod model;
mod queue;
mod safety;
mod turns;

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn run_state() -> impl Strategy<Value = RunState> {
        (0..RunState::ALL.len()).prop_map(|index| RunState::ALL[index])
    }

    fn role() -> impl Strategy<Value = Role> {
        prop_oneof![
            Just(Role::None),
            Just(Role::Read),
            Just(Role::Triage),
            Just(Role::Write),
            Just(Role::Maintain),
            Just(Role::Admin)
        ]
    }

    fn head() -> impl Strategy<Value = char> {
        prop_oneof![Just('a'), Just('b')]
    }

    prop_compose! {
        fn any_project()(mode in 0..3_usize, require in prop::collection::vec(0..3_usize, 0..3), nowhere in prop::bool::weighted(0.2)) -> Project {
            let mut project = project("a");
            project.apply = [ApplyMode::OnMerge, ApplyMode::OnComment, ApplyMode::Both][mode];
            project.require = require.into_iter().map(|index| Requirement::PLAIN[index].clone()).collect();
            if nowhere {
                project.state = StateKind::Nowhere;
            }
            project
        }
    }

    prop_compose! {
        fn any_state()(
            project in any_project(),
            phase in 0..3_usize,
            pull_head in head(),
            plan in prop::option::of((run_state(), head())),
            apply in prop::option::of((run_state(), head(), any::<bool>())),
            lock in prop::option::of((any::<bool>(), any::<bool>())),
            draft in any::<bool>(),
        ) -> PullState {
            let mut pull = pull(pull_head);
            pull.draft = draft;
            let mut pull = if phase == 2 { merged(pull) } else { pull };
            if phase == 1 {
                pull.phase = Phase::Closed;
            }
            let plan = plan.map(|(state, head)| plan_run(1, &project, head, state));
            let apply = apply.map(|(state, head, by_merge)| {
                apply_run(2, &project, head, state, order((by_merge && phase == 2).then_some('e')))
            });
            let mut state = fixture::state(pull, &project, plan, apply);
            if let Some((own, applied)) = lock {
                lock_of(&mut state, if own { "github.com/acme/infra#7" } else { "github.com/acme/infra#3" }, applied);
            }
            state
        }
    }

    prop_compose! {
        fn any_review()(by in prop_oneof![Just("lee"), Just("sam"), Just("ana")], head in head(), by_writer in any::<bool>(), there in any::<bool>(), mergeable in prop::option::of(any::<bool>()), diverged in any::<bool>()) -> Review {
            let approval = Approval { by: login(by), head: sha(head), by_writer, at: at(4) };
            Review { approvals: if there { vec![approval] } else { vec![] }, mergeable, diverged, ..Review::default() }
        }
    }

    prop_compose! {
        fn any_input(state: PullState)(
            kind in 0..5_usize,
            verb in 0..Verb::ALL.len(),
            who in prop_oneof![Just("ana"), Just("sam"), Just("lee")],
            role in role(),
            review in any_review(),
            seconds in 0..10_i64,
        ) -> (PullState, Input) {
            let actor = actor(who, role);
            let found = Found::Affected(state.record.affected.clone().unwrap());
            let input = match kind {
                0 => heard(found),
                1 => Input::Closed,
                2 => Input::Merged { review, by: actor, found },
                3 => Input::RunOver { run: run_id(2) },
                _ => Input::Commanded {
                    parsed: says(Verb::ALL[verb], &[]),
                    origin: origin(seconds),
                    actor,
                    review,
                    found: state.pull().is_open().then_some(found),
                },
            };
            (state.clone(), input)
        }
    }

    fn any_case() -> impl Strategy<Value = (PullState, Input)> {
        any_state().prop_flat_map(any_input)
    }

    fn applies(effects: &[Effect]) -> impl Iterator<Item = (&Project, &Target, &ApplyOrder)> {
        effects.iter().filter_map(|effect| match effect {
            Effect::StartApply { project, target, order, .. } | Effect::Wait { project, target, order, .. } => {
                Some((project, target, order))
            }
            _ => None,
        })
    }

    /// Does to what is known what `flow` does to the store.
    fn perform(state: &mut PullState, effects: &[Effect]) {
        let pull = state.pull().id.clone();
        for effect in effects {
            let known = &mut state.projects[0];
            let mut begin = |run: Run| {
                state.unfinished.push(run.clone());
                if run.is_plan() { known.plan = Some(run) } else { known.apply = Some(run) }
            };
            match effect {
                Effect::Remember { affected, problem } => {
                    state.record.affected.clone_from(affected);
                    state.record.problem.clone_from(problem);
                }
                Effect::StartPlan { project, target, .. } => {
                    let run = Run { target: target.clone(), ..plan_run(11, project, 'a', RunState::Queued) };
                    begin(run);
                }
                Effect::StartApply { project, target, order, .. } => {
                    let run = apply_run(12, project, 'a', RunState::Queued, order.clone());
                    begin(Run { target: target.clone(), ..run });
                }
                Effect::Wait { project, target, order, .. } => {
                    let run = apply_run(12, project, 'a', RunState::Waiting, order.clone());
                    begin(Run { target: target.clone(), ..run });
                }
                Effect::Supersede { run } => {
                    state.unfinished.retain(|unfinished| unfinished.id != *run);
                    known.plan.take_if(|plan| plan.id == *run);
                    known.apply.take_if(|apply| apply.id == *run);
                }
                Effect::Cancel { run, by } => {
                    for known in state.unfinished.iter_mut().chain(&mut known.plan).chain(&mut known.apply) {
                        known.cancelled_by = (known.id == *run).then(|| by.clone());
                    }
                }
                Effect::TakeLock { project, .. } => {
                    known.lock = Some(crate::domain::lock::Lock {
                        project: project.clone(),
                        held_by: pull.clone(),
                        since: at(9),
                        applied: false,
                        taken_by: None,
                        reason: None,
                    });
                }
                Effect::FreeLock { .. } => known.lock = None,
                _ => {}
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_applied_without_the_right_and_the_requirements((state, input) in any_case()) {
            let effects = decide(&state, &input, &rules(), at(1000));
            for (project, _, order) in applies(&effects) {
                let (verb, actor, review) = match &input {
                    Input::Merged { review, by, .. } => (Verb::Apply, by, review),
                    Input::Commanded { parsed: Parsed::Command(command), actor, review, .. } => (command.verb, actor, review),
                    other => return Err(TestCaseError::fail(format!("{other:?} began an apply"))),
                };
                prop_assert!(matches!(verb, Verb::Apply | Verb::Approve));
                prop_assert!(actor.role >= Role::Write);
                prop_assert!(project.state != StateKind::Nowhere);
                let approved = review.approvals.iter().any(|approval| {
                    approval.by_writer && approval.head == state.pull().head && approval.by != login("sam")
                });
                if project.require.contains(&Requirement::APPROVED) {
                    prop_assert!(approved || verb == Verb::Approve && actor.login != login("sam"));
                }
                if state.pull().is_open() {
                    prop_assert!(project.apply.on_comment());
                    let conditions = !project.require.contains(&Requirement::Mergeable)
                        || review.mergeable == Some(true) && !state.pull().draft;
                    prop_assert!(conditions);
                    prop_assert!(!project.require.contains(&Requirement::Undiverged) || !review.diverged);
                    prop_assert!(order.merge_commit.is_none());
                }
                prop_assert!(state.pull().phase != Phase::Closed);
            }
        }

        #[test]
        fn only_a_plan_of_this_very_head_is_applied((state, input) in any_case()) {
            let effects = decide(&state, &input, &rules(), at(1000));
            for (_, target, order) in applies(&effects) {
                prop_assert_eq!(&target.head, &state.pull().head);
                let Some(reviewed) = order.plan else {
                    prop_assert!(order.reviewed.is_none());
                    continue;
                };
                let known = &state.projects[0];
                let run = [&known.plan, &known.apply].into_iter().flatten().find(|run| run.id == reviewed).unwrap();
                prop_assert_eq!(&run.target, target);
                prop_assert!(matches!(run.state, RunState::Succeeded | RunState::Differs));
            }
        }

        #[test]
        fn an_event_seen_twice_has_its_effects_once((mut state, input) in any_case()) {
            let heard_once = matches!(input, Input::Commanded { .. });
            let first = decide(&state, &input, &rules(), at(1000));
            perform(&mut state, &first);
            let second = decide(&state, &input, &rules(), at(1000));
            // A comment is heard once by its id, so `plan` may plan again; applies never begin twice all the same.
            let repeated = second.iter().filter(|effect| match effect {
                Effect::StartPlan { .. } => !heard_once,
                Effect::StartApply { .. } | Effect::Wait { .. } => true,
                _ => false,
            });
            prop_assert_eq!(repeated.collect::<Vec<_>>(), Vec::<&Effect>::new());
        }

        #[test]
        fn a_project_that_another_holds_is_never_started((state, input) in any_case()) {
            let held = state.projects[0].lock.as_ref().is_some_and(|lock| lock.held_by != state.pull().id);
            let effects = decide(&state, &input, &rules(), at(1000));
            let started = effects.iter().any(|effect| matches!(effect, Effect::StartApply { .. } | Effect::TakeLock { .. } | Effect::FreeLock { .. }));
            prop_assert!(!(held && started), "{:?}", effects);
        }

        #[test]
        fn a_running_apply_is_never_stopped((state, input) in any_case()) {
            let running: Vec<RunId> = state.unfinished.iter().filter(|run| run.is_apply() && run.state == RunState::Running).map(|run| run.id).collect();
            let effects = decide(&state, &input, &rules(), at(1000));
            let stopped = effects.iter().any(|effect| matches!(effect, Effect::Supersede { run } if running.contains(run)));
            prop_assert!(!stopped, "{:?}", effects);
        }
    }
}
