use super::super::sample::*;
use super::*;
use crate::domain::plan::PlanSummary;
use crate::domain::project::ApplyMode;
use crate::domain::run::{Outcome, Run, RunState, Step, Work};

/// `sha context state: description`, one a line.
fn told(state: &PullState) -> String {
    let line = |status: &Status| {
        let context = status.context.strip_prefix("terraplane/").unwrap();
        format!("{} {context} {:?}: {}", &status.sha.as_str()[..1], status.state, status.description)
    };
    statuses(state, "terraplane").iter().map(line).collect::<Vec<_>>().join("\n")
}

fn changing(name: &str, mode: ApplyMode) -> ProjectState {
    let mut project = project(name);
    project.apply = mode;
    let plan = plan_run(1, &project, PlanSummary { add: 2, destroy: 1, ..PlanSummary::default() });
    standing(&project, Some(plan), None)
}

fn unplanned(name: &str, state: RunState, outcome: Option<Outcome>) -> ProjectState {
    let project = project(name);
    let run = run(2, &project, Work::Plan, state, outcome);
    standing(&project, Some(run), None)
}

fn failed_plan(name: &str) -> ProjectState {
    unplanned(name, RunState::Failed, Some(Outcome::Failed(failure(Step::Plan, "no", ""))))
}

fn applying(state: RunState, outcome: Option<Outcome>) -> ProjectState {
    let mut project = changing("p", ApplyMode::OnMerge);
    let plan: &Run = project.plan.as_ref().unwrap();
    project.apply = Some(apply_run(9, plan, state, outcome));
    project
}

#[test]
fn a_pull_request_without_projects_succeeds_on_both() {
    insta::assert_snapshot!(told(&state(Vec::new())), @r"
    8 plan Success: No project is concerned
    8 apply Success: Nothing to apply
    ");
}

#[test]
fn until_the_projects_are_known_both_are_pending() {
    let mut state = state(Vec::new());
    state.record.affected = None;
    insta::assert_snapshot!(told(&state), @r"
    8 plan Pending: Looking for the projects that this changes
    8 apply Pending: Waits for the plans
    ");
}

#[test]
fn while_plans_run_both_are_pending() {
    let running = unplanned("q", RunState::Running, None);
    insta::assert_snapshot!(told(&state(vec![changing("p", ApplyMode::OnMerge), running])), @r"
    8 plan Pending: Planning: 1 of 2 projects done
    8 apply Pending: Waits for the plans
    ");
}

#[test]
fn what_the_merge_will_apply_does_not_block_the_merge() {
    for mode in [ApplyMode::OnMerge, ApplyMode::Both] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(told(&state(vec![changing("p", mode)])), @r"
            8 plan Success: 1 project: +2 −1
            8 apply Success: Applies on merge
            ");
        }
    }
}

#[test]
fn what_must_be_applied_by_comment_is_pending_until_then() {
    let all = vec![changing("p", ApplyMode::OnMerge), changing("q", ApplyMode::OnComment)];
    insta::assert_snapshot!(told(&state(all)), @r"
    8 plan Success: 2 projects: +4 −2
    8 apply Pending: Waits for `terraplane apply` (1 project)
    ");
}

#[test]
fn what_cannot_be_applied_does_not_wait_for_ever() {
    let mut nowhere = changing("p", ApplyMode::OnComment);
    nowhere.project.state = StateKind::Nowhere;
    insta::assert_snapshot!(told(&state(vec![nowhere])), @r"
    8 plan Success: 1 project: +2 −1
    8 apply Success: Not applied: neither a backend nor managed state
    ");
}

#[test]
fn a_failed_plan_fails_both() {
    insta::assert_snapshot!(told(&state(vec![changing("p", ApplyMode::OnMerge), failed_plan("q")])), @r"
    8 plan Failure: 1 of 2 projects could not be planned
    8 apply Failure: Nothing to apply until all plans succeed
    ");
}

#[test]
fn no_changes_are_a_success() {
    let project = project("p");
    let plan = plan_run(1, &project, PlanSummary::default());
    insta::assert_snapshot!(told(&state(vec![standing(&project, Some(plan), None)])), @r"
    8 plan Success: 1 project: no changes
    8 apply Success: Nothing to apply
    ");
}

#[test]
fn a_problem_fails_both() {
    insta::assert_snapshot!(told(&with_problem(Problem::Conflict { files: vec!["a".into()] })), @r"
    8 plan Failure: Not planned: conflicts with the base branch (1 file)
    8 apply Failure: Not planned: conflicts with the base branch (1 file)
    ");
    for problem in
        [Problem::Fork, Problem::Configuration { errors: "e".into() }, Problem::Fetch { message: "m".into() }]
    {
        let all = statuses(&with_problem(problem), "terraplane");
        assert!(all.iter().all(|status| status.state == StatusState::Failure));
    }
}

#[test]
fn a_fork_that_nobody_has_vouched_for_can_t_be_merged_by_the_statuses_and_has_not_failed() {
    insta::assert_snapshot!(told(&with_problem(Problem::ForkWaits { head: sha('8') })), @r"
    8 plan Pending: From a fork: waits for somebody with write permission to ask for a plan
    8 apply Pending: From a fork: waits for somebody with write permission to ask for a plan
    ");
}

#[test]
fn after_the_merge_the_outcome_is_on_the_merge_commit_too() {
    insta::assert_snapshot!(told(&merged_state(vec![applying(RunState::Running, None)])), @r"
    8 plan Success: 1 project: +2 −1
    8 apply Pending: Applying: 0 of 1 project done
    c apply Pending: Applying: 0 of 1 project done
    ");
    insta::assert_snapshot!(told(&merged_state(vec![applying(RunState::Succeeded, Some(applied(&[], true)))])), @r"
    8 plan Success: 1 project: +2 −1
    8 apply Success: Applied: 1 project
    c apply Success: Applied: 1 project
    ");
}

#[test]
fn after_the_merge_whatever_needs_somebody_is_a_failure() {
    let failed = || Some(Outcome::Failed(failure(Step::Apply, "no", "")));
    for (state, outcome, expected) in [
        (RunState::Failed, failed(), "The apply of 1 of 1 project failed"),
        (RunState::Interrupted, None, "The apply of 1 of 1 project failed"),
        (
            RunState::Differs,
            Some(differs("b", PlanSummary::default())),
            "Not applied: the plan is not the reviewed one; waits for `terraplane approve`",
        ),
    ] {
        let all = statuses(&merged_state(vec![applying(state, outcome)]), "terraplane");
        let apply = all.last().unwrap();
        assert_eq!((apply.state, apply.description.as_str()), (StatusState::Failure, expected));
        assert_eq!(apply.sha, sha('c'));
    }
}

#[test]
fn an_apply_that_waits_for_a_lock_is_pending() {
    insta::assert_snapshot!(told(&merged_state(vec![applying(RunState::Waiting, None)])), @r"
    8 plan Success: 1 project: +2 −1
    8 apply Pending: Waits for another pull request to let go (1 project)
    c apply Pending: Waits for another pull request to let go (1 project)
    ");
}

#[test]
fn merged_and_not_yet_ordered_is_pending() {
    insta::assert_snapshot!(told(&merged_state(vec![changing("p", ApplyMode::OnMerge)])), @r"
    8 plan Success: 1 project: +2 −1
    8 apply Pending: 1 project to be applied
    c apply Pending: 1 project to be applied
    ");
}

#[test]
fn a_merge_commit_that_is_the_head_gets_one_status() {
    let mut state = merged_state(vec![changing("p", ApplyMode::OnMerge)]);
    state.record.affected.as_mut().unwrap().head = sha('c');
    assert_eq!(statuses(&state, "terraplane").len(), 2);
}

#[test]
fn an_apply_of_an_older_head_says_nothing_of_the_new_plan() {
    let mut project = applying(RunState::Succeeded, Some(applied(&[], true)));
    project.project.apply = ApplyMode::OnComment;
    project.plan.as_mut().unwrap().created_at = project.apply.as_ref().unwrap().created_at.plus_ms(1);
    insta::assert_snapshot!(told(&state(vec![project.clone()])), @r"
    8 plan Success: 1 project: +2 −1
    8 apply Pending: Waits for `terraplane apply` (1 project)
    ");
    // Merged without having been applied again.
    project.apply.as_mut().unwrap().target.inputs = "older".into();
    insta::assert_snapshot!(told(&merged_state(vec![project])), @r"
    8 plan Success: 1 project: +2 −1
    8 apply Pending: Waits for `terraplane apply` (1 project)
    c apply Pending: Waits for `terraplane apply` (1 project)
    ");
}

#[test]
fn nothing_stays_pending_on_a_closed_pull_request() {
    let closed = |projects| {
        let mut state = state(projects);
        state.record.pull.phase = Phase::Closed;
        state
    };
    let none = ProjectState { plan: None, ..changing("p", ApplyMode::OnMerge) };
    for state in [closed(Vec::new()), closed(vec![none]), closed(vec![changing("p", ApplyMode::OnComment)])] {
        let pending = statuses(&state, "terraplane").into_iter().find(|status| status.state == StatusState::Pending);
        assert_eq!(pending, None);
    }
}

#[test]
fn a_description_never_exceeds_what_forges_take() {
    let text = "é".repeat(300);
    let long = status(&sha('a'), "terraplane/plan", (StatusState::Failure, text));
    assert_eq!(long.description.chars().count(), DESCRIPTION_LIMIT);
    for name in ["terraplane", &"n".repeat(120)] {
        let all = statuses(&state(vec![changing("p", ApplyMode::OnComment)]), name);
        assert!(all.iter().all(|status| status.description.chars().count() <= DESCRIPTION_LIMIT));
    }
}
