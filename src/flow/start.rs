//! What has to be in order before the first piece of work: the key that the plans were encrypted with, and no remains
//! of a process that died.

use super::supervise::in_use;
use super::{Flow, FlowError};
use crate::archive::{Archive, ArchiveKey, KeyError};
use crate::config::ServerConfig;
use crate::git::WorkDir;
use crate::store::Store;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The store remembers which key encrypted its archive.
const KEY_ID: &str = "archive-key";

/// Why the archive can't be opened, for an operator.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveUnusable {
    #[error(
        "the encryption key {} is gone, and plans and managed state were encrypted with it: put it back from a backup, \
         or set `encryption_key`",
        path.display()
    )]
    KeyGone { path: PathBuf },
    #[error("the encryption key can't be used")]
    Key(#[from] KeyError),
    #[error("the archive can't be opened")]
    Flow(#[from] FlowError),
}

/// A server that is told to stop may take a moment to let go of its directory.
const PATIENCE: Duration = Duration::from_secs(10);

/// The data directory is one server's alone as long as this lives. Whoever had it before is dead by then, whatever
/// became of it.
#[derive(Debug)]
pub struct Tenancy {
    /// Locked; the kernel lets go of it with the process.
    file: File,
    /// The name of this process in the store.
    pub name: String,
    /// The one before.
    pub predecessor: Option<String>,
}

/// Why the data directory can't be had.
#[derive(Debug, thiserror::Error)]
pub enum Occupied {
    #[error("another terraplane uses `data_dir` {}: one server for each", .0.display())]
    ByAnother(PathBuf),
    #[error("`{}` can't be locked", .0.display())]
    Unusable(PathBuf, #[source] std::io::Error),
}

impl Tenancy {
    /// Waits a moment for a server that is about to end.
    ///
    /// # Errors
    /// When another server has the directory, or it can't be written.
    pub async fn begin(data_dir: &Path) -> Result<Self, Occupied> {
        let path = data_dir.join("lock");
        let unusable = |error| Occupied::Unusable(path.clone(), error);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(unusable)?;
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
                Err(TryLockError::WouldBlock) if tokio::time::Instant::now() > end => {
                    return Err(Occupied::ByAnother(data_dir.to_owned()));
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        let mut before = String::new();
        // What is unreadable there is nobody's name.
        let _ = file.read_to_string(&mut before);
        let name = uuid::Uuid::now_v7().as_simple().to_string();
        Ok(Self { file, name, predecessor: Some(before).filter(|name| !name.is_empty()) })
    }

    /// Takes over what the one before held, and puts our name in the place of its.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn succeed(&mut self, store: &Store) -> Result<(), FlowError> {
        if let Some(before) = &self.predecessor {
            let jobs = store.release(before, super::now()).await?;
            if jobs > 0 {
                tracing::warn!(jobs, "the last server ended in the middle of its work, which is taken up");
            }
        }
        let mut noted = || {
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.file.write_all(self.name.as_bytes())?;
            self.file.sync_all()
        };
        noted().map_err(|error| FlowError::disk(Path::new("lock"), error))
    }
}

/// Opens the archive with the configured key, or with the one in the data directory, which is made at the first start
/// and never again: a new key in the place of a lost one would make managed state unreadable without a word.
///
/// # Errors
/// When the key is gone or can't be read, or the archive's directory can't be made.
pub async fn open_archive(config: &ServerConfig, store: &Store) -> Result<Archive, ArchiveUnusable> {
    let known = store.meta_get(KEY_ID).await.map_err(FlowError::from)?;
    let path = config.encryption_key_path();
    let key = match &config.encryption_key {
        Some(secret) => ArchiveKey::from_secret(secret)?,
        None => match (ArchiveKey::load(&path)?, &known) {
            (Some(key), _) => key,
            (None, None) => ArchiveKey::load_or_create(&path)?,
            (None, Some(_)) => return Err(ArchiveUnusable::KeyGone { path }),
        },
    };
    if known.is_some_and(|known| known != key.id()) {
        tracing::warn!("the encryption key has changed: saved plans are stale and are made anew when they are needed");
    }
    store.meta_set(KEY_ID, &key.id()).await.map_err(FlowError::from)?;
    Archive::open(&config.data_dir, &key).map_err(|error| FlowError::from(error).into())
}

/// Removes what a dead process was just writing.
///
/// # Errors
/// When something can't be removed.
pub fn clear_scratch(data_dir: &Path, _sole: &Tenancy) -> Result<(), FlowError> {
    for folder in ["scratch", "tmp"].map(|folder| data_dir.join(folder)) {
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FlowError::disk(&folder, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes what a dead process left: work trees, mirrors that are not whole, and what is left of applies that are over.
/// One server per data directory: whatever lies there is nobody's, but of applies that went on without a server.
///
/// # Errors
/// When something can't be removed.
pub async fn clear_remains(flow: &Flow) -> Result<(), FlowError> {
    let failed = |error| FlowError::disk(&flow.config.data_dir, error);
    for (run, place) in flow.applies.all().map_err(failed)? {
        let is_over = flow.store.run(run).await?.is_none_or(|run| run.state.is_over());
        if is_over && !place.is_attended().map_err(failed)? {
            place.remove().map_err(failed)?;
        }
    }
    WorkDir::clear(&flow.work_root(), &in_use(flow).map_err(failed)?).map_err(failed)?;
    // A mirror that was being made has a name that no finished one has.
    for entry in std::fs::read_dir(flow.config.data_dir.join("mirrors")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(".new-") {
            std::fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
