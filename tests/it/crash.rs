//! The real binary is killed at one point after the other, and restarted: before and after commits, questions to the
//! forge, and programs. Whatever the point, every pull request ends up telling the truth, without anybody's help.
//!
//! A server without a fault leaves the trail of all points of a story. Then servers are started that die at points of it,
//! in a random order; each one that dies is followed by one that dies at the next. `TORTURE=1` takes every point instead
//! of a sample, and `SEED=…` repeats an order.

use crate::scenario::stand_in::StandIn;
use crate::scenario::{MANAGED, resource};
use crate::stage::{Setup, own_address, server_yaml};
use crate::world::{PATIENCE, PullRequest, World};
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tempfile::TempDir;
use terraplane::demo::state::{Answer, State};
use terraplane::store::Store;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// Points of the ordinary run, in this many tests side by side.
const SAMPLED: usize = 60;
const PARTS: usize = 4;

const LIVE: &str = "<!-- terraplane:live -->";
const RUN: &str = "<!-- terraplane:run";

/// Where servers are still to die.
type Points = Arc<Mutex<VecDeque<String>>>;

/// A server that is started again whenever it is killed.
struct Mortal {
    world: World,
    data: TempDir,
    terraform: StandIn,
    points: Points,
    deaths: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
    keeper: tokio::task::JoinHandle<()>,
}

/// What a server is started with, again and again.
struct Start {
    config: PathBuf,
    log: PathBuf,
    address: String,
    trail: Option<PathBuf>,
}

impl Start {
    fn spawn(&self, at: Option<&String>) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_terraplane"));
        command.env_remove("TERRAPLANE_TEST_TOFU").kill_on_drop(true);
        command.envs(at.map(|point| ("CRASH_AT", point))).envs(self.trail.iter().map(|trail| ("CRASH_TRAIL", trail)));
        command.arg("serve").arg("--config").arg(&self.config);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// Those of applies that go on without their server.
    fn kill_supervisors(&self) {
        let program = std::fs::canonicalize(env!("CARGO_BIN_EXE_terraplane")).unwrap();
        let applies = self.config.with_file_name("data").join("applies");
        for place in std::fs::read_dir(applies).into_iter().flatten().flatten() {
            let begun = std::fs::read_to_string(place.path().join("begun")).unwrap_or_default();
            let Ok(number) = begun.trim().parse::<i32>() else { continue };
            // It may have ended by itself, and its number be somebody else's.
            let is_ours = std::fs::read_link(format!("/proc/{number}/exe")).is_ok_and(|exe| exe == program);
            if let (Some(id), true) = (rustix::process::Pid::from_raw(number), is_ours) {
                let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
            }
        }
    }

    async fn is_ready(&self) -> bool {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let answer = client.get(format!("http://{}/readyz", self.address)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }
}

impl Mortal {
    async fn start(points: Vec<String>, trail: Option<PathBuf>) -> Self {
        let address = own_address();
        let world = World::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "zero"))]).await;
        world.connect(&format!("http://{address}/").parse().unwrap());
        let terraform = StandIn::terraform();
        let data = tempfile::tempdir().unwrap();
        let setup = terraform.setup(2);
        let setup = Setup { yaml: format!("{}catch_up: {{every: 1s}}\n", setup.yaml), ..setup };
        let config = data.path().join("server.yaml");
        std::fs::write(&config, server_yaml(&world, data.path(), &address, &setup)).unwrap();
        let start = Start { config, log: data.path().join("log"), address, trail };
        let points: Points = Arc::new(Mutex::new(points.into()));
        let (deaths, stop) = (Arc::default(), CancellationToken::new());
        let keeper = tokio::spawn(keep_alive(start, Arc::clone(&points), Arc::clone(&deaths), stop.clone()));
        Self { world, data, terraform, points, deaths, stop, keeper }
    }

    /// A pull request from its beginning to its end, with whatever has to be asked for again.
    async fn story(&self, number: usize) {
        let input = format!("input {number}");
        let applies = self.terraform.count("begin apply prod");
        let changed = resource("web", &input);
        let pull = self.world.open_pull(&format!("Story {number}")).changing("prod/main.tf", &changed).await;
        pull.live_comment().await_containing(&format!("\"{input}\"")).await;
        pull.await_status("terraplane/plan", "success").await;
        pull.comment("kim", "terraplane help");
        let help = pull.wait_for_comment(|text| text.contains("may do here now")).await;
        assert!(help.starts_with("<!-- terraplane:reply"));
        let merged = pull.merge("ana").await;
        let mut results = 0;
        loop {
            let result = pull.wait_for_comment(|text| text.starts_with(RUN)).await;
            results += 1;
            if !result.contains("The server was lost") {
                assert!(result.contains("Applied `prod`"), "{result}");
                break;
            }
            // An interrupted apply is never repeated by itself.
            assert!(result.contains("`terraplane apply prod`"), "{result}");
            assert!(result.contains("The state's serial"), "{result}");
            pull.comment("kim", "terraplane apply");
        }
        self.world.await_status(&merged, "terraplane/apply", "success").await;
        pull.live_comment().await_containing("merged · applied").await;
        let begun = self.terraform.count("begin apply prod") - applies;
        assert!((1..=results).contains(&begun), "{begun} applies were begun for {results} results");
        self.holds_true(&pull, results).await;
    }

    /// What must be so in the end, whatever happened on the way.
    async fn holds_true(&self, pull: &PullRequest, results: usize) {
        let mut heads = vec![pull.head()];
        heads.extend(pull.now().merge_commit().cloned());
        let pending = |state: &State| {
            let repo = state.repo(crate::world::REPO)?;
            let all = heads.iter().flat_map(|head| repo.latest_statuses(head));
            all.into_iter().all(|status| status.state == "success").then_some(())
        };
        self.world.wait("no status that is pending", pending).await;
        let comments = pull.server_comments();
        let count = |start: &str| comments.iter().filter(|comment| comment.starts_with(start)).count();
        let counts = (count(LIVE), count("<!-- terraplane:reply"), count(RUN));
        assert_eq!(counts, (1, 1, results), "{comments:#?}");
    }

    /// The server is told to stop, and nothing is left to do.
    async fn finish(self) {
        self.stop.cancel();
        self.keeper.await.unwrap();
        let url = format!("sqlite:{}", self.data.path().join("data/terraplane.db").display());
        let left = Store::open(&url).await.unwrap().queue_counts().await.unwrap();
        assert!(left.iter().all(|(_, queued, leased)| queued + leased == 0), "work is left: {left:?}");
        // What was not delivered was found; nothing was refused.
        self.world.forge.read(|state| {
            let wrong = state.deliveries.iter().find(|d| matches!(d.answer, Answer::Status(code) if code != 202));
            assert!(wrong.is_none(), "{wrong:?}");
        });
    }
}

/// Until it is told to stop: then the last server has to be idle, and ends in order.
async fn keep_alive(start: Start, points: Points, deaths: Arc<Mutex<Vec<String>>>, stop: CancellationToken) {
    loop {
        let at = points.lock().unwrap().front().cloned();
        let mut server = start.spawn(at.as_ref());
        let ended = tokio::select! {
            ended = server.wait() => ended.unwrap(),
            () = stop.cancelled() => {
                let end = tokio::time::Instant::now() + PATIENCE;
                while !start.is_ready().await {
                    assert!(tokio::time::Instant::now() < end, "the last server never was ready");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                let id = rustix::process::Pid::from_raw(server.id().unwrap().cast_signed()).unwrap();
                // Its tells may still be on their way.
                tokio::time::sleep(Duration::from_millis(1_500)).await;
                rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
                let ended = server.wait().await.unwrap();
                assert_eq!(ended.code(), Some(0), "{}", std::fs::read_to_string(&start.log).unwrap());
                return;
            }
        };
        if ended.signal() != Some(9) {
            let log = std::fs::read_to_string(&start.log).unwrap();
            panic!("the server ended with {ended}:\n{log}");
        }
        points.lock().unwrap().pop_front();
        let mut deaths = deaths.lock().unwrap();
        deaths.extend(at);
        // Every other time its applies die with it, as when a machine does.
        if deaths.len().is_multiple_of(2) {
            start.kill_supervisors();
        }
    }
}

/// Every point that a story passes.
async fn trail() -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trail");
    let server = Mortal::start(Vec::new(), Some(path.clone())).await;
    server.story(0).await;
    server.finish().await;
    read(&path)
}

fn read(path: &Path) -> Vec<String> {
    let mut points: Vec<String> = std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    points.sort();
    points
}

/// xorshift64*: an order that can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    fn shuffled(&mut self, mut all: Vec<String>) -> Vec<String> {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
        all
    }
}

/// One part of the points, in an order of its own.
#[allow(clippy::print_stdout, reason = "by the seed a failure is repeated; it is shown only then")]
async fn dies_at_points_of_part(part: usize) {
    // One order for all parts: each takes others of it, and together they take all.
    static SEED: OnceLock<u64> = OnceLock::new();
    let seed = *SEED.get_or_init(|| match std::env::var("SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => RandomState::new().build_hasher().finish() | 1,
    });
    static TRAIL: tokio::sync::OnceCell<Vec<String>> = tokio::sync::OnceCell::const_new();
    let all = TRAIL.get_or_init(trail).await.clone();
    assert!(all.len() > SAMPLED, "the trail is short: {all:?}");
    let shuffled = Dice(seed).shuffled(all);
    let torture = std::env::var("TORTURE").is_ok();
    let taken = if torture { shuffled.len() } else { SAMPLED };
    let mine: Vec<String> = shuffled.into_iter().take(taken).skip(part).step_by(PARTS).collect();
    println!("SEED={seed}: {mine:?}");
    let server = Mortal::start(mine.clone(), None).await;
    let deaths = Arc::clone(&server.deaths);
    let points = Arc::clone(&server.points);
    // A point that a server has not come to by the end of a story is met in a later one, whose passages count on.
    for number in 1.. {
        server.story(number).await;
        let left = points.lock().unwrap().len();
        if left == 0 {
            break;
        }
        assert!(
            number < 4 * mine.len() + 8,
            "SEED={seed}: points that no server comes to: {:?}",
            points.lock().unwrap()
        );
    }
    assert_eq!(deaths.lock().unwrap().len(), mine.len());
    server.story(0).await;
    server.finish().await;
}

#[tokio::test]
async fn a_server_that_is_killed_anywhere_ends_up_telling_the_truth_1() {
    dies_at_points_of_part(0).await;
}

#[tokio::test]
async fn a_server_that_is_killed_anywhere_ends_up_telling_the_truth_2() {
    dies_at_points_of_part(1).await;
}

#[tokio::test]
async fn a_server_that_is_killed_anywhere_ends_up_telling_the_truth_3() {
    dies_at_points_of_part(2).await;
}

#[tokio::test]
async fn a_server_that_is_killed_anywhere_ends_up_telling_the_truth_4() {
    dies_at_points_of_part(3).await;
}
