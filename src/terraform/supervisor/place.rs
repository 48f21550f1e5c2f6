//! The directory of one apply: what the server and the supervisor know of each other.
//!
//! | file | is |
//! | --- | --- |
//! | `about.json` | what the apply is, without secrets; written first |
//! | `lock` | held as long as anybody works here, from before the supervisor is started |
//! | `begun` | the supervisor's process number, as soon as it has its order: from then on something may have been changed |
//! | `control` | a socket; one byte asks terraform to stop, and its end is the supervisor's |
//! | `ended.json` | how it ended; written last |
//! | `errored.tfstate` | the state, where terraform could not bring it to its backend |

use super::order::{About, Ending};
use crate::domain::id::RunId;
use rustix::fs::FlockOperation;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

const ABOUT: &str = "about.json";
const LOCK: &str = "lock";
const BEGUN: &str = "begun";
const CONTROL: &str = "control";
const ENDED: &str = "ended.json";
const ERRORED: &str = "errored.tfstate";

/// The directories of all applies.
#[derive(Debug, Clone)]
pub struct Applies {
    root: PathBuf,
}

impl Applies {
    /// # Errors
    /// When the directory can't be made.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        Ok(Self { root: fs::canonicalize(root)? })
    }

    /// Where an apply is, or would be.
    #[must_use]
    pub fn place(&self, run: RunId) -> Place {
        Place { dir: self.root.join(run.to_string()) }
    }

    /// All that are there, with the runs that they are of.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn all(&self) -> io::Result<Vec<(RunId, Place)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            found.extend(name.and_then(|name| name.parse().ok()).map(|run| (run, Place { dir: path.clone() })));
        }
        Ok(found)
    }
}

#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    pub(super) const fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory, before anything else of the apply is done: that it is there and nothing has begun tells that
    /// nothing was changed.
    ///
    /// # Errors
    /// When that can't be done.
    pub fn prepare(&self) -> io::Result<()> {
        self.remove()?;
        DirBuilder::new().mode(0o700).create(&self.dir)
    }

    #[must_use]
    pub fn exists(&self) -> bool {
        self.dir.is_dir()
    }

    /// As long as the file that is returned is open anywhere, somebody works here. What an earlier try has left, which
    /// changed nothing, is removed.
    pub(super) fn create(&self, about: &About) -> io::Result<OwnedFd> {
        for name in [ENDED, ERRORED, CONTROL, BEGUN] {
            match fs::remove_file(self.dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let lock = private().open(self.dir.join(LOCK))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        self.write(ABOUT, about)?;
        Ok(lock.into())
    }

    /// What the apply is; `None`: there is no such apply.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn about(&self) -> io::Result<Option<About>> {
        self.read(ABOUT)
    }

    /// Whether somebody still works here.
    ///
    /// # Errors
    /// When that can't be found out.
    pub fn is_attended(&self) -> io::Result<bool> {
        let lock = match File::open(self.dir.join(LOCK)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn note_begun(&self) -> io::Result<()> {
        let mut begun = private().open(self.dir.join(BEGUN))?;
        writeln!(begun, "{}", std::process::id())?;
        begun.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }

    /// Whether anything may have been changed.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.dir.join(BEGUN).exists()
    }

    /// How it ended; `None`: it has not, or it was killed.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn ending(&self) -> io::Result<Option<Ending>> {
        self.read(ENDED)
    }

    pub(super) fn write_ending(&self, ending: &Ending) -> io::Result<()> {
        self.write(ENDED, ending)
    }

    /// Where the state is kept that terraform could not bring to its backend.
    #[must_use]
    pub fn errored_state(&self) -> PathBuf {
        self.dir.join(ERRORED)
    }

    pub(super) fn keep_errored_state(&self, state: &[u8]) -> io::Result<()> {
        let mut file = private().open(self.errored_state())?;
        file.write_all(state)?;
        file.sync_all()
    }

    pub(super) fn listen(&self) -> io::Result<UnixListener> {
        let (dir, path) = self.short(CONTROL)?;
        let listener = UnixListener::bind(path);
        drop(dir);
        listener
    }

    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        let (dir, path) = self.short(CONTROL)?;
        let stream = UnixStream::connect(path).await;
        drop(dir);
        stream
    }

    /// Removes it, if it is there.
    ///
    /// # Errors
    /// When that can't be done.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A file's name for sockets, whose addresses may have 107 bytes; good as long as the directory is held open.
    fn short(&self, name: &str) -> io::Result<(File, PathBuf)> {
        let dir = File::open(&self.dir)?;
        let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
        Ok((dir, path.into()))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whole or not at all, whenever the machine dies.
    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.dir)?;
        serde_json::to_writer(io::BufWriter::new(&mut file), value)?;
        file.as_file().sync_all()?;
        file.persist(self.dir.join(name))?;
        File::open(&self.dir)?.sync_all()
    }
}

fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::Fingerprint;
    use crate::terraform::supervisor::Verdict;

    fn about(run: RunId) -> About {
        let fingerprint: Fingerprint = serde_json::from_value("f".repeat(64).into()).unwrap();
        About { run, work: "/work".into(), commit: None, fingerprint, used_saved_plan: true }
    }

    #[test]
    fn a_place_tells_what_it_is_of_who_is_there_and_how_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let applies = Applies::open(dir.path().join("applies")).unwrap();
        let run = RunId(uuid::Uuid::now_v7());
        let place = applies.place(run);
        assert!(place.about().unwrap().is_none() && !place.is_attended().unwrap() && !place.has_begun());

        place.prepare().unwrap();
        assert!(place.exists());
        let lock = place.create(&about(run)).unwrap();
        assert_eq!(place.about().unwrap(), Some(about(run)));
        assert!(place.is_attended().unwrap() && !place.has_begun());
        let handed = lock.try_clone().unwrap();
        drop(lock);
        assert!(place.is_attended().unwrap(), "as long as one holds it");

        place.note_begun().unwrap();
        let ending = Ending { verdict: Verdict::Stale, blocked: vec![], errored_state: false };
        place.write_ending(&ending).unwrap();
        drop(handed);
        assert!(!place.is_attended().unwrap() && place.has_begun());
        assert!(matches!(place.ending().unwrap().unwrap().verdict, Verdict::Stale));
        assert_eq!(applies.all().unwrap().len(), 1);
        place.remove().unwrap();
        assert!(applies.all().unwrap().is_empty() && place.ending().unwrap().is_none());
    }

    #[tokio::test]
    async fn however_long_the_path_is_it_can_be_called() {
        let dir = tempfile::tempdir().unwrap();
        let applies = Applies::open(dir.path().join("long-".repeat(40)).join("x".repeat(200))).unwrap();
        let run = RunId(uuid::Uuid::now_v7());
        let place = applies.place(run);
        place.prepare().unwrap();
        let _lock = place.create(&about(run)).unwrap();
        assert!(place.connect().await.is_err());
        let _listener = place.listen().unwrap();
        place.connect().await.unwrap();
    }
}
