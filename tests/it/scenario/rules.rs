//! Whose rules hold, and for what: those of the default branch from before the merge, for what people had seen by then.

use super::props::managed;
use super::stand_in::StandIn;
use super::{MANAGED, resource};
use crate::stage::{Setup, Stage};
use std::time::Duration;
use terraplane::demo::state::MergeMethod;

const BROKEN: &str = "version: 1\nrulez: []\n";

#[tokio::test]
async fn a_pull_request_can_not_free_itself_from_the_rules_that_it_is_merged_under() {
    for method in [MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase] {
        let strict = managed("require: [approved]");
        let stage = Stage::with(&[("terraplane.yaml", &strict), ("prod/main.tf", &resource("web", "one"))]).await;
        let pull = stage.world.open_pull("Free").changing("terraplane.yaml", MANAGED).await;
        pull.push(&[("prod/main.tf", &resource("web", "two"))]).await;
        pull.await_status("terraplane/plan", "success").await;
        pull.merge_by("sam", method).await;
        let refused = pull.next_comment().await;
        assert!(refused.contains("not applied") && refused.contains("needs an approval"), "{method:?}: {refused}");
        assert_eq!(stage.applies(&pull).await, 0);
        stage.finish().await;
    }
}

#[tokio::test]
async fn a_rule_that_came_after_the_plan_holds_for_the_merge() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.world.push("main", &[("terraplane.yaml", &managed("require: [approved]"))]).await;
    pull.merge("sam").await;
    let refused = pull.next_comment().await;
    assert!(refused.contains("needs an approval"), "{refused}");
    assert_eq!(stage.applies(&pull).await, 0);
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn a_broken_file_on_the_default_branch_stops_applies_and_can_be_mended() {
    let stage = Stage::with(&[("terraplane.yaml", BROKEN), ("prod/main.tf", &resource("web", "one"))]).await;
    let mending = stage
        .world
        .open_pull("Mend")
        .changing("terraplane.yaml", &managed("apply: both"))
        .changing("prod/main.tf", &resource("web", "two"))
        .await;
    mending.await_status("terraplane/plan", "success").await;
    mending.live_comment().await_containing("terraform_data.web").await;
    mending.comment("ana", "terraplane apply");
    let refused = mending.next_comment().await;
    assert!(refused.contains("`terraplane.yaml` on `main` can't be used"), "{refused}");
    assert_eq!(stage.applies(&mending).await, 0);
    // With the merge it is mended, and what it brought holds.
    mending.merge("ana").await;
    let result = mending.next_comment().await;
    assert!(result.contains("Applied `prod`"), "{result}");
    stage.finish().await;
}

#[tokio::test]
async fn a_base_branch_that_moved_after_the_apply_was_ordered_is_not_applied_over() {
    let terraform = StandIn::terraform();
    let stage = Stage::set(
        &[("terraplane.yaml", &managed("apply: both")), ("prod/main.tf", &resource("web", "one"))],
        terraform.setup(1),
    )
    .await;
    let first = stage.world.open_pull("First").changing("prod/a.tf", &resource("a", "one")).await;
    let second = stage.world.open_pull("Second").changing("prod/b.tf", &resource("b", "one")).await;
    for pull in [&first, &second] {
        pull.live_comment().await_containing("`terraplane apply`").await;
    }
    // The second one waits for the first, and by then its base branch has what the first one brought.
    first.comment("ana", "terraplane apply");
    assert!(first.next_comment().await.contains("Applied `prod`"));
    stage.settled().await;
    second.comment("ana", "terraplane apply");
    assert!(second.next_comment().await.contains("the apply waits"));
    first.merge("ana").await;
    let stopped = second.next_comment().await;
    assert!(stopped.contains("`main` has changed what this project is made of"), "{stopped}");
    second.comment("ana", "terraplane plan");
    second.live_comment().await_containing("+1").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_newer_push_calls_off_an_apply_that_waits() {
    let stage =
        Stage::with(&[("terraplane.yaml", &managed("apply: both")), ("prod/main.tf", &resource("web", "one"))]).await;
    let first = stage.world.open_pull("First").changing("prod/a.tf", &resource("a", "one")).await;
    let second = stage.world.open_pull("Second").changing("prod/b.tf", &resource("b", "one")).await;
    for pull in [&first, &second] {
        pull.live_comment().await_containing("`terraplane apply`").await;
    }
    first.comment("ana", "terraplane apply");
    assert!(first.next_comment().await.contains("Applied `prod`"));
    stage.settled().await;
    second.comment("ana", "terraplane apply");
    assert!(second.next_comment().await.contains("the apply waits"));
    second.push(&[("prod/b.tf", &resource("b", "two"))]).await;
    let called_off = second.next_comment().await;
    assert!(called_off.contains("Not applied") && called_off.contains("called off"), "{called_off}");
    first.comment("ana", "terraplane unlock");
    assert!(first.next_comment().await.contains("Unlocked"));
    stage.settled().await;
    assert_eq!(stage.applies(&second).await, 0);
    stage.finish().await;
}

#[tokio::test]
async fn a_plan_that_is_stopped_with_the_server_is_made_by_the_next_one() {
    let terraform = StandIn::terraform();
    let setup = || Setup { yaml: format!("grace_period: 1s\n{}", terraform.setup(1).yaml), ..terraform.setup(1) };
    let stage = Stage::set(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))], setup()).await;
    terraform.hold("prod");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    terraform.await_noted("begin plan prod", 1).await;
    let stage = stage.restart_within(Duration::from_millis(100), setup()).await;
    terraform.await_noted("begin plan prod", 2).await;
    terraform.release("prod");
    pull.await_status("terraplane/plan", "success").await;
    let shown = pull.live_comment().history().join("\n");
    assert!(!shown.contains("failed") && !shown.contains("cancelled"), "{shown}");
    stage.finish().await;
}
