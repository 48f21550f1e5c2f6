//! Tokens by which a run's terraform reaches its own managed state, and nothing else: one run, one state, reading or
//! writing, for a limited time. They are not stored; a token proves itself, and the store says whether its run still goes.

use crate::domain::id::{RunId, Timestamp};
use crate::flow::now;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;

/// A second bound beside "only while its run is running", for a run that for whatever reason never ends. Longer than
/// any apply, for an apply that can't write its state any more has lost it.
const LIFETIME_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Plans: read the state.
    Read,
    /// Applies: also lock, write and unlock it.
    Write,
}

impl Right {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Issues tokens and checks them.
#[derive(Clone)]
pub struct Tokens {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// `key` is the archive's key for HMACs, from which one for tokens alone is derived.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let mut derived = hmac(key);
        derived.update(b"terraplane: state tokens");
        Self { mac: hmac(&derived.finalize().into_bytes()) }
    }

    /// A token for `run` on the state `state`, good from now on while the run is running, for seven days at most.
    #[must_use]
    pub fn issue(&self, run: RunId, state: &str, right: Right) -> SecretString {
        self.issue_until(run, state, right, now().plus_ms(LIFETIME_MS))
    }

    fn issue_until(&self, run: RunId, state: &str, right: Right, expires: Timestamp) -> SecretString {
        let signature = self.signed(run, state, right.as_str(), expires).finalize().into_bytes();
        SecretString::from(format!("{}.{}.{}", right.as_str(), expires.0, hex::encode(signature)))
    }

    /// What a token allows `run` to do with `state` at the time `now`; `None` if it is not genuine, another run's or
    /// state's, or too old. Takes equally long for every wrong signature.
    #[must_use]
    pub fn verify(&self, token: &str, run: RunId, state: &str, now: Timestamp) -> Option<Right> {
        let mut parts = token.split('.');
        let (Some(right), Some(expires), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let right = [Right::Read, Right::Write].into_iter().find(|known| known.as_str() == right)?;
        let expires = Timestamp(expires.parse().ok()?);
        let signature = hex::decode(signature).ok()?;
        self.signed(run, state, right.as_str(), expires).verify_slice(&signature).ok()?;
        (now < expires).then_some(right)
    }

    fn signed(&self, run: RunId, state: &str, right: &str, expires: Timestamp) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        // The state stands last: no other part can hold a line feed.
        mac.update(format!("{run}\n{right}\n{}\n{state}", expires.0).as_bytes());
        mac
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn run(number: u128) -> RunId {
        RunId(uuid::Uuid::from_u128(number))
    }

    fn token(right: Right) -> String {
        Tokens::new(&[1; 32]).issue_until(run(1), "state-a", right, Timestamp(1000)).expose_secret().to_owned()
    }

    #[test]
    fn a_token_is_good_for_its_run_state_and_right() {
        let tokens = Tokens::new(&[1; 32]);
        for right in [Right::Read, Right::Write] {
            assert_eq!(tokens.verify(&token(right), run(1), "state-a", Timestamp(999)), Some(right));
        }
        let token = token(Right::Write);
        assert_eq!(tokens.verify(&token, run(2), "state-a", Timestamp(0)), None, "another run");
        assert_eq!(tokens.verify(&token, run(1), "state-b", Timestamp(0)), None, "another state");
        assert_eq!(tokens.verify(&token, run(1), "state-a", Timestamp(1000)), None, "too old");
        assert_eq!(Tokens::new(&[2; 32]).verify(&token, run(1), "state-a", Timestamp(0)), None, "another key");
    }

    #[test]
    fn a_token_can_t_be_made_stronger_or_last_longer() {
        let tokens = Tokens::new(&[1; 32]);
        let token = token(Right::Read);
        let forged = [
            token.replace("read", "write"),
            token.replace(".1000.", ".2000."),
            token.replace("read", "admin"),
            token[..token.len() - 2].to_owned(),
            format!("{token}."),
            format!("{token}00"),
            String::new(),
            "..".into(),
            "read.1000.".into(),
        ];
        for forged in forged {
            assert_eq!(tokens.verify(&forged, run(1), "state-a", Timestamp(0)), None, "{forged}");
        }
    }

    #[test]
    fn a_fresh_token_works_now_and_is_not_printed() {
        let tokens = Tokens::new(&[1; 32]);
        let token = tokens.issue(run(1), "state-a", Right::Write);
        assert_eq!(tokens.verify(token.expose_secret(), run(1), "state-a", now()), Some(Right::Write));
        assert!(!format!("{token:?} {tokens:?}").contains(token.expose_secret()));
    }
}
