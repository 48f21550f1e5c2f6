//! The runs that this process has under way, so that a newer push can stop a plan of an older head at once. What the
//! store says stays the truth: a run that another process holds notices at its next heartbeat.

use crate::domain::id::RunId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Default)]
pub struct Running(Arc<Mutex<HashMap<RunId, CancellationToken>>>);

impl Running {
    /// Notes that a run begins. It is forgotten when the guard is dropped.
    #[must_use]
    pub fn begin(&self, run: RunId, cancel: CancellationToken) -> Guard {
        self.lock().insert(run, cancel);
        Guard { running: self.clone(), run }
    }

    pub fn stop(&self, run: RunId) {
        if let Some(cancel) = self.lock().get(&run) {
            cancel.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, CancellationToken>> {
        // A panic elsewhere can't leave the map half changed: each use is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct Guard {
    running: Running,
    run: RunId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.running.lock().remove(&self.run);
    }
}
