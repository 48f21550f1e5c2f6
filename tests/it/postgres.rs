//! A throw-away PostgreSQL for the tests: one cluster for the whole binary, one database for each test.
//!
//! It listens on a unix socket in a temporary folder and nowhere else. A shell holds it: when the tests' process is gone,
//! however it went, the shell's input ends, and it stops the server and removes the folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `$1`: the folder of PostgreSQL's programs; `$2`: ours. Nothing is synced: it need not survive anything.
const KEEPER: &str = r#"
"$1/initdb" -D "$2/data" -U tests -A trust -E UTF8 --locale=C --no-sync >"$2/log" 2>&1 || exit 1
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=300 >>"$2/log" 2>&1 </dev/null &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$2"
"#;

struct Cluster {
    dir: PathBuf,
    /// Its input is closed by the end of this process, which ends the cluster.
    _keeper: Child,
}

/// The address of an empty database of its own.
///
/// # Panics
/// When PostgreSQL is not installed or doesn't start.
pub(crate) async fn fresh_database() -> String {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let cluster = CLUSTER.get_or_init(start);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = connect(cluster).await;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    address(&cluster.dir, &name)
}

fn start() -> Cluster {
    let programs = programs().expect("PostgreSQL is not installed: run scripts/prerequisites.sh");
    let folder = tempfile::Builder::new().prefix("terraplane-pg-").tempdir().unwrap();
    let dir = folder.path().to_owned();
    #[expect(clippy::disallowed_methods, reason = "a server for the tests, not a step of a run")]
    let mut keeper = Command::new("sh");
    keeper.args(["-c", KEEPER, "keeper"]).arg(&programs).arg(&dir);
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
    Cluster { dir, _keeper: keeper }
}

async fn connect(cluster: &Cluster) -> PgConnection {
    let began = Instant::now();
    loop {
        match PgConnection::connect(&address(&cluster.dir, "postgres")).await {
            Ok(connection) => return connection,
            Err(_) if began.elapsed() < Duration::from_secs(60) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => {
                let log = std::fs::read_to_string(cluster.dir.join("log")).unwrap_or_default();
                panic!("PostgreSQL didn't start: {error}\n{log}");
            }
        }
    }
}

fn address(socket: &Path, database: &str) -> String {
    let mut address = url::Url::parse("postgres://tests@localhost").unwrap();
    address.set_path(database);
    address.query_pairs_mut().append_pair("host", socket.to_str().unwrap());
    address.into()
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
