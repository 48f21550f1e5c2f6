//! The webhook of a project, made and mended (<https://docs.gitlab.com/api/project_webhooks/>). Only a Maintainer may.

use super::Gitlab;
use crate::domain::id::RepoName;
use crate::forge::rest::Request;
use crate::forge::webhook::Proof;
use crate::forge::{Finding, ForgeError, ForgeErrorKind, Installed};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use url::Url;

/// The path at which the server hears GitLab.
const PATH: &str = "/webhooks/gitlab";

#[derive(Deserialize)]
struct Hook {
    id: u64,
    url: String,
    #[serde(default)]
    merge_requests_events: bool,
    #[serde(default)]
    note_events: bool,
    /// `executable`, `temporarily_disabled` or `disabled`: after failures GitLab sends nothing for a while, or any more.
    alert_status: Option<String>,
}

impl Gitlab {
    pub(in crate::forge) async fn install_webhook(
        &self,
        repo: &RepoName,
        url: &Url,
        proof: &Proof,
    ) -> Result<Installed, ForgeError> {
        let Proof::Gitlab { token, signing } = proof else {
            return Err(ForgeError::invalid("GitLab's webhooks are proven by GitLab's secrets"));
        };
        let ours = self.find_hook(repo, |hook| hook.url == url.as_str()).await.map_err(|mut error| {
            if matches!(error.kind, ForgeErrorKind::Forbidden | ForgeErrorKind::NotFound) {
                error.message.push_str(
                    " (the token's owner must administer the repository, as a Maintainer, and the token have the scope \
                     `api`)",
                );
            }
            error
        })?;
        // The secrets can't be read, so what is there is always set anew.
        let body = wanted(url, token.as_ref(), signing.as_ref());
        if let Some(hook) = ours {
            let doing = format!("mending the webhook of {}", repo.path());
            let address = self.project_url(repo, &["hooks", &hook.id.to_string()])?;
            self.0.client.send(&Request::put(&doing, address, body)).await?;
            return Ok(Installed::Repaired);
        }
        let doing = format!("making a webhook in {}", repo.path());
        let request = Request::post(&doing, self.project_url(repo, &["hooks"])?, body);
        self.0.client.json::<Hook>(&request).await?;
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
        self.0.client.pages(&doing, self.project_url(repo, &["hooks"])?, look).await?;
        Ok(found)
    }

    /// What `doctor` says of the webhook.
    pub(super) async fn examine_hook(&self, repo: &RepoName) -> Finding {
        let what = format!("a webhook of {} tells us about merge requests and comments", repo.path());
        let finding = |ok: bool, advice: &str| Finding { what: what.clone(), ok, advice: advice.to_owned() };
        match self.find_hook(repo, |hook| hook.url.ends_with(PATH) || hook.url.ends_with("/events")).await {
            Ok(Some(hook)) if !(hook.merge_requests_events && hook.note_events) => finding(
                false,
                "it does not: `terraplane webhook install` mends it, or switch on \"Merge request events\" and \
                 \"Comments\" in the project's settings under \"Webhooks\"",
            ),
            Ok(Some(hook)) if hook.alert_status.as_deref().is_some_and(|status| status != "executable") => finding(
                false,
                "GitLab has disabled it after failures: send a test event from the project's settings under \
                 \"Webhooks\", which switches it on again once we answer",
            ),
            Ok(Some(_)) => finding(true, ""),
            // A webhook of the group does as well, and is not seen here.
            Ok(None) => Finding {
                what: format!("{} has no webhook of its own that leads to us", repo.path()),
                ok: true,
                advice: "unless a webhook of its group does, `terraplane webhook install` makes it; or add one in the \
                         project's settings under \"Webhooks\": this server's address and `/webhooks/gitlab`, the \
                         configured secret, \"Merge request events\" and \"Comments\""
                    .to_owned(),
            },
            // Only Maintainers see the webhooks, and nothing else of ours needs one.
            Err(error) if matches!(error.kind, ForgeErrorKind::Forbidden | ForgeErrorKind::NotFound) => Finding {
                what: format!("the webhooks of {} are not the token's to see", repo.path()),
                ok: true,
                advice: "only a Maintainer sees them: look yourself whether there is one".to_owned(),
            },
            Err(error) => finding(false, &error.message),
        }
    }
}

fn wanted(url: &Url, token: Option<&SecretString>, signing: Option<&SecretString>) -> Value {
    let mut hook = json!({
        "url": url,
        "merge_requests_events": true,
        "note_events": true,
        // On unless somebody says otherwise, and of no use to us.
        "push_events": false,
        "enable_ssl_verification": true,
    });
    if let Some(token) = token {
        hook["token"] = json!(token.expose_secret());
    }
    if let Some(signing) = signing {
        hook["signing_token"] = json!(signing.expose_secret());
    }
    hook
}
