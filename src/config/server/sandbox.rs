//! The `sandbox` part: how well code has to be held, what it may reach, and what it may use up; for the whole server, and
//! for some repositories besides.

use super::{Phase, ServerConfig};
use crate::config::decode::{Fields, checked, list, one_of, parsed, size};
use crate::config::error::Faults;
use crate::config::yaml::{Node, Value};
use crate::domain::egress::Rule;
use crate::domain::id::RepoName;
use crate::domain::sandbox::{Level, Limits, Network};
use std::ops::Range;
use std::path::PathBuf;

/// Where a root server's host users begin, and how many there are: above what distributions give to people and services.
const FIRST_USER: u32 = 900_000;
const USERS: u32 = 64;

/// What separates runs from the host and from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The least level that is accepted. Default `reduced`.
    pub require: Level,
    /// The host's users that a server which runs as root gives to its runs, each one of its own.
    pub users: Range<u32>,
    /// What of the host every run sees besides the system's programs.
    pub read_only: Vec<PathBuf>,
    /// What of the host every run may write. Runs can speak with each other through it.
    pub writable: Vec<PathBuf>,
    of_all: Partial,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            require: Level::Reduced,
            users: FIRST_USER..FIRST_USER + USERS,
            read_only: Vec::new(),
            writable: Vec::new(),
            of_all: Partial::default(),
        }
    }
}

impl Sandbox {
    /// A run and what it fetches have a user each: with none to spare, all would wait for each other.
    pub(super) fn with_users_for(mut self, runs: usize) -> Self {
        let least = u32::try_from(runs).unwrap_or(u32::MAX).saturating_mul(2);
        if self.users == Self::default().users {
            self.users.end = self.users.end.max(self.users.start.saturating_add(least));
        }
        self
    }
}

/// What holds for the runs of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    pub network: Network,
    pub limits: Limits,
    egress: Vec<(Option<Phase>, Rule)>,
}

impl Confinement {
    /// What may be reached in a phase; by `init` beside the registries.
    #[must_use]
    pub fn egress(&self, phase: Phase) -> Vec<Rule> {
        let counts = |of: &Option<Phase>| of.is_none_or(|of| of == phase);
        self.egress.iter().filter(|(of, _)| counts(of)).map(|(_, rule)| rule.clone()).collect()
    }
}

/// What one place of the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Partial {
    network: Option<Network>,
    /// For a phase, or for all of them.
    egress: Vec<(Option<Phase>, Rule)>,
    memory: Option<u64>,
    processes: Option<u64>,
    open_files: Option<u64>,
    file_size: Option<u64>,
    disk: Option<u64>,
}

impl Partial {
    /// What a more particular place says over this.
    pub(super) fn overlaid(mut self, particular: &Self) -> Self {
        self.egress.extend(particular.egress.iter().cloned());
        Self {
            network: particular.network.or(self.network),
            egress: self.egress,
            memory: particular.memory.or(self.memory),
            processes: particular.processes.or(self.processes),
            open_files: particular.open_files.or(self.open_files),
            file_size: particular.file_size.or(self.file_size),
            disk: particular.disk.or(self.disk),
        }
    }
}

impl ServerConfig {
    /// The server's words with those of every entry that matches; of two on one key the later counts, and names to be
    /// reached add up.
    #[must_use]
    pub fn confinement(&self, repo: &RepoName) -> Confinement {
        let of_repo = self.policy(repo).map(|policy| policy.sandbox).unwrap_or_default();
        let said = self.sandbox.of_all.clone().overlaid(&of_repo);
        let usual = Limits::default();
        Confinement {
            network: said.network.unwrap_or(Network::Allow),
            egress: said.egress,
            limits: Limits {
                memory: said.memory.unwrap_or(usual.memory),
                processes: said.processes.unwrap_or(usual.processes),
                open_files: said.open_files.unwrap_or(usual.open_files),
                file_size: said.file_size.unwrap_or(usual.file_size),
                disk: said.disk.unwrap_or(usual.disk),
            },
        }
    }
}

pub(super) fn sandbox(mut fields: Fields<'_>, faults: &mut Faults) -> Sandbox {
    let usual = Sandbox::default();
    let levels = Level::ALL.map(|level| (level.as_str(), level));
    let require = fields.optional("require", faults, |node, faults| one_of(node, &levels, faults));
    let users = fields.optional("users", faults, users);
    let mut paths = |key, faults: &mut Faults| {
        fields.optional(key, faults, |node, faults| list(node, faults, existing_path)).unwrap_or_default()
    };
    let (read_only, writable) = (paths("read_only", faults), paths("writable", faults));
    let of_all = partial(&mut fields, Some(Limits::default()), faults);
    fields.finish(faults);
    Sandbox {
        require: require.unwrap_or(usual.require),
        users: users.unwrap_or(usual.users),
        read_only,
        writable,
        of_all,
    }
}

/// What a repository may say of its own: everything but what concerns the host.
pub(super) fn of_repo(mut fields: Fields<'_>, faults: &mut Faults) -> Partial {
    let partial = partial(&mut fields, None, faults);
    fields.finish(faults);
    partial
}

/// `usual`: what holds where nothing is said, if that is known.
fn partial(fields: &mut Fields<'_>, usual: Option<Limits>, faults: &mut Faults) -> Partial {
    let networks = [Network::None, Network::Allow, Network::Host].map(|network| (network.as_str(), network));
    let network = fields.optional("network", faults, |node, faults| one_of(node, &networks, faults));
    let path = fields.path_of("egress");
    let egress = fields.optional("egress", faults, |node, faults| egress(node, &path, faults)).unwrap_or_default();
    let mut said = Partial { network, egress, ..Partial::default() };
    if let Some(mut limits) = fields.below("limits", faults) {
        said.memory = limits.optional("memory", faults, size);
        said.processes = limits.optional("processes", faults, number);
        said.open_files = limits.optional("open_files", faults, number);
        said.file_size = limits.optional("file_size", faults, size);
        said.disk = limits.optional("disk", faults, size);
        let place = limits.get("disk").or_else(|| limits.get("memory")).map(|node| node.place.clone());
        let memory = said.memory.or(usual.map(|usual| usual.memory));
        let disk = said.disk.or(usual.map(|usual| usual.disk));
        if let (Some(memory), Some(disk), Some(place)) = (memory, disk, place)
            && disk > memory
        {
            let help = "at the level `full` what a run writes is kept in memory, and counts as such";
            faults.add_help(&place, "`disk` must not be more than `memory`", help);
        }
        limits.finish(faults);
    }
    said
}

/// A list for every phase, or a mapping of lists.
fn egress(node: &Node, path: &[String], faults: &mut Faults) -> Option<Vec<(Option<Phase>, Rule)>> {
    let rules = |node: &Node, phase: Option<Phase>, faults: &mut Faults| -> Vec<(Option<Phase>, Rule)> {
        let rules = list(node, faults, parsed::<Rule>).unwrap_or_default();
        rules.into_iter().map(|rule| (phase, rule)).collect()
    };
    if !matches!(node.value, Value::Map(_)) {
        return Some(rules(node, None, faults));
    }
    let mut fields = Fields::item(node, path, faults)?;
    let mut all = Vec::new();
    for (key, phase) in [("init", Phase::Init), ("plan", Phase::Plan), ("apply", Phase::Apply)] {
        if let Some(node) = fields.get(key) {
            all.extend(rules(node, Some(phase), faults));
        }
    }
    fields.finish(faults);
    Some(all)
}

/// Cages could not be built with a path that is not there.
fn existing_path(node: &Node, faults: &mut Faults) -> Option<PathBuf> {
    checked(node, "an absolute path of something that exists", faults, |text| {
        let path = PathBuf::from(text);
        (path.is_absolute() && path.exists()).then_some(path)
    })
}

fn number(node: &Node, faults: &mut Faults) -> Option<u64> {
    checked(node, "a number from 16 to 1000000", faults, |text| {
        text.parse().ok().filter(|number| (16..=1_000_000).contains(number))
    })
}

/// `900000-900063`. Not root and not what people log in as.
fn users(node: &Node, faults: &mut Faults) -> Option<Range<u32>> {
    checked(node, "a range of user ids above 999, such as `900000-900063`", faults, |text| {
        let (first, last) = text.split_once('-')?;
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first > 999 && first <= last && last < u32::MAX - 1).then(|| first..last + 1)
    })
}
