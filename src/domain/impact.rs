//! Which projects a change concerns, and what a project is made of.
//!
//! A pull request gives changed files; people think in projects. Between them stand the modules: a directory uses other
//! directories of the repository, and a change in one of those is a change of everything that uses it. Where the code
//! could not be understood, what it uses is unknown: then more is planned, never less, and a saved plan counts as made
//! from the whole repository.

use super::id::ProjectDir;
use super::project::glob;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// What one directory's Terraform files say about it, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModuleFacts {
    /// Directories of the repository that its `module` blocks name.
    pub uses: BTreeSet<ProjectDir>,
    /// Symbolic links among its Terraform files: the link's path to the path of the file it leads to.
    pub links: BTreeMap<String, String>,
    /// The type of its `backend` block; `cloud` for a `cloud` block.
    pub backend: Option<String>,
    /// Its `required_version` settings; all of them must hold.
    pub required_versions: Vec<String>,
    /// Why it may use more than is known, as a sentence's start: "`prod/main.tf` cannot be parsed".
    pub unknown: Option<String>,
}

impl ModuleFacts {
    /// Whether its backend keeps state anywhere but in the work tree, which is gone after the run.
    #[must_use]
    pub fn keeps_state(&self) -> bool {
        self.backend.as_deref().is_some_and(|kind| !matches!(kind, "local" | "inmem"))
    }
}

/// One file of a git tree. Directories are not listed: their ids say nothing that their files do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeFile<'a> {
    /// From the root of the repository, with `/` between the parts.
    pub path: &'a str,
    /// The id of its blob (or of a submodule's commit).
    pub object: &'a str,
    pub link: bool,
}

/// A project's directory, and what configuration adds to that which is found by reading the code.
#[derive(Debug, Clone, Copy)]
pub struct Extent<'a> {
    pub dir: &'a ProjectDir,
    /// Relative to the directory; may lead out of it by `..`.
    pub var_files: &'a [String],
    /// Globs over paths from the root of the repository.
    pub watch: &'a [String],
}

/// Every directory of one tree that holds Terraform files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Modules {
    facts: BTreeMap<ProjectDir, ModuleFacts>,
    /// What somebody uses as a module, whether it is there or not.
    used: BTreeSet<ProjectDir>,
}

impl FromIterator<(ProjectDir, ModuleFacts)> for Modules {
    fn from_iter<I: IntoIterator<Item = (ProjectDir, ModuleFacts)>>(facts: I) -> Self {
        let facts: BTreeMap<ProjectDir, ModuleFacts> = facts.into_iter().collect();
        let others = |(dir, facts): (&ProjectDir, &ModuleFacts)| {
            facts.uses.iter().filter(|used| *used != dir).cloned().collect::<Vec<_>>()
        };
        let used = facts.iter().flat_map(others).collect();
        Self { facts, used }
    }
}

/// A directory, everything that it uses, and whether that is known to be everything.
struct Closure<'a> {
    dirs: BTreeSet<&'a ProjectDir>,
    unknown: Option<String>,
}

impl Modules {
    #[must_use]
    pub fn get(&self, dir: &ProjectDir) -> Option<&ModuleFacts> {
        self.facts.get(dir)
    }

    /// Every directory with Terraform files, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&ProjectDir, &ModuleFacts)> {
        self.facts.iter()
    }

    /// The directories that are projects by themselves, in the order of their names.
    ///
    /// A directory is one if it has a backend, or if nobody uses it as a module and it is not below a directory called
    /// `modules`. One below `modules` that nobody uses and that cannot be read is one too: its error should be seen.
    #[must_use]
    pub fn roots(&self) -> Vec<&ProjectDir> {
        let below_modules = |dir: &ProjectDir| dir.as_str().split('/').any(|part| part == "modules");
        self.facts
            .iter()
            .filter(|(dir, facts)| {
                facts.backend.is_some()
                    || (!self.used.contains(*dir) && (facts.unknown.is_some() || !below_modules(dir)))
            })
            .map(|(dir, _)| dir)
            .collect()
    }

    /// The root modules that these changed files concern, each with the reason, fit for people.
    #[must_use]
    pub fn affected(&self, changed: &[String]) -> Vec<(ProjectDir, String)> {
        let owned = self.owned(changed);
        let reason = |dir: &ProjectDir| self.reason(&Extent { dir, var_files: &[], watch: &[] }, &owned);
        self.roots().into_iter().filter_map(|dir| Some((dir.clone(), reason(dir)?))).collect()
    }

    /// Why these changed files concern the project; `None` if they do not.
    ///
    /// A file belongs to the nearest directory above it that is a module, so that `prod/files/policy.json` belongs to
    /// `prod`, and `prod/dns/main.tf` does not.
    #[must_use]
    pub fn concerns(&self, project: &Extent<'_>, changed: &[String]) -> Option<String> {
        self.reason(project, &self.owned(changed))
    }

    fn reason(&self, project: &Extent<'_>, changed: &[(&str, Option<&ProjectDir>)]) -> Option<String> {
        let closure = self.closure(project.dir);
        let extra = Extra::new(project);
        let links = self.link_targets(&closure);
        let own = |(_, owner): &&(&str, Option<&ProjectDir>)| *owner == Some(project.dir);
        let used = |(path, owner): &&(&str, Option<&ProjectDir>)| {
            owner.is_some_and(|owner| closure.dirs.contains(owner)) || links.contains(path) || extra.matches(path)
        };
        if let Some((path, _)) = changed.iter().find(own).or_else(|| changed.iter().find(used)) {
            return Some(format!("`{path}` changed"));
        }
        let why = closure.unknown?;
        let (path, _) = changed.iter().find(|(_, owner)| owner.is_some())?;
        Some(format!("`{path}` changed, and {why}, so that what is used here is not known"))
    }

    fn owned<'a>(&'a self, changed: &'a [String]) -> Vec<(&'a str, Option<&'a ProjectDir>)> {
        changed.iter().map(|path| (path.as_str(), self.owner(path))).collect()
    }

    /// Hash over everything that a plan of the project is made from: the files below its directory and below every
    /// module that it uses, its var files and the watched files. Equal inputs are equal code. 64 hexadecimal digits.
    ///
    /// This takes more than [`Self::concerns`] does, for here too little would let a plan run that nobody reviewed:
    /// everything below a directory counts, and the whole repository does if anything is used that is not known.
    #[must_use]
    pub fn inputs<'f>(&self, project: &Extent<'_>, tree: impl IntoIterator<Item = TreeFile<'f>>) -> String {
        let closure = self.closure(project.dir);
        let extra = Extra::new(project);
        let prefixes: Vec<String> = closure.dirs.iter().map(|dir| dir.prefix()).collect();
        let links = self.link_targets(&closure);
        let tree: BTreeMap<&str, TreeFile<'f>> = tree.into_iter().map(|file| (file.path, file)).collect();
        let taken = |path: &str| {
            prefixes.iter().any(|prefix| path.starts_with(prefix.as_str()))
                || links.contains(path)
                || extra.matches(path)
        };
        let leads_away = |file: &TreeFile<'_>| {
            let target = self.owner(file.path).and_then(|dir| self.facts.get(dir)?.links.get(file.path));
            file.link && target.is_none_or(|target| tree.get(target.as_str()).is_none_or(|file| file.link))
        };
        let everything = closure.unknown.is_some() || tree.values().any(|file| taken(file.path) && leads_away(file));
        let mut hash = Sha256::new();
        for file in tree.values().filter(|file| everything || taken(file.path)) {
            hash.update(file.path);
            hash.update([0, u8::from(file.link)]);
            hash.update(file.object);
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }

    /// The `required_version` settings that hold for a plan of this directory: its own, and those of its modules.
    #[must_use]
    pub fn required_versions(&self, dir: &ProjectDir) -> Vec<&str> {
        let facts = self.closure(dir).dirs.into_iter().filter_map(|dir| self.facts.get(dir));
        let versions: BTreeSet<&str> = facts.flat_map(|facts| &facts.required_versions).map(String::as_str).collect();
        versions.into_iter().collect()
    }

    fn closure<'a>(&'a self, dir: &'a ProjectDir) -> Closure<'a> {
        let mut closure = Closure { dirs: BTreeSet::new(), unknown: None };
        let mut open = vec![dir];
        while let Some(dir) = open.pop() {
            if !closure.dirs.insert(dir) {
                continue;
            }
            match self.facts.get(dir) {
                Some(facts) => {
                    open.extend(&facts.uses);
                    if closure.unknown.is_none() {
                        closure.unknown.clone_from(&facts.unknown);
                    }
                }
                // Gone, or reached through a link to a directory: nothing tells which.
                None => closure.unknown = Some(format!("`{dir}` holds no Terraform files")),
            }
        }
        closure
    }

    fn link_targets<'a>(&'a self, closure: &Closure<'_>) -> BTreeSet<&'a str> {
        let facts = closure.dirs.iter().filter_map(|dir| self.facts.get(*dir));
        facts.flat_map(|facts| facts.links.values()).map(String::as_str).collect()
    }

    /// The nearest directory above the file that is a module, or that somebody uses as one: a module whose files were
    /// all deleted still concerns its users.
    fn owner(&self, path: &str) -> Option<&ProjectDir> {
        let mut rest = path;
        loop {
            rest = rest.rsplit_once('/').map_or("", |(dir, _)| dir);
            let dir: ProjectDir = if rest.is_empty() { "." } else { rest }.parse().ok()?;
            let known = self.facts.get_key_value(&dir).map(|(dir, _)| dir);
            if let Some(dir) = known.or_else(|| self.used.get(&dir)) {
                return Some(dir);
            }
            if rest.is_empty() {
                return None;
            }
        }
    }
}

/// The files that configuration adds to a project.
struct Extra {
    var_files: BTreeSet<String>,
    watch: Vec<globset::GlobSet>,
}

impl Extra {
    fn new(project: &Extent<'_>) -> Self {
        let var_files = project.var_files.iter().filter_map(|path| resolve(project.dir, path)).collect();
        let watch = project.watch.iter().filter_map(|pattern| glob(pattern)).collect();
        Self { var_files, watch }
    }

    fn matches(&self, path: &str) -> bool {
        self.var_files.contains(path) || self.watch.iter().any(|glob| glob.is_match(path))
    }
}

/// `text`, relative to the directory, as a path from the root of the repository; `None` if it leads out of it.
#[must_use]
pub fn resolve(dir: &ProjectDir, text: &str) -> Option<String> {
    if text.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = dir.as_str().split('/').filter(|part| *part != ".").collect();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
