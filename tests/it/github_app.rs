//! What only GitHub has: the server as an App, whose tokens end.

use crate::scenario::{MANAGED, resource};
use crate::stage::{Setup, Stage};

async fn stage() -> Stage {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    Stage::set(&files, Setup { app: true, ..Setup::default() }).await
}

#[tokio::test]
async fn the_server_works_as_an_app_and_speaks_as_its_account() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("\"two\"").await;
    let authors: Vec<_> = pull.now().comments.into_iter().map(|comment| comment.author).collect();
    assert_eq!(authors, [stage.world.forge.app_login()]);
    stage.finish().await;
}

#[tokio::test]
async fn an_app_whose_token_ended_gets_a_new_one() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    // GitHub may end a token at any time.
    stage.world.forge.expire_installation_tokens();
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.live_comment().await_containing("\"three\"").await;
    stage.settled().await;
    stage.world.forge.expire_installation_tokens();
    pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("1 created · the reviewed plan"));
    stage.finish().await;
}
