use super::super::sample::{self, *};
use super::*;
use crate::domain::project::ApplyMode;
use crate::domain::report::DangerAddress;
use crate::domain::run::{RunState, Step, Work};

fn changing(id: u128, name: &str, mode: ApplyMode) -> ProjectState {
    let mut project = project(name);
    project.apply = mode;
    let plan = plan_run(id, &project, PlanSummary { add: 1, ..PlanSummary::default() });
    standing(&project, Some(plan), None)
}

fn hinted(state: &PullState) -> Vec<Hint> {
    hints(state, "terraplane")
}

#[test]
fn the_comment_waits_five_seconds_for_the_first_plan() {
    let project = project("p");
    let running = run(1, &project, Work::Plan, RunState::Running, None);
    let created = running.created_at;
    let waiting = state(vec![standing(&project, Some(running), None)]);
    assert_eq!(live_due(&waiting, false), Some(created.plus_ms(5000)));
}

#[test]
fn a_comment_that_is_there_does_not_go_on_showing_an_older_plan() {
    let project = project("p");
    let running = run(1, &project, Work::Plan, RunState::Running, None);
    let created = running.created_at;
    let waiting = state(vec![standing(&project, Some(running), None)]);
    assert_eq!(live_due(&waiting, true), Some(created.plus_ms(1000)));
    assert_eq!(live_due(&state(Vec::new()), true), Some(Timestamp(0)), "no project is concerned any more");
}

#[test]
fn the_comment_comes_at_once_when_there_is_something_to_say() {
    let project = project("q");
    let queued = run(2, &project, Work::Plan, RunState::Queued, None);
    let one_done = state(vec![changing(1, "p", ApplyMode::OnMerge), standing(&project, Some(queued), None)]);
    assert_eq!(live_due(&one_done, false), Some(Timestamp(0)));
    assert_eq!(live_due(&with_problem(Problem::Conflict { files: Vec::new() }), false), Some(Timestamp(0)));
}

#[test]
fn there_is_no_comment_without_projects_nor_for_a_fork() {
    assert_eq!(live_due(&state(Vec::new()), false), None);
    assert_eq!(live_due(&with_problem(Problem::Fork), false), None);
}

#[test]
fn only_commands_that_would_work_now_are_offered() {
    let commands = |project: ProjectState, draft: bool| -> Vec<String> {
        let mut state = state(vec![project, changing(7, "other", ApplyMode::OnMerge)]);
        state.record.pull.draft = draft;
        let commands = hinted(&state).into_iter().filter_map(|hint| match hint {
            Hint::Apply { command, .. } => Some(command),
            _ => None,
        });
        commands.collect()
    };
    let by_comment = || changing(1, "p", ApplyMode::OnComment);
    assert_eq!(commands(by_comment(), false), ["terraplane apply p"]);
    assert_eq!(commands(by_comment(), true), [""; 0], "a draft is not mergeable");
    assert_eq!(commands(changing(1, "p", ApplyMode::OnMerge), false), [""; 0]);
    let held = ProjectState { lock: Some(lock(&project("p"), "github.com/acme/infra#1")), ..by_comment() };
    assert_eq!(commands(held, false), [""; 0], "another pull request holds it");
    let mine = ProjectState { lock: Some(lock(&project("p"), "github.com/acme/infra#214")), ..by_comment() };
    assert_eq!(commands(mine, false), ["terraplane apply p"]);
    let mut nowhere = by_comment();
    nowhere.project.state = StateKind::Nowhere;
    assert_eq!(commands(nowhere, false), [""; 0]);
    let running = apply_run(9, by_comment().plan.as_ref().unwrap(), RunState::Running, None);
    assert_eq!(commands(ProjectState { apply: Some(running), ..by_comment() }, false), [""; 0]);
}

#[test]
fn a_command_for_all_projects_names_none() {
    let all = vec![changing(1, "p", ApplyMode::OnComment), changing(2, "q", ApplyMode::OnComment)];
    let requires = vec!["approved", "mergeable"];
    assert_eq!(hinted(&state(all)), [Hint::Apply { command: "terraplane apply".into(), requires }]);
}

#[test]
fn more_names_than_anybody_would_copy_are_not_offered() {
    let mut all: Vec<_> = (0..60).map(|i| changing(i, &format!("service-{i}"), ApplyMode::OnComment)).collect();
    all.push(changing(99, "other", ApplyMode::OnMerge));
    assert!(hinted(&state(all)).iter().all(|hint| !matches!(hint, Hint::Apply { .. })));
}

#[test]
fn the_new_plans_destroys_are_the_danger_when_it_differs() {
    let mut project = changing(1, "p", ApplyMode::OnMerge);
    let summary = PlanSummary { destroy: 1, destroyed: vec!["a.new".into()], ..PlanSummary::default() };
    project.apply = Some(apply_run(
        9,
        project.plan.as_ref().unwrap(),
        RunState::Differs,
        Some(sample::differs("The base branch has moved on.", summary)),
    ));
    let (state, views, server) = (merged_state(vec![project]), Views::new(), server());
    let view = live(&live_input(&state, &views, &server));
    assert_eq!(view.danger.unwrap().named, [DangerAddress { project: "p", address: "a.new", what: None }]);
}

#[test]
fn what_has_been_applied_is_no_danger_any_more() {
    let project = project("p");
    let plan = plan_run(1, &project, network_summary());
    let apply = apply_run(9, &plan, RunState::Succeeded, Some(applied(&[], true)));
    let (views, server) = (Views::new(), server());
    let ahead = state(vec![standing(&project, Some(plan.clone()), None)]);
    assert!(live(&live_input(&ahead, &views, &server)).danger.is_some());
    let done = merged_state(vec![standing(&project, Some(plan), Some(apply))]);
    assert_eq!(live(&live_input(&done, &views, &server)).danger, None);
}

#[test]
fn rows_are_in_the_order_of_their_risk() {
    let mut failed = changing(1, "fails", ApplyMode::OnMerge);
    let outcome = Outcome::Failed(sample::failure(Step::Plan, "no", ""));
    failed.plan = Some(run(1, &failed.project, Work::Plan, RunState::Failed, Some(outcome)));
    let same = project("same");
    let same = standing(&same, Some(plan_run(2, &same, PlanSummary::default())), None);
    let network = project("network");
    let network = standing(&network, Some(plan_run(3, &network, network_summary())), None);
    let all = vec![same, changing(4, "b", ApplyMode::OnMerge), network, changing(5, "a", ApplyMode::OnMerge), failed];
    let (state, views, server) = (state(all), Views::new(), server());
    let view = live(&live_input(&state, &views, &server));
    assert_eq!(view.rows.iter().map(|row| row.name).collect::<Vec<_>>(), ["fails", "network", "b", "a", "same"]);
}
