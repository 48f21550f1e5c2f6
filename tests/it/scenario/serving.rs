//! `terraplane serve` as a process of its own, which can be killed, and what shows of it from outside.

use crate::stage::{Setup, own_address, server_yaml};
use crate::world::{PATIENCE, World};
use rustix::process::{Pid, Resource, Rlimit, Signal, geteuid, kill_process, prlimit};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// `terraplane serve`, with a data directory that outlives it.
pub(crate) struct Serving {
    pub(crate) world: World,
    pub(crate) data: TempDir,
    address: String,
    setup: Setup,
    pub(crate) process: Option<Child>,
}

/// What is done to the process before it becomes the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Under {
    Nothing,
    /// No file may become larger than so many KiB.
    Limit(u32),
    /// It has mounts of its own, so that the directories of it alone can become read-only.
    OwnMounts,
    /// The same, and its directory is read-only from the beginning.
    ReadOnly,
    /// It has these variables besides.
    Variables(&'static [(&'static str, String)]),
}

/// Makes a directory read-only for whoever has mounts of his own.
const READ_ONLY: &str = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";

/// A write that goes beyond a limit then fails, as on a full disk, instead of killing the process.
const DEAF: &str = "trap '' XFSZ";

/// The words by which a shell becomes the program that follows.
fn shell(first: &str) -> Vec<String> {
    ["sh", "-c", &format!("{DEAF}; {first}; exec \"$@\""), "sh"].map(str::to_owned).into()
}

/// The same, with mounts that nobody else sees. Whoever is not root has them in a world of his own.
fn unshare() -> Vec<String> {
    let more: &[&str] = if geteuid().is_root() { &[] } else { &["--map-current-user"] };
    ["unshare", "--mount"].iter().chain(more).map(|word| (*word).to_owned()).collect()
}

impl Serving {
    pub(crate) async fn of(files: &[(&str, &str)], setup: Setup) -> Self {
        Self::under(Under::Nothing, files, setup).await
    }

    pub(crate) async fn under(under: Under, files: &[(&str, &str)], setup: Setup) -> Self {
        // The same after every restart: a saved plan holds the address of its state.
        let address = own_address();
        let world = World::with(files).await;
        let mut serving = Self { world, data: tempfile::tempdir().unwrap(), address, setup, process: None };
        serving.start_under(under).await;
        serving
    }

    /// Starts it and waits until it can take work.
    pub(crate) async fn start(&mut self) {
        self.start_under(Under::Nothing).await;
    }

    async fn start_under(&mut self, under: Under) {
        self.process = Some(self.spawn(under));
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.get("readyz").await != Some(200) {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && tokio::time::Instant::now() < end, "it never was ready:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.world.connect(&format!("http://{}/", self.address).parse().unwrap());
    }

    pub(crate) fn spawn(&self, under: Under) -> Child {
        let file = self.data.path().join("server.yaml");
        std::fs::write(&file, server_yaml(&self.world, self.data.path(), &self.address, &self.setup)).unwrap();
        let before: Vec<String> = match under {
            Under::Nothing | Under::Variables(_) => vec![],
            Under::Limit(kib) => shell(&format!("ulimit -S -f {}", kib * 2)),
            Under::OwnMounts => [unshare(), shell(":")].concat(),
            Under::ReadOnly => {
                let data = self.data.path().join("data").display().to_string();
                [unshare(), shell(&READ_ONLY.replace("$1", &data))].concat()
            }
        };
        let mut words = before.into_iter().chain([env!("CARGO_BIN_EXE_terraplane").to_owned()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        // The server refuses variables that look like settings of its own and are none; this one is the tests'.
        command.env_remove("TERRAPLANE_TEST_TOFU");
        if let Under::Variables(more) = under {
            command.envs(more.iter().map(|(name, value)| (name, value)));
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        command.arg("serve").arg("--config").arg(file).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.data.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Option<u16> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://{}/{path}", self.address)).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    pub(crate) fn id(&self) -> Pid {
        let id = self.process.as_ref().unwrap().id().unwrap();
        Pid::from_raw(id.cast_signed()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    /// Its disk turns read-only, as one with errors does: what is opened there gets EROFS, and nothing can be written to
    /// what is open. For the latter a kernel says EROFS only of a broken device; a limit of none at all refuses the same.
    pub(crate) async fn write_protect(&self) {
        self.in_its_mounts(READ_ONLY).await;
        prlimit(Some(self.id()), Resource::Fsize, Rlimit { current: Some(0), maximum: None }).unwrap();
    }

    pub(crate) async fn write_again(&self) {
        self.no_limit();
        self.in_its_mounts("umount --lazy \"$1\"").await;
    }

    /// Its files may become as large as they like again.
    pub(crate) fn no_limit(&self) {
        prlimit(Some(self.id()), Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
    }

    /// Only for [`Under::OwnMounts`].
    async fn in_its_mounts(&self, script: &str) {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--target={}", self.id().as_raw_nonzero())).arg("--mount");
        if !geteuid().is_root() {
            nsenter.args(["--user", "--preserve-credentials"]);
        }
        nsenter.args(["sh", "-ec", script, "sh"]).arg(self.data.path().join("data"));
        assert!(nsenter.status().await.unwrap().success(), "{script}");
    }

    /// Those of its applies, as whoever kills a whole tree does.
    pub(crate) fn kill_supervisors(&self) {
        let places: Vec<_> = std::fs::read_dir(self.data.path().join("data/applies")).unwrap().flatten().collect();
        assert!(!places.is_empty());
        for place in places {
            let pid = std::fs::read_to_string(place.path().join("begun")).unwrap().trim().parse().unwrap();
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        }
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        tokio::time::timeout(PATIENCE, process.wait()).await.expect("it never ended").unwrap()
    }

    pub(crate) async fn finish(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await.code(), Some(0), "{}", self.log());
        self.world.finish().await;
    }
}

/// A resource whose apply notes in a file that it begins and, two seconds later, that it ends.
pub(crate) fn slow(notes: &Path, seconds: u32) -> String {
    let notes = notes.display();
    format!(
        "resource \"terraform_data\" \"slow\" {{\n  provisioner \"local-exec\" {{\n    command = \"echo begun >> {notes}; sleep \
         {seconds}; echo ended >> {notes}\"\n  }}\n}}\n"
    )
}

pub(crate) fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}
