//! From a webhook to the live comment.

use super::stand_in::StandIn;
use super::{MANAGED, resource, shown};
use crate::stage::{Setup, Stage};
use crate::world::{PullRequest, REPO};
use insta::assert_snapshot;
use std::time::{Duration, Instant};

/// One project, managed, with one resource.
async fn stage() -> Stage {
    stage_with(Setup::default()).await
}

async fn stage_with(setup: Setup) -> Stage {
    Stage::set(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))], setup).await
}

/// What the newest plan of the live comment would set the resource to.
async fn await_planned(pull: &PullRequest, input: &str) -> String {
    pull.await_status("terraplane/plan", "success").await;
    pull.live_comment().await_containing(&format!("input: \"{input}\"")).await
}

#[tokio::test]
async fn an_opened_pull_request_is_planned_and_shown() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let text = await_planned(&pull, "two").await;
    shown(|| {
        assert_snapshot!(text, @r#"
    <!-- terraplane:live -->
    ### terraplane · plan ready · `prod` · +1

    <details open><summary><b><a href="RUN"><code>prod</code></a></b> · +1 · 0 s · because <code>prod/main.tf</code> changed</summary>

    ```diff
    + terraform_data.web  create
    +   id: (known after apply)
    +   input: "two"
    +   output: (known after apply)
    ```

    </details>

    Merging this pull request applies the plan.

    <sub>`ID` merged onto `main` at `ID` · terraform VERSION · plan `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#)
    });
    let plan = pull.await_status("terraplane/plan", "success").await;
    assert_eq!(plan.description.as_deref(), Some("1 project: +1"));
    let apply = pull.await_status("terraplane/apply", "success").await;
    assert_eq!(apply.description.as_deref(), Some("Applies on merge"));
    stage.finish().await;
}

#[tokio::test]
async fn statuses_are_pending_until_all_is_planned() {
    let terraform = StandIn::terraform();
    let stage = stage_with(terraform.setup(4)).await;
    terraform.hold("prod");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let plan = pull.await_status("terraplane/plan", "pending").await;
    assert_eq!(plan.description.as_deref(), Some("Planning: 0 of 1 project done"));
    pull.await_status("terraplane/apply", "pending").await;
    terraform.release("prod");
    pull.await_status("terraplane/apply", "success").await;
    pull.await_status("terraplane/plan", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_push_is_planned_and_the_same_comment_shows_it() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    await_planned(&pull, "two").await;
    let number = pull.live_comment().id();
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    let text = await_planned(&pull, "three").await;
    assert!(text.contains(pull.head().short()), "{text}");
    assert!(!text.contains("\"two\""), "{text}");
    assert_eq!(pull.live_comment().id(), number);
    stage.finish().await;
}

#[tokio::test]
async fn a_comment_that_is_there_never_shows_the_plan_of_an_older_head_as_that_of_the_new_one() {
    let terraform = StandIn::terraform();
    let stage = stage_with(terraform.setup(4)).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    await_planned(&pull, "two").await;
    terraform.hold("prod");
    let pushed = Instant::now();
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    let text = pull.live_comment().await_containing("planning · `prod`").await;
    assert!(pushed.elapsed() < Duration::from_secs(4), "said at once: {:?}", pushed.elapsed());
    assert!(!text.contains("\"two\""), "{text}");
    terraform.release("prod");
    await_planned(&pull, "three").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_reopened_pull_request_is_planned_at_its_present_head() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    await_planned(&pull, "two").await;
    pull.close("sam");
    pull.live_comment().await_containing("closed without a merge").await;
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    stage.settled().await;
    assert!(!pull.live_comment().text().unwrap().contains("three"), "a closed pull request is not planned");
    pull.reopen("sam").await;
    let text = await_planned(&pull, "three").await;
    assert!(!text.contains("closed"), "{text}");
    stage.finish().await;
}

#[tokio::test]
async fn a_retargeted_pull_request_is_planned_on_its_new_base() {
    let stage = stage().await;
    stage.world.push("next", &[("prod/more.tf", &resource("only_on_next", "x"))]).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let text = await_planned(&pull, "two").await;
    assert!(!text.contains("only_on_next"), "{text}");
    stage.world.forge.retarget(REPO, pull.number, "next", "sam").await.unwrap();
    let text = pull.live_comment().await_containing("terraform_data.only_on_next").await;
    assert!(text.contains("merged onto `next`"), "{text}");
    pull.await_status("terraplane/plan", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_draft_is_planned_once_and_making_it_ready_or_retitling_it_plans_nothing_again() {
    let terraform = StandIn::terraform();
    let stage = stage_with(terraform.setup(4)).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).drafted().await;
    await_planned(&pull, "two").await;
    stage.world.forge.set_draft(REPO, pull.number, false, "sam").unwrap();
    stage.world.forge.retitle(REPO, pull.number, "Two at last", "sam").unwrap();
    stage.settled().await;
    assert_eq!(terraform.count("begin plan"), 1);
    stage.finish().await;
}

#[tokio::test]
async fn a_push_stops_the_plan_of_the_older_head_whose_result_is_never_shown() {
    let terraform = StandIn::terraform();
    let stage = stage_with(terraform.setup(4)).await;
    terraform.hold("prod");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    terraform.await_noted("begin plan", 1).await;
    let old = pull.head();
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    // Runs of one project follow each other: the second begins, so the first was stopped while it was held.
    terraform.await_noted("begin plan", 2).await;
    assert_eq!(terraform.count("end plan"), 0);
    terraform.release("prod");
    await_planned(&pull, "three").await;
    stage.settled().await;
    assert_eq!(terraform.count("end plan"), 1);
    let history = pull.live_comment().history();
    assert!(history.iter().all(|text| !text.contains("\"two\"")), "{history:#?}");
    for context in ["terraplane/plan", "terraplane/apply"] {
        let status = stage.world.status(&old, context).unwrap();
        assert_eq!(status.description.unwrap(), format!("Superseded by {}", pull.head().short()));
        assert_eq!(status.state, "failure");
    }
    stage.finish().await;
}

#[tokio::test]
async fn projects_are_planned_side_by_side_within_bounds_and_shown_as_they_finish() {
    let terraform = StandIn::terraform();
    let projects = ["a", "b", "c"];
    let old: Vec<_> = projects.iter().map(|dir| (format!("{dir}/main.tf"), resource(dir, "one"))).collect();
    let old: Vec<_> = old.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let stage = Stage::set(&old, terraform.setup(2)).await;
    projects.iter().for_each(|dir| terraform.hold(dir));
    let pull = stage
        .world
        .open_pull("All")
        .changing("a/main.tf", &resource("a", "two"))
        .changing("b/main.tf", &resource("b", "two"))
        .changing("c/main.tf", &resource("c", "two"))
        .await;
    terraform.await_noted("begin plan", 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((terraform.count("begin plan a"), terraform.count("begin plan b")), (1, 1), "side by side");
    assert_eq!(terraform.count("begin init c"), 0, "not more than two at once");
    terraform.release("a");
    let text = pull.live_comment().await_containing("terraform_data.a").await;
    assert!(text.contains("3 projects · 2 planning · 1 with changes"), "{text}");
    terraform.await_noted("begin plan c", 1).await;
    let number = pull.live_comment().id();
    terraform.release("b");
    terraform.release("c");
    pull.live_comment()
        .await_until(|text| text.contains("terraform_data.b") && text.contains("terraform_data.c"))
        .await;
    pull.await_status("terraplane/plan", "success").await;
    assert_eq!(pull.live_comment().id(), number);
    stage.finish().await;
}

#[tokio::test]
async fn the_comment_appears_after_five_seconds_when_nothing_is_planned_yet() {
    let terraform = StandIn::terraform();
    let stage = stage_with(terraform.setup(4)).await;
    terraform.hold("prod");
    let begun = Instant::now();
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("planning · `prod`").await;
    assert!(begun.elapsed() > Duration::from_millis(4500), "not before five seconds: {:?}", begun.elapsed());
    let number = pull.live_comment().id();
    terraform.release("prod");
    await_planned(&pull, "two").await;
    assert_eq!(pull.live_comment().id(), number);
    stage.finish().await;
}

#[tokio::test]
async fn what_is_planned_is_the_merge_of_head_into_base() {
    let stage = stage().await;
    // The branch begins before main moves on.
    stage.world.push("topic", &[("prod/main.tf", &resource("web", "two"))]).await;
    stage.world.push("main", &[("prod/more.tf", &resource("only_on_main", "x")), ("other/main.tf", "")]).await;
    let pull =
        stage.world.open_pull("Two").on_branch("topic").changing("prod/main.tf", &resource("web", "three")).await;
    let text = await_planned(&pull, "three").await;
    assert!(text.contains("terraform_data.only_on_main"), "{text}");
    assert!(!text.contains("other"), "what only the base branch has changed concerns nobody here: {text}");
    stage.finish().await;
}

#[tokio::test]
async fn a_failed_plan_is_shown_in_terraform_s_own_words_and_a_push_mends_it() {
    let stage = stage().await;
    let broken = "resource \"terraform_data\" \"web\" {\n  input = local.nowhere\n}\n";
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", broken).await;
    let plan = pull.await_status("terraplane/plan", "failure").await;
    assert_eq!(plan.description.as_deref(), Some("1 of 1 project could not be planned"));
    pull.await_status("terraplane/apply", "failure").await;
    let text = pull.live_comment().await_containing("plan failed").await;
    shown(|| {
        assert_snapshot!(text, @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · plan failed · `prod`

    <details open><summary><b><a href="RUN"><code>prod</code></a></b> · plan failed in plan · 0 s · because <code>prod/main.tf</code> changed</summary>

    `terraform plan` failed with exit code 1.

    ```text
    Error: Reference to undeclared local value

      on main.tf line 2, in resource "terraform_data" "web":
       2:   input = local.nowhere

    A local value with the name "nowhere" has not been declared.
    ```

    </details>

    To plan again: `terraplane plan`

    <sub>`ID` merged onto `main` at `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#)
    });
    pull.push(&[("prod/main.tf", &resource("web", "two"))]).await;
    let text = await_planned(&pull, "two").await;
    assert!(!text.contains("failed"), "{text}");
    stage.finish().await;
}

#[tokio::test]
async fn a_deleted_live_comment_comes_back_with_the_next_change() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    await_planned(&pull, "two").await;
    stage.settled().await;
    let number = pull.live_comment().id().unwrap();
    stage.world.forge.delete_comment(REPO, number, "ana").unwrap();
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    await_planned(&pull, "three").await;
    assert_ne!(pull.live_comment().id(), Some(number));
    stage.finish().await;
}

#[tokio::test]
async fn a_plan_too_large_for_a_comment_is_shown_in_less_detail() {
    let stage = stage().await;
    let many = format!(
        "resource \"terraform_data\" \"web\" {{\n  for_each = toset([for n in range(400) : \"number-${{n}}\"])\n  \
         input    = \"${{each.key}}: {}\"\n}}\n",
        "long ".repeat(60)
    );
    let pull = stage.world.open_pull("Many").changing("prod/main.tf", &many).await;
    let plan = pull.await_status("terraplane/plan", "success").await;
    assert_eq!(plan.description.as_deref(), Some("1 project: +400"));
    let text = pull.live_comment().await_containing("plan ready").await;
    let length = text.chars().count();
    assert!((10_000..=60_000).contains(&length), "{length} characters");
    assert!(text.contains("terraform_data.web[\"number-0\"]"), "addresses are still there: {text}");
    assert!(text.contains("/runs/"), "{text}");
    assert_eq!(text.matches("<details").count(), text.matches("</details>").count(), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("```")).count() % 2, 0, "{text}");
    stage.finish().await;
}

#[tokio::test]
async fn opentofu_plans_as_terraform_does() {
    let tofu = std::env::var("TERRAPLANE_TEST_TOFU")
        .expect("TERRAPLANE_TEST_TOFU must name a tofu binary: export it from scripts/install-tofu.sh");
    let yaml = format!("terraform:\n  binaries: [\"{tofu}\"]\n");
    let stage = stage_with(Setup { yaml, ..Setup::default() }).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let text = await_planned(&pull, "two").await;
    assert!(text.contains("· opentofu 1."), "{text}");
    stage.finish().await;
}
