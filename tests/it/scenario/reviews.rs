//! What a review means for what is shown.

use super::props::managed;
use super::resource;
use crate::stage::Stage;
use crate::world::PullRequest;

async fn planned(stage: &Stage) -> PullRequest {
    let pull = stage.world.open_pull("subnets").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    pull
}

async fn pushed(stage: &Stage, pull: &PullRequest, files: &[(&str, &str)]) -> String {
    let head = pull.push(files).await;
    let text = pull.live_comment().await_containing(head.short()).await;
    stage.settled().await;
    pull.live_comment().text().unwrap_or(text)
}

#[tokio::test]
async fn a_push_shows_what_changed_since_the_plan_that_was_approved() {
    let files = [("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::with(&files).await;
    let pull = planned(&stage).await;
    pull.approve("ana");
    stage.settled().await;
    let approved = pull.live_comment().text().unwrap();
    assert!(!approved.contains("approved"), "{approved}");

    // A newer plan that does the same is what was approved.
    let same = pushed(&stage, &pull, &[("README.md", "for people\n")]).await;
    assert!(!same.contains("approved"), "{same}");

    let other = pushed(&stage, &pull, &[("prod/more.tf", &resource("more", "new"))]).await;
    let (_, since) = other.split_once("**Changed since the plan that `ana` approved**").expect(&other);
    let (since, all) = since.split_once("All of it:").expect(since);
    assert!(since.contains("terraform_data.more") && !since.contains("terraform_data.web"), "{since}");
    assert!(all.contains("terraform_data.more") && all.contains("terraform_data.web"), "{all}");

    // The second approval is of what stands there now.
    pull.approve("ana");
    stage.settled().await;
    pull.live_comment().await_until(|text| !text.contains("approved")).await;
    let third = pushed(&stage, &pull, &[("prod/more.tf", "")]).await;
    assert!(third.contains("**Changed since the plan that `ana` approved**") && third.contains("terraform_data.more"));
    stage.finish().await;
}

#[tokio::test]
async fn only_an_approval_that_counts_is_compared_with() {
    let files = [("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::with(&files).await;
    let pull = planned(&stage).await;
    stage.world.forge.grant(crate::world::REPO, "vic", terraplane::domain::pull::Role::Read).unwrap();
    pull.approve("vic");
    stage.settled().await;
    let other = pushed(&stage, &pull, &[("prod/more.tf", &resource("more", "new"))]).await;
    assert!(!other.contains("approved"), "{other}");
    stage.finish().await;
}
