//! Clears away what is old, and then what there is too much of: never what a pull request may still ask for.
//!
//! Of a pull request that is not over, everything stays that its comment shows or an apply may use. Of one that is over
//! (closed, or merged and applied), plans and logs go with age; the few facts that its comment shows stay.

use super::{Flow, FlowError, now};
use crate::domain::decide::PullState;
use crate::domain::id::{PullId, RunId, Timestamp};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// After a start there is other work first.
const FIRST: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Cleans up every hour, until `stop`.
pub async fn keep_clean(flow: Arc<Flow>, stop: CancellationToken) {
    let cleaning = async {
        tokio::time::sleep(FIRST).await;
        loop {
            flow.clean_up(now()).await;
            tokio::time::sleep(EVERY).await;
        }
    };
    stop.run_until_cancelled(cleaning).await;
}

impl Flow {
    /// Clears away what is too old at this moment. What fails is tried by the next one.
    pub async fn clean_up(&self, now: Timestamp) {
        let parts = [
            ("deliveries", self.clean_deliveries(now).await),
            ("runs", self.clean_runs(now).await),
            ("mirrors", self.clean_mirrors(now).await),
            ("providers", self.clean_providers(now).await),
            ("room", self.make_room(now).await),
        ];
        for (what, done) in parts {
            if let Err(error) = done {
                tracing::warn!(what, error = %error.chain(), "old things can't be cleared away");
            }
        }
    }

    async fn clean_deliveries(&self, now: Timestamp) -> Result<(), FlowError> {
        let Some(age) = self.config.cleanup.deliveries else { return Ok(()) };
        let gone = self.store.forget_deliveries(before(now, age)).await?;
        if gone > 0 {
            tracing::info!(gone, "old webhooks were forgotten");
        }
        Ok(())
    }

    async fn clean_runs(&self, now: Timestamp) -> Result<(), FlowError> {
        let Some(age) = self.config.cleanup.runs else { return Ok(()) };
        let mut known = Pulls::of(self);
        for files in self.archive.runs().await? {
            if made_at(files.run) < before(now, age) {
                known.forget(files.run, true).await?;
            }
        }
        self.store.forget_texts(before(now, age)).await?;
        Ok(())
    }

    async fn clean_mirrors(&self, now: Timestamp) -> Result<(), FlowError> {
        let Some(age) = self.config.cleanup.mirrors else { return Ok(()) };
        self.mirrors.forget_unused(system_time(before(now, age))).await?;
        for repo in self.store.repos().await? {
            self.mirrors.tidy(&repo, before(now, age)).await?;
        }
        Ok(())
    }

    async fn clean_providers(&self, now: Timestamp) -> Result<(), FlowError> {
        let Some(age) = self.config.cleanup.providers else { return Ok(()) };
        let done = self.providers.forget_unused(system_time(before(now, age.max(self.longest_run())))).await;
        done.map_err(|error| self.providers_failed(error))
    }

    /// A run that is under way asked for its providers at its beginning.
    pub(super) fn longest_run(&self) -> Duration {
        let terraform = &self.config.terraform;
        2 * (terraform.init_timeout + terraform.plan_timeout + terraform.apply_timeout)
    }

    pub(super) fn providers_failed(&self, error: io::Error) -> FlowError {
        let [mirror] = self.providers.paths();
        FlowError::disk(&mirror, error)
    }
}

/// Pull requests as they were looked up, each once.
pub(super) struct Pulls<'a> {
    flow: &'a Flow,
    states: BTreeMap<PullId, Option<PullState>>,
}

impl<'a> Pulls<'a> {
    pub(super) fn of(flow: &'a Flow) -> Self {
        Self { flow, states: BTreeMap::new() }
    }

    /// Removes a run's files, and with `record` what is known of it if no comment shows it. False: it is needed.
    pub(super) async fn forget(&mut self, id: RunId, record: bool) -> Result<bool, FlowError> {
        let flow = self.flow;
        let Some(run) = flow.store.run(id).await? else {
            // Files of a run that was forgotten, or never noted.
            flow.archive.delete_run(id).await?;
            return Ok(true);
        };
        if !self.states.contains_key(&run.pull) {
            self.states.insert(run.pull.clone(), flow.store.pull_state(&run.pull).await?);
        }
        let state = self.states.get(&run.pull).and_then(Option::as_ref);
        if !run.state.is_over() || state.is_some_and(|state| state.may_ask_for(id)) {
            return Ok(false);
        }
        flow.archive.delete_run(id).await?;
        if record && !state.is_some_and(|state| state.shows(id)) {
            let mut tx = flow.store.write(&run.pull.repo).await?;
            tx.forget_run(id).await?;
            tx.commit().await?;
        }
        Ok(true)
    }
}

/// A run's id holds the time at which it was made (UUID version 7).
pub(super) fn made_at(run: RunId) -> Timestamp {
    let made = run.0.get_timestamp().map(|at| at.to_unix());
    made.map_or(Timestamp(0), |(seconds, _)| Timestamp(i64::try_from(seconds).unwrap_or(0) * 1000))
}

pub(super) fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.plus_ms(-i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

pub(super) fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}
