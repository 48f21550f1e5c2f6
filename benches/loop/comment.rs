//! From a webhook to the live comment, beside the commands that cannot be spared: in every round the server plans a pull
//! request with one project, and then the same commit is fetched and planned by hand.

use crate::server::{WEBHOOK_SECRET, yaml};
use crate::spans::Recorder;
use crate::table::{Samples, goal, ms, row, title};
use crate::{Effort, on_disk, path, program};
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use secrecy::ExposeSecret as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use terraplane::cli::{Server, find_sandbox};
use terraplane::config::{Environment, ServerConfig};
use terraplane::demo::state::{Change, State};
use terraplane::demo::world::{Hook, NewPull};
use terraplane::demo::{Settings, World};
use terraplane::domain::pull::Role;
use tokio::net::TcpListener;

const REPO: &str = "acme/infra";
const DIR: &str = "prod/network";
/// Rounds before those that count: the mirror is made, the binary is asked for its version, pages are read from disk.
const WARM_UP: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn report(effort: Effort, recorder: &Recorder) -> anyhow::Result<()> {
    let world = World::start(Settings::new(program("git")?)).await?;
    let rounds = effort.rounds + WARM_UP;
    let pulls = pulls(&world, rounds).await?;
    let served = Served::start(&world).await?;
    let bare = Bare::new(&world)?;
    let (mut loops, mut parts) = (Samples::default(), BTreeMap::<&str, Samples>::new());
    let (mut alone, mut steps) = (Samples::default(), BTreeMap::<&str, Samples>::new());
    for (round, pull) in pulls.iter().enumerate() {
        let (from, to) = served.comment_on(&world, pull).await?;
        let spent = recorder.between(from, to);
        let by_hand = bare.plan(pull)?;
        tokio::time::sleep(effort.pause).await;
        if round >= WARM_UP {
            loops.add(to - from);
            Recorder::parts().for_each(|part| {
                parts.entry(part).or_default().add(spent.get(part).copied().unwrap_or_default());
            });
            alone.add(by_hand.iter().map(|(_, time)| *time).sum());
            by_hand.iter().for_each(|(step, time)| steps.entry(step).or_default().add(*time));
        }
    }
    served.server.drain(PATIENCE).await;

    title(&format!("From the webhook to the live comment, one project, medians of {}", loops.len()));
    row("bare git fetch, init, plan, show", &ms(alone.median()), "");
    row("webhook to live comment", &ms(loops.median()), &format!("90 % within {}", ms(loops.quantile(0.9))));
    let times = loops.median().as_secs_f64() / alone.median().as_secs_f64();
    row("times the bare commands", &format!("{times:.2}"), &goal(times <= 1.10, "at most 1.10"));
    title("Where it goes (medians; what several share counts for the first of this list)");
    for part in Recorder::parts() {
        let beside = steps.get(part).map(|bare| format!("bare: {}", ms(bare.median())));
        row(part, &ms(parts[part].median()), &beside.unwrap_or_default());
    }
    Ok(())
}

/// A pull request that nobody has been told of yet.
struct Pull {
    number: u64,
    branch: String,
    /// The webhook that says that it was opened.
    delivery: String,
}

/// Opens them all before anybody listens.
async fn pulls(world: &World, count: usize) -> anyhow::Result<Vec<Pull>> {
    world.add_repo(REPO, &[Change::write(format!("{DIR}/main.tf"), configuration(0))]).await?;
    world.grant(REPO, "sam", Role::Write)?;
    let mut pulls = Vec::new();
    for round in 1..=count {
        let branch = format!("subnets-{round}");
        world
            .push(REPO, &branch, "sam", "Subnets", &[Change::write(format!("{DIR}/main.tf"), configuration(round))])
            .await?;
        let new = NewPull {
            title: "Subnets".into(),
            author: "sam".into(),
            head_branch: branch.clone(),
            ..NewPull::default()
        };
        let number = world.open_pull(REPO, new).await?;
        let opened =
            |state: &State| state.deliveries.iter().rev().find(|d| d.event == "pull_request").map(|d| d.id.clone());
        let delivery = world.read(opened).context("opening a pull request sends a webhook")?;
        pulls.push(Pull { number, branch, delivery });
    }
    Ok(pulls)
}

/// Ten resources that are built into terraform, so that neither a provider nor a network is measured. No two pull requests
/// have one in common: whoever changes the same is warned, and that is more to tell than is measured.
fn configuration(round: usize) -> String {
    format!(
        "variable \"round\" {{\n  default = {round}\n}}\n\nresource \"terraform_data\" \"subnet\" {{\n  for_each = \
         toset([for n in range(10) : \"${{var.round}}-${{n}}\"])\n  input    = \"10.${{var.round}}.${{each.key}}.0/24\"\n}}\n"
    )
}

/// The server, in this process, so that its spans can be heard.
struct Served {
    server: Server,
    hook: Hook,
    _data: TempDir,
}

impl Served {
    async fn start(world: &World) -> anyhow::Result<Self> {
        let data = on_disk()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let file = data.path().join("server.yaml");
        let token = world.server_token();
        let repo = format!("{}/{REPO}", world.host());
        let text = yaml(data.path(), &address.to_string(), world.api_url().as_str(), token.expose_secret(), &repo)?;
        // What is measured begins with the webhook: the server must not find the pull requests by itself before.
        std::fs::write(&file, text + "catch_up: {every: never}\n")?;
        let config = ServerConfig::load(Some(&file), &Environment::new()).map_err(|e| anyhow::anyhow!("{e}"))?;
        let sandbox = find_sandbox(&config, Some(env!("CARGO_BIN_EXE_terraplane").into())).await?;
        let server =
            Server::start(config, listener, &Environment::from([("PATH".to_owned(), path())]), sandbox).await?;
        let url = format!("http://{address}/webhooks/github").parse()?;
        Ok(Self { server, hook: Hook { url, secret: WEBHOOK_SECRET.into() }, _data: data })
    }

    /// Sends the webhook; returns when that was, and when the plan was there to be read.
    async fn comment_on(&self, world: &World, pull: &Pull) -> anyhow::Result<(Instant, Instant)> {
        world.set_hook(self.hook.clone());
        let shows_the_plan = |state: &State| {
            let live = state.pull(REPO, pull.number)?.comment_marked("<!-- terraplane:live -->")?;
            live.body.contains("terraform_data.subnet").then_some(())
        };
        ensure!(world.read(shows_the_plan).is_none(), "the plan is there before the webhook");
        let from = Instant::now();
        world.redeliver(&pull.delivery);
        world.wait_until("live comment with the plan", PATIENCE, shows_the_plan).await?;
        let to = Instant::now();
        // What comes after the comment must not disturb what is measured next.
        let end = to + PATIENCE;
        while self.server.flow.store.queue_counts().await?.iter().any(|(_, queued, leased)| queued + leased > 0) {
            ensure!(Instant::now() < end, "the queue does not become empty");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok((from, to))
    }
}

/// The same by hand, in a clone.
struct Bare {
    git: PathBuf,
    terraform: PathBuf,
    dir: TempDir,
    env: Vec<(String, String)>,
}

impl Bare {
    fn new(world: &World) -> anyhow::Result<Self> {
        let dir = on_disk()?;
        let login = format!("x-access-token:{}", world.server_token().expose_secret());
        let basic = base64::engine::general_purpose::STANDARD.encode(login);
        let home = dir.path().join("home");
        std::fs::create_dir(&home)?;
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let env = vec![
            set("PATH", &path()),
            set("HOME", &home.display().to_string()),
            set("GIT_CONFIG_NOSYSTEM", "1"),
            set("GIT_CONFIG_COUNT", "1"),
            set("GIT_CONFIG_KEY_0", "http.extraHeader"),
            set("GIT_CONFIG_VALUE_0", &format!("Authorization: Basic {basic}")),
            set("CHECKPOINT_DISABLE", "1"),
            set("TF_IN_AUTOMATION", "1"),
        ];
        let bare = Self { git: program("git")?, terraform: program("terraform")?, dir, env };
        let from = world.url().join(&format!("{REPO}.git"))?;
        // Of the default branch alone: what is fetched later must be news.
        bare.run(&bare.git, bare.dir.path(), &["clone", "--quiet", "--single-branch", from.as_str(), "tree"])?;
        Ok(bare)
    }

    /// How long each command took.
    fn plan(&self, pull: &Pull) -> anyhow::Result<[(&'static str, Duration); 4]> {
        let tree = self.dir.path().join("tree");
        let dir = tree.join(DIR);
        let fetch = self.run(&self.git, &tree, &["fetch", "--quiet", "origin", &pull.branch])?;
        // Every run begins without what an earlier one left; that costs time too, and is not counted here.
        self.run(&self.git, &tree, &["clean", "--quiet", "-fdx"])?;
        self.run(&self.git, &tree, &["checkout", "--quiet", "--detach", "FETCH_HEAD"])?;
        let init = self.run(&self.terraform, &dir, &["init", "-input=false"])?;
        let plan = self.run(&self.terraform, &dir, &["plan", "-input=false", "-lock=false", "-out=plan.bin"])?;
        let show = self.run(&self.terraform, &dir, &["show", "-json", "plan.bin"])?;
        Ok([("git fetch", fetch), ("terraform init", init), ("terraform plan", plan), ("terraform show", show)])
    }

    /// The forge lives in the same process: it must go on while this thread waits.
    fn run(&self, program: &Path, dir: &Path, args: &[&str]) -> anyhow::Result<Duration> {
        #[expect(clippy::disallowed_methods, reason = "the bare commands, beside which the server is measured")]
        let mut command = Command::new(program);
        command.args(args).current_dir(dir).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(std::fs::File::create(self.dir.path().join("out"))?).stderr(Stdio::null());
        let begun = Instant::now();
        let status = tokio::task::block_in_place(|| command.status())?;
        ensure!(status.success(), "{} {} ended with {status}", program.display(), args.join(" "));
        Ok(begun.elapsed())
    }
}
