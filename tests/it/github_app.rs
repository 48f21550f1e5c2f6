//! What only GitHub has: the server as an App, whose tokens end.

use crate::scenario::{MANAGED, resource};
use crate::stage::{Setup, Stage};
use crate::world::{PullRequest, REPO};
use terraplane::demo::state::{CheckRun, How, Status};

async fn stage() -> Stage {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    Stage::set(&files, Setup { app: true, ..Setup::default() }).await
}

#[tokio::test]
async fn the_server_works_as_an_app_and_speaks_as_its_account() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("\"two\"").await;
    let authors: Vec<_> = pull.now().comments.into_iter().map(|comment| comment.author).collect();
    assert_eq!(authors, [stage.world.forge.app_login()]);
    stage.finish().await;
}

#[tokio::test]
async fn an_app_whose_token_ended_gets_a_new_one() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    // GitHub may end a token at any time.
    stage.world.forge.expire_installation_tokens();
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.live_comment().await_containing("\"three\"").await;
    stage.settled().await;
    stage.world.forge.expire_installation_tokens();
    pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("1 created · the reviewed plan"));
    stage.finish().await;
}

/// The newest check of this name on the head.
fn check(pull: &PullRequest, name: &str) -> (Status, CheckRun) {
    let status = pull.status(name).unwrap();
    let check = status.check.clone().unwrap_or_else(|| panic!("{name} is a plain status"));
    (status, check)
}

fn buttons(pull: &PullRequest, name: &str) -> Vec<String> {
    check(pull, name).1.actions.into_iter().map(|action| action.label).collect()
}

#[tokio::test]
async fn a_failed_plan_is_remarked_at_its_line_and_planned_again_by_a_button() {
    let stage = stage().await;
    let broken = "resource \"terraform_data\" \"web\" {\n  input = var.nothing\n}\n";
    let pull = stage.world.open_pull("Broken").changing("prod/main.tf", broken).await;
    pull.await_status("terraplane/plan", "failure").await;
    stage.settled().await;
    let (status, run) = check(&pull, "terraplane/plan");
    assert_eq!(status.description.as_deref(), Some("1 of 1 project could not be planned"));
    assert!(run.summary.contains("Reference to undeclared input variable"), "{}", run.summary);
    assert!(!run.summary.contains("<!-- terraplane"), "{}", run.summary);
    let remarks: Vec<_> = run.notes.iter().map(|note| (note.path.as_str(), note.line, note.title.as_str())).collect();
    assert_eq!(remarks, [("prod/main.tf", 2, "prod: Reference to undeclared input variable")]);
    assert_eq!(buttons(&pull, "terraplane/plan"), ["Re-plan"]);
    assert!(check(&pull, "terraplane/apply").1.notes.is_empty());

    let times = || stage.world.forge.read(|state| state.repo(REPO).unwrap().statuses.len());
    let before = times();
    stage.world.forge.press(REPO, pull.number, "terraplane/plan", Some("Re-plan"), "kim").unwrap();
    stage.settled().await;
    // The old one is over, with its remarks; another one took its place.
    assert!(times() > before);
    assert_eq!(check(&pull, "terraplane/plan").1.notes.len(), 1);
    pull.push(&[("prod/main.tf", &resource("web", "mended"))]).await;
    pull.await_status("terraplane/plan", "success").await;
    assert!(check(&pull, "terraplane/plan").1.notes.is_empty());
    stage.finish().await;
}

#[tokio::test]
async fn a_button_passes_the_same_door_as_a_comment() {
    let rules = format!("{MANAGED}rules:\n  - match: \"*\"\n    apply: on_comment\n    require: [approved]\n");
    let files = [("terraplane.yaml", rules.as_str()), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { app: true, ..Setup::default() }).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    assert_eq!(buttons(&pull, "terraplane/apply"), ["Apply", "Re-plan"]);
    let press = |by| stage.world.forge.press(REPO, pull.number, "terraplane/apply", Some("Apply"), by).unwrap();

    press("rob");
    let refused = pull.next_comment().await;
    assert!(refused.contains("`@rob`") && refused.contains("needs the role `write`"), "{refused}");
    press("kim");
    let refused = pull.next_comment().await;
    assert!(refused.contains("`@kim`") && refused.contains("approv"), "{refused}");
    stage.settled().await;

    pull.approve("ana");
    stage.settled().await;
    press("kim");
    let applied = pull.next_comment().await;
    assert!(applied.contains("Applied") && applied.contains("by `@kim`"), "{applied}");
    pull.await_status("terraplane/apply", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_button_applies_what_stood_beside_it_and_nothing_that_came_after() {
    let rules = format!("{MANAGED}rules:\n  - match: \"*\"\n    apply: on_comment\n    require: []\n");
    let files = [("terraplane.yaml", rules.as_str()), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { app: true, ..Setup::default() }).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    let old = check(&pull, "terraplane/apply").1.actions;
    pull.comment("kim", "terraplane plan");
    stage.settled().await;
    // Somebody has the page of before open, and clicks.
    let head = pull.head();
    stage.world.forge.change(|state| {
        let statuses = &mut state.repo_mut(REPO).unwrap().statuses;
        let newest = statuses.iter_mut().rev().find(|s| s.sha == head && s.context == "terraplane/apply").unwrap();
        newest.check.as_mut().unwrap().actions = old;
    });
    stage.world.forge.press(REPO, pull.number, "terraplane/apply", Some("Apply"), "kim").unwrap();
    let refused = pull.wait_for_comment(|text| text.contains("since the button was shown")).await;
    assert!(refused.contains("`@kim`"), "{refused}");
    stage.settled().await;
    let status = pull.status("terraplane/apply").unwrap();
    assert_eq!(status.description.as_deref(), Some("Waits for `terraplane apply` (1 project)"));
    stage.finish().await;
}

#[tokio::test]
async fn an_app_that_may_not_write_checks_sets_statuses() {
    let stage = stage().await;
    stage.world.trouble("POST", "/check-runs", How::Answer(403), 2);
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let plan = pull.await_status("terraplane/plan", "success").await;
    assert_eq!(plan.check, None);
    stage.finish().await;
}

/// The first answer is lost: the check is there, and no second one is made.
#[tokio::test]
async fn a_check_whose_answer_was_lost_is_found_again() {
    let stage = stage().await;
    stage.world.trouble("POST", "/check-runs", How::LoseAnswer, 1);
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/apply", "success").await;
    stage.settled().await;
    let names = stage.world.forge.read(|state| {
        let statuses = state.repo(REPO).unwrap().statuses.iter();
        statuses.map(|status| status.context.clone()).collect::<Vec<_>>()
    });
    assert_eq!(names.iter().filter(|name| *name == "terraplane/plan").count(), 1, "{names:?}");
    stage.finish().await;
}
