//! The webhook of a repository, made and mended, and what the doctor finds of it.

use super::Gitea;
use super::client::Request;
use super::payload::Created;
use crate::domain::id::RepoName;
use crate::forge::webhook::Proof;
use crate::forge::{ForgeError, ForgeErrorKind, Installed};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;
use url::Url;

/// The names by which the API knows the events that we need: more are called by them than their names say.
const EVENTS: [&str; 4] = ["pull_request_only", "pull_request_sync", "pull_request_comment", "pull_request_review"];

#[derive(Debug, Deserialize)]
struct Hook {
    id: u64,
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Config {
    url: Option<String>,
}

impl Gitea {
    pub(in crate::forge) async fn install_webhook(
        &self,
        repo: &RepoName,
        url: &Url,
        proof: &Proof,
    ) -> Result<Installed, ForgeError> {
        let Proof::Gitea(secret) = proof else {
            return Err(ForgeError::invalid("webhooks of Gitea are proven by Gitea's secret"));
        };
        self.install(repo, url, secret).await.map_err(|mut error| {
            if matches!(error.kind, ForgeErrorKind::Forbidden | ForgeErrorKind::NotFound) {
                error.message.push_str(
                    " (the token's owner must administer the repository, and the token have the scope `write:repository`)",
                );
            }
            error
        })
    }

    async fn install(&self, repo: &RepoName, url: &Url, secret: &SecretString) -> Result<Installed, ForgeError> {
        let list = self.url(repo, &["hooks"])?;
        let mut ours = None;
        let doing = format!("reading the webhooks of {}", repo.path());
        let look = |hook: Hook| {
            if hook.config.url.as_deref() == Some(url.as_str()) {
                ours = Some(hook.id);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(&doing, &list, look).await?;
        // The secret can't be read, so what is there is always set anew.
        let config = json!({ "url": url, "content_type": "json", "secret": secret.expose_secret() });
        let mut hook = json!({ "active": true, "events": EVENTS, "config": config });
        if let Some(id) = ours {
            let doing = format!("mending the webhook of {}", repo.path());
            let request = Request::patch(&doing, self.url(repo, &["hooks", &id.to_string()])?, hook);
            self.0.client.send(&request).await?;
            return Ok(Installed::Repaired);
        }
        hook["type"] = json!("gitea");
        let doing = format!("making a webhook in {}", repo.path());
        self.0.client.create::<Created>(&Request::post(&doing, list, hook)).await?;
        Ok(Installed::Created)
    }
}
