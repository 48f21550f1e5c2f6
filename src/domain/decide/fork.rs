//! Whether the code of a pull request may be run at all: that of a fork was written by somebody who may not write here.

use super::{Affected, Problem};
use crate::domain::id::Sha;
use crate::domain::pull::Pull;
use crate::domain::sandbox::Level;

/// `seen`: what was planned last, for whose head somebody has answered already. `asked_for`: the commit of a
/// `plan --sha` by somebody with write permission.
///
/// # Errors
/// Why not.
pub fn admit(pull: &Pull, seen: Option<&Affected>, asked_for: Option<&Sha>, level: Level) -> Result<(), Problem> {
    // What was merged is in the base branch, as if somebody of this repository had pushed it there.
    if !pull.fork || pull.merge_commit().is_some() {
        return Ok(());
    }
    if level < Level::Full {
        return Err(Problem::Fork);
    }
    let vouched_for = asked_for.into_iter().chain(seen.map(|affected| &affected.head)).any(|sha| *sha == pull.head);
    if vouched_for { Ok(()) } else { Err(Problem::ForkWaits { head: pull.head.clone() }) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{affected, merged, pull, sha};
    use super::*;

    fn waits(head: char) -> Result<(), Problem> {
        Err(Problem::ForkWaits { head: sha(head) })
    }

    #[test]
    fn a_fork_needs_the_best_cage_and_somebody_who_asks_for_that_very_commit() {
        let fork = Pull { fork: true, ..pull('a') };
        let (seen, older) = (affected('a', &[]), affected('b', &[]));
        for (what, pull, seen, asked_for, level, expected) in [
            ("a branch of this repository", pull('a'), None, None, Level::Off, Ok(())),
            ("a cage that is not good enough", fork.clone(), None, Some('a'), Level::Reduced, Err(Problem::Fork)),
            ("nobody has asked", fork.clone(), None, None, Level::Full, waits('a')),
            ("somebody asked for this commit", fork.clone(), None, Some('a'), Level::Full, Ok(())),
            ("somebody asked for another", fork.clone(), None, Some('b'), Level::Full, waits('a')),
            ("it was asked for before", fork.clone(), Some(&seen), None, Level::Full, Ok(())),
            ("a newer push", fork.clone(), Some(&older), None, Level::Full, waits('a')),
            ("it was merged", merged(fork), None, None, Level::Off, Ok(())),
        ] {
            assert_eq!(admit(&pull, seen, asked_for.map(sha).as_ref(), level), expected, "{what}");
        }
    }
}
