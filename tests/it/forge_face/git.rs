use super::{world_with_a_pull, write};
use crate::world::{REPO, World, program};
use secrecy::{ExposeSecret as _, SecretString};
use std::path::Path;
use terraplane::demo::state::{Change, Content, MergeMethod};
use terraplane::sandbox::process::{self, Spec};
use terraplane::sandbox::sink::Sink;

/// Runs git as a stranger on another machine would; what it printed, or what it complained about.
async fn git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let mut spec = Spec::new(program("git"), dir).args(args.iter().copied());
    spec.env = [("PATH", "/usr/bin:/bin"), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    spec.env.push(("GIT_TERMINAL_PROMPT".into(), "0".into()));
    spec.env.push(("HOME".into(), dir.display().to_string()));
    spec.stdout = Sink::Buffer { max: 1 << 20 };
    spec.stderr = Sink::Buffer { max: 1 << 20 };
    let outcome = process::run(spec).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
    if outcome.end.success() { Ok(text(outcome.stdout.bytes)) } else { Err(text(outcome.stderr.bytes)) }
}

fn address(world: &World, token: Option<&SecretString>) -> String {
    let login = token.map(|t| format!("x-access-token:{}@", t.expose_secret())).unwrap_or_default();
    format!("http://{login}{}/{REPO}.git", world.forge.host())
}

async fn cloned(world: &World, token: &SecretString) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["clone", "--quiet", &address(world, Some(token)), "."]).await.unwrap();
    dir
}

#[tokio::test]
async fn a_commit_is_fetched_by_its_id_with_a_token_and_not_without() {
    let (world, pull) = world_with_a_pull().await;
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "--bare"]).await.unwrap();
    let head = pull.head();
    let token = world.forge.server_token();
    let complaint = git(dir.path(), &["fetch", &address(&world, None), head.as_str()]).await.unwrap_err();
    assert!(complaint.contains("could not read Username"), "{complaint}");
    let stranger = world.forge.token_of("otto");
    let complaint = git(dir.path(), &["fetch", &address(&world, Some(&stranger)), head.as_str()]).await.unwrap_err();
    assert!(complaint.contains("not found"), "{complaint}");
    git(dir.path(), &["fetch", "--quiet", &address(&world, Some(&token)), head.as_str()]).await.unwrap();
    assert_eq!(git(dir.path(), &["rev-parse", "FETCH_HEAD"]).await.unwrap(), head.as_str());
    // The test merge that GitHub keeps for an open pull request.
    let merge = ["fetch", "--quiet", &address(&world, Some(&token)), "refs/pull/1/merge"];
    git(dir.path(), &merge).await.unwrap();
    let text = git(dir.path(), &["show", "FETCH_HEAD:prod/main.tf"]).await.unwrap();
    assert_eq!(text, "# something");
}

#[tokio::test]
async fn a_push_over_http_moves_the_pull_request() {
    let (world, pull) = world_with_a_pull().await;
    let dir = cloned(&world, &world.forge.token_of("sam")).await;
    git(dir.path(), &["checkout", "--quiet", "a-change"]).await.unwrap();
    std::fs::write(dir.path().join("prod/main.tf"), "# from outside\n").unwrap();
    let who = ["-c", "user.name=sam", "-c", "user.email=sam@example.com"];
    git(dir.path(), &[&who[..], &["commit", "--quiet", "-am", "From outside"]].concat()).await.unwrap();
    git(dir.path(), &["push", "--quiet", "origin", "a-change"]).await.unwrap();
    assert_eq!(git(dir.path(), &["rev-parse", "HEAD"]).await.unwrap(), pull.head().as_str());
    let synchronized = world.forge.read(|state| {
        state.deliveries.iter().any(|d| d.event == "pull_request" && d.body.contains("\"action\":\"synchronize\""))
    });
    assert!(synchronized);
    let reader = cloned(&world, &world.forge.token_of("rita")).await;
    let refused = git(reader.path(), &["push", "--quiet", "origin", "main:other"]).await.unwrap_err();
    assert!(refused.contains("not found"), "{refused}");
}

#[tokio::test]
async fn the_three_ways_to_merge_give_githubs_histories() {
    for (method, parents, subjects) in [
        (MergeMethod::Merge, 2, "Merge pull request #1 from acme/two-commits\nThe second\nTwo commits\nOnto"),
        (MergeMethod::Squash, 1, "Two commits (#1)\nOnto"),
        (MergeMethod::Rebase, 1, "The second\nTwo commits\nOnto"),
    ] {
        let world = World::with(&[("a.txt", "one\n"), ("b.txt", "one\n")]).await;
        let first = world.forge.tip(REPO, "main").unwrap();
        let pull = world.open_pull("Two commits").changing("a.txt", "two\n").await;
        world.forge.push(REPO, "two-commits", "sam", "The second", &write("c.txt", "new\n")).await.unwrap();
        world.forge.push(REPO, "main", "kim", "Onto", &write("b.txt", "two\n")).await.unwrap();
        let merged = pull.merge_by("ana", method).await;
        let dir = cloned(&world, &world.forge.server_token()).await;
        assert_eq!(git(dir.path(), &["rev-parse", "HEAD"]).await.unwrap(), merged.as_str());
        let line = git(dir.path(), &["rev-list", "--parents", "-1", "HEAD"]).await.unwrap();
        assert_eq!(line.split(' ').count() - 1, parents, "{method:?}");
        let range = format!("{first}..HEAD");
        let log = git(dir.path(), &["log", "--topo-order", "--format=%s", &range]).await.unwrap();
        assert_eq!(log, subjects, "{method:?}");
        let files = git(dir.path(), &["grep", "", "HEAD", "--", "*.txt"]).await.unwrap().replace("HEAD:", "");
        assert_eq!(files, "a.txt:two\nb.txt:two\nc.txt:new", "{method:?}");
        assert_eq!(world.forge.tip(REPO, "main"), Some(merged));
    }
}

#[tokio::test]
async fn a_forks_commit_can_be_fetched_from_the_base_repository() {
    let world = World::with(&[("a.txt", "one\n")]).await;
    let fork = world.forge.fork(REPO, "otto").await.unwrap();
    let pull = world.open_pull("From outside").by("otto").in_fork(&fork).changing("a.txt", "two\n").await;
    assert_eq!(pull.now().head_repo.as_deref(), Some("otto/infra"));
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "--bare"]).await.unwrap();
    let address = address(&world, Some(&world.forge.server_token()));
    git(dir.path(), &["fetch", "--quiet", &address, "refs/pull/1/head"]).await.unwrap();
    assert_eq!(git(dir.path(), &["rev-parse", "FETCH_HEAD"]).await.unwrap(), pull.head().as_str());
}

#[tokio::test]
async fn a_commit_holds_whatever_a_test_writes() {
    let world = World::with(&[("gone.txt", "x"), ("odd \"näme\".txt", "no newline at the end")]).await;
    let changes = [
        Change::delete("gone.txt"),
        Change { path: "run.sh".into(), to: Content::Executable("#!/bin/sh\n".into()) },
        Change { path: "link".into(), to: Content::Link("../../etc/passwd".into()) },
        Change::write("empty", ""),
    ];
    world.forge.push(REPO, "main", "kim", "Odd things", &changes).await.unwrap();
    let dir = cloned(&world, &world.forge.server_token()).await;
    let tree =
        git(dir.path(), &["-c", "core.quotepath=off", "ls-tree", "-z", "--format=%(objectmode) %(path)", "HEAD"]);
    let tree = tree.await.unwrap().replace('\0', "\n");
    assert_eq!(tree.trim(), "100644 empty\n120000 link\n100644 \"odd \\\"näme\\\".txt\"\n100755 run.sh");
    let text = git(dir.path(), &["show", "HEAD:odd \"näme\".txt"]).await.unwrap();
    assert_eq!(text, "no newline at the end");
}
