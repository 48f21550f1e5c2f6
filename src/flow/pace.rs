//! How fast one pull request's comment may change: forges limit content changes, and one busy pull request must not use
//! up what the others need. Edits that come too soon wait and become one. A restart forgets it, which costs one edit.

use crate::domain::id::{PullId, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Edits of one live comment follow each other by at least this much.
const PAUSE_MS: i64 = 1_000;

#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<PullId, Timestamp>>);

impl Pace {
    /// When the comment may be changed next; `None`: now.
    pub(super) fn next(&self, pull: &PullId, now: Timestamp) -> Option<Timestamp> {
        let mut edited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        edited.retain(|_, at| now.since(*at) < PAUSE_MS);
        edited.get(pull).map(|at| at.plus_ms(PAUSE_MS))
    }

    pub(super) fn edited(&self, pull: &PullId, now: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pull.clone(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_of_one_comment_keep_their_distance_and_others_do_not_wait() {
        let (one, other) = ("github.com/a/b#1".parse().unwrap(), "github.com/a/b#2".parse().unwrap());
        let pace = Pace::default();
        assert_eq!(pace.next(&one, Timestamp(0)), None);
        pace.edited(&one, Timestamp(0));
        assert_eq!(pace.next(&one, Timestamp(400)), Some(Timestamp(1_000)));
        assert_eq!(pace.next(&other, Timestamp(400)), None);
        assert_eq!(pace.next(&one, Timestamp(1_000)), None);
    }
}
