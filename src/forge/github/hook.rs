//! The webhook of a repository, made and mended. With an App there is one for all of its repositories: that one is mended.
//!
//! <https://docs.github.com/en/rest/repos/webhooks>, <https://docs.github.com/en/rest/apps/webhooks>

use super::auth::{Acting, Auth};
use super::client::Request;
use super::doctor::{bad, good};
use super::{Github, event};
use crate::domain::id::RepoName;
use crate::forge::webhook::Proof;
use crate::forge::{Finding, ForgeError, ForgeErrorKind, Installed};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use url::Url;

#[derive(Deserialize)]
struct Hook {
    id: u64,
    active: Option<bool>,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    url: Option<String>,
    content_type: Option<String>,
}

impl Github {
    pub(in crate::forge) async fn install_webhook(
        &self,
        repo: &RepoName,
        url: &Url,
        proof: &Proof,
    ) -> Result<Installed, ForgeError> {
        let Proof::Github(secret) = proof else {
            return Err(ForgeError::invalid("GitHub's webhooks are proven by GitHub's secret"));
        };
        match self.0.client.auth {
            Auth::App { .. } => self.mend_app_hook(url, secret).await,
            Auth::Token(_) => self.install_repo_hook(repo, url, secret).await.map_err(|mut error| {
                if matches!(error.kind, ForgeErrorKind::Forbidden | ForgeErrorKind::NotFound) {
                    error.message.push_str(
                        " (the token's owner must administer the repository, and the token have the scope \
                         `admin:repo_hook`, or as a fine-grained one the permission *Webhooks*)",
                    );
                }
                error
            }),
        }
    }

    async fn mend_app_hook(&self, url: &Url, secret: &SecretString) -> Result<Installed, ForgeError> {
        let path = self.0.client.path(&["app", "hook", "config"]);
        let request = Request::patch("setting the App's webhook", path, config(url, secret));
        self.0.client.send(Acting::Ourselves, &request).await?;
        Ok(Installed::Repaired)
    }

    async fn install_repo_hook(
        &self,
        repo: &RepoName,
        url: &Url,
        secret: &SecretString,
    ) -> Result<Installed, ForgeError> {
        let path = self.path(repo, &["hooks"])?;
        let ours = self.find_hook(repo, |hook| hook.config.url.as_deref() == Some(url.as_str())).await?;
        // The secret can't be read, so what is there is always set anew.
        let mut hook = json!({ "active": true, "events": event::WANTED, "config": config(url, secret) });
        if let Some(Hook { id, .. }) = ours {
            let doing = format!("mending the webhook of {}", repo.path());
            let request = Request::patch(&doing, self.path(repo, &["hooks", &id.to_string()])?, hook);
            self.0.client.send(Acting::In(repo), &request).await?;
            return Ok(Installed::Repaired);
        }
        hook["name"] = json!("web");
        let doing = format!("making a webhook in {}", repo.path());
        let request = Request::post(&doing, path, hook);
        self.0.client.create::<Hook>(Acting::In(repo), &request).await?;
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
        self.0.client.pages(Acting::In(repo), &doing, &self.path(repo, &["hooks"])?, look).await?;
        Ok(found)
    }

    /// Whether some webhook may be ours: our own address is not known here.
    pub(super) async fn examine_repo_hook(&self, repo: &RepoName) -> Finding {
        let what = format!("a webhook of {} tells us about pull requests and comments", repo.path());
        let by_hand = "in the repository's settings under \"Webhooks\", with this server's address and `/webhooks/github`, the content \
                       type `application/json`, the configured secret, and the events *Pull requests*, *Issue comments*, \
                       *Pull request reviews* and, with a merge queue, *Merge groups*";
        let leads_here = |hook: &Hook| {
            let url = hook.config.url.as_deref().unwrap_or_default();
            url.ends_with("/webhooks/github") || url.ends_with("/events")
        };
        match self.find_hook(repo, leads_here).await {
            Ok(Some(hook)) if hook.active == Some(false) => {
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
            // It takes a right of its own to see them, and nothing else of ours needs it.
            Err(error) if matches!(error.kind, ForgeErrorKind::Forbidden | ForgeErrorKind::NotFound) => {
                let advice = format!("this token may not see them: look yourself whether there is one {by_hand}");
                Finding { what, ok: true, advice }
            }
            Err(error) => bad(what, error.message),
        }
    }
}

fn config(url: &Url, secret: &SecretString) -> Value {
    json!({ "url": url, "content_type": "json", "insecure_ssl": "0", "secret": secret.expose_secret() })
}
