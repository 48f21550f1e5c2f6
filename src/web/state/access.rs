//! Who may touch a state: a run that is running, by the token that was made for it and this state.

use super::{Refused, Web, lock};
use crate::domain::id::RunId;
use crate::domain::run::RunState;
use crate::flow::now;
use crate::flow::tokens::Right;
use crate::store::StateId;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A run with a good token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    pub(super) state: StateId,
    pub(super) run: RunId,
    pub(super) right: Right,
}

impl Access {
    pub(super) async fn check(web: &Web, state: &str, headers: &HeaderMap) -> Result<Self, Refused> {
        let (user, password) = basic(headers).ok_or(Refused::Unauthorized)?;
        let state: StateId = state.parse().map_err(|_| Refused::Unauthorized)?;
        let run: RunId = user.parse().map_err(|_| Refused::Unauthorized)?;
        let right = web.given.tokens.verify(&password, run, &state.to_string(), now()).ok_or(Refused::Unauthorized)?;
        let access = Self { state, run, right };
        if access.is_good(web).await? {
            Ok(access)
        } else {
            Err(Refused::Forbidden("this run is not running: its token is good for nothing"))
        }
    }

    /// A token is good while its run is going on. An apply whose server died may still be alive, and what it has done
    /// is only known to it: it may write its state down as long as nobody has taken its lock.
    async fn is_good(self, web: &Web) -> Result<bool, Refused> {
        let state = web.given.store.run(self.run).await?.map(|run| run.state);
        Ok(match state {
            Some(RunState::Running) => true,
            Some(RunState::Interrupted) => {
                self.right == Right::Write && lock::is_held_by(web, self.state, self.run).await?
            }
            _ => false,
        })
    }
}

/// User and password of basic authentication (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn user_and_password_are_read() {
        let expected = Some(("run".to_owned(), "pass:word".to_owned()));
        assert_eq!(basic(&headers("Basic cnVuOnBhc3M6d29yZA==")), expected);
        assert_eq!(basic(&headers("basic cnVuOnBhc3M6d29yZA==")), expected);
    }

    #[test]
    fn anything_else_is_nobody() {
        assert_eq!(basic(&HeaderMap::new()), None);
        for value in ["", "Basic", "Basic !!", "Bearer cnVuOnBhc3M6d29yZA==", "Basic cnVu"] {
            assert_eq!(basic(&headers(value)), None, "{value}");
        }
    }
}
