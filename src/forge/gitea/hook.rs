//! The webhook of a repository: made, mended, and what the doctor finds of it.

use super::Gitea;
use super::doctor::{bad, good};
use super::payload::Created;
use crate::domain::id::RepoName;
use crate::forge::rest::Request;
use crate::forge::webhook::Proof;
use crate::forge::{Finding, ForgeError, ForgeErrorKind, Installed};
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
    #[serde(default)]
    active: bool,
}

#[derive(Debug, Deserialize)]
struct Config {
    url: Option<String>,
    content_type: Option<String>,
}

impl Hook {
    fn leads_to(&self, url: &str) -> bool {
        self.config.url.as_deref() == Some(url)
    }

    fn ends_with(&self, path: &str) -> bool {
        self.config.url.as_deref().is_some_and(|url| url.ends_with(path))
    }
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
        let ours = self.find_hook(repo, |hook| hook.leads_to(url.as_str())).await?.map(|hook| hook.id);
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

    async fn find_hook(&self, repo: &RepoName, ours: impl Fn(&Hook) -> bool) -> Result<Option<Hook>, ForgeError> {
        let doing = format!("reading the webhooks of {}", repo.path());
        let mut found = None;
        let look = |hook: Hook| {
            if ours(&hook) {
                found = Some(hook);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(&doing, self.url(repo, &["hooks"])?, look).await?;
        Ok(found)
    }

    /// Whether some webhook may be ours: our own address is not known here.
    pub(super) async fn examine_hook(&self, repo: &RepoName) -> Finding {
        let what = format!("a webhook of {} tells us about pull requests and comments", repo.path());
        let by_hand = "in the repository's settings under \"Webhooks\", of the type Gitea or Forgejo, with this server's address and \
                       `/webhooks/gitea`, the content type `application/json`, the configured secret, and the events \
                       *Pull request*, *Pull request synchronized*, *Pull request comment* and *Pull request reviewed*";
        let found = self.find_hook(repo, |hook| hook.ends_with("/webhooks/gitea") || hook.ends_with("/events")).await;
        match found {
            Ok(Some(hook)) if !hook.active => {
                bad(what, "it is there and not active: `terraplane webhook install` mends it")
            }
            Ok(Some(hook)) if hook.config.content_type.as_deref() != Some("json") => {
                bad(what, "it is there and does not send JSON: `terraplane webhook install` mends it")
            }
            Ok(Some(_)) => good(what),
            Ok(None) => bad(
                what,
                format!(
                    "there is none: `terraplane webhook install` makes it, or add one {by_hand}; one of the organisation does as well, and is not seen here"
                ),
            ),
            // Only administrators see the webhooks, and nothing else of ours needs one.
            Err(error) if matches!(error.kind, ForgeErrorKind::Forbidden | ForgeErrorKind::NotFound) => {
                let advice = format!("only an administrator sees them: look yourself whether there is one {by_hand}");
                Finding { what, ok: true, advice }
            }
            Err(error) => bad(what, error.message),
        }
    }
}
