//! What the server does by itself now and then: it looks for what no webhook told, and clears away what is old.

use crate::config::decode::{Fields, checked, duration, size, text};
use crate::config::error::Faults;
use crate::config::yaml::Node;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long things are kept that nothing needs any more; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    /// Plans, logs and records of runs. Default 90 days.
    pub runs: Option<Duration>,
    /// Webhooks as they were received. Default 14 days.
    pub deliveries: Option<Duration>,
    /// Mirrors of repositories that no run and no event has asked for. Default 30 days.
    pub mirrors: Option<Duration>,
    /// Providers that no run has asked for. Default 90 days.
    pub providers: Option<Duration>,
    /// Bytes that plans, logs, mirrors and providers may take together: above it the oldest, and the longest unused, go
    /// before their time. Default: no limit.
    pub disk: Option<u64>,
}

impl Default for Cleanup {
    fn default() -> Self {
        Self {
            runs: Some(90 * DAY),
            deliveries: Some(14 * DAY),
            mirrors: Some(30 * DAY),
            providers: Some(90 * DAY),
            disk: None,
        }
    }
}

/// How often to look for what no webhook told; `None`: never. Default 5 minutes.
pub(super) fn catch_up(mut fields: Fields<'_>, faults: &mut Faults) -> Option<Duration> {
    let every = fields.optional("every", faults, |node, faults| or_never(node, faults, duration));
    fields.finish(faults);
    every.unwrap_or(Some(USUAL_CATCH_UP))
}

pub(super) const USUAL_CATCH_UP: Duration = Duration::from_secs(5 * 60);

pub(super) fn cleanup(mut fields: Fields<'_>, faults: &mut Faults) -> Cleanup {
    let usual = Cleanup::default();
    let mut kept = |key, usual, faults: &mut Faults| {
        fields.optional(key, faults, |node, faults| or_never(node, faults, days)).unwrap_or(usual)
    };
    let cleanup = Cleanup {
        runs: kept("runs", usual.runs, faults),
        deliveries: kept("deliveries", usual.deliveries, faults),
        mirrors: kept("mirrors", usual.mirrors, faults),
        providers: kept("providers", usual.providers, faults),
        disk: fields.optional("disk", faults, size),
    };
    fields.finish(faults);
    cleanup
}

/// `never` says that something is not to happen.
#[expect(clippy::option_option, reason = "the outer one says whether it was written well")]
fn or_never<T>(
    node: &Node,
    faults: &mut Faults,
    read: impl FnOnce(&Node, &mut Faults) -> Option<T>,
) -> Option<Option<T>> {
    if text(node, faults)? == "never" { Some(None) } else { read(node, faults).map(Some) }
}

fn days(node: &Node, faults: &mut Faults) -> Option<Duration> {
    checked(node, "a number of days such as `90d` (1 to 3650), or `never`", faults, |text| {
        let days: u32 = text.strip_suffix('d')?.trim().parse().ok()?;
        (1..=3650).contains(&days).then(|| DAY * days)
    })
}
