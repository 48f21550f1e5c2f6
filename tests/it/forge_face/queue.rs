//! The merge queue of the GitHub face.

use crate::world::{PATIENCE, PullRequest, REPO, World};
use serde_json::Value;
use std::time::Duration;
use terraplane::demo::state::InQueue;
use terraplane::domain::id::Sha;

/// Nothing is merged without `ci`, which these have.
async fn ready(world: &World, titles: &[&str]) -> Vec<PullRequest> {
    world.forge.change(|state| state.repo_mut(REPO).unwrap().required_statuses = vec!["ci".into()]);
    let mut pulls = Vec::new();
    for title in titles {
        let pull = world.open_pull(title).changing(&format!("{title}.txt"), "new\n").await;
        report(world, &pull.head(), "success");
        pulls.push(pull);
    }
    pulls
}

fn report(world: &World, sha: &Sha, state: &str) {
    world.forge.set_status(REPO, sha, "ci", state, "ana").unwrap();
}

fn queue(world: &World) -> Vec<InQueue> {
    world.forge.read(|state| state.repo(REPO).unwrap().queue.clone())
}

/// Every word of the queue, in order: what, of which pull request.
fn told(world: &World) -> Vec<String> {
    world.forge.read(|state| {
        let of_queue = state.deliveries.iter().filter(|delivery| delivery.event == "merge_group");
        let word = |body: Value| {
            let branch = body["merge_group"]["head_ref"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
            let pull = branch.rsplit_once('-').unwrap().0.to_owned();
            let reason = body["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{pull} {}{reason}", body["action"].as_str().unwrap())
        };
        of_queue.map(|delivery| word(serde_json::from_str(&delivery.body).unwrap())).collect()
    })
}

async fn await_told(world: &World, words: &[&str]) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while told(world) != words {
        assert!(tokio::time::Instant::now() < end, "{:?}", told(world));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_is_green_is_merged_in_turn_and_what_is_behind_is_built_on_it() {
    let world = World::with(&[("a.txt", "one\n")]).await;
    let pulls = ready(&world, &["first", "second"]).await;
    for pull in &pulls {
        world.forge.enqueue(REPO, pull.number, "ana").await.unwrap();
    }
    let again = world.forge.enqueue(REPO, 1, "ana").await.unwrap_err();
    assert_eq!(again.to_string(), "Pull request is already in the queue");
    let [first, second] = &queue(&world)[..] else { panic!() };
    assert_eq!((Some(&first.base), &second.base), (world.forge.tip(REPO, "main").as_ref(), &first.head));
    assert_eq!(first.branch, format!("gh-readonly-queue/main/pr-1-{}", first.base));
    // Its turn has not come.
    report(&world, &second.head, "success");
    report(&world, &first.head, "success");
    await_told(
        &world,
        &["pr-1 checks_requested", "pr-2 checks_requested", "pr-1 destroyed merged", "pr-2 destroyed merged"],
    )
    .await;
    assert!(pulls.iter().all(PullRequest::is_merged));
    assert_eq!((queue(&world), world.forge.tip(REPO, "main").as_ref()), (vec![], Some(&second.head)));
    world.finish().await;
}

#[tokio::test]
async fn what_fails_goes_out_and_what_is_behind_is_made_anew() {
    let world = World::with(&[("a.txt", "one\n")]).await;
    let pulls = ready(&world, &["first", "second"]).await;
    for pull in &pulls {
        world.forge.enqueue(REPO, pull.number, "ana").await.unwrap();
    }
    report(&world, &queue(&world)[1].head, "failure");
    report(&world, &queue(&world)[0].head, "failure");
    let words = [
        "pr-1 checks_requested",
        "pr-2 checks_requested",
        "pr-1 destroyed dequeued",
        "pr-2 destroyed invalidated",
        "pr-2 checks_requested",
    ];
    await_told(&world, &words).await;
    assert_eq!(queue(&world)[0].base, world.forge.tip(REPO, "main").unwrap());
    // A push takes it out.
    pulls[1].push(&[("second.txt", "newer\n")]).await;
    await_told(&world, &[&words[..], &["pr-2 destroyed dequeued"]].concat()).await;
    let refused = world.forge.enqueue(REPO, 2, "ana").await.unwrap_err();
    assert_eq!(refused.to_string(), "Required status checks are not all a success");
    let refused = world.forge.enqueue(REPO, 1, "rita").await.unwrap_err();
    assert_eq!(refused.to_string(), "Only people with write access can merge");
    assert!(!pulls.iter().any(PullRequest::is_merged));
    world.finish().await;
}
