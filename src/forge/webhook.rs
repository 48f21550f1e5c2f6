//! The door through which a forge speaks to us. Nothing of a request is read before its proof has been checked, over the
//! raw body where the forge signs, and only a [`Verified`] delivery can be recorded.

mod gitea;
mod github;
mod gitlab;

use crate::domain::id::{DeliveryId, ForgeKind, PullId, PullNumber, RepoName};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::Sha256;

/// Something whose proof was checked. Only [`verify`] makes one.
#[derive(Debug, Clone)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.0
    }

    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// One webhook request. What it means is read later, from the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub forge: ForgeKind,
    pub id: DeliveryId,
    /// The forge's word for what happened, for example `pull_request`.
    pub event_name: String,
    /// JSON, exactly as it was signed.
    pub body: String,
    /// Deliveries of one lane are worked on one after the other: the pull request, else the repository, else `?`.
    pub lane: String,
    pub repo: Option<RepoName>,
}

/// Why a request is not taken. None of them says more than an outsider may know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefused {
    #[error("the signature is missing or wrong: the webhook's secret must be the one in the server's configuration")]
    BadSignature,
    #[error("the body is not JSON: set the webhook's content type to `application/json`")]
    NotJson,
    #[error("the header `{0}` is missing or unreadable")]
    MissingHeader(&'static str),
}

/// What a forge proves its webhooks with.
#[derive(Debug, Clone)]
pub enum Proof {
    /// HMAC-SHA256 of the raw body, with this secret.
    Github(SecretString),
    /// One of the two is there, or both.
    Gitlab {
        /// What `X-Gitlab-Token` must be.
        token: Option<SecretString>,
        /// The key of the newer signatures: `whsec_` and base64.
        signing: Option<SecretString>,
    },
    /// HMAC-SHA256 of the raw body, with this secret.
    Gitea(SecretString),
}

impl Proof {
    #[must_use]
    pub const fn kind(&self) -> ForgeKind {
        match self {
            Self::Github(_) => ForgeKind::Github,
            Self::Gitlab { .. } => ForgeKind::Gitlab,
            Self::Gitea(_) => ForgeKind::Gitea,
        }
    }
}

/// The forge whose headers a request carries, for a route that all forges share. Gitea and Forgejo also send headers
/// with GitHub's names, so their own are looked for first.
#[must_use]
pub fn recognise(headers: &HeaderMap) -> Option<ForgeKind> {
    if gitea::sent(headers) {
        Some(ForgeKind::Gitea)
    } else if gitlab::sent(headers) {
        Some(ForgeKind::Gitlab)
    } else if github::sent(headers) {
        Some(ForgeKind::Github)
    } else {
        None
    }
}

/// Checks the proof and only then looks at the rest. `host` is the configured forge's (see [`super::Forge::host`]),
/// never one that the body names.
///
/// # Errors
/// See [`WebhookRefused`]; a bad signature comes before everything else.
pub fn verify(
    proof: &Proof,
    headers: &HeaderMap,
    body: &[u8],
    host: &str,
) -> Result<Verified<Delivery>, WebhookRefused> {
    match proof {
        Proof::Github(secret) => github::verify(secret, headers, body, host),
        Proof::Gitlab { token, signing } => gitlab::verify(token.as_ref(), signing.as_ref(), headers, body, host),
        Proof::Gitea(secret) => gitea::verify(secret, headers, body, host),
    }
    .map(Verified)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn delivery_id(headers: &HeaderMap, name: &str) -> Option<DeliveryId> {
    header(headers, name)?.parse().ok()
}

fn event_name<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    header(headers, name).filter(|name| (1..=100).contains(&name.len()))
}

/// Whether these hexadecimal digits are the HMAC-SHA256 of `body`. An empty secret is one that everybody knows: it signs
/// nothing.
fn signed(secret: &SecretString, digits: Option<&str>, body: &[u8]) -> bool {
    let secret = secret.expose_secret().as_bytes();
    let (Some(given), false) = (digits.and_then(|digits| hex::decode(digits).ok()), secret.is_empty()) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    mac.update(body);
    mac.verify_slice(&given).is_ok()
}

/// The text of a body and the few fields that say whose turn a delivery is. Whatever has another shape is as if absent.
fn envelope<T: DeserializeOwned + Default>(body: &[u8]) -> Result<(&str, T), WebhookRefused> {
    let text = std::str::from_utf8(body).map_err(|_| WebhookRefused::NotJson)?;
    if !text.trim_start().starts_with('{') {
        return Err(WebhookRefused::NotJson);
    }
    match serde_json::from_str(text) {
        Ok(envelope) => Ok((text, envelope)),
        Err(error) if error.is_data() && serde_json::from_str::<IgnoredAny>(text).is_ok() => Ok((text, T::default())),
        Err(_) => Err(WebhookRefused::NotJson),
    }
}

/// `owner/name`, or with more levels where groups nest.
fn repo_name(host: &str, path: &str) -> Option<RepoName> {
    let (owner, name) = path.rsplit_once('/')?;
    RepoName::new(host, owner, name).ok()
}

fn lane(repo: Option<&RepoName>, number: Option<PullNumber>) -> String {
    match (repo, number) {
        (Some(repo), Some(number)) => PullId { repo: repo.clone(), number }.to_string(),
        (Some(repo), None) => repo.to_string(),
        (None, _) => "?".into(),
    }
}

#[cfg(test)]
mod tests;
