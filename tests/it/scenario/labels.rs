//! The label that says in a list of pull requests what a plan comes to.

use super::props::managed;
use super::resource;
use crate::stage::{Setup, Stage};
use crate::world::PullRequest;

async fn planned(stage: &Stage) -> PullRequest {
    let pull = stage.world.open_pull("web").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    pull
}

fn files(yaml: &str) -> [(&str, &str); 2] {
    [("terraplane.yaml", yaml), ("prod/a.tf", "locals {}\n")]
}

#[tokio::test]
async fn a_label_says_what_the_plan_comes_to_and_others_are_left_alone() {
    let yaml = managed("apply: on_comment");
    let stage = Stage::set(&files(&yaml), Setup { repo: "    labels: true\n".into(), ..Setup::default() }).await;
    let pull = planned(&stage).await;
    assert_eq!(pull.now().labels, ["terraplane: changes"]);
    stage
        .world
        .forge
        .set_labels("acme/infra", pull.number, vec!["terraplane: changes".into(), "net".into()], "ana")
        .unwrap();
    pull.comment("kim", "terraplane apply");
    assert!(pull.next_comment().await.contains("1 created"));
    stage.settled().await;
    assert_eq!(pull.now().labels, ["net", "terraplane: applied"]);

    // What was applied before is gone from the code: it would be destroyed.
    let runs = stage.runs();
    pull.push(&[("prod/main.tf", "# nothing is left\n")]).await;
    pull.live_comment().await_containing("destroyed").await;
    stage.settled().await;
    assert_eq!(pull.now().labels, ["net", "terraplane: destroy"]);
    assert_eq!(stage.runs(), runs + 1, "what the forge tells of labels begins nothing");
    stage.finish().await;
}

#[tokio::test]
async fn nobody_gets_labels_who_did_not_ask_for_them() {
    let yaml = managed("apply: on_comment");
    let stage = Stage::with(&files(&yaml)).await;
    let pull = planned(&stage).await;
    assert_eq!(pull.now().labels, [""; 0]);
    stage.finish().await;
}
