//! How well the host is protected from the code of a pull request, in one word that people see.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Ordered: a better level is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not at all: a run has the rights of the server's own account.
    Off,
    /// Landlock and seccomp. What a run may read and write is bounded, but it reaches every unix socket of the host, and
    /// with [`super::policy::Network::Allow`] the proxy's port on every address.
    Weak,
    /// Landlock, seccomp, and every `connect()` looked at by a supervisor. No namespaces: what the default profiles of
    /// Docker and Kubernetes leave.
    Reduced,
    /// Namespaces of its own for everything, a minimal view of the files, and all of the above.
    Full,
}

impl Level {
    /// From the best to none.
    pub const ALL: [Self; 4] = [Self::Full, Self::Reduced, Self::Weak, Self::Off];

    /// What the log of a run and the comment put in front of people's eyes; `None` where there is nothing to warn of.
    #[must_use]
    pub const fn banner(self) -> Option<&'static str> {
        match self {
            Self::Off => Some("NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT"),
            Self::Weak => Some("WEAK SANDBOX: A RUN CAN REACH THE UNIX SOCKETS OF THE SERVER'S HOST"),
            Self::Reduced | Self::Full => None,
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Weak => "weak",
            Self::Reduced => "reduced",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
