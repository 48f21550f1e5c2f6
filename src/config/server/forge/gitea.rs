//! The `gitea` part, for Gitea and Forgejo.

use super::{host_and_port, https};
use crate::config::decode::Fields;
use crate::config::error::Faults;
use crate::config::secret::Secrets;
use secrecy::SecretString;
use url::Url;

/// How to reach a Gitea or a Forgejo.
#[derive(Debug, Clone)]
pub struct GiteaConfig {
    /// Where its pages are, for example `https://codeberg.org`; may have a path. Plain http for loopback only.
    pub url: Url,
    /// What it signs webhooks with.
    pub webhook_secret: SecretString,
    /// An access token of the account that we act as.
    pub token: SecretString,
}

impl GiteaConfig {
    /// The host as it stands in repository names, with its port if that is not the usual one.
    #[must_use]
    pub fn host(&self) -> String {
        host_and_port(&self.url)
    }
}

pub(super) fn gitea(mut gitea: Fields<'_>, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<GiteaConfig> {
    let url = gitea.required("url", "it is the address of its pages: `https://git.example.com`", faults, |node, f| {
        https(node, "`https://git.example.com`", f)
    });
    let advice = "it is the secret that the forge signs webhooks with: `env:NAME` or `file:PATH`";
    let webhook_secret = gitea.required("webhook_secret", advice, faults, |node, f| secrets.secret(node, f));
    let advice = "it is an access token of the account that the server acts as: `env:NAME` or `file:PATH`";
    let token = gitea.required("token", advice, faults, |node, f| secrets.secret(node, f));
    gitea.finish(faults);
    Some(GiteaConfig { url: url?, webhook_secret: webhook_secret?, token: token? })
}
