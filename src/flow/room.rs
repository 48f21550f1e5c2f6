//! Makes room when plans, logs, mirrors and providers together take more than the operator gives them
//! (`cleanup.disk`).
//!
//! What can be fetched again goes first, the longest unused before the others; then plans and logs, the oldest first.
//! Never what somebody may still need: then a warning says that the limit is too low.

use super::cleanup::{Pulls, before, made_at, system_time};
use super::{Flow, FlowError};
use crate::domain::id::Timestamp;
use std::time::{Duration, SystemTime};

/// However full the disk is: what has just ended is looked at by people.
const LEAST_AGE: Duration = Duration::from_secs(60 * 60);

/// What was used within a day will be again, and fetching it costs time and the network.
const LEAST_REST: Duration = Duration::from_secs(24 * 60 * 60);

/// When something was last used, and the bytes that it takes.
type Use = (SystemTime, u64);

impl Flow {
    pub(super) async fn make_room(&self, now: Timestamp) -> Result<(), FlowError> {
        let Some(most) = self.config.cleanup.disk else { return Ok(()) };
        let mut runs = self.archive.runs().await?;
        let kept: u64 = runs.iter().map(|files| files.bytes).sum();
        let mut fetched = self.mirrors.uses().await?;
        fetched.extend(self.providers.uses().await.map_err(|error| self.providers_failed(error))?);
        let all: u64 = kept + fetched.iter().map(|(_, bytes)| bytes).sum::<u64>();
        let rest = LEAST_REST.max(self.longest_run());
        let mut over = all.saturating_sub(most);
        if let Some((since, freed)) = cut(fetched, over, system_time(before(now, rest))) {
            self.mirrors.forget_unused(since).await?;
            self.providers.forget_unused(since).await.map_err(|error| self.providers_failed(error))?;
            over = over.saturating_sub(freed);
        }
        let mut known = Pulls::of(self);
        runs.sort_by_key(|files| files.run.0);
        for files in runs {
            if over == 0 {
                return Ok(());
            }
            // The records stay until their time: pages still tell what came of the runs.
            if made_at(files.run) < before(now, LEAST_AGE) && known.forget(files.run, false).await? {
                over = over.saturating_sub(files.bytes);
            }
        }
        if over > 0 {
            tracing::warn!(over, most, "more than `cleanup.disk` is kept, and all of it may be needed");
        }
        Ok(())
    }
}

/// Before which moment things must have been used last for as many bytes to be freed as there are too many, and how many
/// that are. Nothing that was used at `latest` or later is among them; `None`: nothing is.
fn cut(mut uses: Vec<Use>, over: u64, latest: SystemTime) -> Option<(SystemTime, u64)> {
    uses.retain(|(used, _)| *used < latest);
    uses.sort_unstable();
    let (mut freed, mut last) = (0, None);
    for (used, bytes) in uses {
        // What was used at the same moment goes together.
        if freed >= over && last.is_none_or(|last| last < used) {
            break;
        }
        freed += bytes;
        last = Some(used);
    }
    Some((last? + Duration::from_nanos(1), freed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(hours)
    }

    #[test]
    fn the_longest_unused_go_until_there_is_room() {
        let uses = vec![(at(5), 10), (at(1), 10), (at(3), 10), (at(3), 10), (at(9), 10)];
        for (over, last_to_go, freed) in [(1, 1, 10), (10, 1, 10), (11, 3, 30), (30, 3, 30), (31, 5, 40), (99, 5, 40)] {
            let since = at(last_to_go) + Duration::from_nanos(1);
            assert_eq!(cut(uses.clone(), over, at(9)), Some((since, freed)), "{over} too many");
        }
    }

    #[test]
    fn nothing_goes_where_there_is_room_or_all_is_in_use() {
        let uses = vec![(at(5), 10), (at(6), 10)];
        assert_eq!(cut(uses.clone(), 0, at(9)), None);
        assert_eq!(cut(uses, 10, at(5)), None);
        assert_eq!(cut(Vec::new(), 10, at(5)), None);
    }
}
