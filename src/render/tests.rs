//! What people read, whole.

use super::*;
use crate::domain::command::Verb;
use crate::domain::decide::{Missing, Problem, ProjectState, PullState};
use crate::domain::plan::{Action, PlanSummary, PlanView, Shown};
use crate::domain::project::{ApplyMode, StateKind};
use crate::domain::report::Views;
use crate::domain::report::sample::*;
use crate::domain::run::{Outcome, Run, RunState, Step, Work};
use insta::assert_snapshot;
use std::collections::HashMap;

fn live(state: &PullState, views: &Views) -> String {
    Renderer::new().live(&live_input(state, views, &server()))
}

fn network() -> (ProjectState, Views) {
    let project = project("prod/network");
    let plan = plan_run(1, &project, network_summary());
    let views = HashMap::from([(plan.id, network_view())]);
    (standing(&project, Some(plan), None), views)
}

fn failed_plan(id: u128, name: &str) -> ProjectState {
    let project = project(name);
    let failed = failure(
        Step::Init,
        "terraform init failed",
        "\u{1b}[31m╷\u{1b}[0m\n│ Error: no such provider alias \"eu\"\n│ mention @team #12\n╵\n",
    );
    let run = run(id, &project, Work::Plan, RunState::Failed, Some(Outcome::Failed(failed)));
    standing(&project, Some(run), None)
}

fn unchanged(id: u128, name: &str) -> ProjectState {
    let project = project(name);
    let plan = plan_run(id, &project, PlanSummary { unchanged: 12, ..PlanSummary::default() });
    standing(&project, Some(plan), None)
}

fn with_apply(mut project: ProjectState, id: u128, state: RunState, outcome: Option<Outcome>) -> ProjectState {
    let apply = apply_run(id, project.plan.as_ref().unwrap(), state, outcome);
    project.apply = Some(apply);
    project
}

/// The network was planned as reviewed, but `main` moved on: one more subnet, and the vpc's tag is another.
fn changed_since() -> (ProjectState, Views) {
    let (project, mut views) = network();
    let summary = PlanSummary { add: 1, change: 1, ..PlanSummary::default() };
    let outcome = differs("The base branch has moved on since the review.", summary);
    let project = with_apply(project, 9, RunState::Differs, Some(outcome));
    let new = PlanView {
        resources: vec![
            resource("aws_subnet.private[\"c\"]", Action::Create, &[("cidr", Shown::Absent, value("\"10.0.3.0/24\""))]),
            resource("aws_subnet.private[\"d\"]", Action::Create, &[("cidr", Shown::Absent, value("\"10.0.4.0/24\""))]),
            resource("aws_vpc.main", Action::Update, &[("tags.Owner", value("\"net\""), value("\"core\""))]),
        ],
        outputs: network_view().outputs,
    };
    views.insert(run_id(9), new);
    (project, views)
}

fn half_applied() -> Outcome {
    let mut failed = failure(
        Step::Apply,
        "terraform apply failed",
        "Error: creating RDS DB Instance (main): InvalidParameterValue\n",
    );
    failed.done = vec![did("aws_db_parameter_group.pg", "create"), did("aws_subnet.a", "update")];
    failed.not_done = vec![did("aws_db_instance.main", "create")];
    failed.changed_something = true;
    Outcome::Failed(failed)
}

fn say(say: &Say) -> String {
    let (pull, server) = (pull(), server());
    Renderer::new().say(say, &SayInput { pull: &pull, key: "77-1", server: &server }).unwrap()
}

#[test]
fn show() {
    let none = Views::new();
    let p = |s: String| println!("{s}\n================");
    let (net, views) = network();
    p(live(&state(vec![standing(&project("a"), None, None), standing(&project("b"), None, None)]), &none));
    let mut by_comment = project("dev/app");
    by_comment.apply = ApplyMode::OnComment;
    let app = standing(
        &by_comment,
        Some(plan_run(5, &by_comment, PlanSummary { change: 1, ..PlanSummary::default() })),
        None,
    );
    p(live(
        &state(vec![unchanged(3, "stage/dns"), net.clone(), failed_plan(2, "prod/iam"), app, unchanged(4, "dev/dns")]),
        &views,
    ));
    p(live(&state(vec![failed_plan(2, "prod/iam")]), &none));
    p(live(
        &with_problem(Problem::Conflict { files: vec!["prod/network/main.tf".into(), "a|b `x`.tf".into()] }),
        &none,
    ));
    p(live(
        &with_problem(Problem::Configuration {
            errors: "terraplane.yaml:14:7: unknown key `aply`, did you mean `apply`?\n   14 |   aply: on_merge\n"
                .into(),
        }),
        &none,
    ));
    p(live(&with_problem(Problem::Fetch { message: "the forge answered 502 three times".into() }), &none));
    p(live(&with_problem(Problem::Fork), &none));
    let mut waits = with_apply(net.clone(), 9, RunState::Waiting, None);
    waits.lock = Some(lock(&waits.project, "github.com/acme/infra#198"));
    waits.queue_position = Some(2);
    p(live(&merged_state(vec![waits]), &views));
    p(live(&merged_state(vec![with_apply(net.clone(), 9, RunState::Running, None)]), &views));
    p(live(
        &merged_state(vec![with_apply(net.clone(), 9, RunState::Succeeded, Some(applied(&[("a.b", "create")], true)))]),
        &views,
    ));
    let (d, dv) = changed_since();
    p(live(&merged_state(vec![d.clone()]), &dv));
    p(live(&merged_state(vec![with_apply(net.clone(), 9, RunState::Failed, Some(half_applied()))]), &views));
    let mut nowhere = net.clone();
    nowhere.project.state = StateKind::Nowhere;
    p(live(&state(vec![nowhere]), &views));
    println!("RESULTS");
    let mut m = pull();
    m.phase = merged();
    let srv = server();
    let result = |runs: &[Run], views: &Views| Renderer::new().result(&result_input(&m, runs, views, &srv));
    let ok = apply_run(
        9,
        net.plan.as_ref().unwrap(),
        RunState::Succeeded,
        Some(applied(&[("a.b", "create"), ("a.c", "create"), ("a.d", "delete")], true)),
    );
    p(result(&[ok.clone()], &none));
    p(result(
        &[
            ok,
            with_apply(failed_plan(2, "prod/iam"), 10, RunState::Failed, Some(half_applied())).apply.unwrap(),
            d.apply.clone().unwrap(),
        ],
        &dv,
    ));
    p(result(&[d.apply.unwrap()], &dv));
    println!("SAY");
    p(say(&Say::ForkRefused));
    p(say(&Say::Help { to: login("sam") }));
    p(say(&Say::UnknownVerb { to: login("sam"), word: "aply".into(), suggestion: Some(Verb::Apply) }));
    p(say(&Say::Refused {
        to: login("sam"),
        verb: Verb::Apply,
        missing: vec![
            Missing {
                project: Some("prod/network".parse().unwrap()),
                what: "no approval of `8888888` yet (@lee, #12)".into(),
            },
            Missing { project: None, what: "x".into() },
        ],
    }));
    p(say(&Say::NothingMatched {
        to: login("sam"),
        verb: Verb::Apply,
        selector: vec!["prod/netwrok".into()],
        projects: vec!["prod/network".parse().unwrap(), "b".parse().unwrap()],
    }));
    p(say(&Say::Unlocked { by: login("sam"), projects: vec!["prod/network".parse().unwrap(), "b".parse().unwrap()] }));
    p(say(&Say::Waiting {
        to: login("sam"),
        projects: vec![("prod/network".parse().unwrap(), "github.com/acme/infra#198".parse().unwrap(), 2)],
    }));
}
