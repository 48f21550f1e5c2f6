//! The `gitlab` part, for gitlab.com and self-managed GitLab.

use super::{host_and_port, https};
use crate::config::decode::Fields;
use crate::config::error::Faults;
use crate::config::secret::Secrets;
use crate::config::yaml::Node;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// How to reach GitLab.
#[derive(Debug, Clone)]
pub struct GitlabConfig {
    /// Where its pages are. Default `https://gitlab.com`; may have a path. Plain http for loopback only.
    pub url: Url,
    /// What GitLab sends with each webhook as `X-Gitlab-Token`. One of the two is there, or both.
    pub webhook_secret: Option<SecretString>,
    /// What GitLab signs webhooks with: `whsec_` and a key in base64.
    pub signing_token: Option<SecretString>,
    /// An access token of the account that we act as.
    pub token: SecretString,
}

impl GitlabConfig {
    /// The host as it stands in repository names, with its port if that is not the usual one.
    #[must_use]
    pub fn host(&self) -> String {
        host_and_port(&self.url)
    }
}

pub(super) fn gitlab(mut gitlab: Fields<'_>, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<GitlabConfig> {
    let url = match gitlab.get("url") {
        Some(node) => https(node, "`https://gitlab.com`", faults),
        None => Some(Url::parse("https://gitlab.com").expect("this address is sound")),
    };
    let (secret, signing) = (gitlab.get("webhook_secret"), gitlab.get("signing_token"));
    if secret.is_none() && signing.is_none() {
        let advice = "it is the webhook's secret token: `env:NAME` or `file:PATH`; or set its `signing_token`";
        gitlab.missing("webhook_secret", advice);
    }
    let webhook_secret = secret.map(|node| secrets.secret(node, faults));
    let signing_token = signing.map(|node| signing_key(node, secrets, faults));
    let advice = "it is an access token of the account that the server acts as: `env:NAME` or `file:PATH`";
    let token = gitlab.required("token", advice, faults, |node, f| secrets.secret(node, f));
    gitlab.finish(faults);
    let webhook_secret = webhook_secret.map_or(Some(None), |found| found.map(Some))?;
    let signing_token = signing_token.map_or(Some(None), |found| found.map(Some))?;
    Some(GitlabConfig { url: url?, webhook_secret, signing_token, token: token? })
}

/// 32 bytes, so that a secret token which stands in the wrong place is found at the start and not by the first webhook.
fn signing_key(node: &Node, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<SecretString> {
    let token = secrets.secret(node, faults)?;
    let key = token.expose_secret().strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok());
    if key.is_some_and(|key| key.len() == 32) {
        return Some(token);
    }
    faults.add_help(
        &node.place,
        "this is not a signing token",
        "GitLab shows it when the webhook is made: `whsec_` and 32 bytes in base64",
    );
    None
}
