//! Gitea's and Forgejo's webhooks: HMAC-SHA256 of the raw body as bare hexadecimal digits, in `X-Gitea-Signature` and
//! `X-Forgejo-Signature` (<https://docs.gitea.com/usage/webhooks>, <https://forgejo.org/docs/latest/user/webhooks/>).
//! Forgejo sends both; Gitea sends its own and those of Gogs and GitHub.

use super::github::Envelope;
use super::{Delivery, WebhookRefused, delivery_id, envelope, event_name, header, lane, repo_name, signed};
use crate::domain::id::ForgeKind;
use http::HeaderMap;
use secrecy::SecretString;

/// The names of one family of headers.
struct Names {
    event: &'static str,
    delivery: &'static str,
    signature: &'static str,
}

const NAMES: [Names; 2] = [
    Names { event: "x-forgejo-event", delivery: "x-forgejo-delivery", signature: "x-forgejo-signature" },
    Names { event: "x-gitea-event", delivery: "x-gitea-delivery", signature: "x-gitea-signature" },
];

fn names(headers: &HeaderMap) -> Option<&'static Names> {
    NAMES.iter().find(|names| headers.contains_key(names.event))
}

pub(super) fn sent(headers: &HeaderMap) -> bool {
    names(headers).is_some()
}

pub(super) fn verify(
    secret: &SecretString,
    headers: &HeaderMap,
    body: &[u8],
    host: &str,
) -> Result<Delivery, WebhookRefused> {
    // Whatever family a request belongs to, one right signature is enough: all of them sign the same bytes.
    let fits = |names: &Names| signed(secret, header(headers, names.signature), body);
    if !NAMES.iter().any(fits) {
        return Err(WebhookRefused::BadSignature);
    }
    let (text, envelope): (_, Envelope) = envelope(body)?;
    let names = names(headers).ok_or(WebhookRefused::MissingHeader("X-Gitea-Event"))?;
    let id = delivery_id(headers, names.delivery).ok_or(WebhookRefused::MissingHeader("X-Gitea-Delivery"))?;
    let event_name = event_name(headers, names.event).ok_or(WebhookRefused::MissingHeader("X-Gitea-Event"))?;
    let repo = envelope.repo_path().and_then(|path| repo_name(host, path));
    Ok(Delivery {
        forge: ForgeKind::Gitea,
        id,
        event_name: event_name.to_owned(),
        body: text.to_owned(),
        lane: lane(repo.as_ref(), envelope.number()),
        repo,
    })
}
