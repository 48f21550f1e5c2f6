//! How `init` gets at private modules: a token for git on some hosts.
//!
//! It travels as `http.<host>.extraHeader` in `GIT_CONFIG_*` variables of `init` alone. So it is in no address, no
//! argument and no `.git/config` of what is cloned, and when code of a pull request begins to run, at plan, the process
//! that had it is gone. What the token can read an author can ask for, though: it should read modules, and nothing else.

use crate::sandbox::redact::base64;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

#[cfg(test)]
mod tests;

/// The user's name beside the token; forges look at the token only.
const USER: &str = "x-access-token";

/// Settings of every git of an `init`. It asks nobody for a password, and speaks with servers only: `file` would read the
/// server's own copies of other repositories, and `ext` run a command.
const ALWAYS: [(&str, &str); 2] = [("GIT_TERMINAL_PROMPT", "0"), ("GIT_ALLOW_PROTOCOL", "https:http:ssh")];

/// A token, and who is shown it.
#[derive(Debug, Clone)]
pub struct PrivateModules {
    /// `HOST` or `HOST:PORT`. Reached by https; a loopback address by http too.
    pub hosts: Vec<String>,
    pub token: SecretString,
}

impl PrivateModules {
    /// What must not be seen in a log.
    #[must_use]
    pub fn secrets(&self) -> [SecretString; 2] {
        [self.token.clone(), self.basic().into()]
    }

    fn basic(&self) -> String {
        base64(format!("{USER}:{}", self.token.expose_secret()).as_bytes())
    }
}

/// The variables of an `init`'s git, with or without a token.
pub(super) fn environment(modules: Option<&PrivateModules>) -> Vec<(String, SecretString)> {
    let mut settings: Vec<(String, SecretString)> = Vec::new();
    if let Some(modules) = modules {
        let header = format!("Authorization: Basic {}", modules.basic());
        for scope in modules.hosts.iter().flat_map(|host| scopes(host)) {
            settings.push((format!("http.{scope}.extraHeader"), header.clone().into()));
            // Git would show the header to whomever the host redirects to.
            settings.push((format!("http.{scope}.followRedirects"), "false".into()));
        }
    }
    let named = |name: &str, value: &str| (name.to_owned(), SecretString::from(value));
    let mut variables: Vec<_> = ALWAYS.iter().map(|(name, value)| named(name, value)).collect();
    if !settings.is_empty() {
        variables.push(named("GIT_CONFIG_COUNT", &settings.len().to_string()));
    }
    for (number, (key, value)) in settings.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{number}"), key.into()));
        variables.push((format!("GIT_CONFIG_VALUE_{number}"), value));
    }
    variables
}

/// The addresses that a host's name stands for.
fn scopes(host: &str) -> Vec<String> {
    let https = format!("https://{host}/");
    let loopback = match Url::parse(&https).ok().as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if loopback { vec![format!("http://{host}/"), https] } else { vec![https] }
}
