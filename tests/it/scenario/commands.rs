//! What people ask for in comments, and what they are answered.

use super::props::managed;
use super::{MANAGED, masked, resource};
use crate::stage::{Setup, Stage};
use crate::world::REPO;
use terraplane::demo::state::{MergeMethod, Review, ReviewState, User};
use terraplane::domain::id::Timestamp;

/// Two projects, `dev` and `prod`.
const TWO: &str =
    "version: 1\nprojects:\n  - {dir: dev, state: managed, tags: [eu]}\n  - {dir: prod, state: managed}\n";

#[tokio::test]
async fn commands_are_answered_in_comments_of_their_own() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    let _masked = masked();

    pull.comment("rita", "terraplane help");
    insta::assert_snapshot!(pull.next_comment().await, @r#"
    <!-- terraplane:reply reply-ID-1 -->
    ### terraplane · what `@rita` may do here now

    | Comment | Does | You |
    |---|---|---|
    | `terraplane plan [WHAT] [-- ARGUMENTS]` | plans again | ❌ `plan` needs the role `write` in this repository, and you have `read` |
    | `terraplane apply [WHAT]` | applies what was reviewed | ❌ `apply` needs the role `write` in this repository, and you have `read` |
    | `terraplane approve [WHAT]` | accepts a plan that differs from the reviewed one | ❌ `approve` needs the role `write` in this repository, and you have `read` |
    | `terraplane cancel [WHAT]` | stops what is queued or running | ❌ `cancel` needs the role `write` in this repository, and you have `read` |
    | `terraplane lock [WHAT] "WHY"` | holds projects for this pull request | ❌ `lock` needs the role `write` in this repository, and you have `read` |
    | `terraplane unlock [#PULL] [WHAT] "WHY"` | lets others change what is held | ❌ `unlock` needs the role `write` in this repository, and you have `read` |
    | `terraplane freeze [WHAT] until TIME "WHY"` | stops applies in the whole repository | ❌ `freeze` needs the role `maintain` in this repository, and you have `read` |
    | `terraplane thaw [WHAT]` | ends that | ❌ `thaw` needs the role `maintain` in this repository, and you have `read` |
    | `terraplane locks` · `terraplane why [WHAT]` · `terraplane version` · `terraplane help` | looks | ✅ |

    `WHAT` names projects: `prod/network`, `prod/*`, `tag:eu and not tag:db`, `--failed`, `--except a,b`; without it, all. One command per line, at its start; `tp` is short for `terraplane`. Code blocks, quotes and edited comments are ignored.
    "#);
    pull.comment("kim", "terraplane aply");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    `@kim`: `terraplane aply` is no command. Did you mean `terraplane apply`?

    All commands: `terraplane help`
    ");
    pull.comment("rita", "terraplane plan");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@rita`: `terraplane plan` was not carried out

    - `plan` needs the role `write` in this repository, and you have `read`
    ");
    pull.comment("kim", "tp plan prod staging");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### `@kim`: `terraplane plan` matched no project

    `staging` names nothing that this pull request concerns.

    Its projects: `prod`
    ");
    pull.comment("kim", "terraplane plan --destroy");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@kim`: `terraplane plan` was not carried out

    - the argument `--destroy` is not understood
    ");
    pull.comment("kim", "terraplane apply");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@kim`: `terraplane apply` was not carried out

    - `prod`: it is applied by the merge (`apply: on_merge`)
    ");
    pull.comment("kim", "terraplane unlock");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@kim`: `terraplane unlock` was not carried out

    - this pull request holds no lock on what was named
    ");
    pull.comment("kim", "terraplane approve");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@kim`: `terraplane approve` was not carried out

    - no plan waits for an approval
    ");
    assert_eq!(stage.runs(), 1, "none of this began a run");
    stage.finish().await;
}

#[tokio::test]
async fn what_is_no_command_gets_silence() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    let bot = User { id: 9_000, login: "renovate[bot]".into(), bot: true };
    stage.world.forge.change(|state| state.users.insert(bot.login.clone(), bot));

    for text in [
        "```\nterraplane plan\n```",
        "Do this:\n\n    terraplane plan\n",
        "> terraplane plan\n\nDone.",
        "<!--\nterraplane plan\n-->",
        " terraplane plan",
        "I think\nyou should write `terraplane plan`",
        "terraplane is great, it does everything",
        "please terraplane plan",
    ] {
        pull.comment("kim", text);
    }
    pull.comment("renovate[bot]", "terraplane plan");
    let comment = pull.comment("kim", "Let me see");
    stage.world.forge.edit_comment(REPO, comment, "kim", "terraplane plan").unwrap();
    stage.settled().await;
    assert_eq!(pull.server_comments().len(), 1, "only the live comment: {:?}", pull.server_comments());
    assert_eq!(stage.runs(), 1);
    stage.finish().await;
}

#[tokio::test]
async fn plan_plans_again_what_is_named_and_nothing_else() {
    let files =
        [("terraplane.yaml", TWO), ("dev/main.tf", &resource("web", "one")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::with(&files).await;
    let two = resource("web", "two");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &two).changing("dev/main.tf", &two).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    let mut runs = 2;
    for (command, planned) in [
        ("terraplane plan", 2),
        ("tp plan prod", 1),
        ("@terraplane plan p*", 1),
        ("terraplane PLAN tag:eu", 1),
        ("terraplane plan dev, prod", 2),
        ("Both now:\n\nterraplane plan dev\nterraplane plan prod\n", 2),
        ("terraplane plan `dev/`", 1),
    ] {
        pull.comment("kim", command);
        stage.settled().await;
        runs += planned;
        assert_eq!(stage.runs(), runs, "after `{command}`");
    }
    pull.await_status("terraplane/plan", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn on_comment_a_project_is_applied_before_the_merge_and_the_status_waits_for_it() {
    let stage =
        Stage::with(&[("terraplane.yaml", &managed("apply: on_comment")), ("prod/main.tf", &resource("web", "one"))])
            .await;
    stage.world.forge.change(|state| {
        state.repo_mut(REPO).unwrap().required_statuses = vec!["terraplane/plan".into(), "terraplane/apply".into()];
    });
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let status = pull.await_status("terraplane/apply", "pending").await;
    pull.await_status("terraplane/plan", "success").await;
    let waits = "Waits for `terraplane apply` (1 project)";
    stage
        .world
        .wait("a status that waits", |state| {
            (state.repo(REPO)?.status(&status.sha, "terraplane/apply")?.description.as_deref()? == waits).then_some(())
        })
        .await;
    assert!(stage.world.forge.merge(REPO, pull.number, "ana", MergeMethod::Merge).await.is_err(), "it is required");

    pull.comment("sam", "terraplane apply");
    let _masked = masked();
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:run ID -->
    ### ✅ Applied `prod`

    Before the merge, by `@sam`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ✅ | [`prod`](RUN) | 1 created · the reviewed plan `ID` | 0 s |
    ");
    let status = pull.await_status("terraplane/apply", "success").await;
    assert_eq!(status.description.as_deref(), Some("Applied: 1 project"));

    pull.comment("sam", "terraplane apply");
    let nothing = pull.next_comment().await;
    assert!(nothing.contains("there is nothing left to apply"), "{nothing}");

    let merged = pull.merge("ana").await;
    let status = stage.world.await_status(&merged, "terraplane/apply", "success").await;
    assert_eq!(status.description.as_deref(), Some("Applied: 1 project"));
    insta::assert_snapshot!(pull.live_comment().await_containing("terraplane · merged").await, @r#"
    <!-- terraplane:live -->
    ### ✅ terraplane · merged · applied · `prod` · +1

    <details open><summary><b><a href="RUN"><code>prod</code></a></b> · applied · +1 · 0 s · because <code>prod/main.tf</code> changed</summary>

    ```diff
    + terraform_data.web  create
    +   id: (known after apply)
    +   input: "two"
    +   output: (known after apply)
    ```

    </details>

    <sub>`ID` merged onto `main` at `ID` · merged as `ID` · terraform VERSION · plan `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#);
    assert_eq!(stage.applies(&pull).await, 1);

    // The project is free again.
    let next = stage.world.open_pull("Three").changing("prod/main.tf", &resource("web", "three")).await;
    next.await_status("terraplane/plan", "success").await;
    next.comment("sam", "terraplane apply prod");
    assert!(next.next_comment().await.contains("Applied `prod`"));
    stage.hear_everything_again().await;
    assert_eq!((stage.applies(&pull).await, stage.applies(&next).await), (1, 1));
    stage.finish().await;
}

#[tokio::test]
async fn what_was_pushed_after_an_apply_is_not_said_to_be_applied() {
    let stage =
        Stage::with(&[("terraplane.yaml", &managed("apply: on_comment")), ("prod/main.tf", &resource("web", "one"))])
            .await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    pull.comment("sam", "terraplane apply");
    pull.next_comment().await;
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.await_status("terraplane/plan", "success").await;
    pull.live_comment().await_containing("three").await;
    pull.await_status("terraplane/apply", "pending").await;
    let merged = pull.merge("ana").await;
    let status = stage.world.await_status(&merged, "terraplane/apply", "pending").await;
    assert_eq!(status.description.as_deref(), Some("Waits for `terraplane apply` (1 project)"));

    pull.comment("sam", "terraplane apply");
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    let status = stage.world.await_status(&merged, "terraplane/apply", "success").await;
    assert_eq!(status.description.as_deref(), Some("Applied: 1 project"));
    stage.finish().await;
}

#[tokio::test]
async fn both_applies_by_a_comment_or_by_the_merge() {
    let stage =
        Stage::with(&[("terraplane.yaml", &managed("apply: both")), ("prod/main.tf", &resource("web", "one"))]).await;
    let by_comment = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let status = by_comment.await_status("terraplane/apply", "success").await;
    assert_eq!(status.description.as_deref(), Some("Applies on merge"));
    by_comment.await_status("terraplane/plan", "success").await;
    by_comment.comment("kim", "terraplane apply");
    assert!(by_comment.next_comment().await.contains("Applied `prod`"));
    // What was pushed since is applied by the merge.
    by_comment.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    by_comment.live_comment().await_containing("\"two\" -> \"three\"").await;
    let merged = by_comment.merge("ana").await;
    let result = by_comment.next_comment().await;
    assert!(result.contains("1 changed · the reviewed plan"), "{result}");
    stage.world.await_status(&merged, "terraplane/apply", "success").await;
    assert_eq!(stage.applies(&by_comment).await, 2);
    stage.finish().await;
}

#[tokio::test]
async fn an_approval_counts_for_the_present_head_and_by_somebody_else_who_may_write() {
    let stage = Stage::with(&[
        ("terraplane.yaml", &managed("apply: on_comment, require: [approved]")),
        ("prod/main.tf", &resource("web", "one")),
    ])
    .await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;

    pull.approve("rita");
    // Most forges don't let authors approve; some may.
    let own = Review {
        id: 9_001,
        author: "sam".into(),
        state: ReviewState::Approved,
        body: String::new(),
        commit: pull.head(),
        at: Timestamp(0),
    };
    stage.world.forge.change(|state| state.pull_mut(REPO, pull.number).unwrap().reviews.push(own));
    pull.comment("sam", "terraplane apply");
    let _masked = masked();
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@sam`: `terraplane apply` was not carried out

    - `prod`: it needs an approval by somebody with write permission who is not the author
    ");

    pull.approve("ana");
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    pull.live_comment().await_containing("three").await;
    pull.comment("sam", "terraplane apply");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@sam`: `terraplane apply` was not carried out

    - `prod`: it needs an approval by somebody with write permission who is not the author; the approval of `ana` is for `ID`, an older commit
    ");

    pull.approve("kim");
    pull.request_changes("kim");
    pull.comment("sam", "terraplane apply");
    let refused = pull.next_comment().await;
    assert!(refused.contains("it needs an approval"), "an approval that was taken back: {refused}");

    pull.approve("ana");
    pull.comment("sam", "terraplane apply");
    let result = pull.next_comment().await;
    assert!(result.contains("Before the merge, by `@sam`, approved by `@ana`"), "{result}");
    stage.finish().await;
}

#[tokio::test]
async fn drafts_diverged_branches_and_lesser_roles_are_told_what_is_missing() {
    let stage = Stage::with(&[
        (
            "terraplane.yaml",
            &managed("apply: on_comment, require: [mergeable, undiverged], can_apply: [role:maintain]"),
        ),
        ("prod/main.tf", &resource("web", "one")),
    ])
    .await;
    let two = resource("web", "two");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &two).await;
    stage.world.forge.set_draft(REPO, pull.number, true, "sam").unwrap();
    pull.await_status("terraplane/plan", "success").await;
    stage.world.push("main", &[("README.md", "Something else\n")]).await;
    pull.comment("kim", "terraplane plan");
    stage.settled().await;
    pull.comment("kim", "terraplane apply");
    let _masked = masked();
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@kim`: `terraplane apply` was not carried out

    - `prod`: `apply` is for `role:maintain`, and you have the role `write`
    - `prod`: it is still a draft
    - `prod`: `main` has commits that this branch does not contain: merge or rebase
    ");

    let fits = stage.world.open_pull("Three").changing("prod/main.tf", &resource("web", "three")).await;
    fits.await_status("terraplane/plan", "success").await;
    fits.comment("ana", "terraplane apply");
    assert!(fits.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}

#[tokio::test]
async fn a_project_is_held_from_its_apply_on_and_others_take_their_turn() {
    let stage =
        Stage::with(&[("terraplane.yaml", &managed("apply: on_comment")), ("prod/main.tf", &resource("web", "one"))])
            .await;
    let holder = stage.world.open_pull("Holder").changing("prod/a.tf", &resource("a", "one")).await;
    let waiter = stage.world.open_pull("Waiter").changing("prod/b.tf", &resource("b", "one")).await;
    let last = stage.world.open_pull("Last").changing("prod/c.tf", &resource("c", "one")).await;
    for pull in [&holder, &waiter, &last] {
        pull.await_status("terraplane/plan", "success").await;
    }
    holder.comment("sam", "terraplane apply");
    assert!(holder.next_comment().await.contains("Applied `prod`"));
    // The others are planned again: what they are made from has changed.
    stage.settled().await;

    let _masked = masked();
    waiter.comment("sam", "terraplane apply");
    insta::assert_snapshot!(waiter.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### ⏳ `@sam`: the apply waits

    - `prod` is held by `#1`

    It goes on by itself as soon as the project is free; the live comment shows the place in the queue. Before the merge, a newer push calls it off.
    ");
    insta::assert_snapshot!(waiter.live_comment().await_containing("waits").await.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
    <!-- terraplane:live -->
    ### ⏳ terraplane · waits for `#1`, place 1 in the queue · `prod` · +1 −1
    ");
    let status = waiter.await_status("terraplane/apply", "pending").await;
    assert_eq!(status.description.as_deref(), Some("Waits for another pull request to let go (1 project)"));
    last.comment("sam", "terraplane apply");
    assert!(last.next_comment().await.contains("`prod` is held by `#1`"));
    last.live_comment().await_containing("place 2 in the queue").await;

    // A wait can be given up, and then the others move up.
    last.comment("sam", "terraplane unlock");
    assert!(last.next_comment().await.contains("Unlocked"));

    holder.comment("rita", "terraplane unlock");
    assert!(holder.next_comment().await.contains("needs the role `write`"));
    holder.comment("kim", "terraplane unlock");
    assert!(holder.next_comment().await.contains("needs the role `maintain`"));
    holder.comment("ana", "terraplane unlock");
    insta::assert_snapshot!(holder.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🔓 Unlocked by `@ana`

    - `prod`

    Other pull requests may change it now. What this one has applied already stays as it is.
    ");
    // What the holder had applied is in reality and not in the waiter's code: that was planned and shown before.
    insta::assert_snapshot!(waiter.next_comment().await, @r"
    <!-- terraplane:run ID -->
    ### ✅ Applied `prod`

    Before the merge, by `@sam`

    | | Project | Result | Time |
    |---|---|---|--:|
    | ✅ | [`prod`](RUN) | 1 created, 1 destroyed · the reviewed plan `ID` | 0 s |
    ");
    waiter.await_status("terraplane/apply", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn closing_frees_what_was_not_applied_and_keeps_what_was() {
    let stage =
        Stage::with(&[("terraplane.yaml", &managed("apply: on_comment")), ("prod/main.tf", &resource("web", "one"))])
            .await;
    let closed = stage.world.open_pull("Closed").changing("prod/a.tf", &resource("a", "one")).await;
    let next = stage.world.open_pull("Next").changing("prod/b.tf", &resource("b", "one")).await;
    let last = stage.world.open_pull("Last").changing("prod/c.tf", &resource("c", "one")).await;
    for pull in [&closed, &next, &last] {
        pull.await_status("terraplane/plan", "success").await;
    }
    next.comment("sam", "terraplane apply");
    assert!(next.next_comment().await.contains("Applied `prod`"));
    stage.settled().await;
    for pull in [&closed, &last] {
        pull.comment("sam", "terraplane apply");
        assert!(pull.next_comment().await.contains("the apply waits"));
    }
    // Whoever waits and is closed waits no more.
    closed.close("sam");
    let text = closed.live_comment().await_containing("closed without a merge").await;
    let status = closed.await_status("terraplane/apply", "success").await;
    assert_eq!(status.description.as_deref(), Some("Closed: nothing more will be applied"), "{text}");
    let called_off = closed.next_comment().await;
    assert!(called_off.contains("Not applied · `prod`"), "{called_off}");
    closed.comment("sam", "terraplane apply");
    let refused = closed.next_comment().await;
    assert!(refused.contains("closed without a merge"), "{refused}");

    // Closed after it applied something: reality differs from the base branch, so it keeps the project.
    next.close("sam");
    let _masked = masked();
    insta::assert_snapshot!(next.live_comment().await_containing("closed without a merge").await, @r#"
    <!-- terraplane:live -->
    ### ✅ terraplane · closed without a merge · applied · `prod` · +2

    <details open><summary><b><a href="RUN"><code>prod</code></a></b> · applied · +2 · 0 s · because <code>prod/b.tf</code> changed</summary>

    ```diff
    + terraform_data.b    create
    +   id: (known after apply)
    +   input: "one"
    +   output: (known after apply)
    + terraform_data.web  create
    +   id: (known after apply)
    +   input: "one"
    +   output: (known after apply)
    ```

    </details>

    To give up and let others change it: `terraplane unlock`

    <sub>`ID` merged onto `main` at `ID` · terraform VERSION · plan `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#);
    last.live_comment().await_containing("waits").await;
    assert_eq!(stage.applies(&last).await, 0);
    next.comment("sam", "terraplane unlock");
    assert!(next.next_comment().await.contains("Unlocked"));
    // It was planned again before it was commanded, so that this is what was seen.
    let applied = last.next_comment().await;
    assert!(applied.contains("1 created, 1 destroyed · the reviewed plan"), "{applied}");
    last.comment("sam", "terraplane unlock");
    assert!(last.next_comment().await.contains("Unlocked"));

    // What is only held is let go of by closing.
    stage.settled().await;
    closed.reopen("sam").await;
    closed.await_status("terraplane/plan", "success").await;
    closed.comment("sam", "terraplane lock");
    assert!(closed.next_comment().await.contains("Held for this pull request"));
    closed.close("sam");
    closed.live_comment().await_containing("closed without a merge").await;
    let free = stage.world.open_pull("Free").changing("prod/main.tf", &resource("web", "free")).await;
    free.live_comment().await_containing("plan ready").await;
    free.comment("sam", "terraplane apply");
    let applied = free.next_comment().await;
    assert!(applied.contains("Applied `prod`"), "{applied}");
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn a_command_on_a_pull_request_that_can_t_be_planned_is_answered() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.world.push("main", &[("prod/main.tf", &resource("web", "other"))]).await;
    let _masked = masked();
    pull.comment("kim", "terraplane plan");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@kim`: `terraplane plan` was not carried out

    - it conflicts with the base branch: resolve that, and push
    ");
    let text = pull.live_comment().await_containing("conflicts with").await;
    assert!(text.contains("`prod/main.tf`"), "{text}");
    pull.await_status("terraplane/plan", "failure").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_program_commands_as_an_account_and_passes_the_same_door() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "0123456789abcdefghij").unwrap();
    let yaml = format!("api:\n  - acts_as: kim\n    token: file:{}\n", token.display());
    let rule = managed("apply: on_comment, require: [approved]");
    let files = [("terraplane.yaml", rule.as_str()), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { yaml, ..Setup::default() }).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("plan ready").await;
    let name = format!("{}#{}", stage.world.repo_name(), pull.number);
    let call = async |command: &str, head: &str, key: &str| {
        let body = serde_json::json!({ "pull": name, "command": command, "head": head }).to_string();
        let request = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = request.post(stage.url().join("api/v1/commands").unwrap()).body(body);
        let request = request.bearer_auth("0123456789abcdefghij").header("idempotency-key", key);
        let status = request.send().await.unwrap().status().as_u16();
        stage.settled().await;
        status
    };
    let head = pull.head().to_string();
    assert_eq!(call("apply", &head, "one").await, 202);
    let refused = pull.next_comment().await;
    assert!(refused.contains("`@kim`") && refused.contains("approv"), "{refused}");
    pull.approve("ana");
    stage.settled().await;
    // The same call again is the same call.
    assert_eq!(call("apply", &head, "one").await, 202);
    assert_eq!(stage.applies(&pull).await, 0);
    assert_eq!(call("apply", &"d".repeat(40), "two").await, 202);
    let refused = pull.next_comment().await;
    assert!(refused.contains("now and not `ddddddd`"), "{refused}");
    assert_eq!(call("apply", &head, "three").await, 202);
    let applied = pull.next_comment().await;
    assert!(applied.contains("✅ Applied") && applied.contains("by `@kim`"), "{applied}");
    stage.finish().await;
}
