//! The world with a real server beside it: the same parts that `terraplane serve` puts together, in this process, on a
//! port of the kernel's, with SQLite in a directory of its own.

use crate::world::{WEBHOOK_SECRET, World};
use secrecy::ExposeSecret as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use terraplane::cli::Server;
use terraplane::config::{Environment, ServerConfig};
use terraplane::demo::Face;
use terraplane::domain::id::Timestamp;
use terraplane::sandbox::{self, Level, Sandbox};
use terraplane::store::JobKind;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use url::Url;

/// How long running work may go on at the end of a scenario.
const GRACE: Duration = Duration::from_secs(30);

/// What a scenario's server is set up with, besides what every server needs.
#[derive(Default)]
pub(crate) struct Setup {
    /// Lines of `server.yaml`, after the others.
    pub(crate) yaml: String,
    /// Keys of the `repos` entry, indented by four spaces.
    pub(crate) repo: String,
    /// Acts as a GitHub App instead of with a token.
    pub(crate) app: bool,
    /// The `match` of the `repos` entry; `None`: the world's repository.
    pub(crate) matches: Option<String>,
    /// Runs have the host's network: where a forge or a state server of the test's own listens on loopback.
    pub(crate) network_of_host: bool,
    /// What runs may write besides their own, so that a test sees what they do.
    pub(crate) writable: Vec<PathBuf>,
    /// The least level that is accepted; `None`: the usual one.
    pub(crate) require: Option<Level>,
    /// The sandbox is no better than this; `None`: as good as this host has it.
    pub(crate) at_most: Option<Level>,
    /// Applies go on when it is told to stop; otherwise it waits for them.
    pub(crate) leaves_applies: bool,
    /// Its programs come before those of the real `PATH`.
    pub(crate) programs: Option<PathBuf>,
}

impl Setup {
    pub(crate) fn and_writable(mut self, dir: &Path) -> Self {
        self.writable.push(dir.to_owned());
        self
    }
}

/// The stage of a scenario.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) server: Server,
    pub(crate) data: TempDir,
}

impl Stage {
    /// A repository with these files, and a server that serves it.
    pub(crate) async fn with(files: &[(&str, &str)]) -> Self {
        Self::set(files, Setup::default()).await
    }

    pub(crate) async fn set(files: &[(&str, &str)], setup: Setup) -> Self {
        Self::around(World::with(files).await, setup).await
    }

    /// A server for a world that is there already.
    pub(crate) async fn around(world: World, setup: Setup) -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = start(&world, data.path(), &setup).await;
        Self { world, server, data }
    }

    /// The address of the server.
    pub(crate) fn url(&self) -> Url {
        format!("http://{}/", self.server.address).parse().unwrap()
    }

    /// Waits until every webhook was answered and everything that followed from it is done.
    pub(crate) async fn settled(&self) {
        self.world.webhooks_answered().await;
        idle(&self.server).await;
    }

    /// The server is told to stop and another one takes its place, with the same data.
    pub(crate) async fn restart(self, setup: Setup) -> Self {
        self.restart_within(GRACE, setup).await
    }

    /// The same, with so much time for what is running.
    pub(crate) async fn restart_within(self, grace: Duration, setup: Setup) -> Self {
        let Self { world, server, data } = self;
        server.drain(grace).await;
        let server = start(&world, data.path(), &setup).await;
        Self { world, server, data }
    }

    /// The end: everything that was begun came to its end, and nothing unexpected remains.
    pub(crate) async fn finish(self) {
        let Self { world, server, data } = self;
        world.webhooks_answered().await;
        idle(&server).await;
        let work = data.path().join("data/work");
        let left: Vec<_> = std::fs::read_dir(&work).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        assert!(server.drain(GRACE).await, "the server had to be stopped by force");
        assert!(left.iter().all(|path| is_being_removed(path)), "work trees were left behind: {left:?}");
        world.finish().await;
    }
}

/// A directory that was moved aside is removed by a thread of its own.
fn is_being_removed(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".gone-"))
}

/// Waits until nothing is left in the queue but what is far from due: the end of a freeze has a date.
pub(crate) async fn idle(server: &Server) {
    const FAR_MS: i64 = 60 * 60 * 1000;
    let end = tokio::time::Instant::now() + crate::world::PATIENCE;
    loop {
        let store = &server.flow.store;
        let counts = store.queue_counts().await.unwrap();
        let at_rest = counts.iter().all(|(_, _, leased)| *leased == 0);
        if at_rest && counts.iter().all(|(_, queued, _)| *queued == 0) {
            return;
        }
        // What was queued may just have been taken up.
        let due = store.next_due(&JobKind::ALL).await.unwrap();
        let soon = Timestamp(jiff::Timestamp::now().as_millisecond() + FAR_MS);
        if at_rest && due.is_some_and(|due| due > soon) && store.queue_counts().await.unwrap() == counts {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "work was left in the queue: {counts:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Found out once for each level: what holds on this host does not change between scenarios.
pub(crate) async fn sandbox(at_most: Option<Level>) -> Sandbox {
    static FOUND: [OnceCell<Sandbox>; 4] = [const { OnceCell::const_new() }; 4];
    let at_most = at_most.unwrap_or(Level::Full);
    let found = &FOUND[Level::ALL.iter().position(|level| *level == at_most).unwrap()];
    let probe = || async {
        // Kept until the process ends: it is all of a work directory's life.
        let work = tempfile::tempdir().unwrap().keep();
        let mut setup = sandbox::Setup::new(work).unwrap();
        setup.helper = crate::sandbox::helper();
        setup.at_most = at_most;
        Sandbox::probe(setup).await
    };
    found.get_or_init(probe).await.clone()
}

/// An address on loopback that stays free while nobody listens there: below those that the kernel gives to whoever does
/// not ask for one, such as the other servers of these tests.
pub(crate) fn own_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Another process of the tests begins elsewhere.
    let first = u16::try_from(std::process::id() % 1_000).unwrap() * 10;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
}

/// A directory that everybody may write, whoever runs are.
pub(crate) fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

async fn start(world: &World, data: &Path, setup: &Setup) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let file = data.join("server.yaml");
    std::fs::write(&file, server_yaml(world, data, &address.to_string(), setup)).unwrap();
    let config = ServerConfig::load(Some(&file), &Environment::new()).unwrap_or_else(|errors| panic!("{errors}"));
    let path = std::env::var("PATH").unwrap();
    let path = setup.programs.iter().map(|dir| format!("{}:", dir.display())).collect::<String>() + &path;
    let environment = Environment::from([("PATH".to_owned(), path)]);
    let server = Server::start(config, listener, &environment, sandbox(setup.at_most).await).await.unwrap();
    world.connect(&format!("http://{address}/").parse().unwrap());
    server
}

/// The configuration file of a scenario's server. Also used to start the real binary.
pub(crate) fn server_yaml(world: &World, data: &Path, address: &str, setup: &Setup) -> String {
    let write = |name: &str, text: &str| {
        let path = data.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let secret = write("webhook-secret", WEBHOOK_SECRET);
    let auth = if setup.app {
        let app = world.app();
        let key = write("app.pem", app.private_key.expose_secret());
        format!("  app_id: {}\n  private_key: file:{key}\n", app.app_id)
    } else {
        format!("  token: file:{}\n", write("token", world.forge.server_token().expose_secret()))
    };
    let proof = if world.forge.face() == Face::Gitlab { "signing_token" } else { "webhook_secret" };
    let network = if setup.network_of_host { "host" } else { "allow" };
    let require = setup.require.map(|level| format!(", require: \"{level}\"")).unwrap_or_default();
    let writable: Vec<String> = setup.writable.iter().map(|path| format!("\"{}\"", path.display())).collect();
    let sandbox = format!("sandbox: {{network: {network}, writable: [{}]{require}}}\n", writable.join(", "));
    let on_stop = if setup.leaves_applies { "leave" } else { "finish" };
    let matches = setup.matches.clone().unwrap_or_else(|| world.repo_name());
    format!(
        "listen: {address}\nurl: http://{address}\ndata_dir: {}\n{}  {proof}: \
         file:{secret}\n{auth}repos:\n  - match: \"{matches}\"\n{}{sandbox}on_stop: {on_stop}\n{}",
        data.join("data").display(),
        world.forge.server_part(),
        setup.repo,
        setup.yaml,
    )
}
