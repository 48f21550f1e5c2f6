//! Puts the parts of the server together: for `serve`, for `demo`, and for the tests, which run the same thing.

use super::forges;
use crate::config::{Environment, ServerConfig};
use crate::domain::report;
use crate::flow::links::Links;
use crate::flow::tokens::Tokens;
use crate::flow::{
    Ends, Flow, Pace, Running, Surveys, Tenancy, Worker, clear_remains, clear_scratch, keep_catching_up, keep_clean,
    open_archive,
};
use crate::git::{Git, Mirrors};
use crate::render::Renderer;
use crate::sandbox::egress::{Outside, Upstream};
use crate::sandbox::{self, Sandbox, process};
use crate::store::Store;
use crate::telemetry::{self, Metrics};
use crate::terraform::install::Tools;
use crate::terraform::providers::Providers;
use crate::terraform::supervisor::Applies;
use crate::web::{self, Calls, WebState};
use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long open requests may go on after everything else has stopped.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// A server that is up.
#[derive(Debug)]
pub struct Server {
    pub flow: Arc<Flow>,
    pub address: SocketAddr,
    worker: Worker,
    draining: Arc<AtomicBool>,
    /// Applies go on without this process.
    leaves_applies: bool,
    closed: CancellationToken,
    http: JoinHandle<std::io::Result<()>>,
    /// Let go at last.
    _tenancy: Tenancy,
}

impl Server {
    /// Opens the store and the archive, starts the worker and serves on `listener`. Of the environment only `PATH` and
    /// what git's network needs is used. Runs are held by `sandbox` (see [`find_sandbox`]).
    ///
    /// # Errors
    /// When the data directory can't be written, the database can't be opened, git is missing,
    /// or the encryption key is gone although something was encrypted with it.
    pub async fn start(
        config: ServerConfig,
        listener: TcpListener,
        environment: &Environment,
        sandbox: Sandbox,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        show_level(&sandbox, &config);
        let leaves_applies = config.on_stop.leaves_applies(std::process::id(), environment);
        std::fs::create_dir_all(&config.data_dir)
            .with_context(|| format!("can't create `data_dir` {}", config.data_dir.display()))?;
        let mut tenancy = Tenancy::begin(&config.data_dir).await?;
        clear_scratch(&config.data_dir, &tenancy)?;
        sandbox.clear_remains();
        let flow = Arc::new(assemble(config, address, environment, sandbox, &tenancy.name).await?);
        clear_remains(&flow).await?;
        tenancy.succeed(&flow.store).await?;
        let draining = Arc::new(AtomicBool::new(false));
        let closed = CancellationToken::new();
        let router = web::router(web_state(&flow, &draining));
        let http = tokio::spawn(web::serve(listener, router, closed.clone()));
        let worker = Worker::start(&flow);
        tokio::spawn(keep_catching_up(Arc::clone(&flow), closed.clone()));
        tokio::spawn(keep_clean(Arc::clone(&flow), closed.clone()));
        Ok(Self { flow, address, worker, draining, leaves_applies, closed, http, _tenancy: tenancy })
    }

    /// Begins no new work; running work may finish within `grace`. Applies are left to their supervisors, if they outlive
    /// this process. Webhooks are recorded until the end, and managed state is kept: running applies write it. Returns
    /// whether everything finished by itself.
    pub async fn drain(self, grace: Duration) -> bool {
        self.draining.store(true, Ordering::Relaxed);
        let finished = self.worker.drain(grace, self.leaves_applies).await;
        self.closed.cancel();
        if tokio::time::timeout(LAST_REQUESTS, self.http).await.is_err() {
            tracing::warn!("some requests were cut off");
        }
        self.flow.store.close().await;
        finished
    }
}

/// The best sandbox that holds on this host, found by trying to break out of it. `helper`: the `terraplane` binary, if it
/// is not this program.
///
/// # Errors
/// When the data directory can't be written, or this program's own file can't be found.
pub async fn find_sandbox(config: &ServerConfig, helper: Option<PathBuf>) -> anyhow::Result<Sandbox> {
    let work = config.data_dir.join("probe");
    std::fs::create_dir_all(&work).with_context(|| format!("can't create {}", work.display()))?;
    let mut setup = sandbox::Setup::new(work).context("this program's own file can't be found")?;
    setup.users = config.sandbox.users.clone();
    setup.helper = helper.unwrap_or(setup.helper);
    Ok(Sandbox::probe(setup).await)
}

/// Says how well runs are held, where operators look.
fn show_level(sandbox: &Sandbox, config: &ServerConfig) {
    let (level, required) = (sandbox.level(), config.sandbox.require);
    for known in sandbox::Level::ALL {
        metrics::gauge!(telemetry::SANDBOX_LEVEL, "level" => known.as_str()).set(f64::from(u8::from(known == level)));
    }
    tracing::info!(%level, %required, "sandbox");
    for finding in sandbox.findings() {
        tracing::info!(level = %finding.level, why = finding.why, advice = finding.advice, "a better sandbox does not hold");
    }
    if level < required {
        tracing::error!(%level, %required, "every run is refused: `terraplane doctor` says how to mend it");
    } else if let Some(banner) = level.banner() {
        tracing::warn!("{banner}");
    }
}

async fn assemble(
    config: ServerConfig,
    address: SocketAddr,
    environment: &Environment,
    sandbox: Sandbox,
    name: &str,
) -> anyhow::Result<Flow> {
    let path = environment.get("PATH").cloned().unwrap_or_default();
    let store = Store::open(config.database.url().expose_secret()).await?.held_by(name);
    let archive = open_archive(&config, &store).await?;
    let scratch = config.data_dir.join("scratch");
    let git = process::find_program(Path::new("git"), OsStr::new(&path))
        .context("there is no `git` on the PATH: install it")?;
    let network = network(environment);
    let git = Git::new(git, scratch.join("git"), network.clone(), sandbox.clone())?;
    let tools_scratch = scratch.join("terraform");
    std::fs::create_dir_all(&tools_scratch)?;
    let key = archive.hmac_key();
    let forges = forges::connect(&config.forges).into_iter().map(|(_, forge)| forge).collect::<Result<_, _>>()?;
    Ok(Flow {
        forges,
        mirrors: Mirrors::new(git, config.data_dir.join("mirrors")),
        providers: Providers::open(&config.data_dir.join("providers"), network)
            .context("can't make the provider mirror")?,
        tools: Tools::new(&config.terraform.binaries, OsStr::new(&path), &tools_scratch),
        renderer: renderer(&config),
        links: Links::new(&config.url, &key),
        tokens: Tokens::new(&key),
        applies: Applies::open(config.data_dir.join("applies")).context("can't make the directory of applies")?,
        running: Running::default(),
        pace: Pace::default(),
        large_plans: Semaphore::new(1),
        surveys: Surveys::default(),
        server: report::Server { name: config.name.clone(), level: sandbox.level() },
        sandbox,
        address: loopback(address),
        outside: outside(environment)?,
        path,
        ends: Ends::default(),
        wake: Arc::new(Notify::new()),
        store,
        archive,
        config,
    })
}

fn renderer(config: &ServerConfig) -> Renderer {
    let Some(dir) = &config.templates else { return Renderer::new() };
    let (renderer, wrong) = Renderer::with_templates(dir);
    for problem in wrong {
        tracing::warn!(problem, "a template of comments is not used");
    }
    renderer
}

/// What git needs to reach the forge, and terraform to reach registries, from behind a proxy or with a private certificate authority.
fn network(environment: &Environment) -> Vec<(String, String)> {
    const NAMES: [&str; 7] =
        ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"];
    let named = |name: &&str| Some(((*name).to_owned(), environment.get(*name)?.clone()));
    NAMES.iter().filter_map(named).collect()
}

/// Behind a proxy of the operator's, cages reach the outside through it too.
fn outside(environment: &Environment) -> anyhow::Result<Outside> {
    let proxy = ["HTTPS_PROXY", "https_proxy"].iter().find_map(|name| environment.get(*name)).filter(|v| !v.is_empty());
    let upstream = proxy.map(|address| Upstream::parse(address)).transpose().context("HTTPS_PROXY")?;
    Ok(Outside { upstream, ..Outside::default() })
}

/// How terraform on this host reaches the server, whatever address it listens on.
fn loopback(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

fn web_state(flow: &Arc<Flow>, draining: &Arc<AtomicBool>) -> WebState {
    WebState {
        store: flow.store.clone(),
        archive: flow.archive.clone(),
        hooks: forges::hooks(&flow.config.forges),
        calls: Calls {
            tokens: flow.config.api.clone(),
            name: flow.config.name.clone(),
            names: flow.names(),
            repos: flow.config.repos.clone(),
        },
        links: flow.links.clone(),
        tokens: flow.tokens.clone(),
        metrics: Metrics::install(),
        wake: Arc::clone(&flow.wake),
        draining: Arc::clone(draining),
    }
}
