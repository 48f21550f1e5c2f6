//! Plans, plan JSON, logs and managed state on the local disk.
//!
//! Whatever can hold secrets is encrypted with AES-256-GCM and bound to its name, so that a file which was put in
//! another's place can't be read. Logs are plain: they are written line by line while a process runs, and what must not
//! be seen is masked before it gets here.
//!
//! ```text
//! run/<id>/plan.bin  state/<id>/<version>     encrypted: "TPA1", 12 bytes of nonce, ciphertext, 16 bytes of tag
//! log/<id>.log                                plain
//! tmp/                                        files that are being written
//! ```
//!
//! A file is there whole or not at all: it is written aside, synced, and moved into place. Only its owner can read it.

mod key;
mod name;

pub use key::{ArchiveKey, KeyError};
pub use name::{ArchiveName, InvalidName, RunFile};

use crate::domain::id::RunId;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const MAGIC: &[u8; 4] = b"TPA1";
const HEADER_LEN: usize = MAGIC.len() + NONCE_LEN;

/// After this time a file in `tmp/` belongs to a process that is gone.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("can't write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{name}` in the archive is larger than the allowed {max} bytes")]
    TooLarge { name: ArchiveName, max: usize },
    #[error("`{name}` in the archive can't be decrypted: it was written with another key, or it was damaged")]
    Undecipherable { name: ArchiveName },
}

/// What is kept of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub run: RunId,
    pub bytes: u64,
}

/// The archive. Cheap to clone. Its methods leave the disk's waiting to tokio's blocking threads.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

struct Inner {
    root: PathBuf,
    cipher: RandomizedNonceKey,
    hmac_key: [u8; 32],
}

impl Archive {
    /// Opens the archive in `dir`, which is made if need be, and clears away what an earlier process left half-written.
    ///
    /// # Errors
    /// When the folders can't be made.
    pub fn open(dir: &Path, key: &ArchiveKey) -> Result<Self, ArchiveError> {
        for folder in ["run", "state", "log", "tmp"] {
            make_folder(&dir.join(folder))?;
        }
        let inner = Inner { root: dir.into(), cipher: key.cipher(), hmac_key: key.hmac_key() };
        inner.clear_abandoned();
        Ok(Self(Arc::new(inner)))
    }

    /// The key for what only this server can have made: fingerprints of sensitive values, signed links. Derived from the
    /// archive's key; neither tells the other.
    #[must_use]
    pub fn hmac_key(&self) -> [u8; 32] {
        self.0.hmac_key
    }

    /// Stores the bytes under the name, in the place of what was there. When this returns they survive a power cut.
    /// Takes the bytes because it encrypts them where they are: plans can be large.
    ///
    /// # Errors
    /// When the disk refuses; what was there before is still there then.
    #[tracing::instrument(level = "debug", name = "archive", skip_all)]
    pub async fn put(&self, name: &ArchiveName, bytes: Vec<u8>) -> Result<(), ArchiveError> {
        let name = name.clone();
        let put = self.blocking(move |inner| inner.put(&name, bytes)).await;
        crate::crash::point("archived");
        put
    }

    /// The bytes under the name; `None` if there are none.
    ///
    /// # Errors
    /// When there are more than `max` bytes, the disk refuses, or they were encrypted with another key.
    pub async fn get(&self, name: &ArchiveName, max: usize) -> Result<Option<Vec<u8>>, ArchiveError> {
        let name = name.clone();
        self.blocking(move |inner| inner.get(&name, max)).await
    }

    /// # Errors
    /// When the disk refuses.
    pub async fn has(&self, name: &ArchiveName) -> Result<bool, ArchiveError> {
        let name = name.clone();
        self.blocking(move |inner| {
            let path = inner.path(&name);
            path.try_exists().map_err(|source| ArchiveError::Read { path, source })
        })
        .await
    }

    /// Removes what is under the name. False: there was nothing.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn delete(&self, name: &ArchiveName) -> Result<bool, ArchiveError> {
        let name = name.clone();
        self.blocking(move |inner| removed(&inner.path(&name), |path| std::fs::remove_file(path))).await
    }

    /// Removes everything of a run: its files and its log.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn delete_run(&self, run: RunId) -> Result<(), ArchiveError> {
        self.blocking(move |inner| {
            removed(&inner.root.join(format!("run/{run}")), |path| std::fs::remove_dir_all(path))?;
            removed(&inner.log_path(run), |path| std::fs::remove_file(path))?;
            Ok(())
        })
        .await
    }

    /// Every run that has files or a log here, with the bytes that they take.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn runs(&self) -> Result<Vec<Kept>, ArchiveError> {
        self.blocking(|inner| {
            let mut kept = BTreeMap::new();
            for folder in ["run", "log"] {
                let path = inner.root.join(folder);
                let failed = |source| ArchiveError::Read { path: path.clone(), source };
                for entry in std::fs::read_dir(&path).map_err(failed)? {
                    let entry = entry.map_err(failed)?.path();
                    // Whatever else somebody put there is not ours to remove.
                    let name = entry.file_stem().and_then(|name| name.to_str());
                    if let Some(run) = name.and_then(|name| name.parse::<RunId>().ok()) {
                        *kept.entry(run).or_default() += bytes_of(&entry);
                    }
                }
            }
            Ok(kept.into_iter().map(|(run, bytes)| Kept { run, bytes }).collect())
        })
        .await
    }

    /// Where a run's log is, if it has one.
    #[must_use]
    pub fn log_path(&self, run: RunId) -> PathBuf {
        self.0.log_path(run)
    }

    /// Makes sure that a run has a log, which only its owner can read; whoever runs it appends there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn create_log(&self, run: RunId) -> Result<PathBuf, ArchiveError> {
        self.blocking(move |inner| {
            let path = inner.log_path(run);
            let opened = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(no_links()).open(&path);
            match opened {
                Ok(_) => Ok(path),
                Err(source) => Err(ArchiveError::Write { path, source }),
            }
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner)).await.expect("work on the archive doesn't panic")
    }
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("root", &self.0.root).finish_non_exhaustive()
    }
}

impl Inner {
    fn path(&self, name: &ArchiveName) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn log_path(&self, run: RunId) -> PathBuf {
        self.root.join(format!("log/{run}.log"))
    }

    fn put(&self, name: &ArchiveName, mut bytes: Vec<u8>) -> Result<(), ArchiveError> {
        let path = self.path(name);
        let nonce = self
            .cipher
            .seal_in_place_append_tag(Aad::from(name.as_str()), &mut bytes)
            .expect("AES-GCM takes up to 64 GiB, which is more than memory holds");
        let folder = path.parent().expect("a name has a folder");
        make_folder(folder)?;
        let written = || -> io::Result<()> {
            // Made with mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(self.root.join("tmp"))?;
            file.write_all(MAGIC)?;
            file.write_all(nonce.as_ref())?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            sync_folder(folder)
        };
        written().map_err(|source| ArchiveError::Write { path: path.clone(), source })
    }

    fn get(&self, name: &ArchiveName, max: usize) -> Result<Option<Vec<u8>>, ArchiveError> {
        let path = self.path(name);
        let limit = max.saturating_add(HEADER_LEN + AES_256_GCM.tag_len());
        let mut sealed = match read_at_most(&path, limit) {
            Ok(Some(sealed)) => sealed,
            Ok(None) => return Err(ArchiveError::TooLarge { name: name.clone(), max }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ArchiveError::Read { path, source }),
        };
        let undecipherable = || ArchiveError::Undecipherable { name: name.clone() };
        if sealed.len() < HEADER_LEN || !sealed.starts_with(MAGIC) {
            return Err(undecipherable());
        }
        let nonce = Nonce::try_assume_unique_for_key(&sealed[MAGIC.len()..HEADER_LEN]).map_err(|_| undecipherable())?;
        let mut text = sealed.split_off(HEADER_LEN);
        let length =
            self.cipher.open_in_place(nonce, Aad::from(name.as_str()), &mut text).map_err(|_| undecipherable())?.len();
        text.truncate(length);
        Ok(Some(text))
    }

    /// A file that nobody can remove is no reason not to start.
    fn clear_abandoned(&self) {
        let Ok(entries) = std::fs::read_dir(self.root.join("tmp")) else { return };
        for entry in entries.flatten() {
            let changed = entry.metadata().and_then(|facts| facts.modified());
            let age = changed.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age > ABANDONED)
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "an abandoned file can't be removed");
            }
        }
    }
}

/// The whole file, or `None` if it is longer than `limit` bytes.
fn read_at_most(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = OpenOptions::new().read(true).custom_flags(no_links()).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > limit {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(length);
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

/// Nobody can make us read or write another file by putting a link in the place of ours.
fn no_links() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

/// Makes the folder for its owner only, with those above it, and sees to it that they survive a power cut.
fn make_folder(folder: &Path) -> Result<(), ArchiveError> {
    if folder.is_dir() {
        return Ok(());
    }
    let made = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        folder.parent().map_or(Ok(()), sync_folder)
    };
    made().map_err(|source| ArchiveError::Write { path: folder.into(), source })
}

/// The folder's own list of names is on disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    // The folder of a relative path without any is the present one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Of a file, or of the files in a folder; 0 for what is not there any more.
fn bytes_of(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::symlink_metadata(path).map_or(0, |facts| facts.len());
    match std::fs::read_dir(path) {
        Ok(files) => files.flatten().map(|file| size(&file.path())).sum(),
        Err(_) => size(path),
    }
}

fn removed(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) -> Result<bool, ArchiveError> {
    match remove(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ArchiveError::Write { path: path.into(), source }),
    }
}

#[cfg(test)]
mod tests;
