//! What is old goes, and never what somebody may still need.

use super::props::{managed, pull_id};
use super::resource;
use crate::stage::{Setup, Stage};
use crate::store::sample;
use crate::world::PullRequest;
use std::path::{Path, PathBuf};
use terraplane::domain::id::Timestamp;
use terraplane::flow::now;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn in_days(days: i64) -> Timestamp {
    now().plus_ms(days * DAY_MS)
}

fn names(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

impl Stage {
    fn folder(&self, name: &str) -> PathBuf {
        self.data.path().join("data").join(name)
    }

    /// Runs that have a log, and those that have a plan.
    fn kept(&self) -> (usize, usize) {
        (names(&self.folder("log")).len(), names(&self.folder("run")).len())
    }
}

async fn opened(stage: &Stage, title: &str, file: &str) -> PullRequest {
    let pull = stage.world.open_pull(title).changing(file, &resource("web", title)).await;
    pull.live_comment().await_containing("plan ready").await;
    pull
}

#[tokio::test]
async fn what_is_old_goes_and_what_an_open_pull_request_shows_stays() {
    let yaml = "version: 1\nprojects:\n  - {dir: dev, state: managed}\n  - {dir: prod, state: managed}\n";
    let files = [("terraplane.yaml", yaml), ("prod/a.tf", "locals {}\n"), ("dev/a.tf", "locals {}\n")];
    let stage = Stage::with(&files).await;
    let done = opened(&stage, "done", "prod/main.tf").await;
    done.merge("ana").await;
    assert!(done.next_comment().await.contains("1 created"));
    let open = opened(&stage, "open", "dev/main.tf").await;
    open.push(&[("dev/main.tf", &resource("web", "open-2"))]).await;
    open.live_comment().await_containing("open-2").await;
    open.await_status("terraplane/apply", "success").await;
    stage.settled().await;
    assert_eq!(stage.kept(), (4, 3), "a plan and an apply; two plans");

    let flow = &stage.server.flow;
    flow.clean_up(in_days(10)).await;
    assert_eq!(stage.kept(), (4, 3), "nothing is old yet");
    let shown = done.live_comment().text().unwrap();
    flow.clean_up(in_days(200)).await;
    assert_eq!(stage.kept(), (1, 1), "the plan that the open pull request shows");
    assert_eq!(names(&stage.folder("mirrors")).len(), 0, "nobody has asked for the mirror for long");
    let delivery = stage.world.forge.read(|state| state.deliveries[0].id.clone());
    let kind = terraplane::domain::id::ForgeKind::Github;
    assert!(flow.store.delivery(kind, &delivery.parse().unwrap()).await.unwrap().is_none());
    // The facts that a comment shows are there; the run that nothing shows is not.
    let state = flow.store.pull_state(&pull_id(&done)).await.unwrap().unwrap();
    assert!(state.projects[0].is_settled() && state.projects[0].plan.is_some());

    // It all still works: what is open is applied as it was reviewed, and what is over says what it said.
    open.merge("ana").await;
    assert!(open.next_comment().await.contains("1 created · the reviewed plan"));
    done.comment("kim", "terraplane help");
    assert!(done.next_comment().await.contains("may do here now"));
    stage.settled().await;
    let title = |text: &str| text.lines().nth(1).unwrap().to_owned();
    assert_eq!(title(&done.live_comment().text().unwrap()), title(&shown));
    stage.finish().await;
}

#[tokio::test]
async fn when_there_is_too_much_the_oldest_goes_first() {
    let yaml = "cleanup: {disk: 1MiB, runs: never}\n".to_owned();
    let files = [("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { yaml, ..Setup::default() }).await;
    let mut pulls = Vec::new();
    for title in ["a", "b", "c"] {
        let pull = opened(&stage, title, "prod/main.tf").await;
        pull.close("sam");
        pulls.push(pull);
    }
    let open = opened(&stage, "d", "prod/main.tf").await;
    stage.settled().await;
    let mut logs = names(&stage.folder("log"));
    logs.sort();
    assert_eq!(logs.len(), 4);
    for log in &logs {
        let file = std::fs::File::options().append(true).open(log).unwrap();
        file.set_len(400 << 10).unwrap();
    }
    // Just ended: people look at it.
    stage.server.flow.clean_up(now()).await;
    assert_eq!(names(&stage.folder("log")).len(), 4);
    stage.server.flow.clean_up(in_days(1)).await;
    let mut left = names(&stage.folder("log"));
    left.sort();
    assert_eq!(left, logs[2..]);
    open.live_comment().await_containing("plan ready").await;
    stage.finish().await;
}

#[tokio::test]
async fn when_there_is_too_much_what_can_be_fetched_again_goes_before_plans_and_logs() {
    let yaml = "cleanup: {disk: 1MiB, runs: never, mirrors: never}\n".to_owned();
    let files = [("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, Setup { yaml, ..Setup::default() }).await;
    opened(&stage, "a", "prod/main.tf").await.close("sam");
    let open = opened(&stage, "b", "prod/main.tf").await;
    stage.settled().await;
    let [mirror] = &names(&stage.folder("mirrors"))[..] else { panic!("one mirror") };
    std::fs::File::create(mirror.join("large")).unwrap().set_len(2 << 20).unwrap();
    // Asked for today.
    stage.server.flow.clean_up(now()).await;
    assert!(mirror.exists());
    stage.server.flow.clean_up(in_days(2)).await;
    assert!(!mirror.exists());
    assert_eq!(stage.kept(), (2, 2), "with the mirror gone there is room for all of these");
    open.merge("ana").await;
    assert!(open.next_comment().await.contains("1 created"));
    assert!(mirror.exists(), "what is wanted is fetched again");
    stage.finish().await;
}

#[tokio::test]
async fn a_start_removes_what_a_dead_server_left() {
    let stage =
        Stage::with(&[("terraplane.yaml", &*managed("apply: both")), ("prod/main.tf", &resource("web", "one"))]).await;
    opened(&stage, "two", "prod/main.tf").await;
    stage.settled().await;
    // Of a run that nobody knows: its supervisor was killed, and its server before it could forget it.
    let supervised = format!("applies/{}", sample::run_id(7));
    let left = ["work/abc/tree", "scratch/git/x", "tmp", "mirrors/.new-abc", &supervised];
    let left = left.map(|path| stage.folder(path));
    for dir in &left {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("left"), "x").unwrap();
    }
    let stage = stage.restart(Setup::default()).await;
    assert!(left.iter().all(|dir| !dir.join("left").exists()));
    opened(&stage, "three", "prod/main.tf").await;
    stage.finish().await;
}
