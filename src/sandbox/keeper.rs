//! What outlives a session until all that was in its cage is dead, by force if it must; and only then gives back what the
//! cage had of the host.

use super::helper::{self, OUT_OF_MEMORY};
use super::level::Level;
use super::policy::HostUser;
use super::session::DEATH;
use super::spare::Spare;
use super::users::{self, Lease};
use super::wire::Order;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Child;

/// How long the process inside of a cage may take to end all that is in it after the one outside was killed.
const AFTERMATH: Duration = Duration::from_millis(500);

/// How long a helper may take to end, and tell why by that, when the process inside is gone.
const REASON: Duration = Duration::from_secs(1);

/// How often, and how far apart, what is left of a cage is killed by the server itself.
const ROUNDS: u32 = 100;
const APART: Duration = Duration::from_millis(10);

/// How often it is looked whether the last process of a user has gone.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Keeper {
    helper: Child,
    cgroups: Vec<PathBuf>,
    /// Given back when this is dropped.
    user: Option<Arc<Lease>>,
    /// Where the next helper is started, once there is nothing more urgent, and for what level: the cage that comes next is
    /// mostly like the last.
    next: (Arc<Spare>, Level),
}

impl Keeper {
    pub(super) const fn new(
        helper: Child,
        cgroups: Vec<PathBuf>,
        user: Option<Arc<Lease>>,
        next: (Arc<Spare>, Level),
    ) -> Self {
        Self { helper, cgroups, user, next }
    }

    pub(super) async fn last_rites(mut self) {
        if tokio::time::timeout(DEATH, self.helper.wait()).await.is_err() {
            tracing::warn!("a sandbox did not end by itself: it is ended by force");
            self.end_by_force();
            let _ = self.helper.kill().await;
        }
        let is_clear = self.helper.wait().await.is_ok_and(|status| status.success());
        let (spare, level) = (Arc::clone(&self.next.0), self.next.1);
        if !is_clear {
            self.clear_up().await;
        }
        spare.refill(level);
    }

    /// Whether the helper says so. Only asked when the cage is gone.
    pub(super) async fn ran_out_of_memory(&mut self) -> bool {
        let ended = tokio::time::timeout(REASON, self.helper.wait()).await;
        matches!(ended, Ok(Ok(status)) if status.code() == Some(OUT_OF_MEMORY.into()))
    }

    /// Both processes of a helper that does not answer, and all that descends from them; what gets away is left to
    /// [`Keeper::clear_up`].
    fn end_by_force(&self) {
        let Some(helper) = self.helper.id().and_then(|id| Pid::from_raw(id.cast_signed())) else { return };
        let below = helper::descendants(helper).unwrap_or_default();
        let _ = kill_process_group(helper, Signal::KILL);
        for process in below {
            let _ = kill_process(process.pid, Signal::KILL);
        }
    }

    /// What a helper that was killed can't do any more. The one inside kills what is left, and that takes a moment; until
    /// nothing lives nobody else may have its user.
    async fn clear_up(self) {
        tokio::time::sleep(AFTERMATH).await;
        for _ in 0..ROUNDS {
            if !helper::kill_all_in(&self.cgroups) {
                break;
            }
            tokio::time::sleep(APART).await;
        }
        for dir in &self.cgroups {
            let _ = std::fs::remove_dir(dir);
        }
        let Some(user) = self.user.as_ref().map(|lease| lease.user) else { return };
        if !is_gone(user).await && !self.clear(user).await {
            tracing::error!(uid = user.uid, "processes of a sandbox can't be killed: their user is not used any more");
            tokio::spawn(async move {
                while !is_gone(user).await {
                    tokio::time::sleep(LOOK).await;
                }
                drop(self);
            });
        }
    }

    /// Kills all that the user has; whether that worked.
    async fn clear(&self, user: HostUser) -> bool {
        let Ok((mut child, mut channel)) = self.next.0.start(&[]) else { return false };
        let told = channel.send(&Order::Clear(user), &[]).await.is_ok();
        let ended = told && tokio::time::timeout(DEATH, child.wait()).await.is_ok();
        ended && is_gone(user).await
    }
}

/// Whether no process of the user lives. Who can't see that does not say so.
async fn is_gone(user: HostUser) -> bool {
    tokio::task::spawn_blocking(move || users::is_alive(user)).await.is_ok_and(|alive| matches!(alive, Ok(false)))
}
