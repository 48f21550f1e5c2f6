//! GitLab's webhooks. The older proof is the secret itself, in `X-Gitlab-Token`. The newer one is a signature by the
//! Standard Webhooks scheme: `webhook-signature: v1,<base64>` is the HMAC-SHA256 of `ID.TIMESTAMP.BODY`, with what
//! `webhook-id` and `webhook-timestamp` say, and is good for five minutes
//! (<https://docs.gitlab.com/user/project/integrations/webhooks/>, <https://www.standardwebhooks.com>).

use super::{Delivery, WebhookRefused, envelope, event_name, header, lane, repo_name};
use crate::domain::id::{DeliveryId, ForgeKind, PullNumber, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const EVENT: &str = "x-gitlab-event";
const TOKEN: &str = "x-gitlab-token";
const SIGNATURE: &str = "webhook-signature";
const SIGNED_ID: &str = "webhook-id";
const SIGNED_AT: &str = "webhook-timestamp";

/// How old a signature may be, and how far our clocks may differ, in the whole seconds of the header.
const TOLERANCE_S: u64 = 5 * 60;

pub(super) fn sent(headers: &HeaderMap) -> bool {
    headers.contains_key(EVENT)
}

/// With both secrets either proof is taken, for the time of a change-over; but a signature that is there must be right.
pub(super) fn verify(
    token: Option<&SecretString>,
    signing: Option<&SecretString>,
    headers: &HeaderMap,
    body: &[u8],
    host: &str,
) -> Result<Delivery, WebhookRefused> {
    verify_at(token, signing, headers, body, host, Timestamp(jiff::Timestamp::now().as_millisecond()))
}

pub(super) fn verify_at(
    token: Option<&SecretString>,
    signing: Option<&SecretString>,
    headers: &HeaderMap,
    body: &[u8],
    host: &str,
    now: Timestamp,
) -> Result<Delivery, WebhookRefused> {
    let proven = match (token, signing) {
        (_, Some(key)) if headers.contains_key(SIGNATURE) => signed(key, headers, body, now),
        (Some(token), _) => tokened(token, headers),
        (None, _) => false,
    };
    if !proven {
        return Err(WebhookRefused::BadSignature);
    }
    let (text, envelope): (_, Envelope) = envelope(body)?;
    let event_name = event_name(headers, EVENT).ok_or(WebhookRefused::MissingHeader("X-Gitlab-Event"))?;
    let repo = envelope.project.as_ref().and_then(|project| repo_name(host, &project.path_with_namespace));
    Ok(Delivery {
        forge: ForgeKind::Gitlab,
        id: id(headers, body),
        event_name: event_name.to_owned(),
        body: text.to_owned(),
        lane: lane(repo.as_ref(), envelope.number()),
        repo,
    })
}

/// An empty secret is one that everybody knows: it proves nothing.
fn tokened(token: &SecretString, headers: &HeaderMap) -> bool {
    let token = token.expose_secret().as_bytes();
    let given = headers.get(TOKEN).map(http::HeaderValue::as_bytes).unwrap_or_default();
    // Hashed first, so that not even the length can be measured.
    let same = Sha256::digest(token).ct_eq(&Sha256::digest(given));
    !token.is_empty() && bool::from(same)
}

fn signed(signing: &SecretString, headers: &HeaderMap, body: &[u8], now: Timestamp) -> bool {
    let key = signing.expose_secret().strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    let (Some(key), Some(id), Some(at), Some(given)) =
        (key, header(headers, SIGNED_ID), header(headers, SIGNED_AT), header(headers, SIGNATURE))
    else {
        return false;
    };
    let age = at.parse().ok().and_then(|at| now.0.div_euclid(1000).checked_sub(at));
    let fresh = age.is_some_and(|age: i64| age.unsigned_abs() <= TOLERANCE_S);
    if !fresh || key.is_empty() {
        return false;
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of every length");
    for part in [id.as_bytes(), b".", at.as_bytes(), b".", body] {
        mac.update(part);
    }
    // There may be several, while a key is being replaced.
    given
        .split(' ')
        .filter_map(|given| STANDARD.decode(given.strip_prefix("v1,")?).ok())
        .any(|given| mac.clone().verify_slice(&given).is_ok())
}

/// What one delivery and all of its repetitions have in common, and no other delivery. `webhook-id` and, since 17.4,
/// `Idempotency-Key` are just that. `X-Gitlab-Event-UUID` stays the same when it is repeated, but one request of a
/// person may be the cause of several deliveries with the same one: together with the body it tells them apart.
fn id(headers: &HeaderMap, body: &[u8]) -> DeliveryId {
    for name in [SIGNED_ID, "idempotency-key"] {
        if let Some(id) = header(headers, name).and_then(|id| id.parse().ok()) {
            return id;
        }
    }
    let digest = hex::encode(&Sha256::digest(body)[..16]);
    let event = header(headers, "x-gitlab-event-uuid").filter(|event| event.len() <= 100).unwrap_or_default();
    format!("{event}-{digest}").parse().or_else(|_| digest.parse()).expect("hexadecimal digits are an id")
}

/// The few fields that say whose turn a delivery is.
#[derive(Default, Deserialize)]
struct Envelope {
    object_kind: Option<String>,
    project: Option<Project>,
    object_attributes: Option<Numbered>,
    merge_request: Option<Numbered>,
}

#[derive(Deserialize)]
struct Project {
    path_with_namespace: String,
}

#[derive(Deserialize)]
struct Numbered {
    iid: Option<PullNumber>,
}

impl Envelope {
    /// Issues have numbers of their own, which are none of ours.
    fn number(&self) -> Option<PullNumber> {
        match self.object_kind.as_deref() {
            Some("merge_request") => self.object_attributes.as_ref()?.iid,
            _ => self.merge_request.as_ref()?.iid,
        }
    }
}

#[cfg(test)]
mod tests;
