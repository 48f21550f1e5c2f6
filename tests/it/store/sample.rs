//! Values for the tests, of which only what matters is said.

use terraplane::domain::command::Verb;
use terraplane::domain::decide::{Affected, AffectedProject, PullRecord};
use terraplane::domain::id::{ProjectKey, PullId, RepoName, RunId, Sha, Timestamp};
use terraplane::domain::plan::PlanSummary;
use terraplane::domain::project::{Project, StateKind, Target};
use terraplane::domain::pull::{Phase, Pull};
use terraplane::domain::run::{Applied, ApplyOrder, Outcome, PlanIdentity, Planned, Run, RunState, StateMark, Work};
use terraplane::store::{Job, NewDelivery};
use uuid::Uuid;

pub(crate) fn repo() -> RepoName {
    "github.com/acme/infra".parse().unwrap()
}

pub(crate) fn pull_id(number: u64) -> PullId {
    format!("{}#{number}", repo()).parse().unwrap()
}

pub(crate) fn project_key(dir: &str) -> ProjectKey {
    dir.parse().unwrap()
}

/// A commit or tree of one repeated digit.
pub(crate) fn sha(digit: char) -> Sha {
    digit.to_string().repeat(40).parse().unwrap()
}

pub(crate) fn run_id(n: u128) -> RunId {
    RunId(Uuid::from_u128(n))
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp(ms)
}

pub(crate) fn tell(number: u64) -> Job {
    Job::Tell { pull: pull_id(number) }
}

pub(crate) fn run_job(n: u128, number: u64, dir: &str) -> Job {
    Job::Run { run: run_id(n), pull: pull_id(number), project: project_key(dir) }
}

pub(crate) fn delivery(id: &str, lane: &str, ms: i64) -> NewDelivery {
    NewDelivery {
        forge: terraplane::domain::id::ForgeKind::Github,
        id: id.parse().unwrap(),
        event_name: "pull_request".into(),
        repo: Some(repo()),
        lane: lane.into(),
        body: r#"{"action":"opened"}"#.into(),
        received_at: at(ms),
    }
}

pub(crate) fn project(dir: &str) -> Project {
    Project {
        tags: vec!["prod".into()],
        state: StateKind::Managed,
        reason: format!("`{dir}/main.tf` changed"),
        ..Project::new(project_key(dir), dir.parse().unwrap())
    }
}

pub(crate) fn record(number: u64, head: char, base: char, dirs: &[&str]) -> PullRecord {
    let pull = Pull {
        id: pull_id(number),
        title: "Bigger network".into(),
        html_url: "https://github.com/acme/infra/pull/1".into(),
        author: "sam".parse().unwrap(),
        head: sha(head),
        head_branch: "bigger".into(),
        fork: false,
        base_branch: "main".parse().unwrap(),
        base: sha(base),
        draft: false,
        phase: Phase::Open,
        updated_at: at(0),
    };
    let affected = Affected {
        head: sha(head),
        base: sha(base),
        tree: sha('f').as_str().parse().unwrap(),
        projects: dirs
            .iter()
            .map(|dir| AffectedProject { project: project(dir), inputs: format!("{dir}@{head}") })
            .collect(),
        held_back: None,
        grants: Vec::new(),
        config_changes: Vec::new(),
    };
    PullRecord { pull, affected: Some(affected), problem: None }
}

pub(crate) fn merged(mut record: PullRecord, ms: i64) -> PullRecord {
    record.pull.phase = Phase::Merged { commit: sha('e'), by: Some("ana".parse().unwrap()), at: at(ms) };
    record
}

pub(crate) fn plan(n: u128, number: u64, dir: &str, head: char, base: char) -> Run {
    Run {
        id: run_id(n),
        pull: pull_id(number),
        project: project(dir),
        target: Target {
            head: sha(head),
            base: sha(base),
            tree: sha('f').as_str().parse().unwrap(),
            inputs: format!("{dir}@{head}"),
        },
        work: Work::Plan,
        extra: Vec::new(),
        resumed_at: None,
        batch: None,
        state: RunState::Queued,
        created_at: at(i64::try_from(n).unwrap()),
        started_at: None,
        finished_at: None,
        level: None,
        network: None,
        blocked: Vec::new(),
        cancelled_by: None,
        left: None,
        outcome: None,
    }
}

pub(crate) fn apply(n: u128, number: u64, dir: &str, state: RunState) -> Run {
    let order = ApplyOrder {
        plan: None,
        plan_anew: false,
        reviewed: None,
        merge_commit: Some(sha('e')),
        ordered_by: "ana".parse().unwrap(),
        approved_by: Vec::new(),
        approved_at: Vec::new(),
        verb: Verb::Apply,
        comment: None,
        called: false,
    };
    Run { work: Work::Apply(order), batch: Some(run_id(n)), state, ..plan(n, number, dir, 'a', 'b') }
}

pub(crate) fn planned(mut run: Run, add: usize) -> Run {
    run.state = RunState::Succeeded;
    run.finished_at = Some(at(99));
    run.outcome = Some(Outcome::Planned(Planned {
        tree: run.target.tree.clone(),
        inputs: run.target.inputs.clone(),
        summary: PlanSummary { add, ..PlanSummary::default() },
        fingerprint: "1".repeat(64).parse().unwrap(),
        identity: PlanIdentity {
            terraform: "terraform 1.11.4".into(),
            workspace: "default".into(),
            workflow: "w".into(),
            state_address: None,
            state: StateMark { lineage: "l".into(), serial: 1 },
        },
        touched: Vec::new(),
    }));
    run
}

pub(crate) fn applied(mut run: Run) -> Run {
    run.state = RunState::Succeeded;
    run.outcome = Some(Outcome::Applied(Applied {
        done: Vec::new(),
        fingerprint: "1".repeat(64).parse().unwrap(),
        used_saved_plan: true,
        nothing_left: false,
    }));
    run
}
