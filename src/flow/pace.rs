//! How fast the forge is told things: forges limit content changes, and one busy pull request must not use up what the
//! others need. What comes too soon waits, and edits that wait become one. A restart forgets it, which costs a few
//! requests.

use crate::domain::id::{PullId, RepoName, Timestamp};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// A few at once, and then one after every pause.
#[derive(Debug, Clone, Copy)]
struct Rate {
    pause_ms: i64,
    at_once: i64,
}

/// Edits of one live comment: people see what happens at once, unless much happens.
const EDITS: Rate = Rate { pause_ms: 3_000, at_once: 3 };

/// Whatever one token writes. GitHub takes 80 content changes a minute
/// (<https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>).
const WRITES: Rate = Rate { pause_ms: 1_000, at_once: 20 };

#[derive(Debug, Default)]
pub struct Pace(Mutex<Told>);

/// For each key, the time until which it has used up its rate.
#[derive(Debug, Default)]
struct Told {
    edits: HashMap<PullId, Timestamp>,
    /// By host and owner: an App has a token for each owner, and a personal one is bounded more than it has to be.
    writes: HashMap<(String, String), Timestamp>,
}

impl Pace {
    /// When the live comment may be changed next; `None`: now.
    pub(super) fn next_edit(&self, pull: &PullId, now: Timestamp) -> Option<Timestamp> {
        next(&mut self.lock().edits, pull, EDITS, now)
    }

    pub(super) fn edited(&self, pull: &PullId, now: Timestamp) {
        spend(&mut self.lock().edits, pull.clone(), EDITS, now);
    }

    /// When the repository's token may write next; `None`: now, and that counts as done.
    pub(super) fn write(&self, repo: &RepoName, now: Timestamp) -> Option<Timestamp> {
        let token = (repo.host().to_owned(), repo.owner().to_owned());
        let writes = &mut self.lock().writes;
        let later = next(writes, &token, WRITES, now);
        if later.is_none() {
            spend(writes, token, WRITES, now);
        }
        later
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        // Each use leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn next<K: Eq + Hash>(used: &mut HashMap<K, Timestamp>, key: &K, rate: Rate, now: Timestamp) -> Option<Timestamp> {
    used.retain(|_, until| *until > now);
    let free = used.get(key)?.plus_ms(-rate.pause_ms * (rate.at_once - 1));
    (free > now).then_some(free)
}

fn spend<K: Eq + Hash>(used: &mut HashMap<K, Timestamp>, key: K, rate: Rate, now: Timestamp) {
    let until = used.entry(key).or_insert(now);
    *until = (*until).max(now).plus_ms(rate.pause_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_edits_are_shown_at_once_and_others_keep_their_distance() {
        let (one, other) = ("github.com/a/b#1".parse().unwrap(), "github.com/a/b#2".parse().unwrap());
        let pace = Pace::default();
        for _ in 0..3 {
            assert_eq!(pace.next_edit(&one, Timestamp(0)), None);
            pace.edited(&one, Timestamp(0));
        }
        assert_eq!(pace.next_edit(&one, Timestamp(400)), Some(Timestamp(3_000)));
        assert_eq!(pace.next_edit(&other, Timestamp(400)), None);
        assert_eq!(pace.next_edit(&one, Timestamp(3_000)), None);
    }

    #[test]
    fn one_token_does_not_wait_for_another() {
        let pace = Pace::default();
        let (one, other) = ("github.com/a/b".parse().unwrap(), "github.com/c/d".parse().unwrap());
        let at_once = (0..100).filter(|_| pace.write(&one, Timestamp(0)).is_none()).count();
        assert_eq!(at_once, 20);
        assert_eq!(pace.write(&one, Timestamp(0)), Some(Timestamp(1_000)));
        assert_eq!(pace.write(&other, Timestamp(0)), None);
    }

    proptest! {
        #[test]
        fn no_minute_has_more_writes_than_github_takes(asked in proptest::collection::vec(0..700_i64, 1..400)) {
            let (pace, repo) = (Pace::default(), "github.com/a/b".parse().unwrap());
            let (mut now, mut written) = (Timestamp(0), Vec::new());
            for wait in asked {
                now = now.plus_ms(wait);
                match pace.write(&repo, now) {
                    None => written.push(now.0),
                    Some(later) => prop_assert!(later > now),
                }
            }
            for at in &written {
                prop_assert!(written.iter().filter(|other| (*at..at + 60_000).contains(other)).count() <= 80);
            }
        }
    }
}
