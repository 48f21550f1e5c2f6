//! What one cage may reach now.

use crate::domain::egress::{HostName, Reason, Rule};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The rules of a cage in one phase. By default nothing is reachable.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Rules {
    listed: Vec<Rule>,
    offered: Vec<Rule>,
    routes: Vec<Route>,
}

/// A name that is known in the cage only, and means a service of the server's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Route {
    host: HostName,
    port: u16,
    /// Where it is.
    pub(super) to: SocketAddr,
    /// How every path must begin, with `/` at both ends.
    below: String,
}

/// How an allowed host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Route(Route),
    Out {
        /// Whether the name may lead to a private address.
        private: bool,
        /// Whether a tunnel may carry anything. Otherwise it is TLS for that very name.
        raw: bool,
    },
}

impl Rules {
    /// What an operator listed under `sandbox.egress`.
    #[must_use]
    pub fn listed(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self { listed: rules.into_iter().collect(), ..Self::default() }
    }

    /// And what nobody had to list ([`crate::domain::egress::for_init`]): these names never lead to a private address.
    #[must_use]
    pub fn and_offered(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.offered.extend(rules);
        self
    }

    /// And a service of the server's own, by plain HTTP under this name: only paths below `below`, which has `/` at both
    /// ends, for the server has other things to serve at the same address.
    #[must_use]
    pub fn and_route(mut self, host: HostName, port: u16, to: SocketAddr, below: &str) -> Self {
        self.routes.push(Route { host, port, to, below: below.to_owned() });
        self
    }

    pub(super) fn judge(&self, host: &HostName, port: u16) -> Result<Way, Reason> {
        if let Some(route) = self.routes.iter().find(|route| route.host == *host && route.port == port) {
            return Ok(Way::Route(route.clone()));
        }
        let covering = |rule: &&Rule| rule.covers(host, port);
        let private = self.listed.iter().filter(covering).any(Rule::is_exact);
        let mut all = self.listed.iter().chain(&self.offered).filter(covering).peekable();
        if all.peek().is_none() {
            return Err(Reason::NotListed);
        }
        Ok(Way::Out { private, raw: all.any(Rule::is_raw) })
    }
}

impl Route {
    /// Whether a path is below the one that was given, and cannot be read as one that is not.
    pub(super) fn admits(&self, path_and_query: &str) -> bool {
        let path = path_and_query.split('?').next().unwrap_or_default();
        let plain = !path.contains(['%', '\\']) && !path.contains("//");
        let stays = !path.split('/').any(|segment| matches!(segment, "." | ".."));
        plain && stays && path.starts_with(&self.below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::egress::for_init;

    fn host(name: &str) -> HostName {
        name.parse().unwrap()
    }

    fn listed(entries: &[&str]) -> Rules {
        Rules::listed(entries.iter().map(|entry| entry.parse().unwrap()))
    }

    #[test]
    fn only_what_somebody_listed_by_its_own_name_may_be_private() {
        let rules = listed(&["a.example.com", "*.example.org", "both.example.org", "tcp://*.example.org:5432"]);
        let rules = rules.and_offered(for_init());
        let out = |private, raw| Ok(Way::Out { private, raw });
        for (name, port, way) in [
            ("a.example.com", 443, out(true, false)),
            ("a.example.com", 80, Err(Reason::NotListed)),
            ("b.example.com", 443, Err(Reason::NotListed)),
            ("x.example.org", 443, out(false, false)),
            ("both.example.org", 443, out(true, false)),
            ("x.example.org", 5432, out(false, true)),
            ("registry.terraform.io", 443, out(false, false)),
        ] {
            assert_eq!(rules.judge(&host(name), port), way, "{name}:{port}");
        }
        assert_eq!(Rules::default().judge(&host("a.example.com"), 443), Err(Reason::NotListed));
    }

    #[test]
    fn a_route_is_for_the_paths_below_its_own() {
        let to = "127.0.0.1:4141".parse().unwrap();
        let rules = Rules::default().and_route(host("state.internal"), 80, to, "/state/");
        let Ok(Way::Route(route)) = rules.judge(&host("STATE.internal"), 80) else { panic!("not a route") };
        for path in ["/state/7", "/state/7?ID=a%2Fb", "/state/7/x?.."] {
            assert!(route.admits(path), "{path}");
        }
        for path in [
            "/",
            "/metrics",
            "/state",
            "/states/7",
            "/state/../metrics",
            "/state/./7",
            "//state/7",
            "/state//7",
            "/state/%2e%2e/x",
            "/state/\\..",
            "/?/state/",
        ] {
            assert!(!route.admits(path), "{path}");
        }
    }
}
