//! From a webhook to the live comment.

use super::{MANAGED, resource};
use crate::stage::Stage;

#[tokio::test]
async fn an_opened_pull_request_is_planned_and_shown() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    let text = pull.live_comment().await_containing("terraform_data.web").await;
    assert!(text.starts_with("<!-- terraplane:live -->"), "{text}");
    stage.finish().await;
}
