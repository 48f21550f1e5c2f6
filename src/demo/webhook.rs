//! Webhooks as GitHub sends them: signed, in order, each tried once and never again by itself.
//! Source: "Webhook events and payloads", "Validating webhook deliveries".

use super::state::{Answer, Delivery, How};
use super::world::{World, now};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;

/// GitHub ends a delivery that is not answered within ten seconds.
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
    /// Notes a delivery and sends it in its turn.
    pub(super) fn emit(&self, event: &str, payload: &Value) {
        let delivery = Delivery {
            id: uuid::Uuid::now_v7().to_string(),
            event: event.into(),
            body: payload.to_string(),
            at: now(),
            answer: Answer::None,
        };
        let again = self.change(|state| {
            state.deliveries.push(delivery.clone());
            match state.trouble("POST", event, How::is_about_webhooks) {
                Some(How::LoseWebhook) => 0,
                Some(_) => 2,
                None => 1,
            }
        });
        if again == 0 {
            self.answered(&delivery.id, Answer::Lost);
        }
        for _ in 0..again {
            self.send(&delivery);
        }
    }

    /// Sends a delivery again, with its id, as the "Redeliver" button does.
    pub fn redeliver(&self, id: &str) {
        if let Some(delivery) = self.read(|state| state.deliveries.iter().find(|d| d.id == id).cloned()) {
            self.send(&delivery);
        }
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
    while let Some(Outgoing { hook, id, event, body }) = due.recv().await {
        let answer = match &client {
            Err(error) => Answer::Failed(error.to_string()),
            Ok(client) => post(client, &hook, &id, &event, body).await,
        };
        world.answered(&id, answer);
    }
}

async fn post(client: &reqwest::Client, hook: &Hook, id: &str, event: &str, body: String) -> Answer {
    let sent = client
        .post(hook.url.clone())
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/demo")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .header("x-github-hook-id", "1")
        .header("x-hub-signature-256", signature(&hook.secret, body.as_bytes()))
        .body(body)
        .send()
        .await;
    match sent {
        Ok(response) => Answer::Status(response.status().as_u16()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

/// `X-Hub-Signature-256`: HMAC-SHA256 of the raw body.
pub(super) fn signature(secret: &SecretString, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
