//! A throw-away PostgreSQL for the tests: one cluster for the whole binary, one database for each test.
//!
//! It listens on a unix socket in a temporary folder and nowhere else. A shell holds it: when the tests' process is gone,
//! however it went, the shell's input ends, and it stops the server and removes the folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::stage::own_address;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `$1`: the folder of PostgreSQL's programs; `$2`: ours; `$3` and `$4`: where else it listens. Nothing is synced: it need
/// not survive a power cut. Each line of the input is a server that has ended, and the wish for the next.
const KEEPER: &str = r#"
begin() {
    "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses="$3" -p "$4" -c fsync=off -c max_connections=300 \
        >>"$2/log" 2>&1 </dev/null &
    server=$!
}
"$1/initdb" -D "$2/data" -U tests -A trust -E UTF8 --locale=C --no-sync >"$2/log" 2>&1 || exit 1
begin "$@"
while read -r _; do
    wait $server
    begin "$@"
done
kill -CONT $server
kill -QUIT $server
wait $server
rm -rf "$2"
"#;

/// A PostgreSQL.
pub(crate) struct Cluster {
    dir: PathBuf,
    /// Without a database.
    address: url::Url,
    /// Its input is closed by the end of this process, which ends the cluster.
    keeper: Child,
}

/// The address of an empty database of its own.
///
/// # Panics
/// When PostgreSQL is not installed or doesn't start.
pub(crate) async fn fresh_database() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(None)).database().await
}

impl Cluster {
    /// One that is a test's own, to be stopped and started. It is reached as one on another machine is.
    pub(crate) fn own() -> Self {
        Self::start(Some(own_address()))
    }

    /// The address of an empty database in it.
    pub(crate) async fn database(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        self.address_of(&name)
    }

    /// It ends without a word to anybody, as when its machine dies.
    pub(crate) async fn crash(&self) {
        kill_process(self.postmaster(), Signal::QUIT).unwrap();
        while self.dir.join("data/postmaster.pid").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// After a crash: there is another one, with what was committed before.
    pub(crate) async fn start_again(&mut self) {
        writeln!(self.keeper.stdin.as_mut().unwrap(), "again").unwrap();
        self.connect().await.close().await.unwrap();
    }

    /// It answers nobody any more, and closes no connection.
    pub(crate) fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, signal: Signal) {
        let postmaster = self.postmaster();
        kill_process(postmaster, signal).unwrap();
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
            let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok();
            if value("PPid:") == Some(postmaster.as_raw_pid()) {
                kill_process(Pid::from_raw(value("Pid:").unwrap()).unwrap(), signal).unwrap();
            }
        }
    }

    fn postmaster(&self) -> Pid {
        let text = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap();
        Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    fn start(listen: Option<String>) -> Self {
        let programs = programs().expect("PostgreSQL is not installed: run scripts/prerequisites.sh");
        let folder = tempfile::Builder::new().prefix("terraplane-pg-").tempdir().unwrap();
        let dir = folder.path().to_owned();
        #[expect(clippy::disallowed_methods, reason = "a server for the tests, not a step of a run")]
        let mut keeper = Command::new("sh");
        let (host, port) = listen.as_deref().map_or(("", "5432"), |address| address.split_once(':').unwrap());
        keeper.args(["-c", KEEPER, "keeper"]).arg(&programs).arg(&dir).args([host, port]);
        keeper.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(&dir);
        // Not in our group: Ctrl-C must not end it before it has cleaned up.
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        if rustix::process::geteuid().is_root() {
            // PostgreSQL refuses to run as root.
            let (uid, gid) = account("postgres").or_else(|| account("nobody")).expect("an account that is not root's");
            std::os::unix::fs::chown(&dir, Some(uid), Some(gid)).unwrap();
            keeper.uid(uid).gid(gid);
        }
        let keeper = keeper.spawn().unwrap();
        // From here on the keeper removes it, which outlives us.
        let dir = folder.keep();
        let mut address = url::Url::parse("postgres://tests@localhost").unwrap();
        match listen {
            Some(listen) => address = format!("postgres://tests@{listen}").parse().unwrap(),
            None => drop(address.query_pairs_mut().append_pair("host", dir.to_str().unwrap())),
        }
        Self { dir, address, keeper }
    }

    async fn connect(&self) -> PgConnection {
        let began = Instant::now();
        loop {
            match PgConnection::connect(&self.address_of("postgres")).await {
                Ok(connection) => return connection,
                Err(_) if began.elapsed() < Duration::from_secs(60) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                    panic!("PostgreSQL didn't start: {error}\n{log}");
                }
            }
        }
    }

    fn address_of(&self, database: &str) -> String {
        let mut address = self.address.clone();
        address.set_path(database);
        address.into()
    }
}

/// The folder of `initdb` and `postgres`: on the path, or where Debian puts them, newest version first.
fn programs() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    folders.into_iter().find(|folder| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file()))
}

/// The user and group ids of an account.
fn account(name: &str) -> Option<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    let fields: Vec<&str> =
        accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}
