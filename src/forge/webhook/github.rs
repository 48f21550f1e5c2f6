//! GitHub's webhooks: HMAC-SHA256 of the raw body, as `X-Hub-Signature-256: sha256=<hex>`
//! (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>).

use super::{Delivery, WebhookRefused, delivery_id, envelope, event_name, header, lane, repo_name, signed};
use crate::domain::id::{ForgeKind, PullNumber};
use http::HeaderMap;
use secrecy::SecretString;
use serde::Deserialize;

pub(super) const EVENT: &str = "x-github-event";
pub(super) const DELIVERY: &str = "x-github-delivery";
pub(super) const SIGNATURE: &str = "x-hub-signature-256";

/// What says whose turn a delivery is; Gitea's webhooks have the same.
#[derive(Default, Deserialize)]
pub(super) struct Envelope {
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
    pub(super) fn repo_path(&self) -> Option<&str> {
        self.repository.as_ref().map(|repository| repository.full_name.as_str())
    }

    pub(super) fn number(&self) -> Option<PullNumber> {
        self.pull_request.as_ref().or(self.issue.as_ref()).map(|numbered| numbered.number)
    }
}

pub(super) fn sent(headers: &HeaderMap) -> bool {
    headers.contains_key(EVENT)
}

pub(super) fn verify(
    secret: &SecretString,
    headers: &HeaderMap,
    body: &[u8],
    host: &str,
) -> Result<Delivery, WebhookRefused> {
    let digits = header(headers, SIGNATURE).and_then(|value| value.strip_prefix("sha256="));
    if !signed(secret, digits, body) {
        return Err(WebhookRefused::BadSignature);
    }
    let (text, envelope): (_, Envelope) = envelope(body)?;
    let id = delivery_id(headers, DELIVERY).ok_or(WebhookRefused::MissingHeader("X-GitHub-Delivery"))?;
    let event_name = event_name(headers, EVENT).ok_or(WebhookRefused::MissingHeader("X-GitHub-Event"))?;
    let repo = envelope.repo_path().and_then(|path| repo_name(host, path));
    Ok(Delivery {
        forge: ForgeKind::Github,
        id,
        event_name: event_name.to_owned(),
        body: text.to_owned(),
        lane: lane(repo.as_ref(), envelope.number()),
        repo,
    })
}
