//! Finds out which level holds on this host.

use super::host::{Finding, Sandbox, Setup};
use super::level::Level;
use std::path::PathBuf;

/// The directories in which a cgroup can be made.
pub(super) fn cgroups() -> Vec<PathBuf> {
    Vec::new()
}

pub(super) async fn best(_setup: &Setup, _candidate: impl Fn(Level) -> Sandbox) -> (Level, Vec<Finding>) {
    (Level::Off, Vec::new())
}
