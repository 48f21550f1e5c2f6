use super::super::sample::*;
use super::super::status::statuses;
use super::*;
use crate::domain::decide::{Affected, AffectedProject, Shown};
use crate::domain::id::Timestamp;
use crate::domain::plan::{Action, Difference, PlanSummary};
use crate::domain::project::ApplyMode;
use crate::domain::pull::MergeGroup;
use crate::domain::run::{RunState, Step, Work};

fn fingerprint(letter: char) -> Fingerprint {
    letter.to_string().repeat(64).parse().unwrap()
}

fn changes(add: usize) -> PlanSummary {
    PlanSummary { add, ..PlanSummary::default() }
}

fn with_fingerprint(mut run: Run, letter: char) -> Run {
    if let Some(Outcome::Planned(planned)) = &mut run.outcome {
        planned.fingerprint = fingerprint(letter);
    }
    run
}

/// Planned on the pull request and shown there, with this fingerprint.
fn reviewed(name: &str, id: u128, summary: PlanSummary, letter: char) -> ProjectState {
    let project = project(name);
    let plan = with_fingerprint(plan_run(id, &project, summary), letter);
    let shown = vec![Shown {
        run: plan.id,
        fingerprint: fingerprint(letter),
        head: sha('8'),
        at: Timestamp(40_000),
        approved_by: None,
    }];
    ProjectState { shown, ..standing(&project, Some(plan), None) }
}

fn trial(name: &str, id: u128, state: RunState, summary: PlanSummary, letter: char) -> Run {
    let outcome = (state == RunState::Succeeded).then(|| Outcome::Planned(planned(summary)));
    with_fingerprint(run(id, &project(name), Work::Trial, state, outcome), letter)
}

fn done(name: &str, id: u128, add: usize, letter: char) -> Run {
    trial(name, id, RunState::Succeeded, changes(add), letter)
}

fn failed(name: &str, id: u128) -> Run {
    let words = "`terraform plan` failed with exit code 1.";
    let failed = super::super::sample::failure(Step::Plan, words, "");
    run(id, &project(name), Work::Trial, RunState::Failed, Some(Outcome::Failed(failed)))
}

/// The queue's commit concerns these projects.
fn in_queue(projects: Vec<ProjectState>, concerned: &[&str], trials: Vec<Run>) -> PullState {
    let mut state = state(projects);
    let of = |name: &&str| AffectedProject { project: project(name), inputs: "inputs".into() };
    let affected = Affected {
        head: sha('9'),
        projects: concerned.iter().map(of).collect(),
        ..state.record.affected.clone().unwrap()
    };
    let group = MergeGroup { head: sha('9'), base: sha('a') };
    let commit = QueuedCommit {
        group,
        of: sha('8'),
        heard_at: Timestamp(1_000),
        found: Some(Found::Affected(affected)),
        ended: false,
    };
    state.queued.push(Queued { commit, trials });
    state
}

/// `context state: description`, one a line.
fn told(state: &PullState) -> String {
    let line = |check: &Check| {
        let Check { status, of_queue, .. } = check;
        assert!(*of_queue && status.sha == sha('9') && status.description.chars().count() <= 140);
        let context = status.context.strip_prefix("terraplane/").unwrap();
        format!("{context} {:?}: {}", status.state, status.description)
    };
    queue_checks(state, "terraplane").iter().map(line).collect::<Vec<_>>().join("\n")
}

fn prod() -> ProjectState {
    reviewed("prod", 1, changes(2), 'a')
}

fn applied_before(mut project: ProjectState) -> ProjectState {
    let plan = project.plan.as_ref().unwrap();
    let mut apply = apply_run(50, plan, RunState::Succeeded, Some(applied(&[("a.b", "create")], true)));
    if let Work::Apply(order) = &mut apply.work {
        order.merge_commit = None;
    }
    project.project.apply = ApplyMode::OnComment;
    project.apply = Some(apply);
    project
}

#[test]
fn only_what_was_reviewed_is_merged() {
    let by_hand = || {
        let mut prod = prod();
        prod.project.apply = ApplyMode::OnComment;
        prod
    };
    let replanned = |state: RunState| {
        let mut prod = prod();
        prod.plan = Some(run(7, &prod.project, Work::Plan, state, None));
        prod
    };
    let mut unseen = prod();
    unseen.shown.clear();
    let mut pushed_to = prod();
    pushed_to.shown[0].head = sha('7');
    let mut of_old_heads = prod();
    of_old_heads.target = None;
    let quiet = || reviewed("quiet", 3, changes(0), 'f');
    let ok = "apply Success: Applies on merge";
    let waits = "apply Pending: Waits for the plans";
    let no = "apply Failure: Not merged: see the plan's status";
    for (what, projects, concerned, trials, plan, apply) in [
        ("no project", vec![], &[][..], vec![], "Success: No project is concerned", "apply Success: Nothing to apply"),
        ("equal", vec![prod()], &["prod"], vec![done("prod", 9, 2, 'a')], "Success: 1 project: as reviewed", ok),
        (
            "one is still planned",
            vec![prod(), quiet()],
            &["prod", "quiet"],
            vec![done("prod", 9, 2, 'a'), trial("quiet", 10, RunState::Running, changes(0), 'f')],
            "Pending: Planning for the merge queue: 1 of 2 projects done",
            waits,
        ),
        (
            "one differs while another is still planned",
            vec![prod(), quiet()],
            &["prod", "quiet"],
            vec![done("prod", 9, 3, 'b'), trial("quiet", 10, RunState::Queued, changes(0), 'f')],
            "Pending: Planning for the merge queue: 1 of 2 projects done",
            waits,
        ),
        (
            "another plan",
            vec![prod()],
            &["prod"],
            vec![done("prod", 9, 3, 'b')],
            "Failure: `prod` has another plan than the reviewed one",
            no,
        ),
        (
            "nothing left to do, and nobody applied it",
            vec![prod()],
            &["prod"],
            vec![done("prod", 9, 0, 'b')],
            "Failure: `prod` has another plan than the reviewed one",
            no,
        ),
        (
            "applied before the merge",
            vec![applied_before(prod())],
            &["prod"],
            vec![done("prod", 9, 0, 'b')],
            "Success: 1 project: as reviewed",
            "apply Success: Applied: 1 project",
        ),
        (
            "applied before the merge, and something new to do",
            vec![applied_before(prod())],
            &["prod"],
            vec![done("prod", 9, 1, 'b')],
            "Failure: `prod` has another plan than the reviewed one",
            no,
        ),
        (
            "to be applied before the merge",
            vec![by_hand()],
            &["prod"],
            vec![done("prod", 9, 2, 'a')],
            "Success: 1 project: as reviewed",
            "apply Pending: Waits for `terraplane apply` (1 project)",
        ),
        (
            "never shown",
            vec![unseen],
            &["prod"],
            vec![done("prod", 9, 2, 'a')],
            "Failure: `prod` has a plan that nobody has reviewed",
            no,
        ),
        (
            "shown of an older head",
            vec![pushed_to],
            &["prod"],
            vec![done("prod", 9, 2, 'a')],
            "Failure: `prod` has a plan that nobody has reviewed",
            no,
        ),
        (
            "a project that the pull request does not know",
            vec![prod()],
            &["prod", "more"],
            vec![done("prod", 9, 2, 'a'), done("more", 10, 1, 'e')],
            "Failure: `more` has a plan that nobody has reviewed",
            no,
        ),
        (
            "planned anew on the pull request, and shown before as the queue has it",
            vec![replanned(RunState::Running)],
            &["prod"],
            vec![done("prod", 9, 2, 'a')],
            "Success: 1 project: as reviewed",
            waits,
        ),
        (
            "planned anew on the pull request, with who knows what",
            vec![replanned(RunState::Queued)],
            &["prod"],
            vec![done("prod", 9, 3, 'b')],
            "Pending: Waits for the pull request's own plan",
            waits,
        ),
        (
            "its plan failed",
            vec![prod(), quiet()],
            &["prod", "quiet"],
            vec![failed("prod", 9), done("quiet", 10, 1, 'b')],
            "Failure: 1 more, and `prod` could not be planned",
            no,
        ),
        ("not allowed to be planned", vec![prod()], &["prod"], vec![], "Failure: `prod` may not be planned yet", no),
        ("it would no longer change it", vec![prod()], &[], vec![], "Failure: `prod` would no longer be changed", no),
        (
            "it never changed it",
            vec![quiet()],
            &[],
            vec![],
            "Success: No project is concerned",
            "apply Success: Nothing to apply",
        ),
        (
            "what older heads changed",
            vec![of_old_heads],
            &[],
            vec![],
            "Success: No project is concerned",
            "apply Success: Nothing to apply",
        ),
    ] {
        let told = told(&in_queue(projects, concerned, trials));
        assert_eq!(told, format!("plan {plan}\n{apply}"), "{what}");
    }
}

#[test]
fn what_can_not_be_planned_at_all_fails_as_on_the_head() {
    let mut state = in_queue(vec![prod()], &["prod"], vec![]);
    state.queued[0].commit.found = Some(Found::Problem(Problem::Configuration { errors: "no".into() }));
    assert_eq!(
        told(&state),
        "plan Failure: Not planned: the configuration can't be used\napply Failure: Not merged: see the plan's status"
    );
    assert!(matches!(&queue_refusals(&state)[..], [(_, QueueRefusal::Problem(Problem::Configuration { .. }))]));
}

#[test]
fn a_commit_that_has_left_the_queue_is_told_nothing_more_and_what_is_pending_there_ends() {
    let mut state = in_queue(vec![prod()], &["prod"], vec![]);
    state.queued[0].commit.ended = true;
    assert_eq!((queue_checks(&state, "terraplane"), queue_refusals(&state)), (vec![], vec![]));
    assert_eq!(statuses(&state, "terraplane").len(), 2, "those of the head");
    assert_eq!(unqueued(&state, &sha('9')).unwrap().1, "No longer in the merge queue");
    assert_eq!(unqueued(&state, &sha('8')), None);
    state.record.pull.phase = merged();
    state.queued[0].commit.group.head = sha('c');
    assert_eq!(unqueued(&state, &sha('c')).unwrap().0, StatusState::Success);
}

#[test]
fn people_are_shown_what_differs() {
    let view =
        |address: &str| PlanView { resources: vec![resource(address, Action::Create, &[])], ..PlanView::default() };
    let views = Views::from([(run_id(1), view("a.old")), (run_id(9), view("a.new"))]);
    let told = |state: &PullState| {
        let [(_, QueueRefusal::Faults(faults))] = &queue_refusals(state)[..] else { panic!() };
        let [fault] = &faults[..] else { panic!() };
        assert!(fault.runs().all(|run| views.contains_key(&run)));
        let Astray { why, url, differences, .. } = fault.astray(&views, &run_url);
        let named = |difference: &Difference| match difference {
            Difference::OnlyReviewed { resource } => format!("-{}", resource.address),
            Difference::OnlyNew { resource } => format!("+{}", resource.address),
            Difference::Changed { new, .. } => format!("!{}", new.address),
        };
        let differences = differences.map_or("?".into(), |all| all.iter().map(named).collect::<Vec<_>>().join(" "));
        format!("{why}; {}; {differences}", url.unwrap_or_default())
    };
    let mut unseen = prod();
    unseen.shown.clear();
    for (projects, concerned, trials, expected) in [
        (
            vec![prod()],
            &["prod"][..],
            vec![done("prod", 9, 3, 'b')],
            "compared with the reviewed plan; https://tp/runs/9; +a.new -a.old",
        ),
        (
            vec![unseen],
            &["prod"],
            vec![done("prod", 9, 3, 'b')],
            "the live comment has shown no plan of it; https://tp/runs/9; +a.new",
        ),
        (vec![prod()], &[], vec![], "this commit would change nothing of it; ; -a.old"),
        (
            vec![prod()],
            &["prod"],
            vec![failed("prod", 9)],
            "it could not be planned: `terraform plan` failed with exit code 1.; https://tp/runs/9; ?",
        ),
        (vec![prod()], &["prod"], vec![], "what the rules ask for before a plan is not there; ; ?"),
    ] {
        assert_eq!(told(&in_queue(projects, concerned, trials)), expected);
    }
}
