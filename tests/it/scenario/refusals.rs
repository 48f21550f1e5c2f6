//! What can't be planned, and how people hear of it.

use super::{MANAGED, resource, shown};
use crate::stage::{Setup, Stage};
use crate::world::REPO;
use insta::assert_snapshot;
use terraplane::demo::state::How;
use terraplane::sandbox::Level;
use terraplane::store::DeliveryEnd;

async fn stage() -> Stage {
    Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await
}

#[tokio::test]
async fn a_conflict_names_the_files_and_is_over_when_it_is_resolved() {
    let stage = stage().await;
    stage.world.push("topic", &[("prod/main.tf", &resource("web", "theirs"))]).await;
    stage.world.push("main", &[("prod/main.tf", &resource("web", "ours"))]).await;
    let pull = stage.world.open_pull("Two").on_branch("topic").changing("notes.md", "Notes\n").await;
    for context in ["terraplane/plan", "terraplane/apply"] {
        let status = pull.await_status(context, "failure").await;
        assert_eq!(status.description.as_deref(), Some("Not planned: conflicts with the base branch (1 file)"));
    }
    let text = pull.live_comment().await_containing("conflicts with").await;
    shown(|| {
        assert_snapshot!(text, @r#"
    <!-- terraplane:live -->
    ### ⚠️ terraplane · not planned: conflicts with `main`

    What is planned is the pull request merged into its base branch. These files can't be merged:

    - `prod/main.tf`

    Resolve the conflict and push: planning goes on by itself.

    <sub>`ID` onto `main` at `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#)
    });
    pull.push(&[("prod/main.tf", &resource("web", "ours"))]).await;
    pull.await_status("terraplane/plan", "success").await;
    pull.live_comment().await_until(|text| !text.contains("conflicts")).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_configuration_that_can_t_be_used_is_shown_with_line_and_snippet() {
    let stage = stage().await;
    let broken = "version: 1\nprojects:\n  - dir: prod\n    stat: managed\nrules:\n  - {match: '*', aply: on_merge}\n";
    let pull = stage.world.open_pull("Broken").changing("terraplane.yaml", broken).await;
    for context in ["terraplane/plan", "terraplane/apply"] {
        pull.await_status(context, "failure").await;
    }
    let text = pull.live_comment().await_containing("the configuration can't be used").await;
    shown(|| {
        assert_snapshot!(text, @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · the configuration can't be used

    ```text
    error: unknown key `stat` in `projects`
     --> terraplane.yaml:4:5
      |
    4 |     stat: managed
      |     ^^^^
      = did you mean `state`?

    error: unknown key `aply` in `rules`
     --> terraplane.yaml:6:18
      |
    6 |   - {match: '*', aply: on_merge}
      |                  ^^^^
      = did you mean `apply`?

    2 errors
    ```

    Nothing was planned.

    Mend it and push: planning goes on by itself. To check it before: `terraplane check`

    <sub>`ID` onto `main` at `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#)
    });
    pull.push(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "two"))]).await;
    pull.await_status("terraplane/plan", "success").await;
    pull.live_comment().await_containing("input: \"two\"").await;
    stage.finish().await;
}

#[tokio::test]
async fn below_the_best_sandbox_a_fork_is_refused_with_one_comment_and_nothing_of_it_is_fetched() {
    let setup = Setup { at_most: Some(Level::Reduced), ..Setup::default() };
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, setup).await;
    let fork = stage.world.forge.fork(REPO, "otto").await.unwrap();
    let code = resource("web", "two");
    let pull = stage.world.open_pull("From outside").in_fork(&fork).by("otto").changing("prod/main.tf", &code).await;
    for context in ["terraplane/plan", "terraplane/apply"] {
        let status = pull.await_status(context, "failure").await;
        assert_eq!(status.description.as_deref(), Some("Refused: the head is in a fork"));
    }
    let text = pull.next_comment().await;
    assert!(text.contains("not planned: the head is in a fork"), "{text}");
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.await_status("terraplane/plan", "failure").await;
    pull.close("otto");
    pull.reopen("otto").await;
    stage.settled().await;
    assert_eq!(pull.server_comments().len(), 1, "{:#?}", pull.server_comments());
    assert!(!stage.data.path().join("data/mirrors").exists(), "something was fetched");
    stage.finish().await;
}

#[tokio::test]
async fn a_fork_is_planned_when_somebody_vouches_for_that_very_commit() {
    let stage = stage().await;
    let fork = stage.world.forge.fork(REPO, "otto").await.unwrap();
    let code = resource("web", "two");
    let pull = stage.world.open_pull("From outside").in_fork(&fork).by("otto").changing("prod/main.tf", &code).await;
    pull.await_status("terraplane/plan", "pending").await;
    let text = pull.live_comment().await_containing("Nothing of this one was run yet").await;
    let command = |head: &dyn std::fmt::Display| format!("terraplane plan --sha {head}");
    let head = pull.head();
    assert!(text.contains(&command(&head)), "ready to be copied: {text}");
    assert!(!stage.data.path().join("data/mirrors").exists(), "something was fetched");

    // Its author may not, and nobody vouches for what they have not seen.
    pull.comment("otto", &command(&head));
    let reply = pull.next_comment().await;
    assert!(reply.contains("was not carried out"), "{reply}");
    pull.comment("ana", &command(&"0".repeat(40)));
    let reply = pull.next_comment().await;
    assert!(reply.contains("the head is"), "{reply}");
    assert_eq!(stage.runs(), 0);

    pull.comment("ana", &command(&head));
    pull.await_status("terraplane/plan", "success").await;
    pull.live_comment().await_containing("input: \"two\"").await;

    // What is pushed afterwards needs somebody again.
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.await_status("terraplane/plan", "pending").await;
    pull.live_comment().await_containing(&command(&pull.head())).await;
    stage.settled().await;
    assert_eq!(stage.runs(), 1);

    // Whoever merges it has made it the repository's own.
    pull.comment("ana", &command(&pull.head()));
    pull.await_status("terraplane/plan", "success").await;
    let merged = pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("the reviewed plan"));
    stage.world.await_status(&merged, "terraplane/apply", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn whoever_may_plan_and_not_write_does_not_vouch_for_a_fork() {
    let rules = format!("{MANAGED}rules:\n  - match: \"*\"\n    can_plan: [role:write, user:otto]\n");
    let files = [("terraplane.yaml", rules.as_str()), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup::default()).await;
    let fork = stage.world.forge.fork(REPO, "otto").await.unwrap();
    let code = resource("web", "two");
    let pull = stage.world.open_pull("From outside").in_fork(&fork).by("otto").changing("prod/main.tf", &code).await;
    pull.await_status("terraplane/plan", "pending").await;
    pull.comment("ana", &format!("terraplane plan --sha {}", pull.head()));
    pull.await_status("terraplane/plan", "success").await;

    // The comment is heard before the push is.
    stage.world.trouble("POST", "pull_request", How::LoseWebhook, 1);
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.comment("otto", &format!("terraplane plan --sha {}", pull.head()));
    let reply = pull.next_comment().await;
    assert!(reply.contains("was not carried out") && reply.contains("its head is in a fork"), "{reply}");
    stage.settled().await;
    assert_eq!(stage.runs(), 1, "nothing of the new head was run");
    stage.finish().await;
}

#[tokio::test]
async fn below_the_level_that_is_required_nothing_is_run_and_people_are_told_why() {
    let yaml = "terraform: {plan_timeout: 5m}\n".to_owned();
    let setup = Setup { at_most: Some(Level::Off), yaml, ..Setup::default() };
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, setup).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    for context in ["terraplane/plan", "terraplane/apply"] {
        let status = pull.await_status(context, "failure").await;
        assert_eq!(status.description.as_deref(), Some("Not planned: the server's sandbox is not good enough"));
    }
    let text = pull.live_comment().await_containing("sandbox is not good enough").await;
    assert!(text.contains("demands a sandbox of level `reduced`, and the host gives `off`"), "{text}");
    assert!(text.contains("NOT SANDBOXED") && text.contains("terraplane doctor"), "{text}");
    stage.settled().await;
    assert_eq!((stage.runs(), pull.server_comments().len()), (0, 1));

    // The operator has mended it.
    let stage = stage.restart(Setup::default()).await;
    pull.comment("ana", "terraplane plan");
    pull.await_status("terraplane/plan", "success").await;
    pull.live_comment().await_containing("sandbox: full").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_repository_that_nobody_allowed_is_left_alone() {
    let setup = Setup { matches: Some("*/acme/other".into()), ..Setup::default() };
    let stage = Stage::set(&[("prod/main.tf", &resource("web", "one"))], setup).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.comment("ana", "terraplane plan");
    stage.settled().await;
    let (asked, deliveries) = stage.world.forge.read(|state| (state.requests.clone(), state.deliveries.clone()));
    assert_eq!(asked, [], "the forge is not even asked");
    assert_eq!(pull.server_comments(), [""; 0]);
    assert!(pull.status("terraplane/plan").is_none());
    for delivery in deliveries.iter().filter(|delivery| delivery.kind != "push") {
        let id = delivery.id.parse().unwrap();
        let stored = stage.server.flow.store.delivery(stage.world.forge.face().kind(), &id).await.unwrap().unwrap();
        let Some(DeliveryEnd::Ignored(why)) = stored.end else { panic!("{stored:?}") };
        assert!(why.starts_with("no entry of `repos` matches"), "{why}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_terraform_that_is_not_there_is_told_on_the_pull_request() {
    let yaml = "terraform: {binaries: [/nowhere/terraform]}\n".to_owned();
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { yaml, ..Setup::default() }).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "failure").await;
    let text = pull.live_comment().await_containing("plan failed").await;
    assert!(text.contains("this server's terraform does not tell its version"), "{text}");
    assert!(!text.contains("/nowhere"), "paths of the server are nobody's business: {text}");
    stage.finish().await;
}

#[tokio::test]
async fn a_version_that_is_not_there_is_told_with_those_that_are() {
    let stage = stage().await;
    let code = format!("terraform {{\n  required_version = \">= 99\"\n}}\n{}", resource("web", "two"));
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &code).await;
    pull.await_status("terraplane/plan", "failure").await;
    let text = pull.live_comment().await_containing("plan failed").await;
    assert!(text.contains("no installed version satisfies") && text.contains("this server has terraform 1."), "{text}");
    stage.finish().await;
}
