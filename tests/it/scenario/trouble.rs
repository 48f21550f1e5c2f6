//! The forge is down, slow, forgetful or wrong. People see the same in the end, and nothing twice.

use super::props::managed;
use super::stand_in::StandIn;
use super::{MANAGED, resource};
use crate::stage::{Setup, Stage};
use crate::world::{PullRequest, REPO};
use std::time::Duration;
use terraplane::demo::state::How;

const HELP: &str = "<!-- terraplane:reply";

async fn opened(stage: &Stage, input: &str) -> PullRequest {
    stage.world.open_pull(input).changing("prod/main.tf", &resource("web", input)).await
}

/// How many comments of the server begin so.
fn count(pull: &PullRequest, start: &str) -> usize {
    pull.server_comments().iter().filter(|comment| comment.starts_with(start)).count()
}

#[tokio::test]
async fn a_forge_in_trouble_is_told_everything_once_in_the_end() {
    let one = resource("web", "one");
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &one)]).await;
    let (world, soon) = (&stage.world, Duration::from_secs(1));
    world.trouble("GET", "/pulls/", How::Answer(502), 2);
    world.trouble("GET", "/comments", How::Answer(500), 1);
    world.trouble("POST", "/comments", How::Answer(502), 1);
    world.trouble("POST", "/statuses", How::RetryAfter(soon), 1);
    let pull = opened(&stage, "two").await;
    pull.live_comment().await_containing("\"two\"").await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;

    world.trouble("GET", "/pulls/", How::Slow(soon), 1);
    world.trouble("PATCH", "/comments", How::Answer(502), 1);
    world.trouble("POST", "/statuses", How::LoseAnswer, 1);
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.live_comment().await_containing("\"three\"").await;
    pull.await_status("terraplane/apply", "success").await;
    stage.settled().await;

    world.trouble("GET", "/permission", How::Answer(503), 1);
    world.trouble("POST", "/comments", How::RetryAfter(soon), 1);
    pull.comment("kim", "terraplane help");
    assert!(pull.next_comment().await.starts_with(HELP));
    stage.settled().await;

    world.trouble("POST", "/comments", How::RateLimited { reset_in: soon }, 1);
    let merged = pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("1 created · the reviewed plan"));
    world.await_status(&merged, "terraplane/apply", "success").await;
    stage.settled().await;
    assert_eq!((count(&pull, "<!-- terraplane:live"), count(&pull, HELP)), (1, 1));
    stage.finish().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_no_second_comment() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    stage.world.trouble("POST", "/comments", How::LoseAnswer, 1);
    let pull = opened(&stage, "two").await;
    pull.live_comment().await_containing("\"two\"").await;
    stage.settled().await;
    stage.world.trouble("POST", "/comments", How::LoseAnswer, 1);
    pull.comment("kim", "terraplane help");
    assert!(pull.next_comment().await.starts_with(HELP));
    stage.settled().await;
    stage.world.trouble("POST", "/comments", How::LoseAnswer, 1);
    pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("1 created"));
    stage.settled().await;
    assert_eq!(pull.server_comments().len(), 3, "{:?}", pull.server_comments());
    stage.finish().await;
}

#[tokio::test]
async fn an_app_whose_token_ended_gets_a_new_one() {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { app: true, ..Setup::default() }).await;
    let pull = opened(&stage, "two").await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    stage.world.forge.expire_installation_tokens();
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.live_comment().await_containing("\"three\"").await;
    stage.settled().await;
    stage.world.forge.expire_installation_tokens();
    pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("1 created · the reviewed plan"));
    stage.finish().await;
}

#[tokio::test]
async fn webhooks_that_come_twice_late_or_in_another_order_end_in_the_same_state() {
    let stage =
        Stage::with(&[("terraplane.yaml", &managed("apply: both")), ("prod/main.tf", &resource("web", "one"))]).await;
    stage.world.trouble("POST", "comment", How::RepeatWebhook, 2);
    stage.world.trouble("POST", "pull_request", How::RepeatWebhook, 2);
    stage.world.trouble("POST", "review", How::RepeatWebhook, 2);
    let twice = opened(&stage, "two").await;
    twice.await_status("terraplane/plan", "success").await;
    twice.comment("kim", "terraplane apply");
    assert!(twice.next_comment().await.contains("1 created · the reviewed plan"));
    twice.comment("kim", "terraplane help");
    assert!(twice.next_comment().await.starts_with(HELP));
    twice.approve("ana");
    twice.approve("kim");
    twice.merge("ana").await;
    twice.live_comment().await_containing("merged · applied").await;
    assert_eq!(stage.applies(&twice).await, 1);

    // Nothing is heard of the next one until it is merged; then everything comes, the newest first.
    stage.world.trouble("POST", "pull_request", How::LoseWebhook, 3);
    stage.world.trouble("POST", "comment", How::LoseWebhook, 1);
    let late = opened(&stage, "three").await;
    late.comment("kim", "terraplane plan");
    late.push(&[("prod/main.tf", &resource("web", "four"))]).await;
    let merged = late.merge("ana").await;
    let lost = stage
        .world
        .forge
        .read(|state| state.deliveries.iter().rev().take(6).map(|d| (d.id.clone(), d.kind)).collect::<Vec<_>>());
    for (id, _) in lost.iter().filter(|(_, kind)| *kind != "push") {
        stage.world.forge.redeliver(id);
    }
    let shown = late.wait_for_comment(|text| text.contains("It was merged before its plan was shown")).await;
    assert!(shown.contains("\"two\" -> \"four\""), "{shown}");
    let refused = late.next_comment().await;
    assert!(refused.contains("the pull request is merged"), "{refused}");
    stage.world.await_status(&merged, "terraplane/apply", "failure").await;
    late.comment("ana", "terraplane approve");
    assert!(late.next_comment().await.contains("1 changed"));
    stage.world.await_status(&merged, "terraplane/apply", "success").await;
    assert_eq!(stage.applies(&late).await, 2);
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn a_repository_that_was_deleted_ends_what_was_to_be_done_for_it() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, terraform.setup(4)).await;
    let pull = opened(&stage, "two").await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    // A plan is running, and two webhooks are still to be worked on.
    terraform.hold("prod");
    pull.comment("kim", "terraplane plan");
    terraform.await_noted("begin plan prod", 2).await;
    pull.comment("kim", "terraplane help");
    stage.world.forge.change(|state| state.repos.remove(REPO));
    terraform.release("prod");
    stage.settled().await;
    stage.finish().await;
}

/// The parent of the process that has both in its command line.
fn parent_of(word: &str, place: &std::path::Path) -> Option<rustix::process::Pid> {
    let place = place.display().to_string();
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
        let found = line.contains(&format!(" {word} ")) && line.contains(&place);
        found.then(|| rustix::process::Pid::from_raw(parent)).flatten()
    })
}

#[tokio::test]
async fn an_apply_whose_sandbox_breaks_is_not_taken_for_one_that_did_nothing() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, terraform.setup(4)).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    terraform.hold_at("apply", "prod");
    let merged = pull.merge("ana").await;
    terraform.await_noted("begin apply prod", 1).await;
    let keeper = parent_of("apply", stage.data.path()).expect("it runs");
    rustix::process::kill_process(keeper, rustix::process::Signal::KILL).unwrap();
    let result = pull.next_comment().await;
    assert!(
        result.contains("was lost with its sandbox") && result.contains("nobody knows how far it came"),
        "{result}"
    );
    assert!(result.contains("something may have been changed"), "{result}");
    stage.world.await_status(&merged, "terraplane/apply", "failure").await;
    stage.settled().await;
    assert_eq!(terraform.count("begin apply prod"), 1, "it is not tried again by itself");
    stage.finish().await;
}
