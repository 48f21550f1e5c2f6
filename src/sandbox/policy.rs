//! What a cage gives to the programs that run in it. Written by the server, read by the helper that builds the cage.

use super::level::Level;
pub use crate::domain::sandbox::{Limit, Limits, Network};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What may be read, written, reached and used up. All paths are absolute, and the same inside as outside: a saved plan
/// holds absolute paths, and its apply may run at another level than it.
///
/// Always there, read-only: `/usr` with what belongs to it, and what programs need of `/etc` (certificates, the
/// linker's cache, name resolution). Never there: anything else that is not named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// [`super::Sandbox::open`] refuses if this host has less.
    pub least: Level,
    /// The checkout. At [`Level::Full`] the programs write to a layer in memory above it, and what is on disk stays as
    /// it was; below that they write to the files themselves.
    pub tree: PathBuf,
    /// A directory of the run's own outside of the code (home, temporary files, results); treated as `tree` is.
    pub scratch: PathBuf,
    /// The two are written on disk at every level: for programs that are trusted more than what they work on.
    pub on_disk: bool,
    /// Must exist. A read-only path within a writable one is read-only at [`Level::Full`] only.
    pub read_only: Vec<PathBuf>,
    /// Must exist. Written to on disk, at every level.
    pub writable: Vec<PathBuf>,
    pub network: Network,
    pub limits: Limits,
}

impl Policy {
    /// Nothing but the two directories, no network, and the least level that is not a warning.
    #[must_use]
    pub fn new(tree: impl Into<PathBuf>, scratch: impl Into<PathBuf>) -> Self {
        Self {
            least: Level::Reduced,
            tree: tree.into(),
            scratch: scratch.into(),
            on_disk: false,
            read_only: Vec::new(),
            writable: Vec::new(),
            network: Network::None,
            limits: Limits::default(),
        }
    }
}

/// An account of the host that processes in a cage have outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostUser {
    pub uid: u32,
    pub gid: u32,
}
