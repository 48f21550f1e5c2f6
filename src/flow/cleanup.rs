//! Clears away what is old and what there is too much of: never what a pull request may still ask for.
//!
//! Of a pull request that is not over, everything stays that its comment shows or an apply may use. Of one that is over
//! (closed, or merged and applied), plans and logs go with age; the few facts that its comment shows stay.

use super::{Flow, FlowError, now};
use crate::archive::Kept;
use crate::domain::decide::PullState;
use crate::domain::id::{PullId, RunId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// After a start there is other work first.
const FIRST: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(60 * 60);

/// However full the disk is: what has just ended is looked at by people.
const LEAST_AGE_MS: i64 = 60 * 60 * 1000;

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
        let cleanup = self.config.cleanup;
        let mut known = Pulls { flow: self, states: BTreeMap::new() };
        let mut kept = Vec::new();
        for files in self.archive.runs().await? {
            let old = cleanup.runs.is_some_and(|age| made_at(files.run) < before(now, age));
            if !(old && known.forget(files.run, true).await?) {
                kept.push(files);
            }
        }
        if let Some(most) = cleanup.disk {
            self.make_room(&mut known, kept, most, now).await?;
        }
        if let Some(age) = cleanup.runs {
            self.store.forget_texts(before(now, age)).await?;
        }
        Ok(())
    }

    /// The oldest go first.
    async fn make_room(
        &self,
        known: &mut Pulls<'_>,
        mut kept: Vec<Kept>,
        most: u64,
        now: Timestamp,
    ) -> Result<(), FlowError> {
        let mut bytes: u64 = kept.iter().map(|files| files.bytes).sum();
        kept.sort_by_key(|files| files.run.0);
        for files in kept {
            if bytes <= most {
                return Ok(());
            }
            // The records stay until their time: pages still tell what came of the runs.
            if made_at(files.run).0 < now.0 - LEAST_AGE_MS && known.forget(files.run, false).await? {
                bytes = bytes.saturating_sub(files.bytes);
            }
        }
        if bytes > most {
            tracing::warn!(bytes, most, "plans and logs take more than `cleanup.disk`, and all of them may be needed");
        }
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
        // A run that is under way asked for its own at its beginning.
        let terraform = &self.config.terraform;
        let longest = 2 * (terraform.init_timeout + terraform.plan_timeout + terraform.apply_timeout);
        let done = self.providers.forget_unused(system_time(before(now, age.max(longest)))).await;
        let [mirror] = self.providers.paths();
        done.map_err(|error| FlowError::disk(&mirror, error))
    }
}

/// Pull requests as they were looked up, each once.
struct Pulls<'a> {
    flow: &'a Flow,
    states: BTreeMap<PullId, Option<PullState>>,
}

impl Pulls<'_> {
    /// Removes a run's files, and with `record` what is known of it if no comment shows it. False: it is needed.
    async fn forget(&mut self, id: RunId, record: bool) -> Result<bool, FlowError> {
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
fn made_at(run: RunId) -> Timestamp {
    let made = run.0.get_timestamp().map(|at| at.to_unix());
    made.map_or(Timestamp(0), |(seconds, _)| Timestamp(i64::try_from(seconds).unwrap_or(0) * 1000))
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.plus_ms(-i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}
