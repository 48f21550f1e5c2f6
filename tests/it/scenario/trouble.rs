//! The forge is down, slow, forgetful or wrong. People see the same in the end, and nothing twice.

use super::props::managed;
use super::stand_in::StandIn;
use super::{MANAGED, resource};
use crate::stage::Stage;
use crate::world::{PullRequest, REPO};
use sqlx::Connection as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;
use terraplane::demo::state::How;
use terraplane::domain::pull::Role;

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

/// The address of a run's page that a comment holds.
fn run_page(text: &str) -> String {
    let from = text.find("<a href=\"").expect("a link") + "<a href=\"".len();
    text[from..].split('"').next().unwrap().to_owned()
}

async fn page(address: &str) -> String {
    reqwest::get(address).await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn connections_that_break_before_anything_happens_are_made_again() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    stage.world.trouble("GET", "/pulls/", How::Reset, 2);
    stage.world.trouble("POST", "/comments", How::Reset, 1);
    stage.world.trouble("POST", "/statuses", How::Reset, 1);
    let pull = opened(&stage, "two").await;
    pull.live_comment().await_containing("\"two\"").await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    stage.world.trouble("PATCH", "/comments", How::Reset, 1);
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.live_comment().await_containing("\"three\"").await;
    stage.settled().await;
    assert_eq!(pull.server_comments().len(), 1);
    stage.finish().await;
}

#[tokio::test]
async fn a_live_comment_that_somebody_deleted_is_there_again() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = opened(&stage, "two").await;
    pull.live_comment().await_containing("\"two\"").await;
    stage.settled().await;
    let deleted = pull.live_comment().id().unwrap();
    stage.world.forge.delete_comment(REPO, deleted, "ana").unwrap();
    pull.live_comment().await_containing("\"two\"").await;
    stage.settled().await;
    let again = pull.live_comment().id().unwrap();
    assert_ne!(again, deleted);
    // And when no webhook tells it, with the next change.
    stage.world.trouble("POST", "comment", How::LoseWebhook, 1);
    stage.world.forge.delete_comment(REPO, again, "ana").unwrap();
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.live_comment().await_containing("\"three\"").await;
    stage.settled().await;
    assert_eq!(pull.server_comments().len(), 1);
    stage.finish().await;
}

#[tokio::test]
async fn a_conversation_that_is_locked_is_told_when_it_is_open_again_and_the_run_page_says_why() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = opened(&stage, "two").await;
    let link = run_page(&pull.live_comment().await_containing("\"two\"").await);
    pull.await_status("terraplane/apply", "success").await;
    stage.settled().await;
    let lock = |locked: bool| {
        stage.world.forge.change(|state| state.pull_mut(REPO, pull.number).unwrap().locked = locked);
        let role = if locked { Role::Triage } else { Role::Write };
        stage.world.forge.grant(REPO, "terraplane", role).unwrap();
    };
    assert!(!page(&link).await.contains("Not shown on the pull request"));
    pull.comment("kim", "terraplane help");
    assert!(pull.next_comment().await.starts_with(HELP));
    stage.settled().await;
    // Locked while the server looks at the comment: afterwards it may not even ask for roles.
    stage.world.trouble("GET", "/issues/", How::Slow(Duration::from_millis(500)), 1);
    pull.comment("kim", "terraplane help");
    stage.world.wait("a look for the comment", |state| state.troubles.is_empty().then_some(())).await;
    lock(true);
    until_page(&link, "Unable to create comment because issue is locked").await;
    lock(false);
    assert!(pull.next_comment().await.starts_with(HELP));
    stage.settled().await;
    assert!(!page(&link).await.contains("Not shown on the pull request"));
    stage.finish().await;
}

async fn until_page(link: &str, text: &str) {
    let end = tokio::time::Instant::now() + crate::world::PATIENCE;
    while !page(link).await.contains(text) {
        assert!(tokio::time::Instant::now() < end, "the page never said: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_the_forge_will_never_take_is_given_up_and_the_run_page_says_why() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = opened(&stage, "two").await;
    let link = run_page(&pull.live_comment().await_containing("\"two\"").await);
    stage.settled().await;
    // As if the pull request had been deleted with its repository.
    stage.world.trouble("POST", "/comments", How::Answer(410), 1);
    pull.comment("kim", "terraplane help");
    until_page(&link, "Not shown on the pull request").await;
    stage.settled().await;
    let html = page(&link).await;
    assert!(html.contains("answered 410 Gone"), "{html}");
    assert_eq!(count(&pull, HELP), 0);
    stage.finish().await;
}

#[tokio::test]
async fn what_is_refused_again_and_again_is_given_up_after_its_last_try_and_the_run_page_says_why() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = opened(&stage, "two").await;
    let link = run_page(&pull.live_comment().await_containing("\"two\"").await);
    pull.await_status("terraplane/apply", "success").await;
    stage.settled().await;
    stage.world.trouble("POST", "/comments", How::Answer(403), 1_000);
    pull.comment("kim", "terraplane help");
    until_page(&link, "answered 403 Forbidden").await;
    // Two hours later.
    let url = format!("sqlite://{}", stage.data.path().join("data/terraplane.db").display());
    let mut database = sqlx::AnyConnection::connect(&url).await.unwrap();
    for attempts in [28, 29] {
        let end = tokio::time::Instant::now() + crate::world::PATIENCE;
        loop {
            let age =
                "UPDATE job SET attempts = $1, due_at = 0 WHERE kind = 'tell' AND state = 'queued' AND attempts <= $1";
            let aged = sqlx::query(age).bind(attempts).execute(&mut database).await.unwrap();
            if aged.rows_affected() == 1 {
                break;
            }
            assert!(tokio::time::Instant::now() < end, "it was not given back after {attempts} tries");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    stage.settled().await;
    let html = page(&link).await;
    assert!(html.contains("Not shown on the pull request") && html.contains("answered 403 Forbidden"), "{html}");
    assert_eq!(count(&pull, HELP), 0);
    // It stays so. What is said next is told.
    stage.world.forge.change(|state| state.troubles.clear());
    pull.comment("kim", "terraplane help");
    assert!(pull.next_comment().await.starts_with(HELP));
    stage.settled().await;
    assert_eq!(count(&pull, HELP), 1);
    stage.finish().await;
}

#[tokio::test]
async fn any_mixture_of_troubles_gives_each_comment_once() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("SEED={seed}");
    let mut dice = seed | 1;
    let mut throw = move |bound: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice >> 33) as usize % bound
    };
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = opened(&stage, "two").await;
    pull.live_comment().await_containing("\"two\"").await;
    let requests = [("POST", "/comments"), ("GET", "/comments"), ("PATCH", "/comments"), ("POST", "/statuses")];
    let hows = [How::Answer(500), How::Answer(502), How::Answer(503), How::LoseAnswer, How::Reset];
    for round in 0..6 {
        for _ in 0..=throw(3) {
            let (method, path) = requests[throw(requests.len())];
            stage.world.trouble(method, path, hows[throw(hows.len())], 1);
        }
        let input = format!("round {round}");
        pull.comment("kim", "terraplane help");
        pull.push(&[("prod/main.tf", &resource("web", &input))]).await;
        assert!(pull.next_comment().await.starts_with(HELP));
        pull.live_comment().await_containing(&input).await;
    }
    stage.settled().await;
    assert_eq!((count(&pull, "<!-- terraplane:live"), count(&pull, HELP)), (1, 6));
    pull.await_status("terraplane/apply", "success").await;
    stage.world.forge.change(|state| state.troubles.clear());
    stage.finish().await;
}

#[tokio::test]
async fn a_token_that_met_a_limit_asks_for_nothing_until_it_is_over() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = opened(&stage, "two").await;
    pull.await_status("terraplane/apply", "success").await;
    stage.settled().await;
    stage.world.trouble("POST", "/comments", How::RetryAfter(Duration::from_secs(3)), 1);
    pull.comment("kim", "terraplane help");
    stage.world.wait("the limit", |state| state.troubles.is_empty().then_some(())).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = |state: &terraplane::demo::state::State| state.requests.len();
    let before = stage.world.forge.read(asked);
    let other = opened(&stage, "three").await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(stage.world.forge.read(asked), before);
    assert!(pull.next_comment().await.starts_with(HELP));
    other.live_comment().await_containing("\"three\"").await;
    stage.finish().await;
}
