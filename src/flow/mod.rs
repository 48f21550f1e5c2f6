//! The glue: loads what is known, asks the core what follows, performs it with the edges. It decides nothing.

pub mod links;
pub mod tokens;

use crate::domain::id::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time as the store keeps it. Asked for here and in `web`, never in the core.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
