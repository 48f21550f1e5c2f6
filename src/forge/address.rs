//! What is the same for every forge that is reached by an address and a token: both must be sound before anything is sent.

use super::SetupError;
use crate::domain::id::ForgeKind;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

/// # Errors
/// When the token would travel readable, or the address is none to which a path can be added.
pub(super) fn check(url: &Url, credentials_belong: &str) -> Result<(), SetupError> {
    let wrong = |why: String| SetupError::Address { url: without_credentials(url), why };
    if url.host().is_none() {
        return Err(wrong("it has no host".into()));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(url) => {}
        "http" => return Err(wrong("plain http is for loopback only: the token would travel readable".into())),
        _ => return Err(wrong("it must begin with https://".into())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(format!("it holds credentials; they belong in {credentials_belong}")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it must end with its path".into()));
    }
    Ok(())
}

/// Whether it is on this very host.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The host as it stands in the names of repositories: with its port if that is not the usual one.
pub(super) fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

/// A token goes into a header: what can't be in one is a mistake in the configuration, often a line break.
pub(super) fn check_token(forge: ForgeKind, token: &SecretString) -> Result<(), SetupError> {
    let token = token.expose_secret();
    let wrong = |why| Err(SetupError::Token { forge: forge.name(), why });
    if token.is_empty() {
        wrong("empty")
    } else if token.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii()) {
        wrong("not one word: it holds white space, a line break or a character that no token has")
    } else {
        Ok(())
    }
}

fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that can't hold any.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}
