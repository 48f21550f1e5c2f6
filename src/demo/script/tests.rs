//! The script against a stand-in for the server, which does what the story expects, or does not.

use super::*;
use crate::demo::scenario::found;
use crate::demo::{Settings, World};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use std::path::PathBuf;

const ENOUGH: Duration = Duration::from_secs(20);

/// What the stand-in does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    NoPlan,
    FailedPlan,
    SecondLiveComment,
    RefusesWebhooks,
}

fn git() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join("git")).find(|file| file.is_file()).unwrap()
}

async fn world(fault: Fault) -> World {
    let world = World::start(Settings::new(git())).await.unwrap();
    found(&world).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    world.set_hook(crate::demo::world::Hook { url, secret: "s".into() });
    let answer = if fault == Fault::RefusesWebhooks { StatusCode::UNAUTHORIZED } else { StatusCode::ACCEPTED };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(async move || answer))).await });
    tokio::spawn(stand_in(world.clone(), fault));
    world
}

async fn stand_in(world: World, fault: Fault) {
    let mut changes = world.changes();
    loop {
        for pull in world.read(|state| state.repo(REPO).unwrap().pulls.values().cloned().collect::<Vec<_>>()) {
            serve(&world, fault, &pull);
        }
        changes.changed().await.unwrap();
    }
}

fn serve(world: &World, fault: Fault, pull: &Pull) {
    let has = |sha: &Sha, context: &str| world.read(|state| state.repo(REPO).unwrap().status(sha, context).is_some());
    let say = |text: &str| world.comment(REPO, pull.number, "terraplane", text).unwrap();
    if pull.is_open() && !has(&pull.head, PLAN) && fault != Fault::NoPlan {
        let text = format!("{LIVE}\nprod/network prod/shop staging/shop at {}", pull.head.short());
        match pull.comment_marked(LIVE) {
            Some(live) if fault == Fault::SecondLiveComment => {
                world.delete_comment(REPO, live.id, "terraplane").unwrap();
                say(&text);
            }
            Some(live) => world.edit_comment(REPO, live.id, "terraplane", &text).unwrap(),
            None => drop(say(&text)),
        }
        let state = if fault == Fault::FailedPlan { "failure" } else { "success" };
        world.set_status(REPO, &pull.head, PLAN, state, "terraplane").unwrap();
    }
    if pull.comments.last().is_some_and(|c| c.body == "terraplane help") {
        say("Write `terraplane apply`");
    }
    if let Some(commit) = pull.merge_commit().filter(|commit| !has(commit, APPLY)) {
        world.set_status(REPO, commit, APPLY, "success", "terraplane").unwrap();
        say("<!-- terraplane:run 1 -->\napplied");
    }
}

async fn play_all(world: &World, within: Duration) -> (Result<(), ScriptError>, Vec<String>) {
    let mut said = Vec::new();
    let mut say = |line: &str| said.push(line.to_owned());
    let result = match history(world, within, &mut say).await {
        Ok(_) => play(world, within, &mut say).await,
        Err(error) => Err(error),
    };
    (result, said)
}

#[tokio::test]
async fn the_story_comes_to_its_end_and_tells_every_step() {
    let (result, said) = play_all(&world(Fault::None).await, ENOUGH).await;
    result.unwrap();
    let all = said.join("\n");
    for step in [
        "sam opens pull request #1",
        "sam opens pull request #2",
        "was recorded: 202",
        "the live comment shows",
        "ana comments `terraplane help`",
        "edited in place",
        "ana approves",
        "ana merges",
        "terraplane/apply is success",
    ] {
        assert!(all.contains(step), "{step} is missing in\n{all}");
    }
}

#[tokio::test]
async fn a_plan_that_never_comes_ends_the_story_with_what_was_awaited() {
    let (result, _) = play_all(&world(Fault::NoPlan).await, Duration::from_millis(300)).await;
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("after 0.3 s still no settled status `terraplane/plan`"), "{error}");
    assert!(error.contains("acme/infra#1 “Build the network and the shop”"), "{error}");
}

#[tokio::test]
async fn what_goes_wrong_ends_the_story_with_what_was_expected() {
    for (fault, expected) in [
        (Fault::FailedPlan, "expected `terraplane/plan` to succeed, but there was:"),
        (Fault::SecondLiveComment, "expected the live comment to be edited in place, but there was:"),
        (Fault::RefusesWebhooks, "expected the answer 202 to the webhook, but there was:"),
    ] {
        let (result, _) = play_all(&world(fault).await, ENOUGH).await;
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
