//! What an apply has left behind that lost its server: looked up, never guessed, and told to people.

use super::bench::{Attempt, Stop};
use super::cage::{Blocked, Part};
use super::worker::Signals;
use super::{Flow, FlowError};
use crate::config::Phase;
use crate::domain::run::{Left, LeftLock, Run};
use crate::git::Want;
use serde::Deserialize;
use std::time::Duration;

/// A backend that takes longer is not waited for: people have to be told.
const PATIENCE: Duration = Duration::from_secs(120);

impl Flow {
    /// What can be found out about a lost apply. Whatever fails stays unknown.
    pub(super) async fn left_by(&self, run: &Run, signals: &Signals) -> Left {
        let before = self.serial_planned(run).await.unwrap_or_default();
        let kept = match self.managed_state(run).await {
            Ok(Some(state)) => {
                let head = self.store.state_head(&state).await;
                let lock = self.store.state_lock_info(&state).await;
                let lock = lock.map_or(LeftLock::Unknown, |info| info.map_or(LeftLock::Free, |info| held(&info)));
                // Before the first apply there is none.
                Some((head.ok().map(|head| head.map_or(0, |head| head.serial)), lock))
            }
            _ => None,
        };
        if let Some((after, lock)) = kept {
            return Left { before, after, lock };
        }
        let asked = tokio::time::timeout(PATIENCE, self.serial_now(run, signals)).await;
        let after = match asked {
            Ok(Ok(serial)) => Some(serial),
            Ok(Err(stop)) => {
                tracing::warn!(run = %run.id, ?stop, "the state that a lost apply left can't be read");
                None
            }
            Err(_) => None,
        };
        Left { before, after, lock: LeftLock::Unknown }
    }

    async fn serial_planned(&self, run: &Run) -> Result<Option<u64>, FlowError> {
        let Some(plan) = run.apply_order().and_then(|order| order.plan) else { return Ok(None) };
        let plan = self.store.run(plan).await?;
        Ok(plan.as_ref().and_then(Run::made_plan).map(|planned| planned.identity.state.serial))
    }

    /// Asks the project's own backend, as planning does: with what a plan is granted.
    async fn serial_now(&self, run: &Run, signals: &Signals) -> Result<u64, Stop> {
        let wants = [&run.target.head, &run.target.base].map(|commit| Want::Commit(commit.clone()));
        let mirror = self.fetch(&run.pull.repo, &wants).await?;
        mirror.merge(&run.target.base, &run.target.head).await?;
        let blocked = Blocked::default();
        let attempt = Attempt { run, signals, blocked: &blocked };
        let mut bench = self.bench(attempt, &mirror, &run.target.tree).await?;
        bench.say("The server was lost while this apply was running. What is the state's serial now?");
        bench.init(Phase::Plan, false).await?;
        let steps = bench.steps(Phase::Plan);
        bench.prepare(&steps)?;
        let mut caged = bench.cage(Part::Plan).await?;
        let mark = steps.state_pull(&mut caged.cage).await?;
        caged.close().await;
        Ok(mark.serial)
    }
}

fn held(info: &str) -> LeftLock {
    #[derive(Deserialize)]
    struct Info {
        #[serde(rename = "ID")]
        id: String,
    }
    serde_json::from_str(info).map_or(LeftLock::Unknown, |info: Info| LeftLock::Held(info.id))
}
