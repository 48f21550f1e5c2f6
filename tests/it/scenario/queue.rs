//! GitHub's merge queue: what it would merge is planned at its own commit, and merged only if it does what was reviewed.

use super::props::{managed, pull_id};
use super::stand_in::StandIn;
use super::{masked, resource};
use crate::stage::{Setup, Stage};
use crate::world::{PullRequest, REPO};
use terraplane::demo::state::{Delivery, How, InQueue, State};
use terraplane::domain::id::Sha;

/// A repository that merges nothing without our statuses.
async fn stage(rule: &str, setup: Setup) -> Stage {
    let files = [("terraplane.yaml", &*managed(rule)), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, setup).await;
    stage.world.forge.change(|state| {
        let repo = state.repo_mut(REPO).unwrap();
        repo.merge_queue = true;
        repo.required_statuses = vec!["terraplane/plan".into(), "terraplane/apply".into()];
    });
    stage
}

async fn planned(stage: &Stage, title: &str, file: &str) -> PullRequest {
    let pull = stage.world.open_pull(title).changing(file, &resource(title, "new")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    pull
}

async fn enqueue(pull: &PullRequest) {
    pull.world.forge.enqueue(REPO, pull.number, "ana").await.unwrap();
}

/// What would be merged of it.
fn in_queue(pull: &PullRequest) -> InQueue {
    let found = |queue: &[InQueue]| queue.iter().find(|entry| entry.number == pull.number).cloned();
    pull.world.forge.read(|state| found(&state.repo(REPO).unwrap().queue)).unwrap()
}

async fn merged(pull: &PullRequest) -> Sha {
    let look = |state: &State| state.pull(REPO, pull.number)?.merge_commit().cloned();
    pull.world.wait(&format!("the merge of #{}", pull.number), look).await
}

/// Waits until the queue has let go of something for this reason, and says how often it has.
async fn let_go(stage: &Stage, reason: &str) -> usize {
    let part = format!("\"reason\":\"{reason}\"");
    let is = |delivery: &&Delivery| delivery.kind == "merge_group" && delivery.body.contains(&part);
    let count = |state: &State| Some(state.deliveries.iter().filter(is).count()).filter(|count| *count > 0);
    stage.world.wait(&format!("something that is {reason}"), count).await
}

#[tokio::test]
async fn what_does_what_was_reviewed_is_merged_and_applied_once() {
    let stage = stage("apply: on_merge", Setup { app: true, ..Setup::default() }).await;
    let pull = planned(&stage, "first", "prod/a.tf").await;
    stage.world.trouble("POST", "merge_group", How::RepeatWebhook, 1);
    enqueue(&pull).await;
    let commit = in_queue(&pull).head;
    assert_eq!(merged(&pull).await, commit);
    let status = stage.world.status(&commit, "terraplane/plan").unwrap();
    assert_eq!(status.description.as_deref(), Some("1 project: as reviewed"));
    let check = status.check.unwrap();
    assert!(check.actions.is_empty() && check.summary.starts_with("What the queue would merge"), "{check:?}");
    let result = pull.next_comment().await;
    assert!(result.contains("Applied `prod`") && result.contains("the reviewed plan"), "{result}");
    let status = stage.world.await_status(&commit, "terraplane/apply", "success").await;
    assert_eq!(status.description.as_deref(), Some("Applied: 1 project"));
    assert_eq!((let_go(&stage, "merged").await, stage.applies(&pull).await), (1, 1));
    assert_eq!(stage.runs(), 3, "a plan, a trial and an apply");
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn what_would_do_something_else_goes_out_of_the_queue_and_says_why() {
    let terraform = StandIn::terraform();
    let stage = stage("apply: on_merge", terraform.setup(4)).await;
    let first = planned(&stage, "first", "prod/a.tf").await;
    let second = planned(&stage, "second", "prod/b.tf").await;
    terraform.hold_at("apply", "prod");
    enqueue(&first).await;
    enqueue(&second).await;
    let (before, commit) = (in_queue(&first), in_queue(&second));
    assert_eq!(commit.base, before.head, "it is added to the first");
    merged(&first).await;
    let red = stage.world.await_status(&commit.head, "terraplane/plan", "failure").await;
    assert_eq!(red.description.as_deref(), Some("`prod` has another plan than the reviewed one"));
    stage.world.await_status(&commit.head, "terraplane/apply", "failure").await;
    let why = second.next_comment().await;
    {
        let _masked = masked();
        insta::assert_snapshot!(why, @r#"
        <!-- terraplane:reply queue-ID -->
        ### ⚠️ The merge queue's plan is not the reviewed one

        At `ID`, which the queue would merge:

        **`prod`** · compared with the reviewed plan · [its plan](RUN)

        ```diff
        + terraform_data.first  create  (only in the new plan)
        +   id: (known after apply)
        +   input: "new"
        +   output: (known after apply)
        ```

        Nothing of this was merged. What others change is applied after their merge; then this pull request is planned again by itself, the live comment shows the new plan, and it can go into the queue again. To plan it now: `terraplane plan`
        "#);
    }
    stage
        .world
        .wait("it to be out of the queue", |state| (!state.pull(REPO, second.number)?.queued).then_some(()))
        .await;
    assert!(!second.is_merged());
    let live = second.live_comment().text().unwrap();
    assert!(live.contains("+2") && !live.contains("terraform_data.first"), "a trial is not shown: {live}");

    terraform.release_at("apply", "prod");
    assert!(first.next_comment().await.contains("Applied `prod`"));
    // Planned again by itself: only what is its own is left.
    second.live_comment().await_containing("+1").await;
    stage.settled().await;
    enqueue(&second).await;
    let commit = in_queue(&second).head;
    assert_eq!(merged(&second).await, commit);
    let result = second.next_comment().await;
    assert!(result.contains("Applied `prod`") && result.contains("1 created"), "{result}");
    assert_eq!((stage.applies(&first).await, stage.applies(&second).await), (1, 1));
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn what_leaves_the_queue_while_it_is_planned_is_stopped_and_stays_pending_nowhere() {
    let terraform = StandIn::terraform();
    let stage = stage("apply: on_merge", terraform.setup(1)).await;
    let pull = planned(&stage, "taken", "prod/a.tf").await;
    terraform.hold("prod");
    enqueue(&pull).await;
    let commit = in_queue(&pull).head;
    terraform.await_noted("begin plan prod", 2).await;
    let status = stage.world.await_status(&commit, "terraplane/plan", "pending").await;
    assert_eq!(status.description.as_deref(), Some("Planning for the merge queue: 0 of 1 project done"));
    stage.world.forge.dequeue(REPO, pull.number).await.unwrap();
    for context in ["terraplane/plan", "terraplane/apply"] {
        let status = stage.world.await_status(&commit, context, "failure").await;
        assert_eq!(status.description.as_deref(), Some("No longer in the merge queue"));
    }
    // Nothing runs any more, though terraform was never let go.
    stage.settled().await;
    let state = stage.server.flow.store.pull_state(&pull_id(&pull)).await.unwrap().unwrap();
    assert_eq!((state.unfinished.len(), state.in_queue().count()), (0, 0));
    terraform.release("prod");
    assert_eq!(pull.status("terraplane/plan").unwrap().state, "success", "its own plan is as it was");
    pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}

#[tokio::test]
async fn what_is_applied_goes_into_the_queue_where_the_rules_want_it() {
    let stage = stage("apply: on_comment, automerge: enqueue", Setup::default()).await;
    let pull = planned(&stage, "queued", "prod/a.tf").await;
    let refused = stage.world.forge.enqueue(REPO, pull.number, "ana").await.unwrap_err();
    assert_eq!(refused.to_string(), "Required status checks are not all a success");
    pull.comment("kim", "terraplane apply");
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    let commit = merged(&pull).await;
    let status = stage.world.status(&commit, "terraplane/plan").unwrap();
    assert_eq!(status.description.as_deref(), Some("1 project: as reviewed"));
    pull.live_comment().await_containing("terraplane · merged").await;
    stage.settled().await;
    assert_eq!((let_go(&stage, "merged").await, stage.applies(&pull).await), (1, 1));
    stage.finish().await;
}

#[tokio::test]
async fn what_can_not_be_planned_there_goes_out_of_the_queue_with_the_errors() {
    let stage = stage("apply: on_merge", Setup::default()).await;
    let pull = planned(&stage, "first", "prod/a.tf").await;
    stage.world.push("main", &[("terraplane.yaml", "version: 1\nproject: []\n")]).await;
    enqueue(&pull).await;
    let commit = in_queue(&pull).head;
    let red = stage.world.await_status(&commit, "terraplane/plan", "failure").await;
    assert_eq!(red.description.as_deref(), Some("Not planned: the configuration can't be used"));
    let why = pull.next_comment().await;
    assert!(why.contains("What the merge queue would merge can't be planned"), "{why}");
    assert!(why.contains("unknown key `project`") && why.contains("terraplane.yaml:2"), "{why}");
    assert_eq!(let_go(&stage, "dequeued").await, 1);
    assert!(!pull.is_merged());
    stage.finish().await;
}

#[tokio::test]
async fn whoever_puts_a_fork_into_the_queue_vouches_for_it() {
    let stage = stage("apply: on_merge", Setup::default()).await;
    let fork = stage.world.forge.fork(REPO, "otto").await.unwrap();
    let new = stage.world.open_pull("outside").in_fork(&fork).by("otto");
    let pull = new.changing("prod/a.tf", &resource("outside", "new")).await;
    pull.live_comment().await_containing("--sha").await;
    pull.comment("kim", &format!("terraplane plan --sha {}", pull.head()));
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    enqueue(&pull).await;
    let commit = in_queue(&pull).head;
    assert_eq!(merged(&pull).await, commit);
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}

#[tokio::test]
async fn in_the_queue_nothing_lacks_the_tip_of_the_base_branch() {
    let stage = stage("apply: on_merge, require_plan: [undiverged]", Setup::default()).await;
    let pull = planned(&stage, "first", "prod/a.tf").await;
    stage.world.push("main", &[("README.md", "Others went on.\n")]).await;
    enqueue(&pull).await;
    let commit = in_queue(&pull).head;
    assert_eq!(merged(&pull).await, commit);
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}
