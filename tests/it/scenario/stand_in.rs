//! Programs that stand in front of the real ones: they note what they are asked, and wait to be let go.

use crate::stage::Setup;
use crate::world::{PATIENCE, program};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// A real program behind a script of the same name.
pub(crate) struct StandIn {
    dir: TempDir,
    name: &'static str,
}

impl StandIn {
    /// The real terraform; its plans and applies can be held.
    pub(crate) fn terraform() -> Self {
        Self::terraform_that("exec REAL \"$@\"")
    }

    /// The real terraform, which says that it is of another version.
    pub(crate) fn terraform_of_version(version: &str) -> Self {
        Self::terraform_that(&format!("{{ echo '{{\"terraform_version\": \"{version}\"}}'; exit; }}"))
    }

    fn terraform_that(says_its_version: &str) -> Self {
        let stand_in = Self { dir: tempfile::tempdir().unwrap(), name: "terraform" };
        let script = r#"#!/bin/sh
umask 0
[ "$1" != version ] || VERSION
echo "begin $1 ${PWD##*/}" >> DIR/notes
{ printf '%s\n' "$0" "$@"; } >> DIR/arguments
tr '\0' '\n' < /proc/self/environ >> DIR/environment
tr '\0' '\n' < /proc/self/environ >> DIR/environment-$1
times=0
while [ -e "DIR/hold/$1-${PWD##*/}" ] && [ $times -lt 1200 ]; do sleep 0.05; times=$((times + 1)); done
[ ! -e "DIR/before-$1" ] || . "DIR/before-$1"
REAL "$@"
code=$?
echo "end $1 ${PWD##*/}" >> DIR/notes
exit $code
"#;
        stand_in.write(&script.replace("VERSION", says_its_version))
    }

    /// The real git; what it is given is noted.
    pub(crate) fn git() -> Self {
        let stand_in = Self { dir: tempfile::tempdir().unwrap(), name: "git" };
        let script = r#"#!/bin/sh
{ printf '%s\n' "$0" "$@"; } >> DIR/arguments
for argument in "$@"; do
    case $argument in
        fetch) ENV >> DIR/fetches; exec REAL "$@" ;;
    esac
done
ENV >> DIR/environment
exec REAL "$@"
"#;
        stand_in.write(&script.replace("ENV", &program("env").display().to_string()))
    }

    fn write(self, script: &str) -> Self {
        let real = program(self.name).display().to_string();
        let script = script.replace("REAL", &real).replace("DIR", &self.dir.path().display().to_string());
        fs::create_dir_all(self.dir.path().join("hold")).unwrap();
        fs::create_dir_all(self.programs()).unwrap();
        // Terraform runs as somebody else, who notes things here all the same.
        for dir in [self.dir.path().to_owned(), self.dir.path().join("hold"), self.programs()] {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::write(self.path(), script).unwrap();
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.programs().join(self.name)
    }

    /// The directory that it is in, for a `PATH`.
    pub(crate) fn programs(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    /// A server that uses this terraform, and `runs` of it at once.
    pub(crate) fn setup(&self, runs: usize) -> Setup {
        let yaml = format!("concurrency: {{runs: {runs}}}\nterraform:\n  binaries: [\"{}\"]\n", self.path().display());
        Setup { yaml, writable: vec![self.dir.path().to_owned()], ..Setup::default() }
    }

    /// From now on, plans in the directory of this name wait.
    pub(crate) fn hold(&self, dir: &str) {
        self.hold_at("plan", dir);
    }

    pub(crate) fn release(&self, dir: &str) {
        self.release_at("plan", dir);
    }

    /// The same with another step than `plan`.
    pub(crate) fn hold_at(&self, step: &str, dir: &str) {
        fs::write(self.held(step, dir), "").unwrap();
    }

    pub(crate) fn release_at(&self, step: &str, dir: &str) {
        fs::remove_file(self.held(step, dir)).unwrap();
    }

    fn held(&self, step: &str, dir: &str) -> PathBuf {
        self.dir.path().join("hold").join(format!("{step}-{dir}"))
    }

    /// Shell commands that every such step runs first, in its directory.
    pub(crate) fn before(&self, step: &str, script: &str) {
        fs::write(self.dir.path().join(format!("before-{step}")), script).unwrap();
    }

    /// How often this was noted: `begin plan prod`.
    pub(crate) fn count(&self, note: &str) -> usize {
        self.read("notes").lines().filter(|line| line.starts_with(note)).count()
    }

    /// Waits until it was noted so often.
    pub(crate) async fn await_noted(&self, note: &str, times: usize) {
        let end = Instant::now() + PATIENCE;
        while self.count(note) < times {
            assert!(Instant::now() < end, "`{note}` was not noted {times} times:\n{}", self.read("notes"));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The arguments of all calls, one a line.
    pub(crate) fn arguments(&self) -> String {
        self.read("arguments")
    }

    /// The environments of all calls, one variable a line; of git's, without those that are given a token.
    pub(crate) fn environment(&self) -> String {
        self.read("environment")
    }

    /// The environments of terraform's calls of one step.
    pub(crate) fn environment_of(&self, step: &str) -> String {
        self.read(&format!("environment-{step}"))
    }

    pub(crate) fn environment_of_fetches(&self) -> String {
        self.read("fetches")
    }

    fn read(&self, file: &str) -> String {
        let bytes = fs::read(Path::new(self.dir.path()).join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
