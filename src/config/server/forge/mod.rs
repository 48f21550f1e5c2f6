//! The `github`, `gitlab` and `gitea` parts: where each forge is, what its webhooks are proven with, and as whom we act.
//! Any of them may be there, and all of them together; one has to be.

mod gitea;
mod github;
mod gitlab;

pub use gitea::GiteaConfig;
pub use github::{GithubAuth, GithubConfig};
pub use gitlab::GitlabConfig;

use crate::config::decode::{Fields, address};
use crate::config::error::Faults;
use crate::config::secret::Secrets;
use crate::config::yaml::Node;
use secrecy::SecretString;
use std::net::IpAddr;
use url::{Host, Url};

/// The forges that the server speaks with: one of a kind at the most.
#[derive(Debug, Clone, Default)]
pub struct Forges {
    pub github: Option<GithubConfig>,
    pub gitlab: Option<GitlabConfig>,
    pub gitea: Option<GiteaConfig>,
}

impl Forges {
    /// The hosts as they stand in the names of repositories, in the order of the documentation.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let github = self.github.as_ref().map(GithubConfig::host);
        let gitlab = self.gitlab.as_ref().map(GitlabConfig::host);
        let gitea = self.gitea.as_ref().map(GiteaConfig::host);
        [github, gitlab, gitea].into_iter().flatten().collect()
    }

    /// What webhooks are proven with, and as whom we act.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let mut secrets: Vec<SecretString> = self.github.iter().flat_map(GithubConfig::secrets).collect();
        if let Some(GitlabConfig { webhook_secret, signing_token, token, .. }) = &self.gitlab {
            secrets.extend(webhook_secret.iter().chain(signing_token).chain([token]).cloned());
        }
        if let Some(GiteaConfig { webhook_secret, token, .. }) = &self.gitea {
            secrets.extend([webhook_secret, token].into_iter().cloned());
        }
        secrets
    }
}

/// `None` if something in it is wrong: what it is was reported.
pub(super) fn forges(fields: &mut Fields<'_>, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<Forges> {
    let before = faults.count();
    let written = ["github", "gitlab", "gitea"].map(|key| fields.get(key));
    let mut below = |key, faults: &mut Faults| fields.below(key, faults);
    let forges = Forges {
        github: below("github", faults).and_then(|fields| github::github(fields, secrets, faults)),
        gitlab: below("gitlab", faults).and_then(|fields| gitlab::gitlab(fields, secrets, faults)),
        gitea: below("gitea", faults).and_then(|fields| gitea::gitea(fields, secrets, faults)),
    };
    if written.iter().all(Option::is_none) {
        fields.missing(
            "github",
            "set TERRAPLANE_GITHUB__WEBHOOK_SECRET, and TERRAPLANE_GITHUB__TOKEN or ..__APP_ID and ..__PRIVATE_KEY; or \
             the same below `github:` in the file. Other forges are `gitlab` and `gitea` (Forgejo too), with `url`, \
             `webhook_secret` and `token`",
        );
        return None;
    }
    let hosts = forges.hosts();
    for (at, host) in hosts.iter().enumerate() {
        if hosts[..at].contains(host)
            && let Some(node) = written.iter().rev().flatten().next()
        {
            faults.add(&node.place, format!("two forges are on `{host}`: the host tells their repositories apart"));
        }
    }
    (faults.count() == before).then_some(forges)
}

/// An https address, or plain http on loopback: a token travels there.
fn https(node: &Node, example: &str, faults: &mut Faults) -> Option<Url> {
    let wanted = format!("an https address such as {example} (plain http: loopback only)");
    let accept = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    address(node, &wanted, faults, accept)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// The host with its port if that is not the usual one.
fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        None => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    }
}
