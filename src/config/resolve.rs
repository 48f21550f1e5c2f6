//! From what the server and the repository say to the projects of one pull request.
//!
//! `defaults < repository < enforce`, and the last matching rule wins for each key. What decides about safety is never
//! taken from the pull request itself: rules and branches come from the default branch and the server, and rules (and
//! grants of variables) match a project by its name and tags *as the default branch defines them*. Otherwise an author
//! could give a project the tag of another one and with it that one's rules.

use super::error::{ConfigErrors, Faults, nearest, quoted};
use super::repo::{ProjectEntry, RepoConfig};
use super::rules::{Rule, Ruling};
use super::source::Place;
use crate::domain::id::{Branch, ProjectDir, ProjectKey, ProjectName, Workspace};
use crate::domain::permission::Rights;
use crate::domain::project::{Project, StateKind, glob};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is said of a repository, weakest first.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// The server's `defaults`.
    pub defaults: &'a RepoConfig,
    /// The repository file of the default branch: its rules and branches count, and its names and tags.
    pub default_branch: &'a RepoConfig,
    /// The repository file of the tree that is planned: its projects count.
    pub pull: &'a RepoConfig,
    /// The server's `enforce`.
    pub enforce: &'a RepoConfig,
}

/// A directory with Terraform code, as found in the tree that is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundProject {
    pub dir: ProjectDir,
    /// Discovery makes a project of it; otherwise it is one only if it is listed.
    pub root_module: bool,
    /// The code has a `backend` or `cloud` block.
    pub has_backend: bool,
    pub required_version: Option<String>,
    /// The same discovery finds this root module in the default branch too: its author did not bring it along.
    pub on_default_branch: bool,
}

/// A project with everything that configuration says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedProject {
    /// With an empty `reason`. Name and tags are the default branch's if that knows the project.
    pub project: Project,
    /// Listed in a file; otherwise found by reading the code.
    pub listed: bool,
    /// The default branch has it. If not, every rule holds for it.
    pub known: bool,
    /// Where the rules stand that decided, as `file:line`; empty: what holds without rules.
    pub decided_by: Vec<String>,
}

impl Layers<'_> {
    /// Whether pull requests into this base branch may apply. Without a word about it, only the default branch may.
    #[must_use]
    pub fn may_apply_from(&self, base: &Branch, default_branch: &Branch) -> bool {
        let named = [self.enforce, self.default_branch, self.defaults].into_iter().find_map(|c| c.branches.as_ref());
        match named {
            Some(globs) => globs.iter().filter_map(|text| glob(text)).any(|glob| glob.is_match(base.as_str())),
            None => base == default_branch,
        }
    }

    /// Who may do what is about the whole repository, as the rules for everything say it.
    #[must_use]
    pub fn rights(&self) -> Rights {
        let sources = [self.defaults, self.default_branch, self.enforce];
        let rules: Vec<&Rule> = sources.into_iter().flat_map(|source| &source.rules).collect();
        Ruling::of_repository(&rules).can
    }
}

/// The projects of a tree, in the order of their directories.
///
/// # Errors
/// With everything in the pull request's file that does not fit the tree: a listed directory without code, a name that
/// two projects have, `after` an unknown project or in a circle, managed state beside a backend.
pub fn resolve(layers: &Layers<'_>, found: &[FoundProject]) -> Result<Vec<ResolvedProject>, ConfigErrors> {
    let found: Found<'_> = found.iter().map(|found| (&found.dir, found)).collect();
    let trusted = Listing::of(layers.defaults, layers.default_branch, layers.enforce);
    let wanted = Listing::of(layers.defaults, layers.pull, layers.enforce);
    let sources = [layers.defaults, layers.default_branch, layers.enforce];
    let rules: Vec<&Rule> = sources.into_iter().flat_map(|source| &source.rules).collect();
    let mut faults = Faults::new(layers.pull.source.clone());

    report_missing_directories(layers.pull, &found, &mut faults);
    let keys = wanted.keys(&found);
    let mut resolved = Vec::new();
    for key in &keys {
        let known = trusted.knows(key, &found);
        let naming = if known { &trusted } else { &wanted };
        let project = Project {
            tags: naming.get(key, |entry| entry.tags.clone()).unwrap_or_default(),
            state: state_kind(key, found[&key.dir], &wanted, &mut faults),
            var_files: wanted.get(key, |entry| entry.var_files.clone()).unwrap_or_default(),
            terraform_version: wanted
                .get(key, |entry| entry.terraform_version.clone())
                .or_else(|| found[&key.dir].required_version.clone()),
            unknown: !known,
            watch: wanted.get(key, |entry| entry.watch.clone()).unwrap_or_default(),
            ..Project::new(key.clone(), naming.name(key))
        };
        let ruling = if known { Ruling::of_matching(&rules, &project) } else { Ruling::of_all(&rules) };
        resolved.push(ResolvedProject {
            project: Project {
                apply: ruling.apply,
                require: ruling.require,
                require_plan: ruling.require_plan,
                require_import: ruling.require_import,
                can: ruling.can,
                windows: ruling.windows,
                automerge: ruling.automerge,
                automerge_on_no_change: ruling.automerge_on_no_change,
                ..project
            },
            listed: wanted.entries.contains_key(key),
            known,
            decided_by: ruling.decided_by,
        });
    }
    report_repeated_names(&resolved, &wanted, &mut faults);
    order(&mut resolved, &wanted, &mut faults);
    faults.finish()?;
    Ok(resolved)
}

type Found<'a> = BTreeMap<&'a ProjectDir, &'a FoundProject>;

/// The projects that a server and a repository list, and whether discovery goes on beside them.
struct Listing<'a> {
    /// By project, weakest source first.
    entries: BTreeMap<&'a ProjectKey, Vec<Entry<'a>>>,
    /// A directory that is listed is not discovered again.
    directories: BTreeSet<&'a ProjectDir>,
    discover: bool,
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    said: &'a ProjectEntry,
    /// Its places are places of the repository's file.
    by_repo: bool,
}

impl<'a> Listing<'a> {
    fn of(defaults: &'a RepoConfig, repo: &'a RepoConfig, enforce: &'a RepoConfig) -> Self {
        let mut entries: BTreeMap<&ProjectKey, Vec<Entry<'_>>> = BTreeMap::new();
        for (source, by_repo) in [(defaults, false), (repo, true), (enforce, false)] {
            for said in &source.projects {
                entries.entry(&said.key).or_default().push(Entry { said, by_repo });
            }
        }
        let directories = entries.keys().map(|key| &key.dir).collect();
        let discover = enforce.discover.or(repo.discover).or(defaults.discover).unwrap_or(true);
        Self { entries, directories, discover }
    }

    /// Listed or discovered, and there.
    fn keys(&self, found: &Found<'_>) -> BTreeSet<ProjectKey> {
        let listed = self.entries.keys().filter(|key| found.contains_key(&key.dir)).map(|key| (*key).clone());
        let discovered = found
            .values()
            .filter(|found| self.discover && found.root_module && !self.directories.contains(&found.dir))
            .map(|found| ProjectKey { dir: found.dir.clone(), workspace: Workspace::default() });
        listed.chain(discovered).collect()
    }

    /// Whether this is a project where the listing comes from: the default branch.
    fn knows(&self, key: &ProjectKey, found: &Found<'_>) -> bool {
        let discovered = self.discover
            && key.workspace == Workspace::default()
            && !self.directories.contains(&key.dir)
            && found.get(&key.dir).is_some_and(|found| found.on_default_branch);
        self.entries.contains_key(key) || discovered
    }

    /// The strongest word on a key of a project.
    fn get<T>(&self, key: &ProjectKey, read: impl Fn(&'a ProjectEntry) -> Option<T>) -> Option<T> {
        self.placed(key, |entry| Some((read(entry)?, Place::Whole))).map(|(value, _)| value)
    }

    /// The same with its place in the repository's file, if it is there.
    fn placed<T>(&self, key: &ProjectKey, read: impl Fn(&'a ProjectEntry) -> Option<(T, Place)>) -> Option<(T, Place)> {
        self.entries.get(key)?.iter().rev().find_map(|entry| {
            let (value, place) = read(entry.said)?;
            Some((value, if entry.by_repo { place } else { Place::Whole }))
        })
    }

    fn name(&self, key: &ProjectKey) -> ProjectName {
        self.get(key, |entry| entry.name.clone()).unwrap_or_else(|| default_name(key))
    }

    fn place(&self, key: &ProjectKey) -> Place {
        self.entries
            .get(key)
            .and_then(|entries| entries.iter().find(|entry| entry.by_repo))
            .map_or(Place::Whole, |entry| entry.said.place.clone())
    }
}

/// The directory, and the workspace if it is not the default one. Characters that a name must not have are replaced.
fn default_name(key: &ProjectKey) -> ProjectName {
    let written = key.to_string();
    if let Ok(name) = written.parse() {
        return name;
    }
    let clean = |c: char| if format!("a{c}").parse::<ProjectName>().is_ok() { c } else { '_' };
    let text: String = written.replacen('-', "_", usize::from(written.starts_with('-'))).chars().map(clean).collect();
    text[..text.floor_char_boundary(200)].parse().expect("every character is one that a name may have")
}

fn state_kind(key: &ProjectKey, found: &FoundProject, wanted: &Listing<'_>, faults: &mut Faults) -> StateKind {
    let managed = wanted.placed(key, |entry| Some(((), entry.managed.clone()?)));
    match (managed, found.has_backend) {
        (None, true) => StateKind::Remote,
        (None, false) => StateKind::Nowhere,
        (Some(_), false) => StateKind::Managed,
        (Some(((), place)), true) => {
            faults.add_help(
                &place,
                format!("`state: managed` for {}, whose code has a backend", quoted(&key.to_string())),
                "state can live in one place only: remove this line, or the `backend` (or `cloud`) block",
            );
            StateKind::Remote
        }
    }
}

fn report_missing_directories(pull: &RepoConfig, found: &Found<'_>, faults: &mut Faults) {
    for entry in &pull.projects {
        let dir = entry.key.dir.as_str();
        if !found.contains_key(&entry.key.dir) {
            let meant = nearest(dir, found.keys().map(|dir| dir.as_str()));
            let help = meant.map(|meant| format!("did you mean `{meant}`?"));
            faults.add_with(&entry.place, format!("there is no Terraform code in {}", quoted(dir)), help);
        }
    }
}

/// Names have to be unique as the pull request's file has them, and so have those that count until it is merged, which
/// are the default branch's.
fn report_repeated_names(resolved: &[ResolvedProject], wanted: &Listing<'_>, faults: &mut Faults) {
    let mut theirs: BTreeMap<ProjectName, &ProjectKey> = BTreeMap::new();
    let mut ours: BTreeMap<&ProjectName, &ProjectKey> = BTreeMap::new();
    for ResolvedProject { project, .. } in resolved {
        let name = wanted.name(&project.key);
        let (other, shared, help) = if let Some(other) = theirs.insert(name.clone(), &project.key) {
            (other, &name, "give one of them another `name`")
        } else if let Some(other) = ours.insert(&project.name, &project.key) {
            (
                other,
                &project.name,
                "a project keeps its name until a new one is merged: choose a name that was not in use",
            )
        } else {
            continue;
        };
        let (first, second) = (quoted(&other.to_string()), quoted(&project.key.to_string()));
        let place = [wanted.place(&project.key), wanted.place(other)].into_iter().find(|place| *place != Place::Whole);
        let message = format!("{first} and {second} are both called {}", quoted(shared.as_str()));
        faults.add_help(&place.unwrap_or_default(), message, help);
    }
}

/// Fills `after`, in which people write the names of their own file.
fn order(resolved: &mut [ResolvedProject], wanted: &Listing<'_>, faults: &mut Faults) {
    let names: BTreeMap<ProjectName, ProjectName> =
        resolved.iter().map(|r| (wanted.name(&r.project.key), r.project.name.clone())).collect();
    let mut places = BTreeMap::new();
    for ResolvedProject { project, .. } in resolved.iter_mut() {
        let said = wanted.placed(&project.key, |entry| Some((entry.after.as_ref()?, entry.place.clone())));
        let Some((before, place)) = said else { continue };
        for (name, at) in before {
            let at = if place == Place::Whole { &place } else { at };
            if let Some(name) = names.get(name) {
                project.after.push(name.clone());
            } else {
                let meant = nearest(name.as_str(), names.keys().map(ProjectName::as_str));
                let help = meant.map(|meant| format!("did you mean `{meant}`?"));
                faults.add_with(at, format!("there is no project {}", quoted(name.as_str())), help);
            }
        }
        places.insert(project.name.clone(), before.first().map_or(place, |(_, at)| at.clone()));
    }
    // Takes away what waits for nothing that is left; what then remains waits in a circle, or for one.
    let mut left: BTreeMap<&ProjectName, &[ProjectName]> =
        resolved.iter().map(|r| (&r.project.name, r.project.after.as_slice())).collect();
    while let Some(free) = left.iter().find(|(_, after)| !after.iter().any(|name| left.contains_key(name))) {
        let free = *free.0;
        left.remove(free);
    }
    if let Some(name) = left.keys().next() {
        let all = left.keys().map(|name| quoted(name.as_str())).collect::<Vec<_>>().join(", ");
        let place = places.get(*name).cloned().unwrap_or_default();
        let message = if left.len() == 1 {
            format!("{all} waits for itself")
        } else {
            format!("these projects wait for each other: {all}")
        };
        faults.add(&place, message);
    }
}
