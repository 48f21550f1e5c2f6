//! What has to be in order before the first piece of work: the key that the plans were encrypted with, and no remains
//! of a process that died.

use super::supervise::in_use;
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

/// Removes the work trees that a dead process left, and what is left of applies that are over. One server per data
/// directory: whatever lies there is nobody's, but of applies that went on without a server.
///
/// # Errors
/// When something can't be removed.
pub async fn clear_work(flow: &Flow) -> Result<(), FlowError> {
    let work = flow.work_root();
    let failed = |error| FlowError::disk(&flow.config.data_dir, error);
    for (run, place) in flow.applies.all().map_err(failed)? {
        let is_over = flow.store.run(run).await?.is_none_or(|run| run.state.is_over());
        if is_over && !place.is_attended().map_err(failed)? {
            place.remove().map_err(failed)?;
        }
    }
    WorkDir::clear(&work, &in_use(flow).map_err(failed)?).map_err(failed)
}
