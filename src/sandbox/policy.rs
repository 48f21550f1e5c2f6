//! What a cage gives to the programs that run in it. Written by the server, read by the helper that builds the cage.

use super::level::Level;
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
            read_only: Vec::new(),
            writable: Vec::new(),
            network: Network::None,
            limits: Limits::default(),
        }
    }
}

/// What can be reached from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Nothing. Unix sockets in `tree`, `scratch` and `writable` work, for terraform talks to its providers by them.
    None,
    /// The one proxy that listens where [`super::Cage::proxy_url`] says.
    Allow,
    /// What the host reaches, its loopback included. Unix sockets as with `None`.
    Host,
}

/// What may be used up. Time and output are bounded by each program's [`super::process::Spec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory of all processes together. In a cgroup where one can be had, and then the bytes that are
    /// written at [`Level::Full`] count; otherwise watched, and bounded per process.
    pub memory: u64,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Open files per process.
    pub open_files: u64,
    /// Bytes of one file.
    pub file_size: u64,
    /// Bytes written in `tree` and `scratch` together.
    pub disk: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 2 << 30, processes: 1024, open_files: 4096, file_size: 1 << 30, disk: 1 << 30 }
    }
}

/// The limit that ended a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Memory,
    Processes,
    FileSize,
    Disk,
}

impl Limit {
    /// Its name in [`Limits`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::FileSize => "file_size",
            Self::Disk => "disk",
        }
    }

    /// What happened, as the end of a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Memory => "it took more memory than a run may take",
            Self::Processes => "it started more processes than a run may have",
            Self::FileSize => "it wrote a larger file than a run may write",
            Self::Disk => "it wrote more to disk than a run may write",
        }
    }
}

/// An account of the host that processes in a cage have outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostUser {
    pub uid: u32,
    pub gid: u32,
}
