//! Webhooks on their way: signed, in order, each tried once and never again by itself. What they say, and by which
//! headers, is the face's.

use super::news::News;
use super::state::{Answer, Delivery, How};
use super::world::{World, now};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;

/// Forges end a delivery that is not answered within some ten seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where webhooks go.
#[derive(Debug, Clone)]
pub struct Hook {
    pub url: Url,
    pub secret: SecretString,
}

/// What the sender needs of a delivery.
pub(super) struct Outgoing {
    pub(super) hook: Hook,
    pub(super) id: String,
    pub(super) event: String,
    pub(super) body: String,
}

impl World {
    /// Sends the webhooks that follow from what happened.
    pub(super) fn tell(&self, news: News<'_>) {
        self.emit(self.webhooks(news));
    }

    /// The webhooks that follow from what happened, as the world is now.
    pub(super) fn webhooks(&self, news: News<'_>) -> Vec<Delivery> {
        let made = self.face().webhooks(self, news);
        let delivery = |(event, payload): (&str, Value)| Delivery {
            id: uuid::Uuid::now_v7().to_string(),
            kind: news.kind(),
            event: event.into(),
            body: payload.to_string(),
            at: now(),
            answer: Answer::None,
        };
        made.into_iter().map(delivery).collect()
    }

    /// Notes deliveries and sends each in its turn.
    pub(super) fn emit(&self, deliveries: Vec<Delivery>) {
        deliveries.into_iter().for_each(|delivery| self.emit_one(&delivery));
    }

    fn emit_one(&self, delivery: &Delivery) {
        let again = self.change(|state| {
            state.deliveries.push(delivery.clone());
            match state.trouble("POST", delivery.kind, How::is_about_webhooks) {
                Some(How::LoseWebhook) => 0,
                Some(_) => 2,
                None => 1,
            }
        });
        if again == 0 {
            self.answered(&delivery.id, Answer::Lost);
        }
        for _ in 0..again {
            self.send(delivery);
        }
    }

    /// Sends a delivery again, with its id, as the "Redeliver" button does.
    pub fn redeliver(&self, id: &str) {
        if let Some(delivery) = self.read(|state| state.deliveries.iter().find(|d| d.id == id).cloned()) {
            self.send(&delivery);
        }
    }

    /// The headers by which this forge would send a webhook, proven with this secret: for a test's own webhooks.
    #[must_use]
    pub fn webhook_headers(&self, secret: &SecretString, event: &str, id: &str, body: &str) -> HeaderMap {
        let hook = Hook { url: self.url().clone(), secret: secret.clone() };
        self.face().headers(&Outgoing { hook, id: id.into(), event: event.into(), body: body.into() })
    }

    fn send(&self, delivery: &Delivery) {
        // Whoever listens from later on does not hear of what happened before.
        let Some(hook) = self.hook() else { return self.answered(&delivery.id, Answer::Lost) };
        let Delivery { id, event, body, .. } = delivery.clone();
        self.outgoing(Outgoing { hook, id, event, body });
    }

    fn answered(&self, id: &str, answer: Answer) {
        self.change(|state| {
            if let Some(delivery) = state.deliveries.iter_mut().find(|d| d.id == id) {
                delivery.answer = answer;
            }
        });
    }
}

/// Sends what comes, one after the other, until the world ends.
pub(super) async fn deliver(world: World, mut due: mpsc::UnboundedReceiver<Outgoing>) {
    // The server is on this machine: a proxy of the environment must not see its secrets.
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
    while let Some(delivery) = due.recv().await {
        let id = delivery.id.clone();
        let answer = match &client {
            Err(error) => Answer::Failed(error.to_string()),
            Ok(client) => post(client, world.face().headers(&delivery), delivery).await,
        };
        world.answered(&id, answer);
    }
}

async fn post(client: &reqwest::Client, headers: HeaderMap, delivery: Outgoing) -> Answer {
    let request = client.post(delivery.hook.url).headers(headers).header("content-type", "application/json");
    match request.body(delivery.body).send().await {
        Ok(response) => Answer::Status(response.status().as_u16()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

/// Headers of names and values that are sound.
pub(super) fn header_map(headers: &[(&'static str, &str)]) -> HeaderMap {
    let named = |(name, value): &(&'static str, &str)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?))
    };
    headers.iter().filter_map(named).collect()
}

/// The HMAC-SHA256 of a body, in hexadecimal digits.
pub(super) fn signature(secret: &SecretString, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}
