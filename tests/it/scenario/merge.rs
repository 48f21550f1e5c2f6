//! What a merge applies, and what it does not: exactly what was reviewed, or nothing.

use super::props::{Hand, StateServer, managed, pull_id};
use super::stand_in::StandIn;
use super::{MANAGED, masked, resource};
use crate::stage::{Setup, Stage, open_dir};
use crate::world::REPO;
use terraplane::demo::state::MergeMethod;

/// Something that `prod` is made from in several places.
const SIZE: &str = "locals {\n  size = \"small\"\n}\n";

fn sized(name: &str) -> String {
    format!("resource \"terraform_data\" \"{name}\" {{\n  input = local.size\n}}\n")
}

#[tokio::test]
async fn a_merge_applies_the_saved_plan_however_it_is_merged() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "zero"))]).await;
    stage.world.forge.change(|state| {
        state.repo_mut(REPO).unwrap().required_statuses = vec!["terraplane/plan".into(), "terraplane/apply".into()];
    });
    let _masked = masked();
    let mut snapshot = Vec::new();
    for (number, method) in [MergeMethod::Merge, MergeMethod::Squash, MergeMethod::Rebase].into_iter().enumerate() {
        let input = ["one", "two", "three"][number];
        let pull = stage.world.open_pull(input).changing("prod/main.tf", &resource("web", input)).await;
        let status = pull.await_status("terraplane/apply", "success").await;
        assert_eq!(status.description.as_deref(), Some("Applies on merge"));
        pull.approve("ana");
        let merged = pull.merge_by("ana", method).await;
        let result = pull.next_comment().await;
        assert!(result.contains("the reviewed plan"), "{method:?}: {result}");
        let status = stage.world.await_status(&merged, "terraplane/apply", "success").await;
        assert_eq!(status.description.as_deref(), Some("Applied: 1 project"));
        pull.live_comment().await_containing("terraplane · merged · applied").await;
        assert_eq!(stage.applies(&pull).await, 1);
        snapshot = vec![result, pull.live_comment().text().unwrap()];
    }
    insta::assert_snapshot!(snapshot[0], @r"
    <!-- terraplane:run ID -->
    ### ✅ Applied `prod`

    Commit `ID`, by `@ana`, approved by `@ana`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ✅ | [`prod`](RUN) | 1 changed · the reviewed plan `ID` | 0 s |
    ");
    insta::assert_snapshot!(snapshot[1], @r#"
    <!-- terraplane:live -->
    ### ✅ terraplane · merged · applied · `prod` · ~1

    <details open><summary><b><a href="RUN"><code>prod</code></a></b> · applied · ~1 · 0 s · because <code>prod/main.tf</code> changed</summary>

    ```diff
    ~ terraform_data.web  update
    ~   input: "two" -> "three"
    ~   output: "two" -> (known after apply)
    ```

    </details>

    <sub>`ID` merged onto `main` at `ID` · merged as `ID` · terraform VERSION · plan `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#);
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn a_plan_that_is_still_the_same_after_another_merge_is_applied() {
    let stage = Stage::with(&[
        ("terraplane.yaml", MANAGED),
        ("prod/main.tf", &resource("web", "one")),
        ("prod/old.tf", &resource("old", "one")),
    ])
    .await;
    let first = stage.world.open_pull("Build").changing("prod/README.md", "Built.\n").await;
    first.await_status("terraplane/plan", "success").await;
    first.merge("ana").await;
    assert!(first.next_comment().await.contains("2 created"));

    // Two at once, of the same project; what one does is not changed by the other.
    let remove = stage.world.open_pull("Remove").deleting("prod/old.tf").await;
    let change = stage.world.open_pull("Change").changing("prod/main.tf", &resource("web", "two")).await;
    remove.await_status("terraplane/plan", "success").await;
    change.await_status("terraplane/plan", "success").await;
    change.merge("ana").await;
    assert!(change.next_comment().await.contains("1 changed · the reviewed plan"));
    // It is planned again, with the same result, so that what was reviewed still counts.
    stage.settled().await;
    let merged = remove.merge("ana").await;
    let _masked = masked();
    insta::assert_snapshot!(remove.next_comment().await, @r"
    <!-- terraplane:run ID -->
    ### ✅ Applied `prod`

    Commit `ID`, by `@ana`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ✅ | [`prod`](RUN) | 1 destroyed · the reviewed plan `ID` | 0 s |
    ");
    stage.world.await_status(&merged, "terraplane/apply", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_plan_that_another_merge_changed_is_shown_and_waits_for_approve() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", SIZE)]).await;
    let add = stage.world.open_pull("Add").changing("prod/add.tf", &sized("add")).await;
    let grow = stage.world.open_pull("Grow").changing("prod/main.tf", &SIZE.replace("small", "large")).await;
    add.await_status("terraplane/plan", "success").await;
    grow.await_status("terraplane/plan", "success").await;
    grow.merge("ana").await;
    stage.settled().await;
    let merged = add.merge("ana").await;
    let _masked = masked();
    insta::assert_snapshot!(add.next_comment().await, @r#"
    <!-- terraplane:run ID -->
    ### ⚠️ Not applied: the plan has changed · `prod`

    Commit `ID`, by `@ana`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ⚠️ | [`prod`](RUN) | not applied, nothing was changed | 0 s |

    The code has changed since it was planned. The plan is now `ID` (+1). Compared with the reviewed plan:

    ```diff
    ! terraform_data.add  create
    -   input: "small"
    +   input: "large"
    ```

    To apply the plan as it is now: `terraplane approve prod` (by somebody who may apply and is not the author)
    "#);
    let status = stage.world.await_status(&merged, "terraplane/apply", "failure").await;
    assert_eq!(
        status.description.as_deref(),
        Some("Not applied: the plan is not the reviewed one; waits for `terraplane approve`")
    );
    insta::assert_snapshot!(add.live_comment().await_containing("not applied").await, @r#"
    <!-- terraplane:live -->
    ### ⚠️ terraplane · merged · not applied, the plan has changed · `prod` · +1

    <details open><summary><b><a href="RUN"><code>prod</code></a></b> · the plan has changed · +1 · 0 s · because <code>prod/add.tf</code> changed</summary>

    The code has changed since it was planned. The plan is now `ID` (+1). Compared with the reviewed plan:

    ```diff
    ! terraform_data.add  create
    -   input: "small"
    +   input: "large"
    ```

    </details>

    To apply the plan as it is now: `terraplane approve` (by somebody who may apply and is not the author)

    <sub>`ID` merged onto `main` at `ID` · merged as `ID` · terraform VERSION · plan `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#);

    add.comment("sam", "terraplane approve");
    assert!(add.next_comment().await.contains("somebody other than the author"));
    add.comment("rita", "terraplane approve");
    assert!(add.next_comment().await.contains("needs the role `write`"));
    add.comment("kim", "terraplane approve");
    let result = add.next_comment().await;
    assert!(result.contains("approved by `@kim`") && result.contains("1 created · the reviewed plan"), "{result}");
    stage.world.await_status(&merged, "terraplane/apply", "success").await;
    stage.hear_everything_again().await;
    assert_eq!(stage.applies(&add).await, 2, "what differed, and what was approved");
    stage.finish().await;
}

#[tokio::test]
async fn what_somebody_does_by_hand_makes_plans_stale_and_nothing_worse() {
    let remote = StateServer::start().await;
    let backend = remote.backend();
    let files = [("prod/backend.tf", backend.as_str()), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { network_of_host: true, ..Setup::default() }).await;
    let hand = Hand::with(&[("backend.tf", &backend), ("main.tf", &resource("web", "one"))]).await;
    hand.terraform(&["apply", "-auto-approve", "-input=false"]).await;

    // The state has another serial, and the plan does the same.
    let pull = stage.world.open_pull("Remove").changing("prod/main.tf", "# Nothing.\n").await;
    pull.live_comment().await_containing("1 resource will be destroyed").await;
    hand.terraform(&["taint", "terraform_data.web"]).await;
    hand.terraform(&["untaint", "terraform_data.web"]).await;
    let merged = pull.merge("ana").await;
    let result = pull.next_comment().await;
    assert!(result.contains("1 destroyed · planned anew, equal to the reviewed plan"), "{result}");
    stage.world.await_status(&merged, "terraplane/apply", "success").await;
    assert!(!remote.text().contains("\"web\""), "{}", remote.text());

    // Somebody has done it already, and a little differently.
    let pull = stage.world.open_pull("Again").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("\"two\"").await;
    hand.terraform(&["apply", "-auto-approve", "-input=false"]).await;
    pull.merge("ana").await;
    let _masked = masked();
    insta::assert_snapshot!(pull.next_comment().await, @r#"
    <!-- terraplane:run ID -->
    ### ⚠️ Not applied: the plan has changed · `prod`

    Commit `ID`, by `@ana`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ⚠️ | [`prod`](RUN) | not applied, nothing was changed | 0 s |

    The state has changed since it was planned. The plan is now `ID` (~1). Compared with the reviewed plan:

    ```diff
    ! terraform_data.web  update, reviewed: create
    -   id: (known after apply)
    -   input: "two"
    -   output: (known after apply)
    +   input: "one" -> "two"
    +   output: "one" -> (known after apply)
    ```

    To apply the plan as it is now: `terraplane approve prod` (by somebody who may apply and is not the author)
    "#);
    assert!(remote.text().contains("\"one\""), "nothing was applied");
    pull.comment("ana", "tp approve prod");
    let result = pull.next_comment().await;
    assert!(result.contains("1 changed"), "{result}");
    assert!(remote.text().contains("\"two\""));
    stage.finish().await;
}

#[tokio::test]
async fn another_terraform_or_other_variables_mean_a_new_plan() {
    let remote = StateServer::start().await;
    let variable = "variable \"size\" {}\n\nresource \"terraform_data\" \"web\" {\n  input = var.size\n}\n";
    let setup = |terraform: &StandIn, size: &str| Setup {
        repo: format!(
            "    env:\n      - {{match: \"*\", plan: {{TF_VAR_size: {size}}}, apply: {{TF_VAR_size: {size}}}}}\n"
        ),
        network_of_host: true,
        ..terraform.setup(4)
    };
    let (old, new) = (StandIn::terraform(), StandIn::terraform_of_version("1.12.0"));
    let files = [("prod/backend.tf", remote.backend()), ("prod/README.md", "One\n".to_owned())];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let stage = Stage::set(&files, setup(&old, "small")).await;
    let first = stage.world.open_pull("First").changing("prod/main.tf", variable).await;
    first.await_status("terraplane/plan", "success").await;
    let stage = stage.restart(setup(&new, "small")).await;
    first.merge("ana").await;
    let result = first.next_comment().await;
    assert!(result.contains("1 created · planned anew, equal to the reviewed plan"), "{result}");

    let second = stage
        .world
        .open_pull("Second")
        .changing("prod/README.md", "Two\n")
        .changing("prod/b.tf", &resource("b", "one"))
        .await;
    second.await_status("terraplane/plan", "success").await;
    let stage = stage.restart(setup(&new, "large")).await;
    second.merge("ana").await;
    let _masked = masked();
    insta::assert_snapshot!(second.next_comment().await, @r#"
    <!-- terraplane:run ID -->
    ### ⚠️ Not applied: the plan has changed · `prod`

    Commit `ID`, by `@ana`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ⚠️ | [`prod`](RUN) | not applied, nothing was changed | 0 s |

    The variables have changed since it was planned. The plan is now `ID` (+1 ~1). Compared with the reviewed plan:

    ```diff
    + terraform_data.web  update  (only in the new plan)
    ~   input: "small" -> "***"
    ~   output: "small" -> (known after apply)
    ```

    To apply the plan as it is now: `terraplane approve prod` (by somebody who may apply and is not the author)
    "#);
    stage.finish().await;
}

#[tokio::test]
async fn what_was_merged_before_its_plan_was_shown_waits_for_approve() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, terraform.setup(4)).await;
    terraform.hold("prod");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    terraform.await_noted("begin plan prod", 1).await;
    let merged = pull.merge("ana").await;
    stage.world.webhooks_answered().await;
    pull.live_comment().await_containing("merged").await;
    terraform.release("prod");
    let _masked = masked();
    insta::assert_snapshot!(pull.next_comment().await, @r#"
    <!-- terraplane:run ID -->
    ### ⚠️ Not applied: the plan has changed · `prod`

    Commit `ID`, by `@ana`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ⚠️ | [`prod`](RUN) | not applied, nothing was changed | 0 s |

    It was merged before its plan was shown. The plan is now `ID` (+1):

    ```diff
    + terraform_data.web  create
    +   id: (known after apply)
    +   input: "two"
    +   output: (known after apply)
    ```

    To apply the plan as it is now: `terraplane approve prod` (by somebody who may apply and is not the author)
    "#);
    stage.world.await_status(&merged, "terraplane/apply", "failure").await;
    pull.comment("ana", "terraplane approve");
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    stage.world.await_status(&merged, "terraplane/apply", "success").await;
    stage.finish().await;
}

/// `first` works, `second` fails as long as the file is not there, `third` needs both.
fn fragile(flag: &std::path::Path) -> String {
    let second = format!(
        "resource \"terraform_data\" \"second\" {{\n  input = terraform_data.first.output\n  provisioner \"local-exec\" {{\n    \
         command = \"test -e {} || {{ echo the flag is missing >&2; exit 3; }}\"\n  }}\n}}\n",
        flag.display()
    );
    let third = "resource \"terraform_data\" \"third\" {\n  input = terraform_data.second.output\n}\n";
    format!("{}\n{second}\n{third}", resource("first", "one"))
}

#[tokio::test]
async fn an_apply_that_fails_half_way_says_what_was_done_and_what_to_do_next() {
    let dir = open_dir();
    let flag = dir.path().join("flag");
    let files = [("terraplane.yaml", MANAGED), ("prod/README.md", "Prod\n")];
    let stage = Stage::set(&files, Setup::default().and_writable(dir.path())).await;
    let pull = stage.world.open_pull("Three").changing("prod/main.tf", &fragile(&flag)).await;
    pull.await_status("terraplane/plan", "success").await;
    let merged = pull.merge("ana").await;
    let _masked = masked();
    let failed = pull.next_comment().await.replace(&flag.display().to_string(), "FLAG");
    insta::assert_snapshot!(failed, @r#"
    <!-- terraplane:run ID -->
    ### ❌ Apply failed in `prod` · 1 of 3 changes were made

    Commit `ID`, by `@ana`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ❌ | [`prod`](RUN) | failed | 0 s |

    `terraform apply` failed with exit code 1.

    - `main.tf:7`: **local-exec provisioner error** (`terraform_data.second`)

    ```text
    Error: local-exec provisioner error

      with terraform_data.second

      on main.tf line 7, in resource "terraform_data" "second":
      7:   provisioner "local-exec" {

    Error running command 'test -e FLAG || { echo the flag is missing >&2; exit 3; }': exit status 3. Output: the flag is missing
    ```

    **Done:** `terraform_data.first`

    **Not done:** `terraform_data.second`, `terraform_data.third`

    <sub>1 of 3 changes were made</sub>

    To try again: `terraplane apply prod`

    To give up and let others change it: `terraplane unlock prod`
    "#);
    let status = stage.world.await_status(&merged, "terraplane/apply", "failure").await;
    assert_eq!(status.description.as_deref(), Some("The apply of 1 of 1 project failed"));
    let trail = stage.server.flow.store.audit_trail(&pull_id(&pull)).await.unwrap();
    let record = &trail.iter().find(|entry| entry.action == "applied").unwrap().data;
    assert!(record["ran"].is_string() && record["ran"] == record["reviewed"], "what ran, though it failed: {record}");

    // Nobody else builds on what is half done.
    let other = stage.world.open_pull("Other").changing("prod/other.tf", &resource("other", "one")).await;
    other.await_status("terraplane/plan", "success").await;
    other.merge("ana").await;
    other.live_comment().await_containing("waits for `#1`").await;

    // What is left is planned anew and shown first.
    std::fs::write(&flag, "").unwrap();
    pull.comment("sam", "terraplane apply prod");
    let differs = pull.next_comment().await;
    assert!(
        differs.contains("Not applied: the plan has changed") && differs.contains("terraform_data.first"),
        "{differs}"
    );
    pull.comment("kim", "terraplane approve prod");
    let result = pull.next_comment().await;
    assert!(result.contains("Applied `prod`"), "{result}");
    stage.world.await_status(&merged, "terraplane/apply", "success").await;

    // Then it is the other one's turn, which contains what it waited for.
    let result = other.next_comment().await;
    assert!(result.contains("Applied `prod`") || result.contains("the plan has changed"), "{result}");
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn a_late_apply_never_takes_back_a_newer_one() {
    let stage = Stage::with(&[
        ("terraplane.yaml", &managed("require: [approved]")),
        ("prod/main.tf", &resource("web", "zero")),
    ])
    .await;
    let late = stage.world.open_pull("Late").changing("prod/main.tf", &resource("web", "late")).await;
    late.await_status("terraplane/plan", "success").await;
    late.merge("sam").await;
    let _masked = masked();
    insta::assert_snapshot!(late.next_comment().await, @r"
    <!-- terraplane:reply merge-ID -->
    ### ⏸️ Merged by `@sam`, and not applied

    - `prod`: it needs an approval by somebody with write permission who is not the author

    Once somebody with write permission who is not the author has read the plan: `terraplane approve`
    ");

    let newer = stage.world.open_pull("Newer").changing("prod/main.tf", &resource("web", "newer")).await;
    newer.await_status("terraplane/plan", "success").await;
    newer.approve("ana");
    newer.merge("ana").await;
    assert!(newer.next_comment().await.contains("1 created · the reviewed plan"));

    late.comment("kim", "terraplane approve");
    let result = late.next_comment().await;
    assert!(result.contains("Applied `prod`") && result.contains("nothing was left to do"), "{result}");
    let check = stage.world.open_pull("Check").changing("prod/README.md", "Check\n").await;
    check.live_comment().await_containing("no changes").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_late_apply_does_not_take_back_what_was_applied_before_its_merge_either() {
    let stage = Stage::with(&[
        ("terraplane.yaml", &managed("apply: both, require: [approved]")),
        ("prod/main.tf", &resource("web", "zero")),
    ])
    .await;
    let open = async |name: &str| {
        let file = format!("prod/{name}.tf");
        let pull = stage.world.open_pull(name).changing(&file, &resource(name, "one")).await;
        pull.await_status("terraplane/plan", "success").await;
        pull
    };
    let late = open("late").await;
    late.merge("sam").await;
    assert!(late.next_comment().await.contains("it needs an approval"));

    let newer = open("newer").await;
    newer.approve("ana");
    newer.comment("sam", "terraplane apply");
    assert!(newer.next_comment().await.contains("3 created · the reviewed plan"));
    newer.merge("ana").await;
    newer.live_comment().await_containing("merged · applied").await;
    stage.settled().await;
    late.comment("kim", "terraplane approve");
    let result = late.next_comment().await;
    assert!(result.contains("Applied `prod`") && result.contains("nothing was left to do"), "{result}");

    // An old merge that is heard again is not the last one that was applied.
    let last = open("last").await;
    last.merge("sam").await;
    assert!(last.next_comment().await.contains("it needs an approval"));
    let newest = open("newest").await;
    newest.approve("ana");
    newest.merge("ana").await;
    assert!(newest.next_comment().await.contains("2 created · the reviewed plan"));
    stage.hear_everything_again().await;
    last.comment("kim", "terraplane approve");
    let result = last.next_comment().await;
    assert!(result.contains("Applied `prod`") && result.contains("nothing was left to do"), "{result}");
    stage.finish().await;
}
