//! What a cage was not allowed to reach, and what to do if it should be.

use super::rule::Rule;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that was refused, however often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// As it was asked for: a name, or an address where a name was wanted.
    pub host: String,
    pub port: u16,
    pub reason: Reason,
    /// How many times.
    pub count: u64,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No entry of `sandbox.egress` covers it.
    NotListed,
    /// An address instead of a name.
    Number,
    /// The name has only addresses of this kind ("a private address"), which takes an entry with that very name.
    Private { kind: String },
    /// The name has only addresses of this kind, which are reachable for nobody.
    Never { kind: String },
    /// Something other than TLS was spoken in a tunnel.
    NotTls,
    /// TLS without a server name.
    NoServerName,
    /// TLS for another name than was asked for.
    OtherServerName { name: String },
    /// The server's own service was asked for something that is not for cages.
    OtherPath,
    /// A tunnel to a service that is reached by plain HTTP only.
    NoTunnel,
}

impl Refusal {
    /// The entry of `sandbox.egress` that allows it, if one does.
    #[must_use]
    pub fn entry(&self) -> Option<Rule> {
        let listable = matches!(self.reason, Reason::NotListed | Reason::Private { .. });
        listable.then(|| self.host.parse().ok().map(|name| Rule::exact(name, self.port))).flatten()
    }

    /// What to do so that it is allowed. `None` if nothing would help.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let (host, port) = (&self.host, self.port);
        match &self.reason {
            Reason::NotListed => self.entry().map(|entry| format!("allow it under `sandbox.egress`: `{entry}`")),
            Reason::Private { .. } => {
                self.entry().map(|entry| format!("allow it by its own name under `sandbox.egress`: `{entry}`"))
            }
            Reason::Number => Some("use a name, and allow it under `sandbox.egress`".to_owned()),
            Reason::NotTls | Reason::NoServerName => {
                Some(format!("if this is not TLS, allow it under `sandbox.egress`: `tcp://{host}:{port}`"))
            }
            Reason::NoTunnel => Some(format!("use `http://{host}:{port}`")),
            Reason::Never { .. } | Reason::OtherServerName { .. } | Reason::OtherPath => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotListed => f.write_str("it is not listed"),
            Self::Number => f.write_str("an address is never reachable by number"),
            Self::Private { kind } => write!(f, "the name has {kind}"),
            Self::Never { kind } => write!(f, "the name has {kind}, which no cage reaches"),
            Self::NotTls => f.write_str("what was sent is not TLS"),
            Self::NoServerName => f.write_str("the TLS connection names no server"),
            Self::OtherServerName { name } => write!(f, "the TLS connection is for `{name}`"),
            Self::OtherPath => f.write_str("this path is not for cages"),
            Self::NoTunnel => f.write_str("it is reached by plain HTTP, not through a tunnel"),
        }
    }
}

/// One line: `blocked: api.example.com:443; allow it under …`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, reason, .. } = self;
        write!(f, "blocked: {host}:{port}")?;
        if *reason != Reason::NotListed {
            write!(f, " ({reason})")?;
        }
        self.help().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_blocked_why_and_what_to_do() {
        let kind = || "a private address".to_owned();
        let cases = [
            (
                "api.example.com",
                443,
                Reason::NotListed,
                "blocked: api.example.com:443; allow it under `sandbox.egress`: `api.example.com`",
            ),
            (
                "git.example.com",
                22,
                Reason::NotListed,
                "blocked: git.example.com:22; allow it under `sandbox.egress`: `git.example.com:22`",
            ),
            (
                "db.internal",
                8443,
                Reason::Private { kind: kind() },
                "blocked: db.internal:8443 (the name has a private address); allow it by its own name under `sandbox.egress`: `db.internal:8443`",
            ),
            (
                "db.internal",
                443,
                Reason::Never { kind: kind() },
                "blocked: db.internal:443 (the name has a private address, which no cage reaches)",
            ),
            (
                "127.0.0.1",
                4141,
                Reason::Number,
                "blocked: 127.0.0.1:4141 (an address is never reachable by number); use a name, and allow it under `sandbox.egress`",
            ),
            (
                "db.internal",
                5432,
                Reason::NotTls,
                "blocked: db.internal:5432 (what was sent is not TLS); if this is not TLS, allow it under `sandbox.egress`: `tcp://db.internal:5432`",
            ),
            (
                "cdn.example.com",
                443,
                Reason::OtherServerName { name: "evil.com".into() },
                "blocked: cdn.example.com:443 (the TLS connection is for `evil.com`)",
            ),
        ];
        for (host, port, reason, line) in cases {
            assert_eq!(Refusal { host: host.into(), port, reason, count: 1 }.to_string(), line);
        }
    }
}
