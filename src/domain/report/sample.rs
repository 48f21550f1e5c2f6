//! A pull request to try reports on: number 214 of `acme/infra`, by sam.

use super::{LiveInput, ResultInput, Server, Views};
use crate::domain::command::Verb;
use crate::domain::decide::{Affected, AffectedProject, Around, Problem, ProjectState, PullRecord, PullState};
use crate::domain::id::{Login, ProjectKey, PullId, RunId, Sha, Timestamp};
use crate::domain::lock::Lock;
use crate::domain::plan::{Action, AttributeChange, OutputView, PlanSummary, PlanView, ResourceView, Shown};
use crate::domain::project::{Project, Target};
use crate::domain::pull::{Phase, Pull};
use crate::domain::requirement::Requirement;
use crate::domain::run::{
    Applied, ApplyOrder, Differs, Failure, Outcome, PlanIdentity, Planned, ResourceOutcome, Run, RunState, StateMark,
    Step, Work,
};
use crate::domain::sandbox::Level;
use uuid::Uuid;

pub(crate) fn sha(digit: char) -> Sha {
    digit.to_string().repeat(40).parse().unwrap()
}

pub(crate) fn run_id(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

pub(crate) fn login(name: &str) -> Login {
    name.parse().unwrap()
}

pub(crate) fn pull() -> Pull {
    Pull {
        id: "github.com/acme/infra#214".parse().unwrap(),
        title: "Private subnets".into(),
        html_url: "https://github.com/acme/infra/pull/214".into(),
        author: login("sam"),
        head: sha('8'),
        head_branch: "subnets".into(),
        fork: false,
        base_branch: "main".parse().unwrap(),
        base: sha('a'),
        draft: false,
        phase: Phase::Open,
        updated_at: Timestamp(1_000),
    }
}

pub(crate) fn merged() -> Phase {
    Phase::Merged { commit: sha('c'), by: Some(login("ana")), at: Timestamp(90_000) }
}

pub(crate) fn project(name: &str) -> Project {
    Project {
        require: vec![Requirement::APPROVED, Requirement::Mergeable],
        reason: format!("`{name}/main.tf` changed"),
        ..Project::new(name.parse::<ProjectKey>().unwrap(), name.parse().unwrap())
    }
}

pub(crate) fn target() -> Target {
    Target { head: sha('8'), base: sha('a'), tree: "d".repeat(40).parse().unwrap(), inputs: "inputs".into() }
}

pub(crate) fn planned(summary: PlanSummary) -> Planned {
    Planned {
        summary,
        fingerprint: "7c1e5a90".repeat(8).parse().unwrap(),
        identity: PlanIdentity {
            terraform: "terraform 1.11.4".into(),
            workspace: "default".into(),
            workflow: String::new(),
            state_address: None,
            state: StateMark { lineage: "l".into(), serial: 3 },
        },
        tree: target().tree,
        inputs: "inputs".into(),
        touched: Vec::new(),
    }
}

pub(crate) fn run(id: u128, project: &Project, work: Work, state: RunState, outcome: Option<Outcome>) -> Run {
    let started = matches!(state, RunState::Queued | RunState::Waiting);
    Run {
        id: run_id(id),
        pull: pull().id,
        project: project.clone(),
        target: target(),
        extra: Vec::new(),
        resumed_at: None,
        batch: matches!(work, Work::Apply(_)).then(|| run_id(100)),
        work,
        state,
        created_at: Timestamp(10_000 + i64::try_from(id).unwrap()),
        started_at: (!started).then_some(Timestamp(20_000)),
        finished_at: state.is_over().then_some(Timestamp(38_500)),
        level: Some(Level::Off),
        network: None,
        blocked: Vec::new(),
        cancelled_by: None,
        left: None,
        outcome,
    }
}

pub(crate) fn plan_run(id: u128, project: &Project, summary: PlanSummary) -> Run {
    run(id, project, Work::Plan, RunState::Succeeded, Some(Outcome::Planned(planned(summary))))
}

pub(crate) fn order(plan: u128) -> ApplyOrder {
    ApplyOrder {
        plan: Some(run_id(plan)),
        plan_anew: false,
        reviewed: None,
        merge_commit: Some(sha('c')),
        ordered_by: login("ana"),
        approved_by: vec![login("lee")],
        approved_at: vec![Timestamp(9_000)],
        verb: Verb::Apply,
        comment: None,
        called: false,
    }
}

pub(crate) fn apply_run(id: u128, plan: &Run, state: RunState, outcome: Option<Outcome>) -> Run {
    run(id, &plan.project, Work::Apply(order(plan.id.0.as_u128())), state, outcome)
}

pub(crate) fn failure(step: Step, message: &str, output: &str) -> Failure {
    Failure {
        step,
        message: message.into(),
        output: output.into(),
        diagnostics: Box::default(),
        done: Vec::new(),
        not_done: Vec::new(),
        changed_something: false,
    }
}

pub(crate) fn did(address: &str, action: &str) -> ResourceOutcome {
    ResourceOutcome { address: address.into(), action: action.into() }
}

pub(crate) fn applied(done: &[(&str, &str)], used_saved_plan: bool) -> Outcome {
    Outcome::Applied(Applied {
        done: done.iter().map(|(address, action)| did(address, action)).collect(),
        fingerprint: planned(PlanSummary::default()).fingerprint,
        used_saved_plan,
        nothing_left: false,
    })
}

pub(crate) fn differs(because: &str, summary: PlanSummary) -> Outcome {
    Outcome::Differs(Differs { because: because.into(), planned: planned(summary) })
}

pub(crate) fn standing(project: &Project, plan: Option<Run>, apply: Option<Run>) -> ProjectState {
    ProjectState {
        project: project.clone(),
        target: Some(target()),
        plan,
        apply,
        lock: None,
        queue_position: 1,
        shown: Vec::new(),
    }
}

/// Kim approved another plan of it, that of run 2.
pub(crate) fn approved_by_kim(project: &mut ProjectState) {
    project.shown = vec![crate::domain::decide::Shown {
        run: run_id(2),
        fingerprint: "05fe3b17".repeat(8).parse().unwrap(),
        head: sha('7'),
        at: Timestamp(5_000),
        approved_by: Some(login("kim")),
    }];
}

pub(crate) fn lock(project: &Project, held_by: &str) -> Lock {
    let held_by: PullId = held_by.parse().unwrap();
    let (taken_by, reason) = (None, None);
    Lock { project: project.key.clone(), held_by, since: Timestamp(0), applied: true, taken_by, reason }
}

pub(crate) fn state(projects: Vec<ProjectState>) -> PullState {
    let of = |state: &ProjectState| AffectedProject { project: state.project.clone(), inputs: "inputs".into() };
    let affected = Affected {
        head: sha('8'),
        base: sha('a'),
        tree: target().tree,
        projects: projects.iter().map(of).collect(),
        held_back: None,
        grants: Vec::new(),
        config_changes: Vec::new(),
    };
    PullState {
        record: PullRecord { pull: pull(), affected: Some(affected), problem: None },
        projects,
        unfinished: Vec::new(),
        queued: Vec::new(),
        around: Around::default(),
    }
}

pub(crate) fn with_problem(problem: Problem) -> PullState {
    let record = PullRecord { pull: pull(), affected: None, problem: Some(problem) };
    PullState { record, projects: Vec::new(), unfinished: Vec::new(), queued: Vec::new(), around: Around::default() }
}

pub(crate) fn merged_state(projects: Vec<ProjectState>) -> PullState {
    let mut state = state(projects);
    state.record.pull.phase = merged();
    state
}

pub(crate) fn server() -> Server {
    Server { name: "terraplane".into(), level: Level::Off }
}

/// `https://tp/runs/7` for run 7.
pub(crate) fn run_url(id: RunId) -> String {
    format!("https://tp/runs/{}", id.0.as_u128())
}

pub(crate) fn live_input<'a>(state: &'a PullState, views: &'a Views, server: &'a Server) -> LiveInput<'a> {
    LiveInput { state, views, server, run_url: &run_url, now: Timestamp(100_000), limit: 60_000 }
}

pub(crate) fn result_input<'a>(
    pull: &'a Pull,
    runs: &'a [Run],
    views: &'a Views,
    server: &'a Server,
) -> ResultInput<'a> {
    ResultInput { pull, batch: run_id(100), runs, views, server, run_url: &run_url, limit: 60_000 }
}

pub(crate) fn resource(address: &str, action: Action, attributes: &[(&str, Shown, Shown)]) -> ResourceView {
    ResourceView {
        address: address.into(),
        action,
        deposed: None,
        forces_replacement: Vec::new(),
        moved_from: None,
        importing: false,
        because: None,
        attributes: attributes
            .iter()
            .map(|(path, before, after)| AttributeChange {
                path: (*path).into(),
                before: before.clone(),
                after: after.clone(),
            })
            .collect(),
    }
}

pub(crate) fn value(json: &str) -> Shown {
    Shown::Value(json.into())
}

/// Two additions, one change, one destroy.
pub(crate) fn network_summary() -> PlanSummary {
    PlanSummary {
        add: 2,
        change: 1,
        destroy: 1,
        outputs: 1,
        unchanged: 46,
        destroyed: vec!["aws_security_group_rule.legacy_ssh".into()],
        ..PlanSummary::default()
    }
}

pub(crate) fn network_view() -> PlanView {
    PlanView {
        resources: vec![
            resource(
                "aws_route_table_association.private[\"c\"]",
                Action::Create,
                &[("id", Shown::Absent, Shown::Unknown), ("subnet_id", Shown::Absent, Shown::Unknown)],
            ),
            resource("aws_security_group_rule.legacy_ssh", Action::Delete, &[("port", value("22"), Shown::Absent)]),
            resource("aws_subnet.private[\"c\"]", Action::Create, &[("cidr", Shown::Absent, value("\"10.0.3.0/24\""))]),
            resource("aws_vpc.main", Action::Update, &[("tags.Owner", value("\"net\""), value("\"platform\""))]),
        ],
        outputs: vec![OutputView {
            name: "subnet_ids".into(),
            action: Action::Update,
            attributes: vec![AttributeChange { path: "[2]".into(), before: Shown::Absent, after: Shown::Unknown }],
        }],
        ..PlanView::default()
    }
}
