//! How well the host is protected from what a pull request's author wrote: words that the configuration, the sandbox and
//! the comment share.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What holds code that runs. Ordered: more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: a run has the rights of the server's own account.
    Off,
    /// Landlock and seccomp: files are held, sockets of this host are not.
    Weak,
    /// Landlock, seccomp, and every connection is looked at: what Docker's and Kubernetes' default profiles leave.
    Reduced,
    /// Namespaces, a view of the file system of its own, and all of the above.
    Full,
}

impl Level {
    /// From the best down.
    pub const ALL: [Self; 4] = [Self::Full, Self::Reduced, Self::Weak, Self::Off];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
            Self::Weak => "weak",
            Self::Off => "off",
        }
    }

    /// What is put in front of people's eyes, in capitals; `None` where nothing has to be warned of.
    #[must_use]
    pub const fn banner(self) -> Option<&'static str> {
        match self {
            Self::Off => Some("NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT"),
            Self::Weak => Some("WEAK SANDBOX: TERRAFORM CAN REACH SOCKETS AND ADDRESSES OF THE SERVER'S HOST"),
            Self::Reduced | Self::Full => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What can be reached from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Nothing.
    None,
    /// The names that are listed, through the server's proxy.
    Allow,
    /// What the host reaches, its loopback included.
    Host,
}

impl Network {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Allow => "allow",
            Self::Host => "host",
        }
    }
}

/// What may be used up. Time and output are bounded elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory of all processes together. In a cgroup where one can be had, and then the bytes that are written
    /// at [`Level::Full`] count; otherwise watched, and bounded per process.
    pub memory: u64,
    /// Processes and threads at a time.
    pub processes: u64,
    /// Open files per process.
    pub open_files: u64,
    /// Bytes of one file.
    pub file_size: u64,
    /// Bytes written in the work tree and beside it together. A file, however small, counts as 4 KiB.
    pub disk: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 4 << 30, processes: 1024, open_files: 4096, file_size: 1 << 30, disk: 1 << 30 }
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
    /// Its key below `sandbox.limits`.
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
