//! What only GitLab has: groups below groups, and pipelines in which statuses stand. Everything else that works with it is
//! in the scenarios.

use crate::scenario::{MANAGED, resource};
use crate::stage::{Setup, Stage};
use crate::world::{LIVE_MARKER, PullRequest, REPO, World};
use terraplane::demo::Face;
use terraplane::demo::state::{Change, Pipeline, Status};
use terraplane::demo::world::NewPull;
use terraplane::domain::id::{Sha, Timestamp};
use terraplane::domain::pull::Role;

const CI: (&str, &str) = (".gitlab-ci.yml", "lint: {script: ['true']}\n");

#[tokio::test]
async fn a_project_in_a_group_below_a_group_is_planned() {
    const NESTED: &str = "acme/eu/infra";
    let world = World::like(Face::Gitlab, &[]).await;
    let files = [Change::write("terraplane.yaml", MANAGED), Change::write("prod/main.tf", resource("web", "one"))];
    world.forge.add_repo(NESTED, &files).await.unwrap();
    world.forge.grant(NESTED, "sam", Role::Write).unwrap();
    let matches = Some(format!("{}/acme/**", world.forge.host()));
    let stage = Stage::around(world, Setup { matches, ..Setup::default() }).await;
    let forge = &stage.world.forge;
    let change = [Change::write("prod/main.tf", resource("web", "two"))];
    forge.push(NESTED, "two", "sam", "Two", &change).await.unwrap();
    let new = NewPull { title: "Two".into(), author: "sam".into(), head_branch: "two".into(), ..NewPull::default() };
    let number = forge.open_pull(NESTED, new).await.unwrap();
    let text = stage
        .world
        .wait("the plan", |state| {
            let comment = state.pull(NESTED, number)?.comment_marked(LIVE_MARKER)?;
            comment.body.contains("plan ready").then(|| comment.body.clone())
        })
        .await;
    assert!(text.contains("+ terraform_data.web  create"), "{text}");
    stage.finish().await;
}

/// GitLab begins a pipeline for a head, with one job of `sam`'s.
fn begin_pipeline(world: &World, pull: &PullRequest, job: &str) -> u64 {
    let (sha, reference) = (pull.head(), pull.now().head_branch);
    world.forge.change(|state| {
        let repo = state.repo_mut(REPO).unwrap();
        let id = 1_000 + u64::try_from(repo.pipelines.len()).unwrap();
        repo.pipelines.push(Pipeline { id, sha: sha.clone(), reference, source: "push", of_head: None });
        repo.statuses.push(status_of_job(id, &sha, job));
        id
    })
}

fn status_of_job(pipeline: u64, sha: &Sha, state: &str) -> Status {
    Status {
        id: pipeline * 1_000,
        sha: sha.clone(),
        context: "lint".into(),
        state: state.into(),
        description: None,
        target_url: None,
        creator: "sam".into(),
        at: Timestamp(0),
        pipeline: Some(pipeline),
        running: false,
        check: None,
    }
}

fn pipelines_of_ours(world: &World) -> Vec<u64> {
    world.forge.read(|state| {
        let statuses = state.repo(REPO).unwrap().statuses.iter();
        let mut pipelines: Vec<u64> =
            statuses.filter(|status| status.creator == "terraplane").map(|status| status.pipeline.unwrap()).collect();
        pipelines.dedup();
        pipelines
    })
}

#[tokio::test]
async fn statuses_go_into_the_pipeline_that_gitlab_is_about_to_begin_and_make_none_of_their_own() {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one")), CI];
    let stage = Stage::around(World::like(Face::Gitlab, &files).await, Setup::default()).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let first = begin_pipeline(&stage.world, &pull, "success");
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    assert_eq!(pipelines_of_ours(&stage.world), [first]);
    pull.push(&[("prod/main.tf", &resource("web", "three"))]).await;
    let second = begin_pipeline(&stage.world, &pull, "success");
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    assert_eq!(pipelines_of_ours(&stage.world), [first, second]);
    assert_eq!(stage.world.forge.read(|state| state.repo(REPO).unwrap().pipelines.len()), 2);
    stage.finish().await;
}

#[tokio::test]
async fn a_pipeline_that_must_succeed_and_waits_for_us_alone_does_not_keep_us_from_applying() {
    let rules = format!("{MANAGED}rules:\n  - match: \"*\"\n    apply: on_comment\n    require: [mergeable]\n");
    let files = [("terraplane.yaml", rules.as_str()), ("prod/main.tf", &resource("web", "one")), CI];
    let stage = Stage::around(World::like(Face::Gitlab, &files).await, Setup::default()).await;
    let required = vec!["lint".to_owned(), "terraplane/apply".to_owned()];
    stage.world.forge.change(|state| state.repo_mut(REPO).unwrap().required_statuses = required);
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let pipeline = begin_pipeline(&stage.world, &pull, "failure");
    pull.await_status("terraplane/plan", "success").await;
    assert_eq!(pull.status("terraplane/apply").unwrap().state, "pending");

    pull.comment("ana", "terraplane apply");
    let refusal = pull.next_comment().await;
    let why = "required checks are not green (failed: `lint`)";
    assert!(refusal.contains(why), "a check of somebody else's failed: {refusal}");

    let passed = status_of_job(pipeline, &pull.head(), "success");
    stage.world.forge.change(|state| state.repo_mut(REPO).unwrap().statuses.push(passed));
    pull.comment("ana", "terraplane apply");
    pull.await_status("terraplane/apply", "success").await;
    let result = pull.next_comment().await;
    assert!(result.contains("### ✅ Applied `prod`"), "{result}");
    pull.merge("ana").await;
    stage.settled().await;
    stage.finish().await;
}
