//! The disk is full or can't be written any more, the database is locked or away: webhooks are refused, so that forges
//! show it; what runs is told as it was; and everything goes on when it is over.

use super::props::{StateServer, until};
use super::serving::{Serving, Under, lines, slow};
use super::stand_in::StandIn;
use super::{MANAGED, masked, resource};
use crate::postgres::Cluster;
use crate::stage::{Setup, Stage, open_dir};
use crate::world::{PullRequest, World};
use rustix::process::Signal;
use sqlx::Connection as _;
use std::time::Duration;
use tempfile::TempDir;
use terraplane::demo::state::{Answer, State};
use terraplane::domain::id::Sha;

const RUN: &str = "<!-- terraplane:run";

/// Webhooks that were answered with 503.
fn refused(world: &World) -> Vec<String> {
    let of = |state: &State| {
        let refused = state.deliveries.iter().filter(|delivery| delivery.answer == Answer::Status(503));
        refused.map(|delivery| delivery.id.clone()).collect()
    };
    world.forge.read(of)
}

async fn a_refused_webhook(world: &World) -> String {
    let look = |state: &State| {
        let delivery = state.deliveries.iter().find(|delivery| delivery.answer == Answer::Status(503))?;
        Some(delivery.id.clone())
    };
    world.wait("a webhook that is refused", look).await
}

/// Somebody asks the forge to send what was refused once more.
fn redeliver(world: &World) {
    refused(world).iter().for_each(|id| world.forge.redeliver(id));
}

/// An apply that runs and whose state is elsewhere, so that it goes on by itself; and a plan that is held.
struct UnderWay {
    terraform: StandIn,
    notes: std::path::PathBuf,
    applied: PullRequest,
    merged: Sha,
    planned: PullRequest,
    _kept: (TempDir, StateServer),
}

/// The files and the server for it.
struct Before {
    terraform: StandIn,
    dir: TempDir,
    elsewhere: StateServer,
    backend: String,
    dev: String,
}

impl Before {
    async fn new() -> Self {
        let elsewhere = StateServer::start().await;
        let (backend, dev) = (elsewhere.backend(), resource("web", "one"));
        Self { terraform: StandIn::terraform(), dir: open_dir(), elsewhere, backend, dev }
    }

    fn files(&self) -> [(&str, &str); 2] {
        [("prod/backend.tf", &self.backend), ("dev/main.tf", &self.dev)]
    }

    fn setup(&self) -> Setup {
        Setup { network_of_host: true, ..self.terraform.setup(4) }.and_writable(self.dir.path())
    }

    async fn under_way(self, world: &World, seconds: u32) -> UnderWay {
        let notes = self.dir.path().join("notes");
        let applied = world.open_pull("Slow").changing("prod/main.tf", &slow(&notes, seconds)).await;
        applied.await_status("terraplane/apply", "success").await;
        self.terraform.hold("dev");
        let planned = world.open_pull("Dev").changing("dev/main.tf", &resource("web", "two")).await;
        self.terraform.await_noted("begin plan dev", 1).await;
        let merged = applied.merge("ana").await;
        until("an apply that runs", || lines(&notes) == ["begun"]).await;
        world.webhooks_answered().await;
        UnderWay { terraform: self.terraform, notes, applied, merged, planned, _kept: (self.dir, self.elsewhere) }
    }
}

impl UnderWay {
    /// Both end while nothing can be written down; and nobody is told anything that is not so.
    async fn end_unheard(&self) {
        until("an apply that is over", || lines(&self.notes) == ["begun", "ended"]).await;
        self.terraform.await_noted("end plan dev", 1).await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        let world = &self.applied.world;
        let failed = |state: &State| {
            let statuses = state.repos.values().flat_map(|repo| &repo.statuses);
            statuses.filter(|status| status.state == "failure").cloned().collect::<Vec<_>>()
        };
        assert_eq!(world.forge.read(failed), []);
        let told = |pull: &PullRequest| pull.server_comments().iter().any(|text| text.starts_with(RUN));
        assert!(!told(&self.applied) && !told(&self.planned));
        assert_ne!(
            world.status(&self.merged, "terraplane/apply").map(|status| status.state).as_deref(),
            Some("success")
        );
    }

    /// All is told as it was.
    async fn told(&self) {
        let result = self.applied.wait_for_comment(|text| text.starts_with(RUN)).await;
        assert!(result.contains("1 created · the reviewed plan"), "{result}");
        assert!(self.applied.next_comment().await.contains("may do here now"));
        self.applied.world.await_status(&self.merged, "terraplane/apply", "success").await;
        self.planned.live_comment().await_containing("\"two\"").await;
        self.planned.await_status("terraplane/plan", "success").await;
        assert_eq!(lines(&self.notes).len(), 2, "it was applied once");
    }
}

#[tokio::test]
async fn while_the_disk_is_read_only_webhooks_get_503_and_nothing_is_told_that_is_not_so() {
    let before = Before::new().await;
    let serving = Serving::under(Under::OwnMounts, &before.files(), before.setup()).await;
    let work = before.under_way(&serving.world, 4).await;
    serving.write_protect().await;
    work.applied.comment("kim", "terraplane help");
    a_refused_webhook(&serving.world).await;
    work.terraform.release("dev");
    work.end_unheard().await;
    assert_eq!(serving.get("healthz").await, Some(200), "{}", serving.log());
    serving.write_again().await;
    redeliver(&serving.world);
    work.told().await;
    serving.finish().await;
}

#[tokio::test]
async fn a_server_whose_disk_is_read_only_says_so_and_does_not_start() {
    let mut serving = Serving::under(Under::OwnMounts, &[("terraplane.yaml", MANAGED)], Setup::default()).await;
    serving.signal(Signal::TERM);
    serving.ended().await;
    let data = serving.data.path().join("data");
    serving.process = Some(serving.spawn(Under::ReadOnly));
    assert_eq!(serving.ended().await.code(), Some(2));
    let log = serving.log();
    let said = log.lines().last().unwrap();
    assert!(said.contains(&data.display().to_string()) && said.contains("Read-only file system"), "{log}");
    serving.start().await;
    serving.finish().await;
}

#[tokio::test]
async fn an_apply_whose_end_can_not_be_kept_at_the_moment_is_not_begun_again() {
    let elsewhere = StateServer::start().await;
    let terraform = StandIn::terraform();
    let setup = Setup { network_of_host: true, ..terraform.setup(2) };
    let stage = Stage::set(&[("prod/backend.tf", &elsewhere.backend())], setup).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/apply", "success").await;
    // Terraform can't write the state, and the server can't keep it.
    elsewhere.refuse_writes();
    let data = stage.data.path().join("data");
    std::fs::write(data.join("errored"), "no directory").unwrap();
    let merged = pull.merge("ana").await;
    terraform.await_noted("end apply prod", 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!pull.server_comments().iter().any(|text| text.starts_with(RUN)));
    std::fs::remove_file(data.join("errored")).unwrap();
    let result = pull.next_comment().await;
    assert!(result.contains("It is kept on the server as `errored/"), "{result}");
    stage.world.await_status(&merged, "terraplane/apply", "failure").await;
    assert_eq!(terraform.count("begin apply prod"), 1);
    let kept = std::fs::read_dir(data.join("errored")).unwrap().next().unwrap().unwrap();
    assert!(std::fs::read_to_string(kept.path()).unwrap().contains("terraform_data"));
    stage.finish().await;
}

#[tokio::test]
async fn when_postgresql_dies_webhooks_get_503_and_all_goes_on_when_it_is_back() {
    let mut cluster = Cluster::own();
    let before = Before::new().await;
    let mut setup = before.setup();
    setup.yaml.push_str(&format!("database: \"{}\"\n", cluster.database().await));
    let stage = Stage::set(&before.files(), setup).await;
    let work = before.under_way(&stage.world, 4).await;
    cluster.crash().await;
    let asked = std::time::Instant::now();
    work.applied.comment("kim", "terraplane help");
    a_refused_webhook(&stage.world).await;
    assert!(asked.elapsed() < Duration::from_secs(5), "Gitea waits five seconds for an answer, others ten");
    let ready = reqwest::get(stage.url().join("readyz").unwrap()).await.unwrap();
    assert_eq!(ready.status(), 503);
    work.terraform.release("dev");
    work.end_unheard().await;
    cluster.start_again().await;
    redeliver(&stage.world);
    work.told().await;
    stage.finish().await;
}

#[tokio::test]
async fn while_postgresql_does_not_answer_runs_go_on_and_webhooks_get_503() {
    let cluster = Cluster::own();
    let before = Before::new().await;
    let mut setup = before.setup();
    setup.yaml.push_str(&format!("database: \"{}\"\n", cluster.database().await));
    let stage = Stage::set(&before.files(), setup).await;
    let work = before.under_way(&stage.world, 4).await;
    cluster.freeze();
    work.applied.comment("kim", "terraplane help");
    a_refused_webhook(&stage.world).await;
    // The leases would have been renewed meanwhile, and whoever waits for that must not wait with the runs.
    tokio::time::sleep(Duration::from_secs(11)).await;
    work.terraform.release("dev");
    work.terraform.await_noted("begin show dev", 1).await;
    work.end_unheard().await;
    cluster.thaw();
    redeliver(&stage.world);
    work.told().await;
    stage.finish().await;
}

#[tokio::test]
async fn on_a_full_disk_webhooks_are_refused_and_taken_when_there_is_room_again() {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let serving = Serving::under(Under::Limit(700), &files, Setup::default()).await;
    let world = serving.world.clone();
    let pull = world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    for number in 0..500 {
        pull.comment("kim", &format!("Thought {number}: {}", "long ".repeat(2000)));
        world.webhooks_answered().await;
        if !refused(&world).is_empty() {
            break;
        }
    }
    pull.comment("kim", "terraplane help");
    world.webhooks_answered().await;
    assert_eq!(serving.get("healthz").await, Some(200));
    let lost = refused(&world);
    // What is smaller may still find room.
    assert!(!lost.is_empty(), "the disk was never full:\n{}", serving.log());

    serving.no_limit();
    lost.iter().for_each(|id| world.forge.redeliver(id));
    assert!(pull.next_comment().await.contains("may do here now"));
    pull.live_comment().await_containing("\"two\"").await;
    pull.await_status("terraplane/plan", "success").await;
    pull.await_status("terraplane/apply", "success").await;
    serving.finish().await;
}

#[tokio::test]
async fn while_the_database_is_locked_webhooks_get_503_and_what_ran_is_told_as_it_was() {
    let dir = open_dir();
    let notes = dir.path().join("notes");
    // The state is elsewhere: the apply itself does not notice.
    let elsewhere = StateServer::start().await;
    let files = [("prod/backend.tf", &*elsewhere.backend())];
    let setup = Setup { network_of_host: true, ..Setup::default() }.and_writable(dir.path());
    let stage = Stage::set(&files, setup).await;
    let pull = stage.world.open_pull("Slow").changing("prod/main.tf", &slow(&notes, 2)).await;
    pull.await_status("terraplane/apply", "success").await;
    let merged = pull.merge("ana").await;
    until("an apply that runs", || lines(&notes) == ["begun"]).await;
    stage.world.webhooks_answered().await;

    let url = format!("sqlite://{}", stage.data.path().join("data/terraplane.db").display());
    let mut somebody = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut somebody).await.unwrap();
    pull.comment("kim", "terraplane help");
    let refused = a_refused_webhook(&stage.world).await;
    until("an apply that is over", || lines(&notes) == ["begun", "ended"]).await;
    // Long enough that its end could not be written.
    tokio::time::sleep(Duration::from_secs(7)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut somebody).await.unwrap();
    stage.world.forge.redeliver(&refused);
    pull.wait_for_comment(|text| text.contains("1 created · the reviewed plan")).await;
    pull.wait_for_comment(|text| text.contains("may do here now")).await;
    stage.world.await_status(&merged, "terraplane/apply", "success").await;
    stage.finish().await;
}

#[tokio::test]
async fn a_run_for_which_there_is_no_room_fails_and_says_so() {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let serving = Serving::under(Under::Limit(1_500), &files, Setup::default()).await;
    let huge = "resource \"terraform_data\" \"web\" {\n  input = [for i in range(1000) : join(\" \", [for j in range(200) : i * j])]\n}\n";
    let pull = serving.world.open_pull("Huge").changing("prod/main.tf", huge).await;
    let text = pull.live_comment().await_containing("plan failed").await;
    let _masked = masked();
    insta::assert_snapshot!(text, @r#"
    <!-- terraplane:live -->
    ### ❌ terraplane · plan failed · `prod`

    <details open><summary><b><a href="RUN"><code>prod</code></a></b> · plan failed in show · 0 s · because <code>prod/main.tf</code> changed</summary>

    The result of `show` cannot be used: the server cannot write it to its disk: File too large (os error 27).

    </details>

    To plan again: `terraplane plan`

    <sub>`ID` merged onto `main` at `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#);
    pull.await_status("terraplane/plan", "failure").await;
    pull.push(&[("prod/main.tf", &resource("web", "two"))]).await;
    pull.live_comment().await_containing("\"two\"").await;
    pull.await_status("terraplane/plan", "success").await;
    serving.finish().await;
}
