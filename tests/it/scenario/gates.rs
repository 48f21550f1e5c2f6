//! What has to be there before something is planned, applied or merged.

use super::props::{managed, until};
use super::resource;
use super::stand_in::StandIn;
use crate::stage::{Setup, Stage};
use crate::world::{PullRequest, REPO};
use terraplane::demo::state::{Answer, Change, How};
use terraplane::demo::world::NewPull;
use terraplane::domain::id::Sha;
use terraplane::domain::pull::Role;

async fn stage(rule: &str) -> Stage {
    Stage::with(&[("terraplane.yaml", &managed(rule)), ("prod/main.tf", &resource("web", "one"))]).await
}

async fn planned(stage: &Stage, title: &str, file: &str, text: &str) -> PullRequest {
    let pull = stage.world.open_pull(title).changing(file, text).await;
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    pull
}

/// Somebody else's check reports on a commit.
fn report(stage: &Stage, sha: &Sha, state: &str) {
    stage.world.forge.set_status(REPO, sha, "ci", state, "ana").unwrap();
}

#[tokio::test]
async fn a_command_is_bound_to_the_head_that_was_shown_when_it_was_written() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", &*managed("apply: on_comment")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, terraform.setup(1)).await;
    let pull = planned(&stage, "race", "prod/a.tf", &resource("shown", "new")).await;
    let shown = pull.head();
    terraform.hold("prod");
    let pushed = pull.push(&[("prod/b.tf", &resource("pushed", "new"))]).await;
    terraform.await_noted("begin plan prod", 2).await;
    pull.comment("kim", "terraplane apply");
    let refused = pull.next_comment().await;
    let why = format!("`{}` was shown when you wrote this, and the head is `{}` now", shown.short(), pushed.short());
    assert!(refused.contains(&why), "{refused}");
    terraform.release("prod");
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    assert_eq!(terraform.count("begin apply prod"), 0);
    pull.comment("kim", "terraplane apply");
    let result = pull.next_comment().await;
    assert!(result.contains("Applied `prod`") && result.contains("3 created"), "{result}");
    stage.finish().await;
}

#[tokio::test]
async fn a_plan_waits_for_the_checks_of_others_and_an_apply_for_two_approvals() {
    let stage = stage("apply: on_comment, require_plan: [checks], require: [approved by 2]").await;
    let world = &stage.world;
    let changes = [Change::write("prod/a.tf", resource("a", "new"))];
    let head = world.forge.push(REPO, "gated", "sam", "Gated", &changes).await.unwrap();
    report(&stage, &head, "pending");
    let new =
        NewPull { title: "Gated".into(), author: "sam".into(), head_branch: "gated".into(), ..NewPull::default() };
    let number = world.forge.open_pull(REPO, new).await.unwrap();
    let pull = PullRequest { world: world.clone(), number };
    let status = pull.await_status("terraplane/plan", "pending").await;
    assert_eq!(status.description.as_deref(), Some("Not planned yet: the rules ask for `checks` before"));
    pull.live_comment().await_containing("not planned yet: it needs `checks` · `prod`").await;
    pull.comment("kim", "terraplane plan");
    let refused = pull.next_comment().await;
    assert!(refused.contains("checks are not green") && refused.contains("`ci`"), "{refused}");
    assert_eq!(stage.runs(), 0, "nothing is planned before");
    // The forge tells nobody that a check turned green.
    report(&stage, &head, "success");
    pull.await_status("terraplane/plan", "success").await;
    pull.live_comment().await_containing("+2").await;
    stage.settled().await;

    world.forge.grant(REPO, "lee", Role::Write).unwrap();
    pull.approve("ana");
    pull.comment("kim", "terraplane apply");
    let refused = pull.next_comment().await;
    assert!(
        refused
            .contains("it needs 2 approvals by people with write permission who are not the author, and has 1 (`ana`)"),
        "{refused}"
    );
    pull.approve("lee");
    pull.comment("kim", "terraplane apply");
    let result = pull.next_comment().await;
    assert!(result.contains("Applied `prod`") && result.contains("approved by `@ana`, `@lee`"), "{result}");
    stage.finish().await;
}

#[tokio::test]
async fn an_import_needs_more_and_atlantis_comments_work_as_they_are() {
    let yaml = "commands: {names: [atlantis]}\n".to_owned();
    let rule = managed("apply: on_comment, require_import: [approved]");
    let files = [("terraplane.yaml", &*rule), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { yaml, ..Setup::default() }).await;
    let pull = planned(&stage, "plain", "prod/a.tf", &resource("plain", "new")).await;
    pull.comment("kim", "atlantis plan -d prod -- -target=terraform_data.plain");
    pull.live_comment().await_containing("`-target=terraform_data.plain`").await;
    pull.comment("kim", "atlantis plan -d prod");
    pull.live_comment().await_until(|text| !text.contains("-target") && text.contains("+2")).await;
    stage.settled().await;
    pull.comment("kim", "atlantis apply -d prod");
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    pull.merge("ana").await;
    stage.settled().await;

    let import =
        "import {\n  to = terraform_data.found\n  id = \"found\"\n}\n\nresource \"terraform_data\" \"found\" {}\n";
    let pull = planned(&stage, "import", "prod/b.tf", import).await;
    pull.comment("kim", "atlantis apply");
    let refused = pull.next_comment().await;
    assert!(refused.contains("`prod`: it needs an approval"), "{refused}");
    pull.approve("ana");
    pull.comment("kim", "atlantis apply");
    let result = pull.next_comment().await;
    assert!(result.contains("Applied `prod`"), "{result}");
    stage.finish().await;
}

#[tokio::test]
async fn what_is_applied_goes_into_the_queue_where_the_rules_want_it() {
    let stage = stage("apply: on_comment, automerge: enqueue").await;
    stage.world.forge.change(|state| {
        let repo = state.repo_mut(REPO).unwrap();
        repo.merge_queue = true;
        // Nobody says it of what the queue would merge, so that it stays there.
        repo.required_statuses = vec!["ci".into()];
    });
    let pull = planned(&stage, "queued", "prod/a.tf", &resource("a", "new")).await;
    report(&stage, &pull.head(), "success");
    assert!(!pull.now().queued);
    pull.comment("kim", "terraplane apply");
    assert!(pull.next_comment().await.contains("Applied `prod`"));
    until("a place in the queue", || pull.now().queued).await;
    // The forge tells of the queue before it answers who has asked for it.
    stage.settled().await;
    assert!(!pull.is_merged(), "that is the forge's to do");
    stage.finish().await;
}

#[tokio::test]
async fn a_merge_by_nobody_knows_whom_is_not_the_authors() {
    let stage = stage("apply: on_merge, can_apply: [user:sam]").await;
    let pull = planned(&stage, "gone", "prod/a.tf", &resource("a", "new")).await;
    let forge = &stage.world.forge;
    forge.grant(REPO, "leaver", Role::Write).unwrap();
    stage.world.trouble("POST", "pull_request", How::LoseWebhook, 1);
    pull.merge("leaver").await;
    forge.change(|state| state.users.remove("leaver"));
    let lost = forge.change(|state| {
        let lost = state.deliveries.iter_mut().find(|delivery| delivery.answer == Answer::Lost).unwrap();
        lost.answer = Answer::None;
        lost.id.clone()
    });
    forge.redeliver(&lost);
    let refused = pull.next_comment().await;
    assert!(refused.contains("`apply` is for `user:sam`"), "{refused}");
    assert_eq!(stage.applies(&pull).await, 0);
    stage.finish().await;
}
