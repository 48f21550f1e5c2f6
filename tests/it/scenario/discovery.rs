//! Which projects a pull request concerns.

use super::{MANAGED, resource, shown};
use crate::stage::Stage;
use insta::assert_snapshot;

/// `prod` and `staging` use the module `net`, and `other` does not.
const USES_NET: &str = "module \"net\" {\n  source = \"../modules/net\"\n}\n";

async fn stage_with_a_module() -> Stage {
    let own = resource("own", "one");
    Stage::with(&[
        ("modules/net/main.tf", &resource("subnet", "one")),
        ("prod/main.tf", USES_NET),
        ("staging/main.tf", USES_NET),
        ("other/main.tf", &own),
    ])
    .await
}

#[tokio::test]
async fn a_changed_local_module_plans_all_its_users() {
    let stage = stage_with_a_module().await;
    let pull = stage.world.open_pull("Subnet").changing("modules/net/main.tf", &resource("subnet", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    let text = pull.live_comment().await_containing("2 projects · 2 with changes").await;
    shown(|| {
        assert_snapshot!(text, @r#"
    <!-- terraplane:live -->
    ### terraplane · 2 projects · 2 with changes

    | | Project | + | ~ | ± | − | |
    |---|---|--:|--:|--:|--:|---|
    | 🟡 | [`prod`](RUN) | 1 |  |  |  | never applied: no backend |
    | 🟡 | [`staging`](RUN) | 1 |  |  |  | never applied: no backend |

    <details><summary><b><a href="RUN"><code>prod</code></a></b> · +1 · 0 s · because <code>modules/net/main.tf</code> changed</summary>

    ```diff
    + module.net.terraform_data.subnet  create
    +   id: (known after apply)
    +   input: "two"
    +   output: (known after apply)
    ```

    </details>

    <details><summary><b><a href="RUN"><code>staging</code></a></b> · +1 · 0 s · because <code>modules/net/main.tf</code> changed</summary>

    ```diff
    + module.net.terraform_data.subnet  create
    +   id: (known after apply)
    +   input: "two"
    +   output: (known after apply)
    ```

    </details>

    Never applied: `prod`, `staging`. There is neither a backend nor managed state, so the state would be lost with the work tree. Add a `backend` block, or `state: managed` in `terraplane.yaml`.

    <sub>`ID` merged onto `main` at `ID` · terraform VERSION · commands: `terraplane help` · sandbox: full</sub>
    "#)
    });
    let apply = pull.await_status("terraplane/apply", "success").await;
    assert_eq!(apply.description.as_deref(), Some("Not applied: neither a backend nor managed state"));
    stage.finish().await;
}

#[tokio::test]
async fn where_the_code_can_t_be_read_more_is_planned_and_never_less() {
    let stage = stage_with_a_module().await;
    // What `staging` uses is no longer known; `other` uses nothing and stays out of it.
    let pull = stage.world.open_pull("Broken").changing("staging/main.tf", "module \"net\" {\n").await;
    pull.await_status("terraplane/plan", "failure").await;
    let text = pull.live_comment().await_containing("plan failed · `staging`").await;
    assert!(text.contains("plan failed in init"), "{text}");
    pull.push(&[("staging/main.tf", USES_NET)]).await;
    pull.await_status("terraplane/plan", "success").await;

    let second = stage
        .world
        .open_pull("Broken on main")
        .changing("prod/broken.tf", "resource \"terraform_data\" {{{\n")
        .changing("modules/net/main.tf", &resource("subnet", "two"))
        .changing("other/main.tf", &resource("own", "two"))
        .await;
    second.await_status("terraplane/plan", "failure").await;
    let text = second.live_comment().await_until(|text| text.contains("3 projects · 1 failed · 2 with changes")).await;
    for project in ["prod", "staging", "other"] {
        assert!(text.contains(&format!("<code>{project}</code>")), "{project}: {text}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn a_module_that_can_t_be_read_concerns_whoever_uses_it_whatever_changed() {
    let broken = "module \"deep\" {\n  source = \"../deep\"\n";
    let stage = Stage::with(&[
        ("modules/net/main.tf", broken),
        ("modules/deep/main.tf", &resource("deep", "one")),
        ("prod/main.tf", USES_NET),
        ("other/main.tf", &resource("own", "one")),
    ])
    .await;
    let pull = stage.world.open_pull("Deep").changing("modules/deep/main.tf", &resource("deep", "two")).await;
    pull.await_status("terraplane/plan", "failure").await;
    let text = pull.live_comment().await_containing("<code>prod</code>").await;
    assert!(text.contains("cannot be parsed, so that what is used here is not known"), "the reason is told: {text}");
    assert!(!text.contains("<code>other</code>"), "{text}");
    stage.finish().await;
}

#[tokio::test]
async fn a_pull_request_without_projects_succeeds_in_silence() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Words").changing("README.md", "# Words\n").await;
    for context in ["terraplane/plan", "terraplane/apply"] {
        pull.await_status(context, "success").await;
    }
    stage.settled().await;
    assert_eq!(pull.server_comments(), [""; 0]);
    stage.finish().await;
}

#[tokio::test]
async fn a_push_that_takes_the_change_back_leaves_a_comment_that_says_so() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("input: \"two\"").await;
    pull.push(&[("prod/main.tf", &resource("web", "one")), ("README.md", "# Words\n")]).await;
    let text = pull.live_comment().await_containing("no project is concerned").await;
    assert!(!text.contains("terraform_data.web"), "{text}");
    let plan = pull.await_status("terraplane/plan", "success").await;
    assert_eq!(plan.description.as_deref(), Some("No project is concerned"));
    pull.await_status("terraplane/apply", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_removed_project_is_none_and_a_moved_one_is_planned_where_it_is_now() {
    let stage = Stage::with(&[("old/main.tf", &resource("web", "one")), ("keep/main.tf", "")]).await;
    let pull =
        stage.world.open_pull("Move").deleting("old/main.tf").changing("new/main.tf", &resource("web", "one")).await;
    pull.await_status("terraplane/plan", "success").await;
    let text = pull.live_comment().await_containing("<code>new</code>").await;
    assert!(!text.contains("<code>old</code>"), "{text}");
    stage.finish().await;
}

#[tokio::test]
async fn a_listed_directory_that_vanished_is_named_with_its_line() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Gone").deleting("prod/main.tf").await;
    pull.await_status("terraplane/plan", "failure").await;
    pull.await_status("terraplane/apply", "failure").await;
    let text = pull.live_comment().await_containing("terraplane.yaml").await;
    shown(|| {
        assert_snapshot!(text, @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · the configuration can't be used

    ```text
    error: there is no Terraform code in `prod`
     --> terraplane.yaml:3:10
      |
    3 |   - dir: prod
      |          ^^^^
    ```

    Nothing was planned.

    Mend it and push: planning goes on by itself. To check it before: `terraplane check`

    <sub>`ID` onto `main` at `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#)
    });
    stage.finish().await;
}

#[tokio::test]
async fn two_workspaces_of_a_directory_are_two_projects() {
    let config = "version: 1\nprojects:\n  - {dir: prod, state: managed, var_files: [default.tfvars]}\n  \
                  - {dir: prod, workspace: eu, var_files: [eu.tfvars]}\n";
    let code = "variable \"region\" {}\nresource \"terraform_data\" \"web\" {\n  \
                input = \"${terraform.workspace} in ${var.region}\"\n}\n";
    let stage = Stage::with(&[
        ("terraplane.yaml", config),
        ("prod/main.tf", code),
        ("prod/default.tfvars", "region = \"us\"\n"),
        ("prod/eu.tfvars", "region = \"de\"\n"),
    ])
    .await;
    let pull = stage.world.open_pull("France").changing("prod/eu.tfvars", "region = \"fr\"\n").await;
    pull.await_status("terraplane/plan", "success").await;
    let text = pull.live_comment().await_containing("input: \"eu in fr\"").await;
    assert!(text.contains("<code>prod&#64;eu</code>"), "{text}");
    stage.finish().await;
}
