//! One entry of `sandbox.egress`: which name, at which port, spoken how.

use super::name::{HostName, InvalidName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The port of an entry that names none.
const HTTPS: u16 = 443;
/// What listens here never speaks TLS, so an entry for it need not say so.
const SSH: u16 = 22;
const RAW: &str = "tcp://";

/// An entry of the list:
///
/// | entry | allows |
/// | --- | --- |
/// | `api.example.com` | that name at port 443 |
/// | `state.internal:8080` | that name at that port |
/// | `*.example.org` | every name below it, not itself |
/// | `tcp://db.internal:5432` | a port where something else than TLS or HTTP is spoken |
///
/// At an allowed port the cage may speak TLS, and plain HTTP by way of the proxy. Port 22 is always like `tcp://`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    /// With everything below it if `wildcard`, which then excludes itself.
    name: HostName,
    wildcard: bool,
    port: u16,
    raw: bool,
}

/// Why a text is no entry. The message is fit for a person to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {problem}")]
pub struct InvalidRule {
    text: String,
    problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("has no port from 1 to 65535 after its colon")]
    Port,
    #[error("needs a port, as in `tcp://db.internal:5432`")]
    RawWithoutPort,
    #[error(
        "is a URL: write the host's name, and its port if that is not 443 (`api.example.com`, `state.internal:8080`)"
    )]
    Url,
    #[error("has a `*` where none can be: only `*.` in front of a name, for all names below it")]
    Star,
    #[error("would allow a whole top-level domain: name at least two labels after the `*.`")]
    TooWide,
}

impl Rule {
    /// Whether this entry allows that host and port.
    #[must_use]
    pub fn covers(&self, host: &HostName, port: u16) -> bool {
        let named = if self.wildcard { host.is_below(&self.name) } else { *host == self.name };
        named && port == self.port
    }

    /// Whether anything may be spoken there. Otherwise a tunnel has to be TLS for the very name that it was asked for.
    #[must_use]
    pub const fn is_raw(&self) -> bool {
        self.raw
    }

    /// Whether it names one host. Only then may that host have a private address: who may add a name below a listed domain
    /// need not be who runs the private network.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        !self.wildcard
    }

    pub(super) const fn exact(name: HostName, port: u16) -> Self {
        Self { name, wildcard: false, port, raw: port == SSH }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.raw && self.port != SSH { RAW } else { "" };
        let star = if self.wildcard { "*." } else { "" };
        write!(f, "{scheme}{star}{}", self.name)?;
        if self.port == HTTPS && !self.raw { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        read(text).map_err(|problem| InvalidRule { text: text.chars().take(80).collect(), problem })
    }
}

fn read(text: &str) -> Result<Rule, Problem> {
    let (raw, entry) = match text.strip_prefix(RAW) {
        Some(entry) => (true, entry),
        None => (false, text),
    };
    if entry.contains(['/', '@', '?', '#']) {
        return Err(Problem::Url);
    }
    let (wildcard, entry) = match entry.strip_prefix("*.") {
        Some(entry) => (true, entry),
        None => (false, entry),
    };
    if entry.contains('*') {
        return Err(Problem::Star);
    }
    // More than one colon is an IPv6 address, and so is a bracket; the name's own check says so.
    let (name, port) = match entry.split_once(':') {
        Some((name, port)) if !port.contains([':', ']']) && !name.contains('[') => (name, Some(port)),
        _ => (entry, None),
    };
    let name: HostName = name.parse()?;
    let port = match port {
        Some(port) => port_number(port).ok_or(Problem::Port)?,
        None if raw => return Err(Problem::RawWithoutPort),
        None => HTTPS,
    };
    if wildcard && name.has_one_label() {
        return Err(Problem::TooWide);
    }
    Ok(Rule { name, wildcard, port, raw: raw || port == SSH })
}

/// Digits only: `str::parse` would take `+443`.
fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

impl TryFrom<String> for Rule {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap()
    }

    #[test]
    fn entries_are_written_as_people_would() {
        // entry, how it is shown, whether anything may be spoken
        let cases = [
            ("api.example.com", "api.example.com", false),
            ("api.example.com:443", "api.example.com", false),
            ("API.example.com:8443", "api.example.com:8443", false),
            ("state.internal:8080", "state.internal:8080", false),
            ("*.example.org:443", "*.example.org", false),
            ("git.example.com:22", "git.example.com:22", true),
            ("*.example.com:22", "*.example.com:22", true),
            ("tcp://git.example.com:22", "git.example.com:22", true),
            ("tcp://db.internal:5432", "tcp://db.internal:5432", true),
            ("tcp://db.internal:443", "tcp://db.internal:443", true),
            ("tcp://*.db.internal:5432", "tcp://*.db.internal:5432", true),
        ];
        for (entry, shown, raw) in cases {
            assert_eq!(rule(entry).to_string(), shown);
            assert_eq!(rule(entry).is_raw(), raw, "{entry}");
            assert_eq!(rule(shown), rule(entry));
        }
    }

    #[test]
    fn the_message_says_what_to_write_instead() {
        let cases = [
            ("10.0.0.7", "`10.0.0.7` is an address, and addresses are never reachable by number: give it a name"),
            ("10.0.0.7:8080", "is an address"),
            ("[::1]:443", "is an address"),
            ("fd00::1", "is an address"),
            ("127.1", "is an address"),
            ("https://api.example.com/", "is a URL: write the host's name"),
            ("api.example.com/v1", "is a URL"),
            ("user@api.example.com", "is a URL"),
            ("api.example.com:", "has no port from 1 to 65535"),
            ("api.example.com:0", "has no port"),
            ("api.example.com:65536", "has no port"),
            ("api.example.com:+443", "has no port"),
            ("api.example.com:https", "has no port"),
            ("tcp://db.internal", "needs a port"),
            ("*", "has a `*` where none can be"),
            ("*:443", "has a `*` where none can be"),
            ("api.*.example.com", "has a `*` where none can be"),
            ("*.com", "would allow a whole top-level domain"),
            ("", "is not a host name"),
            ("*.", "is not a host name"),
            ("a b.example.com", "is not a host name"),
        ];
        for (entry, message) in cases {
            let error = entry.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn an_entry_covers_its_name_and_its_port_and_nothing_else() {
        let cases = [
            ("api.example.com", "api.example.com", 443, true),
            ("api.example.com", "API.EXAMPLE.COM.", 443, true),
            ("api.example.com", "api.example.com", 80, false),
            ("api.example.com", "a.api.example.com", 443, false),
            ("*.example.org", "a.b.example.org", 443, true),
            ("*.example.org", "example.org", 443, false),
            ("*.example.org", "notexample.org", 443, false),
            ("*.example.org:8443", "a.example.org", 443, false),
        ];
        for (entry, host, port, covered) in cases {
            assert_eq!(rule(entry).covers(&host.parse().unwrap(), port), covered, "{entry} {host}:{port}");
        }
    }

    proptest! {
        #[test]
        fn what_was_read_is_shown_so_that_it_reads_the_same(text in "(tcp://)?(\\*\\.)?[a-zA-Z0-9.:_*/-]{0,40}|.{0,60}") {
            if let Ok(rule) = text.parse::<Rule>() {
                prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
            }
        }
    }
}
