//! Links to run pages that their readers can't make up. The server's pages are reachable by whoever reaches its webhooks;
//! a run's page opens only by the link that its pull request's comments carry.

use crate::domain::id::RunId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use url::Url;

/// Half of the HMAC: 128 bits can't be guessed, and comments stay short.
const SIGNATURE_BYTES: usize = 16;

/// Makes signed links and checks them. A link stays good as long as the archive's key does.
#[derive(Clone)]
pub struct Links {
    /// Without a `/` at its end.
    base_url: String,
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Links {
    /// `base_url` is how people reach the server; `key` is the archive's key for HMACs, from which one for links alone
    /// is derived.
    #[must_use]
    pub fn new(base_url: &Url, key: &[u8; 32]) -> Self {
        let mut derived = hmac(key);
        derived.update(b"terraplane: signed links");
        let derived = derived.finalize().into_bytes();
        Self { base_url: base_url.as_str().trim_end_matches('/').to_owned(), mac: hmac(&derived) }
    }

    /// The path of the address below which people reach the server, without a `/` at its end: mostly empty.
    #[must_use]
    pub fn base_path(&self) -> &str {
        let after_scheme = self.base_url.split_once("://").map_or("", |(_, rest)| rest);
        after_scheme.find('/').map_or("", |at| &after_scheme[at..])
    }

    /// The page of a run, for people who may see its pull request.
    #[must_use]
    pub fn run_url(&self, run: RunId) -> String {
        let signature = self.signed(run).finalize().into_bytes();
        format!("{}/runs/{run}?key={}", self.base_url, hex::encode(&signature[..SIGNATURE_BYTES]))
    }

    /// Whether `key` is from a link to this very run. Takes equally long for every wrong key.
    #[must_use]
    pub fn verify(&self, run: RunId, key: &str) -> bool {
        hex::decode(key)
            .is_ok_and(|key| key.len() == SIGNATURE_BYTES && self.signed(run).verify_truncated_left(&key).is_ok())
    }

    fn signed(&self, run: RunId) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(format!("run:{run}").as_bytes());
        mac
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u128) -> RunId {
        RunId(uuid::Uuid::from_u128(number))
    }

    fn links(key: u8) -> Links {
        Links::new(&Url::parse("https://terraplane.example.com/").unwrap(), &[key; 32])
    }

    fn key_of(url: &str) -> &str {
        url.split_once("?key=").unwrap().1
    }

    #[test]
    fn a_link_opens_its_own_run_only() {
        let links = links(1);
        let url = links.run_url(run(7));
        assert!(url.starts_with("https://terraplane.example.com/runs/00000000000000000000000000000007?key="), "{url}");
        assert!(links.verify(run(7), key_of(&url)));
        assert!(!links.verify(run(8), key_of(&url)));
    }

    #[test]
    fn another_server_s_key_opens_nothing() {
        assert!(!links(2).verify(run(7), key_of(&links(1).run_url(run(7)))));
    }

    #[test]
    fn what_is_not_a_whole_signature_opens_nothing() {
        let links = links(1);
        let url = links.run_url(run(7));
        let key = key_of(&url);
        for wrong in ["", "00", &key[..key.len() - 2], &format!("{key}00"), "zz", &"0".repeat(32)] {
            assert!(!links.verify(run(7), wrong), "{wrong}");
        }
    }

    #[test]
    fn a_server_below_a_path_keeps_it() {
        let links = Links::new(&Url::parse("https://example.com/ops/terraplane").unwrap(), &[1; 32]);
        assert!(links.run_url(run(7)).starts_with("https://example.com/ops/terraplane/runs/"));
        assert_eq!(links.base_path(), "/ops/terraplane");
        assert_eq!(self::links(1).base_path(), "");
    }
}
