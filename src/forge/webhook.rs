//! The door through which a forge speaks to us. Nothing of a request is read before its signature has been checked over
//! the raw body, and only a [`Verified`] delivery can be recorded.

use crate::domain::id::{DeliveryId, ForgeKind, PullId, PullNumber, RepoName};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::Sha256;

/// Something whose signature was checked. Only [`verify`] makes one.
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

/// The forge whose headers a request carries, for a route that all forges share.
#[must_use]
pub fn recognise(headers: &HeaderMap) -> Option<ForgeKind> {
    headers.contains_key(GITHUB_EVENT).then_some(ForgeKind::Github)
}

const GITHUB_EVENT: &str = "x-github-event";
const GITHUB_DELIVERY: &str = "x-github-delivery";
const GITHUB_SIGNATURE: &str = "x-hub-signature-256";

/// Checks the signature and only then looks at the rest. `host` is the configured forge's (see
/// [`super::Forge::host`]), never one that the body names.
///
/// GitHub: HMAC-SHA256 of the raw body, as `X-Hub-Signature-256: sha256=<hex>`
/// (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>).
///
/// # Errors
/// See [`WebhookRefused`]; a bad signature comes before everything else.
pub fn verify(
    kind: ForgeKind,
    secret: &SecretString,
    headers: &HeaderMap,
    body: &[u8],
    host: &str,
) -> Result<Verified<Delivery>, WebhookRefused> {
    match kind {
        ForgeKind::Github => verify_github(secret, headers, body, host),
    }
}

fn verify_github(
    secret: &SecretString,
    headers: &HeaderMap,
    body: &[u8],
    host: &str,
) -> Result<Verified<Delivery>, WebhookRefused> {
    if !signed(secret, headers, body) {
        return Err(WebhookRefused::BadSignature);
    }
    let text = std::str::from_utf8(body).map_err(|_| WebhookRefused::NotJson)?;
    let envelope = Envelope::read(text).ok_or(WebhookRefused::NotJson)?;
    let id = header(headers, GITHUB_DELIVERY)
        .and_then(|id| id.parse().ok())
        .ok_or(WebhookRefused::MissingHeader("X-GitHub-Delivery"))?;
    let event_name = header(headers, GITHUB_EVENT)
        .filter(|name| (1..=100).contains(&name.len()))
        .ok_or(WebhookRefused::MissingHeader("X-GitHub-Event"))?;
    let repo = envelope.repo(host);
    Ok(Verified(Delivery {
        forge: ForgeKind::Github,
        id,
        event_name: event_name.to_owned(),
        body: text.to_owned(),
        lane: envelope.lane(repo.as_ref()),
        repo,
    }))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the body was signed with `secret`. An empty secret is one that everybody knows: it signs nothing.
fn signed(secret: &SecretString, headers: &HeaderMap, body: &[u8]) -> bool {
    let secret = secret.expose_secret().as_bytes();
    let given = header(headers, GITHUB_SIGNATURE)
        .and_then(|value| value.strip_prefix("sha256="))
        .and_then(|digits| hex::decode(digits).ok());
    let (Some(given), false) = (given, secret.is_empty()) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    mac.update(body);
    mac.verify_slice(&given).is_ok()
}

/// The few fields that say whose turn a delivery is, read without the rest. Whatever has another shape is as if absent.
#[derive(Default, Deserialize)]
struct Envelope {
    repository: Option<Repository>,
    pull_request: Option<Numbered>,
    issue: Option<Numbered>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct Numbered {
    number: PullNumber,
}

impl Envelope {
    /// `None` when the text is not a JSON object.
    fn read(text: &str) -> Option<Self> {
        if !text.trim_start().starts_with('{') {
            return None;
        }
        match serde_json::from_str(text) {
            Ok(envelope) => Some(envelope),
            Err(error) if error.is_data() => {
                serde_json::from_str::<serde::de::IgnoredAny>(text).ok().map(|_| Self::default())
            }
            Err(_) => None,
        }
    }

    fn repo(&self, host: &str) -> Option<RepoName> {
        let (owner, name) = self.repository.as_ref()?.full_name.split_once('/')?;
        RepoName::new(host, owner, name).ok()
    }

    fn lane(&self, repo: Option<&RepoName>) -> String {
        let number = self.pull_request.as_ref().or(self.issue.as_ref()).map(|numbered| numbered.number);
        match (repo, number) {
            (Some(repo), Some(number)) => PullId { repo: repo.clone(), number }.to_string(),
            (Some(repo), None) => repo.to_string(),
            (None, _) => "?".into(),
        }
    }
}

#[cfg(test)]
mod tests;
