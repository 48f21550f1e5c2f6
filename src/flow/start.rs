//! What has to be in order before the first piece of work: the key that the plans were encrypted with, and no remains
//! of a process that died.

use super::{Flow, FlowError};
use crate::archive::{Archive, ArchiveKey, KeyError};
use crate::config::ServerConfig;
use crate::git::WorkDir;
use crate::store::Store;
use std::path::PathBuf;

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

/// Removes the work trees that a dead process left. One server per data directory: whatever lies there is nobody's.
///
/// # Errors
/// When something can't be removed.
pub fn clear_work(flow: &Flow) -> Result<(), FlowError> {
    let work = flow.work_root();
    WorkDir::clear(&work).map_err(|error| FlowError::disk(&work, error))
}
