//! The real binary, and what becomes of work when it is told to stop, is killed, loses its key or has no disk left.

use super::props::{StateServer, until};
use super::stand_in::StandIn;
use super::{MANAGED, masked, resource};
use crate::stage::{Setup, Stage, open_dir, server_yaml};
use crate::store::sample;
use crate::world::{PATIENCE, World};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::Connection as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use terraplane::demo::state::Answer;
use terraplane::store::{Job, Store};
use tokio::process::{Child, Command};

/// `terraplane serve`, with a data directory that outlives it.
struct Serving {
    world: World,
    data: TempDir,
    address: String,
    setup: Setup,
    process: Option<Child>,
}

impl Serving {
    async fn of(files: &[(&str, &str)], setup: Setup) -> Self {
        Self::limited(files, setup, None).await
    }

    /// With a limit, in KiB, of how large a file may become.
    async fn limited(files: &[(&str, &str)], setup: Setup, limit: Option<u32>) -> Self {
        // Free now, and again after every restart: a saved plan holds the address of its state.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let world = World::with(files).await;
        let mut serving = Self { world, data: tempfile::tempdir().unwrap(), address, setup, process: None };
        serving.start(limit).await;
        serving
    }

    /// Starts it and waits until it can take work.
    async fn start(&mut self, limit: Option<u32>) {
        self.process = Some(self.spawn(limit));
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.get("readyz").await != Some(200) {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && tokio::time::Instant::now() < end, "it never was ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.world.connect(&format!("http://{}/", self.address).parse().unwrap());
    }

    fn spawn(&self, limit: Option<u32>) -> Child {
        let file = self.data.path().join("server.yaml");
        std::fs::write(&file, server_yaml(&self.world, self.data.path(), &self.address, &self.setup)).unwrap();
        let terraplane = env!("CARGO_BIN_EXE_terraplane");
        let mut command = match limit {
            // A write that goes beyond the limit then fails, as on a full disk, instead of killing the process.
            Some(limit) => {
                let mut shell = Command::new("sh");
                let script = "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"";
                shell.args(["-c", script, "sh", &(limit * 2).to_string(), terraplane]);
                shell
            }
            None => Command::new(terraplane),
        };
        // The server refuses variables that look like settings of its own and are none; this one is the tests'.
        command.env_remove("TERRAPLANE_TEST_TOFU");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        command.arg("serve").arg("--config").arg(file).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.data.path().join("log")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap()
    }

    async fn get(&self, path: &str) -> Option<u16> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{}/{path}", self.address)).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().unwrap().id().unwrap();
        kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), signal).unwrap();
    }

    /// Those of its applies, as whoever kills a whole tree does.
    fn kill_supervisors(&self) {
        let places: Vec<_> = std::fs::read_dir(self.data.path().join("data/applies")).unwrap().flatten().collect();
        assert!(!places.is_empty());
        for place in places {
            let pid = std::fs::read_to_string(place.path().join("begun")).unwrap().trim().parse().unwrap();
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        }
    }

    async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        tokio::time::timeout(PATIENCE, process.wait()).await.expect("it never ended").unwrap()
    }

    async fn finish(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await.code(), Some(0), "{}", self.log());
        self.world.finish().await;
    }
}

/// A resource whose apply notes in a file that it begins and, two seconds later, that it ends.
fn slow(notes: &Path, seconds: u32) -> String {
    let notes = notes.display();
    format!(
        "resource \"terraform_data\" \"slow\" {{\n  provisioner \"local-exec\" {{\n    command = \"echo begun >> {notes}; sleep \
         {seconds}; echo ended >> {notes}\"\n  }}\n}}\n"
    )
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

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

    serving.start(None).await;
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
    serving.process = Some(serving.spawn(None));
    assert_eq!(serving.ended().await.code(), Some(2));
    let log = serving.log();
    let said = log.lines().last().unwrap();
    assert!(said.starts_with(&format!("the encryption key {} is gone", key.display())), "{said}");
    assert!(!key.exists());
    std::fs::rename(&kept, &key).unwrap();
    serving.start(None).await;
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
    serving.start(None).await;
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
    serving.start(None).await;
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
    serving.start(None).await;
    until("an apply that is taken up", || serving.log().contains("is taken up again")).await;
    assert_eq!(lines(&notes), ["begun"]);
    // Told to stop, and with no patience: terraform is interrupted, and what it says is told.
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().await.code(), Some(0), "{}", serving.log());
    serving.start(None).await;
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
    serving.start(None).await;
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
async fn on_a_full_disk_webhooks_are_refused_and_taken_when_there_is_room_again() {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let mut serving = Serving::limited(&files, Setup::default(), Some(700)).await;
    let world = serving.world.clone();
    let pull = world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let refused = |state: &terraplane::demo::state::State| {
        state
            .deliveries
            .iter()
            .filter(|delivery| delivery.answer == Answer::Status(503))
            .map(|delivery| delivery.id.clone())
            .collect::<Vec<_>>()
    };
    for number in 0..500 {
        pull.comment("kim", &format!("Thought {number}: {}", "long ".repeat(2000)));
        world.webhooks_answered().await;
        if !world.forge.read(refused).is_empty() {
            break;
        }
    }
    pull.comment("kim", "terraplane help");
    world.webhooks_answered().await;
    assert_eq!(serving.get("healthz").await, Some(200));
    let lost = world.forge.read(refused);
    assert!(lost.len() >= 2, "the disk was never full:\n{}", serving.log());

    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().await.code(), Some(0), "{}", serving.log());
    serving.start(None).await;
    lost.iter().for_each(|id| world.forge.redeliver(id));
    assert!(pull.next_comment().await.contains("may do here now"));
    pull.live_comment().await_containing("\"two\"").await;
    pull.await_status("terraplane/plan", "success").await;
    pull.await_status("terraplane/apply", "success").await;
    serving.finish().await;
}

#[tokio::test]
async fn with_much_in_its_queue_and_much_behind_it_a_server_is_ready_at_once() {
    let (queued, old) = (1_000, 10_000);
    let mut serving = Serving::of(&[("terraplane.yaml", MANAGED)], Setup::default()).await;
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
    serving.start(None).await;
    let took = started.elapsed();
    // With a second or so for the sandbox's probe, and far more than needed for machines that do much else.
    assert!(took < Duration::from_secs(10), "it was ready only after {took:?}");
    println!("ready after {took:?}");
    serving.signal(Signal::TERM);
    assert_eq!(serving.ended().await.code(), Some(0), "{}", serving.log());
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
    let refused = |state: &terraplane::demo::state::State| {
        let delivery = state.deliveries.iter().find(|delivery| delivery.answer == Answer::Status(503))?;
        Some(delivery.id.clone())
    };
    let refused = stage.world.wait("a webhook that is refused", refused).await;
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
    let serving = Serving::limited(&files, Setup::default(), Some(1_500)).await;
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
