//! Where programs run that the server does not trust, and the only place where the server starts any program.
//!
//! 1. [`process`] starts a program with an environment built from nothing, reads all it says, and is sure to be rid of
//!    it and its children when its time is over.
//! 2. [`sink`] is where a program's output goes: bounded, and always read to its end.
//! 3. [`log`] and [`redact`] write the log of a run without the secrets that the run was given.
//! 4. [`Level`] says how well the host is protected from what runs. There is no cage yet, and every run says so.

pub mod links;
pub mod log;
pub mod process;
pub mod redact;
pub mod sink;

use serde::{Deserialize, Serialize};

/// How well the host is protected from the code of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not at all: a run has the rights of the server's own account.
    Off,
}

impl Level {
    /// What the log of a run and the comment put in front of people's eyes.
    #[must_use]
    pub const fn banner(self) -> &'static str {
        match self {
            Self::Off => "NOT SANDBOXED: TERRAFORM RUNS WITH ALL THE RIGHTS OF THE SERVER'S ACCOUNT",
        }
    }
}
