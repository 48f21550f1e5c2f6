//! What follows from the forge's merge queue.

use super::*;
use crate::domain::pull::Pull;
use crate::domain::run::Work;

fn group(head: char) -> MergeGroup {
    MergeGroup { head: sha(head), base: sha('0') }
}

fn queued(head: char, projects: &[Project]) -> Input {
    let found = Found::Affected(affected(head, projects));
    Input::Queued { group: group(head), heard_at: at(9), found, review: Review::default() }
}

fn noted(head: char, ended: bool, found: Option<Found>) -> Effect {
    Effect::NoteQueued(QueuedCommit { group: group(head), of: sha('a'), heard_at: at(9), found, ended })
}

fn trial(id: u128, project: &Project, head: char) -> Run {
    Run { work: Work::Trial, ..plan_run(id, project, head, RunState::Running) }
}

/// The project is planned, and being tried at this commit.
fn tried(pull: Pull, project: &Project, head: char) -> PullState {
    let plan = plan_run(1, project, 'a', RunState::Succeeded);
    let mut state = state(pull, project, Some(plan), None);
    let found = Some(Found::Affected(affected(head, std::slice::from_ref(project))));
    let commit = QueuedCommit { group: group(head), of: sha('a'), heard_at: at(9), found, ended: false };
    let trial = trial(2, project, head);
    state.unfinished.push(trial.clone());
    state.queued.push(Queued { commit, trials: vec![trial] });
    state
}

fn ended(head: char) -> [Effect; 2] {
    [Effect::Supersede { run: run_id(2) }, noted(head, true, None)]
}

#[test]
fn what_the_queue_would_merge_is_planned_once_at_its_own_commit() {
    let (prod, dev) = (project("prod"), project("dev"));
    let input = queued('b', &[prod.clone(), dev.clone()]);
    let found = Found::Affected(affected('b', &[prod.clone(), dev.clone()]));
    let start = |project: &Project| Effect::StartTrial { project: project.clone(), target: target('b') };
    let known = state(pull('a'), &prod, Some(plan_run(1, &prod, 'a', RunState::Running)), None);
    let effects = decide(&known, &input, &rules(), at(9));
    assert_eq!(effects, [noted('b', false, Some(found)), start(&prod), start(&dev)]);
    let again = tried(pull('a'), &prod, 'b');
    assert_eq!(decide(&again, &input, &rules(), at(9)), []);
    assert_eq!(decide(&fresh(merged(pull('a'))), &input, &rules(), at(9)), []);
}

#[test]
fn a_newer_commit_of_the_queue_takes_the_place_of_the_older_one() {
    let prod = project("prod");
    let effects = decide(&tried(pull('a'), &prod, 'b'), &queued('c', &[]), &rules(), at(9));
    let [old @ .., new] = &effects[..] else { panic!() };
    assert_eq!(old, ended('b'));
    assert!(matches!(new, Effect::NoteQueued(commit) if commit.group == group('c') && !commit.ended));
    // Of one that was asked about before, it took longer to find out what is in it.
    let Input::Queued { group, found, review, .. } = queued('c', &[]) else { panic!() };
    let late = Input::Queued { group, heard_at: at(8), found, review };
    let QueuedCommit { group, of, .. } = tried(pull('a'), &prod, 'c').queued.remove(0).commit;
    let gone = QueuedCommit { group, of, heard_at: at(8), found: None, ended: true };
    assert_eq!(decide(&tried(pull('a'), &prod, 'b'), &late, &rules(), at(9)), [Effect::NoteQueued(gone)]);
}

#[test]
fn a_trial_ends_with_its_commits_time_in_the_queue_and_by_nothing_else() {
    let prod = project("prod");
    let trying = |pull: Pull| tried(pull, &prod, 'b');
    let effects = decide(&trying(pull('a')), &Input::Unqueued { group: group('b') }, &rules(), at(9));
    assert_eq!(effects, ended('b'));
    let ends = |state: &PullState, input: &Input| {
        let effects = decide(state, input, &rules(), at(9));
        let of_trial: Vec<_> = effects
            .into_iter()
            .filter(|effect| matches!(effect, Effect::NoteQueued(_)) || *effect == Effect::Supersede { run: run_id(2) })
            .collect();
        assert!(of_trial.is_empty() || of_trial == ended('b'), "{of_trial:?}");
        !of_trial.is_empty()
    };
    let changed = |head| Input::Changed {
        found: Found::Affected(affected(head, std::slice::from_ref(&prod))),
        review: Review::default(),
    };
    let by = actor("ana", Role::Write);
    let found = Found::Affected(affected('a', std::slice::from_ref(&prod)));
    let plan = Input::Commanded {
        parsed: says(Verb::Plan, &[]),
        origin: origin(5),
        actor: by.clone(),
        review: Review::default(),
        found: Some(found.clone()),
    };
    let merge = Input::Merged { review: Review::default(), by, found: found.clone() };
    let overtaken = Input::Overtaken { found, review: Review::default(), project: prod.key.clone(), at: at(9) };
    for (what, pull, input, expected) in [
        ("a webhook about the same head", pull('a'), changed('a'), false),
        ("the pull request is planned again", pull('a'), plan, false),
        ("others applied something", pull('a'), overtaken, false),
        (
            "what it can't be planned for",
            pull('a'),
            Input::Changed { found: Found::Problem(Problem::Fork), review: Review::default() },
            false,
        ),
        ("a push", pull('f'), changed('f'), true),
        ("it was closed", pull('a'), Input::Closed, true),
        ("it was merged", merged(pull('a')), merge, true),
    ] {
        assert_eq!(ends(&trying(pull), &input), expected, "{what}");
    }
}

#[test]
fn what_left_the_queue_is_not_brought_back_by_a_webhook_that_comes_late() {
    let prod = project("prod");
    let known = state(pull('a'), &prod, None, None);
    assert_eq!(decide(&known, &Input::Unqueued { group: group('b') }, &rules(), at(9)), [noted('b', true, None)]);
    let mut gone = tried(pull('a'), &prod, 'b');
    gone.queued[0].commit.ended = true;
    assert_eq!(decide(&gone, &queued('b', &[prod]), &rules(), at(9)), []);
    assert_eq!(decide(&gone, &Input::Unqueued { group: group('b') }, &rules(), at(9)), []);
}

#[test]
fn what_must_be_there_before_a_plan_must_be_there_before_a_trial() {
    let gated = Project { require_plan: vec![Requirement::APPROVED], ..project("prod") };
    let known = state(pull('a'), &gated, None, None);
    let effects = decide(&known, &queued('b', &[gated]), &rules(), at(9));
    assert!(matches!(&effects[..], [Effect::NoteQueued(_)]), "{effects:?}");
}

#[test]
fn a_problem_is_kept_with_the_commit_and_not_with_the_pull_request() {
    let found = Found::Problem(Problem::Configuration { errors: "no".into() });
    let input = Input::Queued { group: group('b'), heard_at: at(9), found: found.clone(), review: Review::default() };
    let effects = decide(&fresh(pull('a')), &input, &rules(), at(9));
    assert_eq!(effects, [noted('b', false, Some(found))]);
}
