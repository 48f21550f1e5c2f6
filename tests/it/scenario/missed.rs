//! Webhooks that never came: what they would have told is found, once.

use super::props::managed;
use super::resource;
use crate::stage::{Setup, Stage};
use crate::world::{PullRequest, REPO, World};
use std::time::Duration;
use terraplane::demo::Face;
use terraplane::demo::state::{Answer, How, State};

const EVERY_SECOND: &str = "catch_up: {every: 1s}\n";

async fn stage() -> Stage {
    let files = [("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))];
    Stage::set(&files, Setup { yaml: EVERY_SECOND.into(), ..Setup::default() }).await
}

/// The next webhooks of this kind go nowhere.
fn lose(world: &World, event: &str, times: u32) {
    world.trouble("POST", event, How::LoseWebhook, times);
}

/// How many looks there were, how many requests were made, and how many of those had a body in their answer.
fn looks(state: &State) -> (usize, usize, usize) {
    let of_pulls = |path: &str| path.ends_with("/pulls") || path.ends_with("/merge_requests");
    let looks = state.requests.iter().filter(|r| r.method == "GET" && of_pulls(&r.path)).count();
    let told = state.requests.iter().filter(|r| r.status == Some(200)).count();
    (looks, state.requests.len(), told)
}

async fn says_help(pull: &PullRequest) {
    assert!(pull.next_comment().await.contains("may do here now"));
}

#[tokio::test]
async fn whatever_no_webhook_told_is_found_and_happens_once() {
    let stage = stage().await;
    let world = &stage.world;
    lose(world, "pull_request", 1);
    let pull = world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("\"two\"").await;

    lose(world, "pull_request", 1);
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.live_comment().await_containing("\"three\"").await;
    pull.await_status("terraplane/plan", "success").await;

    // A word that nobody heard, one that was edited since, and one that came after all.
    lose(world, "comment", 3);
    let edited = pull.comment("kim", "terraplane unlock");
    world.forge.change(|state| {
        let comment = state.pull_mut(REPO, pull.number).unwrap().comments.iter_mut().find(|c| c.id == edited);
        comment.unwrap().created_at.0 -= 5_000;
    });
    world.forge.edit_comment(REPO, edited, "kim", "terraplane unlock prod").unwrap();
    pull.comment("kim", "terraplane help");
    says_help(&pull).await;
    let late =
        world.forge.read(|state| state.deliveries.iter().rfind(|d| d.answer == Answer::Lost).unwrap().id.clone());
    world.forge.redeliver(&late);
    stage.settled().await;

    // A server that was away for long applies nothing because of a word that is old.
    lose(world, "comment", 1);
    let old = pull.comment("kim", "terraplane apply");
    world.forge.change(|state| {
        let comments = &mut state.pull_mut(REPO, pull.number).unwrap().comments;
        let comment = comments.iter_mut().find(|c| c.id == old).unwrap();
        comment.created_at.0 -= 20 * 60 * 1000;
        comment.updated_at = comment.created_at;
    });
    let long_ago = r#"{"pulls":{"until":0,"tag":null},"comments":{"until":0,"tag":null}}"#;
    stage.server.flow.store.meta_set(&format!("seen {}", world.repo_name()), long_ago).await.unwrap();
    let refused = pull.next_comment().await;
    assert!(refused.contains("the comment was heard more than 15 minutes after it was written"), "{refused}");
    stage.settled().await;
    assert_eq!(stage.applies(&pull).await, 0);

    lose(world, "pull_request", 1);
    let merged = pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("1 created · the reviewed plan"));
    world.await_status(&merged, "terraplane/apply", "success").await;
    assert_eq!(stage.applies(&pull).await, 1);

    // Where nothing changes, a look costs two requests, and on GitHub their answers have no body.
    stage.settled().await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let before = world.forge.read(looks);
    world.wait("four more looks", |state| (looks(state).0 >= before.0 + 4).then_some(())).await;
    let after = world.forge.read(looks);
    let (looked, asked) = (after.0 - before.0, after.1 - before.1);
    assert!(asked <= 2 * looked + 1, "{looked} looks made {asked} requests");
    if world.forge.face() == Face::Github {
        assert_eq!(after.2, before.2);
    }
    stage.finish().await;
}

#[tokio::test]
async fn an_app_has_webhooks_sent_again_that_found_nobody() {
    let files = [("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))];
    // Only what the forge sends again is heard: the looks themselves begin after a day.
    let setup = || Setup { app: true, yaml: "catch_up: {every: 24h}\n".into(), ..Setup::default() };
    let stage = Stage::set(&files, setup()).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("\"two\"").await;
    stage.settled().await;
    // The server is away: nobody listens at its address.
    let nobody = "http://127.0.0.1:1/".parse().unwrap();
    stage.world.connect(&nobody);
    pull.comment("kim", "terraplane help");
    stage.world.webhooks_answered().await;
    let refused = |state: &State| state.deliveries.iter().filter(|d| matches!(d.answer, Answer::Failed(_))).count();
    assert_eq!(stage.world.forge.read(refused), 1);
    let stage = stage.restart(setup()).await;
    says_help(&pull).await;
    stage.settled().await;
    assert_eq!(stage.world.forge.read(refused), 0);
    stage.finish().await;
}
