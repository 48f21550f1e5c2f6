//! The real binary, and what becomes of work when it is told to stop, is killed, or loses its key.

use super::props::{StateServer, until};
use super::serving::{Serving, Under, lines, slow};
use super::stand_in::StandIn;
use super::{MANAGED, resource};
use crate::stage::{Setup, open_dir};
use crate::store::sample;
use rustix::process::Signal;
use std::time::Duration;
use terraplane::store::{Job, Store};
use tokio::process::Command;

#[tokio::test]
async fn told_to_stop_it_finishes_what_it_applies_and_the_rest_waits_for_the_next_start() {
    let dir = open_dir();
    let notes = dir.path().join("notes");
    let files = [("terraplane.yaml", MANAGED), ("prod/README.md", "Prod\n")];
    let mut serving = Serving::of(&files, Setup::default().and_writable(dir.path())).await;
    let pull = serving.world.open_pull("Slow").changing("prod/main.tf", &slow(&notes, 2)).await;
    pull.await_status("terraplane/plan", "success").await;
    let merged = pull.merge("ana").await;
    until("an apply that runs", || lines(&notes) == ["begun"]).await;

    serving.signal(Signal::TERM);
    until("a server that drains", || serving.log().contains("draining")).await;
    assert_eq!((serving.get("healthz").await, serving.get("readyz").await), (Some(200), Some(503)));
    let late = serving.world.open_pull("Late").changing("prod/late.tf", &resource("late", "one")).await;
    serving.world.webhooks_answered().await;
    let status = serving.ended().await;
    assert_eq!(status.code(), Some(0), "{}", serving.log());
    assert_eq!(lines(&notes), ["begun", "ended"]);
    assert!(late.live_comment().text().is_none(), "nothing new was begun");

    serving.start().await;
    let result = pull.next_comment().await;
    assert!(result.contains("1 created · the reviewed plan"), "{result}");
    serving.world.await_status(&merged, "terraplane/apply", "success").await;
    late.live_comment().await_containing("terraform_data.late").await;
    late.await_status("terraplane/plan", "success").await;

    // The key is lost, and with it what was encrypted: no new one takes its place.
    serving.signal(Signal::TERM);
    serving.ended().await;
    let key = serving.data.path().join("data/key");
    let kept = key.with_extension("kept");
    std::fs::rename(&key, &kept).unwrap();
    serving.process = Some(serving.spawn(Under::Nothing));
    assert_eq!(serving.ended().await.code(), Some(2));
    let log = serving.log();
    let said = log.lines().last().unwrap();
    assert!(said.starts_with(&format!("the encryption key {} is gone", key.display())), "{said}");
    assert!(!key.exists());
    std::fs::rename(&kept, &key).unwrap();
    serving.start().await;
    serving.finish().await;
}

#[tokio::test]
async fn killed_with_all_that_it_started_it_plans_again_and_never_repeats_an_apply() {
    const TWO: &str = "version: 1\nprojects:\n  - {dir: dev, state: managed}\n  - {dir: prod, state: managed}\n";
    let dir = open_dir();
    let notes = dir.path().join("notes");
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", TWO), ("prod/base.tf", "locals {}\n"), ("dev/base.tf", "locals {}\n")];
    let mut serving = Serving::of(&files, terraform.setup(4).and_writable(dir.path())).await;
    let applied = serving.world.open_pull("Slow").changing("prod/main.tf", &slow(&notes, 3)).await;
    applied.await_status("terraplane/plan", "success").await;
    let merged = applied.merge("ana").await;
    terraform.hold("dev");
    let planned = serving.world.open_pull("Dev").changing("dev/main.tf", &resource("web", "one")).await;
    terraform.await_noted("begin plan dev", 1).await;
    until("an apply that runs", || lines(&notes) == ["begun"]).await;

    serving.signal(Signal::KILL);
    assert_eq!(serving.ended().await.code(), None);
    serving.kill_supervisors();
    terraform.release("dev");
    serving.start().await;
    // Until the leases of the dead process are over, nothing is claimed; then the truth is told.
    let text = planned.live_comment().await_containing("terraform_data.web").await;
    assert!(text.contains("plan ready"), "{text}");
    planned.await_status("terraplane/plan", "success").await;
    let result = applied.next_comment().await;
    assert!(result.contains("The server was lost before the run could tell how it ended"), "{result}");
    assert!(result.contains("`terraplane apply prod`"), "{result}");
    let status = serving.world.await_status(&merged, "terraplane/apply", "failure").await;
    assert_eq!(status.description.as_deref(), Some("The apply of 1 of 1 project failed"));
    assert_eq!(terraform.count("begin plan dev"), 2);
    assert_eq!(terraform.count("begin apply prod"), 1);

    // Only if somebody asks for it, it is applied again, and by a new plan.
    assert_eq!(lines(&notes), ["begun"], "it ended with its supervisor");
    applied.comment("sam", "terraplane apply");
    let result = applied.next_comment().await;
    assert!(result.contains("1 created · planned anew, equal to the reviewed plan"), "{result}");
    serving.world.await_status(&merged, "terraplane/apply", "success").await;
    assert_eq!((terraform.count("begin apply prod"), lines(&notes).len()), (2, 3));
    serving.finish().await;
}

#[tokio::test]
async fn an_apply_goes_on_without_its_server_and_the_next_one_tells_what_came_of_it() {
    let dir = open_dir();
    let notes = dir.path().join("notes");
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("prod/README.md", "Prod\n")];
    let setup = Setup { leaves_applies: true, ..terraform.setup(2) };
    let mut serving = Serving::of(&files, setup.and_writable(dir.path())).await;
    let pull = serving.world.open_pull("Slow").changing("prod/main.tf", &slow(&notes, 2)).await;
    pull.await_status("terraplane/plan", "success").await;
    let merged = pull.merge("ana").await;
    until("an apply that runs", || lines(&notes) == ["begun"]).await;

    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().await.code(), Some(0), "{}", serving.log());
    assert_eq!(lines(&notes), ["begun"], "the server did not wait for it");
    // The state has to be written while there is no server.
    until("an apply that goes on", || lines(&notes) == ["begun", "ended"]).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    serving.start().await;
    let result = pull.next_comment().await;
    assert!(result.contains("1 created · the reviewed plan"), "{result}");
    serving.world.await_status(&merged, "terraplane/apply", "success").await;
    assert_eq!((terraform.count("begin apply prod"), lines(&notes).len()), (1, 2));
    let left = || std::fs::read_dir(serving.data.path().join("data/applies")).unwrap().count();
    until("nothing that is left", || left() == 0).await;
    // The state is there: what was applied is not planned again.
    let next = serving.world.open_pull("More").changing("prod/more.tf", &resource("more", "one")).await;
    let text = next.live_comment().await_containing("terraform_data.more").await;
    assert!(!text.contains("terraform_data.slow"), "{text}");
    serving.finish().await;
}

#[tokio::test]
async fn an_apply_whose_server_was_killed_is_taken_up_and_can_still_be_stopped() {
    let dir = open_dir();
    let notes = dir.path().join("notes");
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("prod/README.md", "Prod\n")];
    let mut setup = terraform.setup(2).and_writable(dir.path());
    setup.yaml.push_str("grace_period: 1s\n");
    let mut serving = Serving::of(&files, setup).await;
    let pull = serving.world.open_pull("Slow").changing("prod/main.tf", &slow(&notes, 300)).await;
    pull.await_status("terraplane/plan", "success").await;
    let merged = pull.merge("ana").await;
    until("an apply that runs", || lines(&notes) == ["begun"]).await;

    serving.signal(Signal::KILL);
    assert_eq!(serving.ended().await.code(), None);
    serving.start().await;
    until("an apply that is taken up", || serving.log().contains("is taken up again")).await;
    assert_eq!(lines(&notes), ["begun"]);
    // Told to stop, and with no patience: terraform is interrupted, and what it says is told.
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().await.code(), Some(0), "{}", serving.log());
    serving.start().await;
    let result = pull.next_comment().await;
    assert!(result.contains("`terraform apply` was cancelled."), "{result}");
    serving.world.await_status(&merged, "terraplane/apply", "failure").await;
    assert_eq!((terraform.count("begin apply prod"), lines(&notes).len()), (1, 1));
    serving.finish().await;
}

#[tokio::test]
async fn of_an_apply_that_was_lost_people_are_told_what_its_own_backend_says() {
    let dir = open_dir();
    let notes = dir.path().join("notes");
    let elsewhere = StateServer::start().await;
    let base = format!("{}{}", elsewhere.backend(), resource("first", "one"));
    let setup = Setup { network_of_host: true, ..Setup::default() }.and_writable(dir.path());
    let mut serving = Serving::of(&[("prod/base.tf", &base)], setup).await;
    let first = serving.world.open_pull("First").changing("prod/first.tf", &resource("second", "one")).await;
    first.await_status("terraplane/plan", "success").await;
    first.merge("ana").await;
    assert!(first.next_comment().await.contains("2 created"));
    let pull = serving.world.open_pull("Slow").changing("prod/main.tf", &slow(&notes, 30)).await;
    pull.await_status("terraplane/plan", "success").await;
    pull.merge("ana").await;
    until("an apply that runs", || lines(&notes) == ["begun"]).await;
    serving.signal(Signal::KILL);
    serving.ended().await;
    serving.kill_supervisors();
    serving.start().await;
    let result = pull.next_comment().await;
    let known = "The state's serial is 1, as before: nothing of it was written to the state. Whether it left Terraform's \
                 lock on the state behind is shown by the next apply, with the lock's id.";
    assert!(result.contains(known), "{result}");
    assert!(result.contains("`terraplane apply prod`"), "{result}");
    serving.finish().await;
}

#[tokio::test]
async fn every_error_of_the_configuration_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.yaml");
    let yaml = "listen: nowhere\nurl: http://example.com/terraplane\ndata_dirr: /var/lib/terraplane\ngithub:\n  webhook_secret: \
                literally-secret\n  token: env:NOT_THERE\nsandbox: {require: fully}\nrepos:\n  - match: acme\n";
    std::fs::write(&file, yaml).unwrap();
    let serve = Command::new(env!("CARGO_BIN_EXE_terraplane"))
        .args(["serve", "--config", "server.yaml"])
        .current_dir(dir.path())
        .env_clear()
        .output();
    let output = serve.await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap(), @r"
    error: `nowhere` is not an address and port (`0.0.0.0:4141`)
     --> server.yaml:1:9
      |
    1 | listen: nowhere
      |         ^^^^^^^

    error: unknown key `data_dirr`
     --> server.yaml:3:1
      |
    3 | data_dirr: [hidden]
      | ^^^^^^^^^
      = did you mean `data_dir`?

    error: a secret must not be written into this file
     --> server.yaml:5:19
      |
    5 |   webhook_secret: [hidden]
      |                   ^^^^^^^^
      = write `env:NAME` or `file:PATH`, and renew the secret if others could read the file

    error: the environment variable `NOT_THERE` is not set
     --> server.yaml:6:10
      |
    6 |   token: env:NOT_THERE
      |          ^^^^^^^^^^^^^

    error: `fully` is not one of `full`, `reduced`, `weak`, `off`
     --> server.yaml:7:20
      |
    7 | sandbox: {require: fully}
      |                    ^^^^^
      = did you mean `full`?

    error: `acme` is not a glob over host/owner/name, such as `github.com/acme/infra-*`
     --> server.yaml:9:12
      |
    9 |   - match: acme
      |            ^^^^

    6 errors
    ");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[tokio::test]
async fn with_much_in_its_queue_and_much_behind_it_a_server_is_ready_at_once() {
    let (queued, old) = (1_000, 10_000);
    let mut serving = Serving::of(&[("terraplane.yaml", MANAGED)], Setup::default()).await;
    serving.signal(Signal::TERM);
    serving.ended().await;
    let started = std::time::Instant::now();
    serving.start().await;
    let alone = started.elapsed();
    serving.signal(Signal::TERM);
    serving.ended().await;
    let url = format!("sqlite:{}", serving.data.path().join("data/terraplane.db").display());
    let store = Store::open(&url).await.unwrap();
    let mut tx = store.write(&sample::repo()).await.unwrap();
    for number in 0..queued + old {
        let (pull, first) = (number / 10, number % 10 == 0);
        if first {
            let record = sample::record(pull, 'a', 'b', &["prod"]);
            tx.save_pull(&record, sample::at(0)).await.unwrap();
        }
        let waits = number < queued;
        let run = sample::plan(number.into(), pull, "prod", 'a', 'b');
        let run = if waits { run } else { sample::planned(run, 1) };
        tx.insert_run(&run).await.unwrap();
        if waits {
            let (pull, project) = (run.pull.clone(), run.project.key.clone());
            tx.enqueue(&Job::Run { run: run.id, pull, project }, sample::at(0)).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    store.close().await;

    let started = std::time::Instant::now();
    serving.start().await;
    let loaded = started.elapsed();
    println!("ready after {alone:?} with nothing behind it, after {loaded:?} with all this");
    // `make bench` has the figure for a build that is used. Here the rest is the same, mostly the probe of the sandbox;
    // a look at each run for each other one would take minutes.
    assert!(
        loaded < alone + Duration::from_secs(2),
        "it was ready only after {loaded:?}, and with nothing after {alone:?}"
    );
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().await.code(), Some(0), "{}", serving.log());
}
