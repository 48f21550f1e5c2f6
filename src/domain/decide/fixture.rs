//! Sample pull requests for the tests of the core: short to write, whole enough to decide on.

use super::*;
use crate::domain::command::{Command, Origin, Selector, Surface, Verb};
use crate::domain::id::{CommentId, Fingerprint, Login, Sha, Timestamp, TreeId};
use crate::domain::lock::Lock;
use crate::domain::permission::Rights;
use crate::domain::plan::PlanSummary;
use crate::domain::pull::{Phase, Pull, Role};
use crate::domain::run::{Applied, Differs, Outcome, PlanIdentity, Planned, Run, RunState, StateMark, Work};
use uuid::Uuid;

pub(crate) fn sha(letter: char) -> Sha {
    letter.to_string().repeat(40).parse().unwrap()
}

pub(crate) fn tree(letter: char) -> TreeId {
    letter.to_string().repeat(40).parse().unwrap()
}

pub(crate) fn login(name: &str) -> Login {
    name.parse().unwrap()
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp(1_700_000_000_000 + seconds * 1000)
}

pub(crate) fn actor(name: &str, role: Role) -> Actor {
    Actor::new(login(name), role)
}

pub(crate) fn run_id(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

pub(crate) fn fingerprint(letter: char) -> Fingerprint {
    letter.to_string().repeat(64).parse().unwrap()
}

/// By `sam`, from `topic` into `main`, open.
pub(crate) fn pull(head: char) -> Pull {
    Pull {
        id: "github.com/acme/infra#7".parse().unwrap(),
        title: "Change it".into(),
        html_url: "https://github.com/acme/infra/pull/7".into(),
        author: login("sam"),
        head: sha(head),
        head_branch: "topic".into(),
        fork: false,
        base_branch: "main".parse().unwrap(),
        base: sha('0'),
        draft: false,
        phase: Phase::Open,
        updated_at: at(0),
    }
}

pub(crate) fn merged(mut pull: Pull) -> Pull {
    pull.phase = Phase::Merged { commit: sha('e'), by: Some(login("ana")), at: at(100) };
    pull
}

pub(crate) fn project(dir: &str) -> Project {
    Project { reason: "`main.tf` changed".into(), ..Project::new(dir.parse().unwrap(), dir.parse().unwrap()) }
}

pub(crate) fn target(head: char) -> Target {
    Target { head: sha(head), base: sha('0'), tree: tree(head), inputs: format!("inputs-{head}") }
}

pub(crate) fn affected(head: char, projects: &[Project]) -> Affected {
    let projects = projects
        .iter()
        .map(|project| AffectedProject { project: project.clone(), inputs: format!("inputs-{head}") })
        .collect();
    Affected {
        head: sha(head),
        base: sha('0'),
        tree: tree(head),
        projects,
        held_back: None,
        grants: vec![],
        config_changes: vec![],
    }
}

pub(crate) fn planned(letter: char, change: usize) -> Planned {
    Planned {
        summary: PlanSummary { change, ..PlanSummary::default() },
        fingerprint: fingerprint(letter),
        identity: PlanIdentity {
            terraform: "terraform 1.11.4".into(),
            workspace: "default".into(),
            workflow: "w".into(),
            state_address: None,
            state: StateMark { lineage: "l".into(), serial: 1 },
        },
        tree: tree(letter),
        inputs: format!("inputs-{letter}"),
        touched: vec![],
    }
}

/// A plan run of the head; with an outcome if it is over.
pub(crate) fn plan_run(id: u128, project: &Project, head: char, state: RunState) -> Run {
    Run {
        id: run_id(id),
        pull: pull(head).id,
        project: project.clone(),
        target: target(head),
        work: Work::Plan,
        extra: vec![],
        resumed_at: None,
        batch: None,
        state,
        created_at: at(1),
        started_at: Some(at(2)),
        finished_at: state.is_over().then(|| at(3)),
        level: None,
        network: None,
        blocked: Vec::new(),
        cancelled_by: None,
        left: None,
        outcome: (state == RunState::Succeeded).then(|| Outcome::Planned(planned(head, 1))),
    }
}

pub(crate) fn apply_run(id: u128, project: &Project, head: char, state: RunState, order: ApplyOrder) -> Run {
    let outcome = match state {
        RunState::Succeeded => Some(Outcome::Applied(Applied {
            done: vec![],
            fingerprint: fingerprint(head),
            used_saved_plan: true,
            nothing_left: false,
        })),
        RunState::Differs => {
            Some(Outcome::Differs(Differs { because: "the state has changed".into(), planned: planned('d', 2) }))
        }
        _ => None,
    };
    Run { work: Work::Apply(order), batch: Some(run_id(id)), outcome, ..plan_run(id, project, head, state) }
}

pub(crate) use crate::domain::run::ApplyOrder;

pub(crate) fn order(merge_commit: Option<char>) -> ApplyOrder {
    ApplyOrder {
        plan: Some(run_id(1)),
        plan_anew: false,
        reviewed: Some(fingerprint('a')),
        merge_commit: merge_commit.map(sha),
        ordered_by: login("ana"),
        approved_by: vec![],
        approved_at: vec![],
        verb: Verb::Apply,
        comment: None,
        called: false,
    }
}

/// Nothing known but the pull request itself.
pub(crate) fn fresh(pull: Pull) -> PullState {
    let record = PullRecord { pull, affected: None, problem: None };
    PullState { record, projects: vec![], unfinished: vec![], queued: vec![], around: Around::default() }
}

/// One project of one head, with its plan and apply. Whatever they planned was shown when they were over.
pub(crate) fn state(pull: Pull, project: &Project, plan: Option<Run>, apply: Option<Run>) -> PullState {
    let head = pull.head.as_str().chars().next().unwrap();
    let record = PullRecord { pull, affected: Some(affected(head, &[])), problem: None };
    let mut state =
        PullState { record, projects: vec![], unfinished: vec![], queued: vec![], around: Around::default() };
    with(&mut state, project, plan, apply);
    state
}

/// One project more.
pub(crate) fn with(state: &mut PullState, project: &Project, plan: Option<Run>, apply: Option<Run>) {
    let head = state.pull().head.as_str().chars().next().unwrap();
    let entry = affected(head, std::slice::from_ref(project)).projects.remove(0);
    state.record.affected.as_mut().unwrap().projects.push(entry);
    let runs = || [&plan, &apply].into_iter().flatten();
    state.unfinished.extend(runs().filter(|run| !run.state.is_over()).cloned());
    let mut shown: Vec<Shown> = runs().filter_map(shown).collect();
    shown.sort_by_key(|shown| shown.at);
    state.projects.push(ProjectState {
        project: project.clone(),
        target: Some(target(head)),
        plan,
        apply,
        lock: None,
        queue_position: 1,
        shown,
    });
}

pub(crate) fn shown(run: &Run) -> Option<Shown> {
    let planned = run.made_plan()?;
    let (fingerprint, head) = (planned.fingerprint.clone(), run.target.head.clone());
    Some(Shown { run: run.id, fingerprint, head, at: run.finished_at?, approved_by: None })
}

pub(crate) fn lock_of(state: &mut PullState, holder: &str, applied: bool) {
    let key = state.projects[0].project.key.clone();
    let lock =
        Lock { project: key, held_by: holder.parse().unwrap(), since: at(5), applied, taken_by: None, reason: None };
    state.around.locks.retain(|other| other.project != lock.project);
    state.around.locks.push(lock.clone());
    state.projects[0].lock = Some(lock);
}

pub(crate) fn origin(seconds: i64) -> Origin {
    let (author, at) = (login("ana"), at(seconds));
    Origin { surface: Surface::Comment { id: CommentId(1), line: 1 }, author, at, heard_at: Timestamp(at.0 + 999) }
}

pub(crate) fn says(verb: Verb, words: &[&str]) -> Parsed {
    let selector = if words.is_empty() { Selector::default() } else { Selector::any_of(words.iter().copied()) };
    Parsed::Command(Command { selector, ..Command::of(verb) })
}

pub(crate) fn rules() -> Rules {
    let (rights, repository) = (Rights::default(), vec![project("a"), project("prod/net")]);
    Rules { base_may_apply: true, unknown: None, rights, repository, server: "terraplane".into() }
}
