//! Who may, what must hold, and whose turn it is.

use super::props::{managed, pull_id};
use super::stand_in::StandIn;
use super::{MANAGED, masked, resource};
use crate::stage::Stage;
use crate::world::{PullRequest, REPO};
use terraplane::demo::state::ReviewState;
use terraplane::domain::pull::Role;

/// `prod` under one rule, with one resource.
async fn stage(rule: &str) -> Stage {
    Stage::with(&[("terraplane.yaml", &managed(rule)), ("prod/main.tf", &resource("web", "one"))]).await
}

async fn planned(stage: &Stage, title: &str, file: &str) -> PullRequest {
    let pull = stage.world.open_pull(title).changing(file, &resource(title, "new")).await;
    pull.await_status("terraplane/plan", "success").await;
    pull
}

/// What the server reacted with to a comment, oldest first.
fn reactions(pull: &PullRequest, comment: u64) -> Vec<String> {
    let pull = pull.now();
    let comment = pull.comments.iter().find(|one| one.id == comment).unwrap();
    // GitLab has words for what are signs elsewhere.
    comment.reactions.iter().map(|reaction| reaction.content.replace("thumbsup", "+1")).collect()
}

#[tokio::test]
async fn what_is_frozen_is_planned_and_goes_on_when_it_is_thawed() {
    let stage = stage("apply: both").await;
    let pull = planned(&stage, "frozen", "prod/a.tf").await;
    let _masked = masked();
    let comment = pull.comment("kim", "terraplane freeze prod \"change freeze\"");
    let refused = pull.next_comment().await;
    assert!(refused.contains("`freeze` needs the role `maintain`"), "{refused}");
    stage.settled().await;
    assert_eq!(reactions(&pull, comment), ["eyes", "confused"]);
    let comment = pull.comment("ana", "terraplane freeze prod \"change freeze\"");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### ❄️ `prod` is frozen by `@ana`

    Reason: change freeze

    Nothing of it is applied meanwhile in this repository; plans go on, and what is merged or asked for waits. To end it: `terraplane thaw prod`
    ");
    stage.settled().await;
    assert_eq!(reactions(&pull, comment), ["eyes", "+1"]);
    pull.live_comment().await_containing("frozen by `@ana`: change freeze.").await;
    let other = planned(&stage, "other", "prod/b.tf").await;
    other.live_comment().await_containing("frozen by `@ana`").await;

    pull.comment("sam", "terraplane apply");
    let waits = pull.next_comment().await;
    assert!(waits.contains("`prod` is frozen by `@ana`: change freeze"), "{waits}");
    let merged = other.merge("ana").await;
    stage.world.await_status(&merged, "terraplane/apply", "pending").await;
    stage.settled().await;
    assert_eq!((stage.applies(&pull).await, stage.applies(&other).await), (0, 0));

    other.comment("ana", "terraplane thaw");
    assert!(other.next_comment().await.contains("Thawed by `@ana`"));
    // What was merged comes first.
    assert!(other.next_comment().await.contains("Applied `prod`"));
    // The other one's base branch has moved under it.
    let stopped = pull.next_comment().await;
    assert!(stopped.contains("has changed what this project is made of"), "{stopped}");
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn teams_may_and_approve_as_the_rules_say() {
    let stage = stage("apply: on_comment, can_apply: [team:sre], require: [approved by team:sre]").await;
    // Gitea shows a team to its members only, and so the server's account is one.
    stage.world.forge.add_team("acme", "sre", &["kim", "ana", "terraplane"]);
    stage.world.forge.add_team("acme", "dba", &["sam"]);
    let pull = planned(&stage, "teams", "prod/a.tf").await;
    let _masked = masked();
    pull.comment("sam", "terraplane apply");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@sam`: `terraplane apply` was not carried out

    - `prod`: `apply` is for `team:sre`, and you have the role `write`
    - `prod`: it needs an approval by a member of `team:sre` who is not the author
    ");
    pull.comment("kim", "terraplane apply");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@kim`: `terraplane apply` was not carried out

    - `prod`: it needs an approval by a member of `team:sre` who is not the author
    ");
    pull.approve("ana");
    pull.comment("kim", "terraplane apply");
    let result = pull.next_comment().await;
    assert!(result.contains("Applied `prod`") && result.contains("approved by `@ana`"), "{result}");
    let trail = stage.server.flow.store.audit_trail(&pull_id(&pull)).await.unwrap();
    let ordered = trail.iter().find(|entry| entry.action == "apply").unwrap();
    let applied = trail.iter().find(|entry| entry.action == "applied").unwrap();
    assert_eq!((ordered.actor.as_str(), &ordered.data["approved"][0]["by"]), ("kim", &serde_json::json!("ana")));
    assert!(ordered.data["shown_at"].is_i64() && ordered.data["approved"][0]["at"].is_i64(), "{ordered:?}");
    assert_eq!(ordered.data["reviewed"], applied.data["ran"], "what was shown is what ran");
    stage.finish().await;
}

#[tokio::test]
async fn why_looks_at_how_things_are_now() {
    let stage = stage("apply: on_comment, require: [undiverged]").await;
    let pull = planned(&stage, "behind", "prod/a.tf").await;
    stage.world.push("main", &[("notes.md", "Notes\n")]).await;
    pull.comment("kim", "terraplane why");
    let said = pull.next_comment().await;
    assert!(said.contains("has commits that this branch does not contain"), "{said}");
    stage.finish().await;
}

#[tokio::test]
async fn mergeable_is_the_forges_word_without_our_own_statuses() {
    let stage = stage("apply: on_comment, require: [mergeable]").await;
    stage.world.forge.change(|state| {
        let repo = state.repo_mut(REPO).unwrap();
        repo.required_statuses = vec!["terraplane/apply".into(), "ci".into()];
        repo.required_reviews = 1;
    });
    let pull = planned(&stage, "mergeable", "prod/a.tf").await;
    let ci = |state: &str| stage.world.forge.set_status(REPO, &pull.head(), "ci", state, "ana").unwrap();
    ci("pending");
    pull.comment("kim", "terraplane apply");
    let refused = pull.next_comment().await;
    assert!(refused.contains("a review that the forge asks for is missing"), "{refused}");
    pull.approve("ana");
    pull.comment("kim", "terraplane apply");
    let refused = pull.next_comment().await;
    assert!(refused.contains("required checks are not green (not done yet: `ci`)"), "{refused}");
    ci("success");
    // `terraplane/apply` is required and pending: it waits for exactly this.
    pull.comment("kim", "terraplane apply");
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}

#[tokio::test]
async fn whether_code_owners_approved_is_the_forges_word() {
    let stage = stage("apply: on_comment, require: [approved by codeowners]").await;
    let pull = planned(&stage, "owned", "prod/a.tf").await;
    pull.approve("ana");
    pull.comment("kim", "terraplane apply");
    let refused = pull.next_comment().await;
    assert!(refused.contains("the forge's branch rules do not ask for one"), "{refused}");

    stage.world.forge.change(|state| {
        let repo = state.repo_mut(REPO).unwrap();
        repo.code_owners = vec!["lee".into()];
    });
    stage.world.forge.grant(REPO, "lee", Role::Write).unwrap();
    pull.comment("kim", "terraplane apply");
    let refused = pull.next_comment().await;
    assert!(refused.contains("it needs an approval of its code owners, as the forge judges"), "{refused}");
    pull.approve("lee");
    pull.comment("kim", "terraplane apply");
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}

#[tokio::test]
async fn those_who_change_the_same_are_warned_and_planned_again() {
    let stage = stage("apply: both").await;
    let web = |input: &str| resource("web", input);
    let first = stage.world.open_pull("First").changing("prod/main.tf", &web("two")).await;
    first.await_status("terraplane/plan", "success").await;
    let second = stage.world.open_pull("Second").changing("prod/main.tf", &web("three")).await;
    second.live_comment().await_containing("`#1` changes the same in `prod`: `terraform_data.web`").await;
    first.live_comment().await_containing("`#2` changes the same in `prod`").await;
    first.comment("sam", "terraplane apply");
    assert!(first.next_comment().await.contains("Applied `prod`"));
    // What is there now is what the first one made of it.
    second.live_comment().await_containing("\"two\" -> \"three\"").await;
    first.close("sam");
    second.live_comment().await_until(|text| !text.contains("changes the same")).await;
    stage.finish().await;
}

#[tokio::test]
async fn a_pull_request_that_edits_the_rules_is_told_what_merging_it_would_change() {
    let stage = stage("apply: on_comment, require: [approved], can_apply: [role:maintain]").await;
    let pull = stage
        .world
        .open_pull("Looser")
        .changing("terraplane.yaml", &managed("apply: both, can_apply: [user:sam]"))
        .changing("prod/main.tf", &resource("web", "two"))
        .await;
    let text = pull.live_comment().await_containing("Merging this changes the rules").await;
    for change in [
        "`prod`: `apply`: `on_comment` → `both`",
        "`prod`: an apply requires: `approved` → nothing",
        "`prod`: who may `apply`: `role:maintain` → `user:sam`",
    ] {
        assert!(text.contains(change), "{change}: {text}");
    }
    pull.comment("sam", "terraplane apply");
    let refused = pull.next_comment().await;
    assert!(refused.contains("`apply` is for `role:maintain`"), "the rules from before hold: {refused}");
    stage.finish().await;
}

#[tokio::test]
async fn what_is_applied_merges_itself_where_the_rules_want_it() {
    let stage = stage("apply: on_comment, automerge: squash").await;
    let pull = planned(&stage, "automerge", "prod/a.tf").await;
    pull.comment("sam", "terraplane apply");
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    pull.live_comment().await_containing("terraplane · merged · applied").await;
    assert!(pull.is_merged());

    stage.world.forge.change(|state| state.repo_mut(REPO).unwrap().required_statuses = vec!["ci".into()]);
    let blocked = planned(&stage, "blocked", "prod/b.tf").await;
    stage.world.forge.set_status(REPO, &blocked.head(), "ci", "failure", "ana").unwrap();
    blocked.comment("sam", "terraplane apply");
    assert!(blocked.wait_for_comment(|text| text.contains("Applied `prod`")).await.contains("1 created"));
    let told = blocked.wait_for_comment(|text| text.contains("was not merged")).await;
    assert!(told.contains(stage.world.says_of_failed_checks()), "{told}");
    stage.hear_everything_again().await;
    stage.finish().await;
}

#[tokio::test]
async fn arguments_reach_terraform_and_the_apply_has_them_too() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", &managed("apply: on_comment")), ("prod/main.tf", &resource("web", "one"))];
    let files = files.map(|(path, text)| (path, text.as_str()));
    let stage = Stage::set(&files, terraform.setup(1)).await;
    let pull = planned(&stage, "more", "prod/a.tf").await;
    pull.live_comment().await_containing("+2").await;
    pull.comment("kim", "terraplane plan -- -target terraform_data.more");
    let targeted =
        |text: &str| text.contains("was planned with `-target=terraform_data.more`") && text.contains("· +1");
    pull.live_comment().await_until(targeted).await;
    assert!(terraform.arguments().lines().any(|argument| argument == "-target=terraform_data.more"));
    pull.comment("kim", "terraplane plan -- -chdir=/ -lock=false");
    let refused = pull.next_comment().await;
    assert!(refused.contains("terraform is not given `-chdir=/`") && refused.contains("`-lock=false`"), "{refused}");
    pull.comment("kim", "terraplane apply");
    let result = pull.next_comment().await;
    assert!(result.contains("1 created · the reviewed plan"), "{result}");
    stage.finish().await;
}

#[tokio::test]
async fn an_apply_that_waited_asks_again_and_a_lock_is_taken_for_a_reason() {
    let stage = stage("apply: on_comment, require: [approved]").await;
    let holder = planned(&stage, "holder", "prod/a.tf").await;
    let waiter = planned(&stage, "waiter", "prod/b.tf").await;
    holder.comment("sam", "terraplane lock prod \"migration\"");
    assert!(holder.next_comment().await.contains("Reason: migration"));
    waiter.approve("ana");
    waiter.comment("kim", "terraplane apply");
    assert!(waiter.next_comment().await.contains("`prod` is held by `#1`"));
    waiter.comment("rita", "terraplane locks");
    let locks = waiter.next_comment().await;
    assert!(locks.contains("| `prod` | `#1`, taken by `@sam`: migration |") && locks.contains("| `#2` |"), "{locks}");

    // The approval is taken back while it waits.
    stage.world.forge.review(REPO, waiter.number, "ana", ReviewState::ChangesRequested).unwrap();
    waiter.comment("kim", "terraplane unlock #1 prod --reason \"he is ill\"");
    assert!(waiter.next_comment().await.contains("needs the role `maintain`"));
    waiter.comment("ana", "terraplane unlock #1 prod --reason \"he is ill\"");
    let freed = waiter.wait_for_comment(|text| text.contains("Unlocked by `@ana`, from `#1`")).await;
    assert!(freed.contains("Reason: he is ill"), "{freed}");
    let stopped = waiter.next_comment().await;
    assert!(stopped.contains("When its turn came, it was not allowed any more: it needs an approval"), "{stopped}");
    let trail = stage.server.flow.store.audit_trail(&pull_id(&holder)).await.unwrap();
    let free = trail.iter().find(|entry| entry.action == "free").unwrap();
    assert_eq!((free.actor.as_str(), &free.data["reason"]), ("ana", &serde_json::json!("he is ill")));

    // Nothing was changed, so that nobody has to wait for it.
    stage.world.forge.grant(REPO, "kim", Role::Write).unwrap();
    holder.approve("ana");
    holder.comment("sam", "terraplane apply");
    assert!(holder.next_comment().await.contains("Applied `prod`"));
    stage.finish().await;
}

#[tokio::test]
async fn help_and_why_are_about_this_person_and_this_pull_request() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let pull = planned(&stage, "help", "prod/a.tf").await;
    pull.comment("rita", "terraplane help");
    let help = pull.next_comment().await;
    assert!(help.contains("what `@rita` may do here now"), "{help}");
    assert!(help.contains("| plans again | ❌ `plan` needs the role `write`"), "{help}");
    assert!(help.contains("| looks | ✅ |"), "{help}");
    pull.comment("kim", "@terraplane why prod");
    let why = pull.next_comment().await;
    assert!(why.contains("**`prod`**: `prod/a.tf` changed") && why.contains("- applied by the merge"), "{why}");
    pull.comment("otto", "terraplane locks");
    assert!(pull.next_comment().await.contains("`locks` needs the role `read`"));
    stage.finish().await;
}
