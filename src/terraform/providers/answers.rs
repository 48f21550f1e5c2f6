//! The registry's answers to "which is the newest version that these constraints allow?". They are remembered for a
//! while, so that not every run of a project without a lock file asks the registry.

use super::address::Provider;
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

type Question = (Provider, BTreeSet<String>);

#[derive(Debug)]
pub(super) struct Answers {
    /// How long an answer holds.
    pub(super) hold: Duration,
    known: Mutex<BTreeMap<Question, (Version, Instant)>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self { hold: Duration::from_hours(1), known: Mutex::default() }
    }
}

impl Answers {
    pub(super) fn get(&self, provider: &Provider, constraints: &BTreeSet<String>) -> Option<Version> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, then) = known.get(&(provider.clone(), constraints.clone()))?;
        (then.elapsed() < self.hold).then(|| version.clone())
    }

    pub(super) fn remember(&self, provider: &Provider, constraints: &BTreeSet<String>, version: Version) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, then)| then.elapsed() < self.hold);
        known.insert((provider.clone(), constraints.clone()), (version, Instant::now()));
    }
}
