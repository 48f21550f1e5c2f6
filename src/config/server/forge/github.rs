//! The `github` part: where it is, what webhooks are signed with, and as whom we act.

use super::{host_and_port, https};
use crate::config::decode::{Fields, checked};
use crate::config::error::Faults;
use crate::config::secret::Secrets;
use crate::config::yaml::Node;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// How to reach GitHub.
#[derive(Debug, Clone)]
pub struct GithubConfig {
    /// `https://api.github.com`, or `https://HOST/api/v3` for GitHub Enterprise Server. Plain http for loopback only.
    pub api_url: Url,
    /// What GitHub signs webhooks with.
    pub webhook_secret: SecretString,
    pub auth: GithubAuth,
}

/// As whom we act.
#[derive(Debug, Clone)]
pub enum GithubAuth {
    App {
        app_id: u64,
        /// PEM.
        private_key: SecretString,
    },
    /// A personal access token, for a trial.
    Token(SecretString),
}

impl GithubConfig {
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let ours = match &self.auth {
            GithubAuth::App { private_key, .. } => private_key.clone(),
            GithubAuth::Token(token) => token.clone(),
        };
        vec![self.webhook_secret.clone(), ours]
    }

    /// The host as it stands in repository names: that of the web pages, with its port if that is not the usual one.
    /// `api.github.com` serves `github.com`, `api.NAME.ghe.com` serves `NAME.ghe.com`, other hosts serve themselves.
    #[must_use]
    pub fn host(&self) -> String {
        let host = host_and_port(&self.api_url);
        let served = host.strip_prefix("api.").filter(|rest| *rest == "github.com" || rest.ends_with(".ghe.com"));
        served.unwrap_or(&host).to_owned()
    }
}

pub(super) fn github(mut github: Fields<'_>, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<GithubConfig> {
    let api_url = match github.get("api_url") {
        Some(node) => api_url(node, faults),
        None => Some(Url::parse("https://api.github.com").expect("this address is sound")),
    };
    let advice = "it is the secret that GitHub signs webhooks with: `env:NAME` or `file:PATH`";
    let webhook_secret = github.required("webhook_secret", advice, faults, |node, f| secrets.secret(node, f));
    let auth = auth(&mut github, secrets, faults);
    github.finish(faults);
    Some(GithubConfig { api_url: api_url?, webhook_secret: webhook_secret?, auth: auth? })
}

fn auth(github: &mut Fields<'_>, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<GithubAuth> {
    let (app_id, private_key, token) = (github.get("app_id"), github.get("private_key"), github.get("token"));
    match (app_id, private_key, token) {
        (None, None, Some(token)) => secrets.secret(token, faults).map(GithubAuth::Token),
        (None, None, None) => {
            let advice = "set `app_id` and `private_key` of a GitHub App, or `token` for a trial";
            github.missing("app_id", advice);
            None
        }
        (_, _, Some(token)) => {
            faults.add_help(
                &token.place,
                "`token` stands beside `app_id` or `private_key`",
                "keep the App, or keep the token: it has to be clear as whom the server acts",
            );
            None
        }
        (app_id, private_key, None) => {
            if app_id.is_none() {
                github.missing("app_id", "it is the number that the App's page shows");
            }
            if private_key.is_none() {
                github.missing("private_key", "it is the App's key, a PEM file: `file:PATH` or `env:NAME`");
            }
            let app_id = app_id.and_then(|node| {
                checked(node, "an App id (a number)", faults, |text| text.parse().ok().filter(|id| *id > 0))
            });
            let private_key = private_key.and_then(|node| pem(node, secrets, faults));
            Some(GithubAuth::App { app_id: app_id?, private_key: private_key? })
        }
    }
}

fn pem(node: &Node, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<SecretString> {
    let key = secrets.secret(node, faults)?;
    let text = key.expose_secret();
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some(key);
    }
    faults.add_help(
        &node.place,
        "this is not a private key in PEM form",
        "GitHub gives it as a `.pem` file, which begins with `-----BEGIN RSA PRIVATE KEY-----`",
    );
    None
}

fn api_url(node: &Node, faults: &mut Faults) -> Option<Url> {
    https(node, "`https://api.github.com` or `https://HOST/api/v3`", faults)
}
