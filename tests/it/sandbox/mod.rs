//! The cage with the real binary as its helper, at every level, as root and as a user without rights: for the latter
//! this test binary runs itself once more.

mod ends;
mod escapes;
mod files;
mod limits;
mod network;
mod regressions;
mod terraform;
pub(crate) mod unprivileged;

use crate::passable::passable;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use terraplane::sandbox::policy::Policy;
use terraplane::sandbox::process::{End, Outcome, Spec};
use terraplane::sandbox::sink::Sink;
use terraplane::sandbox::{Cage, Level, Sandbox, Setup};

/// The levels that hold anything.
pub(crate) const CAGED: [Level; 3] = [Level::Full, Level::Reduced, Level::Weak];

/// A sandbox of one level, with a tree and a scratch directory to run in.
pub(crate) struct Yard {
    dir: TempDir,
    pub(crate) sandbox: Sandbox,
    pub(crate) tree: PathBuf,
    pub(crate) scratch: PathBuf,
}

impl Yard {
    pub(crate) async fn at(level: Level) -> Self {
        Self::around(level, TempDir::new().unwrap()).await
    }

    /// On another disk.
    pub(crate) async fn in_dir(level: Level, dir: &Path) -> Self {
        Self::around(level, TempDir::new_in(dir).unwrap()).await
    }

    async fn around(level: Level, dir: TempDir) -> Self {
        // The cage's user must be able to pass where there is no view of its own.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (tree, scratch) = (dir.path().join("tree"), dir.path().join("scratch"));
        std::fs::create_dir(&tree).unwrap();
        std::fs::create_dir(&scratch).unwrap();
        let sandbox = Sandbox::probe(setup(level, dir.path())).await;
        assert_eq!(sandbox.level(), level, "{:?}", sandbox.findings());
        Self { dir, sandbox, tree, scratch }
    }

    /// The directory above the tree, where a server would keep its own things.
    pub(crate) fn outside(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn policy(&self) -> Policy {
        let mut policy = Policy::new(&self.tree, &self.scratch);
        policy.least = Level::Weak;
        policy
    }

    pub(crate) async fn cage(&self) -> Cage {
        self.open(self.policy()).await
    }

    pub(crate) async fn open(&self, policy: Policy) -> Cage {
        self.sandbox.open(policy).await.unwrap()
    }

    /// A shell script in the tree.
    pub(crate) fn script(&self, script: &str) -> Spec {
        self.program("/bin/sh", &["-c", script])
    }

    /// A script of Python in the tree.
    pub(crate) fn python(&self, script: &str) -> Spec {
        self.program("/usr/bin/python3", &["-I", "-c", script])
    }

    pub(crate) fn program(&self, program: impl Into<PathBuf>, args: &[&str]) -> Spec {
        let mut spec = Spec::new(program, &self.tree).args(args);
        spec.env = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()), ("HOME".into(), "/nonexistent".into())];
        spec.stdout = Sink::Buffer { max: 100_000 };
        spec.stderr = Sink::Buffer { max: 100_000 };
        spec.deadline = Duration::from_secs(30);
        spec
    }
}

/// A sandbox whose helpers are known by their first argument, which is this path.
pub(crate) async fn sandbox_of(helper_name: &Path, level: Level, users: std::ops::Range<u32>) -> Sandbox {
    std::os::unix::fs::symlink(helper(), helper_name).unwrap();
    let mut setup = setup(level, helper_name.parent().unwrap());
    setup.helper = helper_name.to_owned();
    setup.users = users;
    Sandbox::probe(setup).await
}

pub(crate) fn setup(level: Level, work: &Path) -> Setup {
    let mut setup = Setup::new(work.to_owned()).unwrap();
    setup.helper = helper();
    setup.at_most = level;
    setup
}

/// The binary under test; beside this one if it was copied there with it.
pub(crate) fn helper() -> PathBuf {
    let beside = std::env::current_exe().unwrap().with_file_name("terraplane");
    if beside.exists() { beside } else { passable(env!("CARGO_BIN_EXE_terraplane").as_ref()) }
}

pub(crate) fn out(outcome: &Outcome) -> String {
    String::from_utf8(outcome.stdout.bytes.clone()).unwrap()
}

pub(crate) fn err(outcome: &Outcome) -> String {
    String::from_utf8(outcome.stderr.bytes.clone()).unwrap()
}

/// Runs it; it must succeed. What it said.
pub(crate) async fn said(cage: &mut Cage, spec: Spec) -> String {
    let outcome = cage.run(spec).await.unwrap();
    assert_eq!(outcome.end, End::Exit(0), "{}{}", out(&outcome), err(&outcome));
    out(&outcome)
}

/// The processes with this in their command line, the dead left out.
pub(crate) fn pids_with(word: &str) -> Vec<i32> {
    let holds = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|arg| arg == word.as_bytes())
    };
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(holds).collect()
}

pub(crate) fn processes_with(word: &str) -> usize {
    pids_with(word).len()
}

/// Waits until no process has this word as an argument.
pub(crate) async fn all_gone(word: &str) {
    all_but(word, 0).await;
}

/// Waits until exactly so many processes have this word as an argument.
pub(crate) async fn all_but(word: &str, number: usize) {
    for _ in 0..500 {
        if processes_with(word) == number {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} processes with `{word}` are still alive", processes_with(word));
}

/// Waits until so many processes have this word as an argument.
pub(crate) async fn all_there(word: &str, number: usize) {
    for _ in 0..500 {
        if processes_with(word) >= number {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("only {} processes with `{word}` came up", processes_with(word));
}

/// A number of seconds to sleep that nothing else sleeps: the argument by which a test knows its own processes.
pub(crate) fn long_sleep() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}", 3000 + NEXT.fetch_add(1, Ordering::Relaxed), std::process::id())
}
