//! Somebody stops what is queued or runs; what it came to is told as it is.

use super::props::{managed, until};
use super::stand_in::StandIn;
use super::{masked, resource};
use crate::stage::{Stage, open_dir};
use std::path::Path;

/// A resource whose apply takes long, and notes that it was told to stop.
fn slow(notes: &Path) -> String {
    let notes = notes.display();
    format!(
        "resource \"terraform_data\" \"first\" {{}}\nresource \"terraform_data\" \"slow\" {{\n  depends_on = [terraform_data.first]\n  \
         provisioner \"local-exec\" {{\n    command = \"trap 'echo stopped >> {notes}; exit 1' INT TERM; echo begun >> {notes}; \
         for i in $(seq 600); do sleep 0.1; done; echo ended >> {notes}\"\n  }}\n}}\n"
    )
}

fn notes(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn plans_are_stopped_by_a_comment_and_made_again_by_another() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, terraform.setup(1)).await;
    terraform.hold("prod");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    terraform.await_noted("begin plan prod", 1).await;
    pull.comment("rita", "terraplane cancel");
    assert!(pull.next_comment().await.contains("`cancel` needs the role `write`"));
    pull.comment("kim", "terraplane cancel");
    assert!(pull.next_comment().await.contains("Stopped by `@kim`"));
    let text = pull.live_comment().await_containing("plan failed").await;
    assert!(text.contains("cancelled by kim before anything was changed"), "{text}");
    pull.await_status("terraplane/plan", "failure").await;
    stage.settled().await;
    pull.comment("kim", "terraplane cancel");
    assert!(pull.next_comment().await.contains("nothing of this pull request is planned or applied now"));
    terraform.release("prod");
    pull.comment("kim", "terraplane plan");
    pull.live_comment().await_containing("plan ready").await;
    assert_eq!(terraform.count("end plan prod"), 1, "the first one ended with its process group");
    stage.finish().await;
}

#[tokio::test]
async fn a_running_apply_is_stopped_in_order_and_says_how_far_it_came() {
    let dir = open_dir();
    let file = dir.path().join("notes");
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", &*managed("apply: both, can_apply: [role:maintain]")), ("prod/README.md", "Prod")];
    let stage = Stage::set(&files, terraform.setup(1).and_writable(dir.path())).await;
    let pull = stage.world.open_pull("Slow").changing("prod/main.tf", &slow(&file)).await;
    pull.live_comment().await_containing("plan ready").await;
    pull.comment("ana", "terraplane apply");
    until("an apply that runs", || notes(&file).contains(&"begun".to_owned())).await;

    pull.comment("kim", "terraplane cancel");
    let refused = pull.next_comment().await;
    assert!(
        refused.contains("its apply is stopped by those who may apply: `apply` is for `role:maintain`"),
        "{refused}"
    );
    pull.comment("ana", "terraplane cancel prod");
    assert!(pull.next_comment().await.contains("Stopped by `@ana`"));
    let result = pull.next_comment().await;
    let _masked = masked();
    // Whether terraform says this too depends on who is faster: it, or the program that it runs.
    let result = result.replace("- **execution halted**\n", "").replace("\n\nError: execution halted", "");
    insta::assert_snapshot!(result.replace(&dir.path().display().to_string(), "DIR"), @r#"
    <!-- terraplane:run ID -->
    ### ❌ Apply failed in `prod` · 1 of 2 changes were made

    Before the merge, by `@ana`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ❌ | [`prod`](RUN) | failed | 0 s |

    `terraform apply` was cancelled.

    - `main.tf:4`: **local-exec provisioner error** (`terraform_data.slow`)

    ```text
    Error: local-exec provisioner error

      with terraform_data.slow

      on main.tf line 4, in resource "terraform_data" "slow":
      4:   provisioner "local-exec" {

    Error running command 'trap 'echo stopped >> DIR/notes; exit 1' INT TERM; echo begun >> DIR/notes; for i in $(seq 600); do sleep 0.1; done; echo ended >> DIR/notes': exit status 1. Output:
    ```

    **Done:** `terraform_data.first`

    **Not done:** `terraform_data.slow`

    <sub>1 of 2 changes were made</sub>

    Mend it and push, or try again: `terraplane apply prod`

    To give up and let others change it: `terraplane unlock prod`
    "#);
    assert!(!notes(&file).contains(&"ended".to_owned()));
    stage.settled().await;
    // Its state was written, and its lock given back: the rest is applied by a new plan.
    let (repo, project) = (stage.world.repo_name().parse().unwrap(), "prod".parse().unwrap());
    let state = stage.server.flow.store.state_id(&repo, &project).await.unwrap();
    assert!(stage.server.flow.store.state_lock_info(&state).await.unwrap().is_none());
    assert!(stage.server.flow.store.state_head(&state).await.unwrap().is_some());
    stage.finish().await;
}

#[tokio::test]
async fn an_apply_that_waits_for_its_turn_is_called_off() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, terraform.setup(1)).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("plan ready").await;
    // The one place is taken by somebody else's plan.
    terraform.hold("prod");
    let other = stage.world.open_pull("Three").changing("prod/main.tf", &resource("web", "three")).await;
    terraform.await_noted("begin plan prod", 2).await;
    pull.comment("kim", "terraplane apply");
    pull.live_comment().await_containing("applying").await;
    pull.comment("kim", "terraplane cancel");
    let said = [pull.next_comment().await, pull.next_comment().await].join("\n");
    assert!(
        said.contains("Stopped by `@kim`") && said.contains("cancelled by kim before anything was changed"),
        "{said}"
    );
    terraform.release("prod");
    other.live_comment().await_containing("plan ready").await;
    // Not before the server knows that it was shown.
    stage.settled().await;
    assert_eq!(stage.applies(&pull).await, 0);
    // Nothing is held: the other one can be applied.
    other.comment("kim", "terraplane apply");
    let result = other.next_comment().await;
    assert!(result.contains("1 created"), "{result}");
    stage.finish().await;
}
