//! Landlock: what the programs may touch of the files they can name, whom they may signal, and where they may connect.

use super::Trouble;
use crate::sandbox::policy::{Network, Policy};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use std::path::{Path, PathBuf};

/// What of the host's system every program may read.
pub(super) const SYSTEM: [&str; 15] = [
    "/usr",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
];

/// Only where there is no view of its own, which has these in another form.
const HOST_ONLY: [&str; 7] = ["/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc/passwd", "/etc/group"];

const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// On what the rules stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// The host's own files.
    Host,
    /// A view that holds nothing but what may be read.
    View,
}

/// Whether signals and abstract unix sockets can be kept in: since version 6, of Linux 6.12.
pub(super) fn has_scopes(at_most: u8) -> bool {
    let asked = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    !Scope::from_all(ABI::from(i32::from(at_most))).is_empty() && asked.scope(Scope::from_all(ABI::V6)).is_ok()
}

/// Stands for this process and all that it starts.
pub(super) fn restrict(ground: Ground, at_most: u8, policy: &Policy, proxy: Option<u16>) -> Result<(), Trouble> {
    let wrong = |error: RulesetError| Trouble::new("setting up Landlock", error.to_string());
    let rules = rules(ground, ABI::from(i32::from(at_most)), policy, proxy).map_err(wrong)?;
    let status = rules.restrict_self().map_err(wrong)?;
    if status.ruleset == RulesetStatus::NotEnforced && ground == Ground::Host {
        return Err(Trouble::new("setting up Landlock", "this kernel does not have it, or it is not enabled"));
    }
    Ok(())
}

fn rules(ground: Ground, version: ABI, policy: &Policy, proxy: Option<u16>) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::from_read(version);
    let known = AccessFs::from_all(version);
    let mut all = known;
    all.remove(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let mut asked = Ruleset::default().set_compatibility(CompatLevel::BestEffort).handle_access(known)?;
    // To ask for nothing is an error.
    if !Scope::from_all(version).is_empty() {
        asked = asked.scope(Scope::from_all(version))?;
    }
    let knows_ports = !AccessNet::from_all(version).is_empty();
    let bounded = knows_ports && ground == Ground::Host && policy.network != Network::Host;
    if bounded {
        asked = asked.handle_access(AccessNet::from_all(version))?;
    }
    let mut rules = asked.create()?;
    match ground {
        Ground::View => {
            rules = allow(rules, Path::new("/"), read)?;
            rules = allow(rules, Path::new("/tmp"), all)?;
        }
        Ground::Host => {
            for path in SYSTEM.iter().chain(&HOST_ONLY) {
                rules = allow(rules, Path::new(path), read)?;
            }
        }
    }
    let device = (AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate) & known;
    for path in DEVICES {
        rules = allow(rules, Path::new(path), device)?;
    }
    for path in &policy.read_only {
        rules = allow(rules, path, read)?;
    }
    let writable: Vec<&PathBuf> = [&policy.tree, &policy.scratch].into_iter().chain(&policy.writable).collect();
    for path in writable {
        rules = allow(rules, path, all)?;
    }
    if let (true, Some(port)) = (bounded, proxy) {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(rules)
}

/// What is not there needs no rule.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(descriptor) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V7) };
    rules.add_rule(PathBeneath::new(descriptor, access))
}
