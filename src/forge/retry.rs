//! Asking again, where asking twice changes nothing. A create request is never repeated here: after a 502 or a lost
//! answer it may have been carried out, and only its caller knows how to look.
//!
//! Pauses are short, because whoever waits here holds a lease. What takes longer is given back to the queue with the
//! error, and so is a rate limit, which comes with the time at which it ends.

use super::error::{ForgeError, ForgeErrorKind};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// How long one request may take, and how often and how fast it is repeated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Of one request, from the connection to the last byte of the answer.
    pub deadline: Duration,
    /// Including the first one.
    pub attempts: u32,
    /// Between the first two attempts; four times as long before each further one.
    pub first_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(30), attempts: 3, first_pause: Duration::from_millis(250) }
    }
}

impl Patience {
    /// Runs `ask` until it succeeds, fails for good, or the attempts are used up. Only [`ForgeErrorKind::Unavailable`]
    /// is worth another attempt.
    pub(super) async fn repeat<T, Answer>(&self, ask: impl Fn() -> Answer) -> Result<T, ForgeError>
    where
        Answer: Future<Output = Result<T, ForgeError>>,
    {
        let mut pause = self.first_pause;
        for _ in 1..self.attempts {
            match ask().await {
                Err(error) if error.kind == ForgeErrorKind::Unavailable => {
                    tracing::debug!(%error, "asking the forge again");
                    tokio::time::sleep(jittered(pause)).await;
                    pause *= 4;
                }
                done => return done,
            }
        }
        ask().await
    }
}

/// Between half of `pause` and the whole of it, so that requests that failed together don't come back together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 512;
    pause * (512 + u32::try_from(random).unwrap_or(0)) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const QUICK: Patience =
        Patience { deadline: Duration::from_secs(1), attempts: 3, first_pause: Duration::from_millis(1) };

    async fn attempts_until(kinds: &[ForgeErrorKind]) -> (usize, Result<(), ForgeErrorKind>) {
        let asked = Cell::new(0);
        let ask = || {
            let answer = kinds.get(asked.get()).map_or(Ok(()), |kind| Err(ForgeError::new(*kind, "no")));
            asked.set(asked.get() + 1);
            std::future::ready(answer)
        };
        let end = QUICK.repeat(ask).await;
        (asked.get(), end.map_err(|error| error.kind))
    }

    #[tokio::test]
    async fn a_forge_that_recovers_is_asked_until_it_answers() {
        use ForgeErrorKind::Unavailable;
        assert_eq!(attempts_until(&[Unavailable, Unavailable]).await, (3, Ok(())));
    }

    #[tokio::test]
    async fn a_forge_that_stays_down_is_asked_three_times() {
        use ForgeErrorKind::Unavailable;
        assert_eq!(attempts_until(&[Unavailable; 9]).await, (3, Err(Unavailable)));
    }

    #[tokio::test]
    async fn what_time_can_not_heal_or_may_have_happened_is_asked_once() {
        use ForgeErrorKind::{Conflict, Forbidden, Invalid, Lost, NotFound, RateLimited, Unauthorized};
        for kind in [Unauthorized, Forbidden, NotFound, Conflict, Invalid, RateLimited, Lost] {
            assert_eq!(attempts_until(&[kind; 9]).await, (1, Err(kind)));
        }
    }

    #[test]
    fn pauses_are_spread_but_never_longer_than_asked_for() {
        let whole = Duration::from_millis(1000);
        let pauses: Vec<_> = (0..64).map(|_| jittered(whole)).collect();
        assert!(pauses.iter().all(|pause| *pause >= whole / 2 && *pause <= whole));
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
