//! How well the host is protected from what a pull request's author wrote: words that the configuration, the sandbox and
//! the comment share.

use serde::{Deserialize, Serialize};

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
