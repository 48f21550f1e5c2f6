//! The configuration of a project as trusted code finds it: after `init`, which runs nothing that a pull request
//! brought, and before anything does.
//!
//! Terraform does not sign plans. Code that runs at plan time (a data source, a provider) can rewrite the configuration
//! that is embedded in the saved plan, or the lock file, or the backend's record; `show` would tell nobody, and `apply`
//! would run it. So what counts is noted here, and [`super::integrity`] compares the plan file with it.

use super::install::{Product, Tool};
use super::source::is_source;
use super::untrusted;
use crate::domain::id::Workspace;
use crate::sandbox::links;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The name of the lock file in a project's directory, and in a plan file.
pub const LOCK_FILE: &str = ".terraform.lock.hcl";

/// Bounds in bytes, far above what people write.
const LARGEST_SOURCE: u64 = 64 << 20;
const LARGEST_LOCK_FILE: u64 = 1 << 20;
const LARGEST_RECORD: u64 = 16 << 20;

/// Since this version OpenTofu reads `.tofu` files, and ignores the `.tf` file of the same name beside one.
const TOFU_FILES_SINCE: semver::Version = semver::Version::new(1, 8, 0);

/// Why there is no snapshot. All of it is told to people.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("what `init` wrote into `.terraform` cannot be understood: {0}")]
    Record(#[from] serde_json::Error),
    #[error("the module `{key}` is not inside of the repository: `{dir}`")]
    ModuleOutside { key: String, dir: String },
    #[error("`{0}` leads out of the repository")]
    FileOutside(String),
    #[error("a file in `{0}` has a name that is not UTF-8")]
    Name(String),
    #[error("`{LOCK_FILE}` is a link: commit the file itself")]
    LockIsLink,
    #[error("`{0}` cannot be read: it is no regular file, or too large")]
    Unread(String),
    #[error("the configuration cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// What the configuration is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// By the module's key: the names of its calls from the root, with dots between them; the root's is empty.
    pub(super) modules: BTreeMap<String, Module>,
    /// The lock file's bytes; `None` if there is none.
    pub lock: Option<Vec<u8>>,
    /// The backend as `init` wrote it down, with its whole configuration; `null` if there is none.
    pub backend: String,
    /// Where in the backend the state is.
    pub(super) workspace: Workspace,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) source: String,
    pub(super) version: String,
    /// As the manifest has it: from the project's directory.
    pub(super) dir: String,
    /// The files that are loaded, by name.
    pub(super) files: BTreeMap<String, FileMark>,
}

/// A file's content, as far as it must be known to recognise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileMark {
    pub(super) len: u64,
    pub(super) sha256: [u8; 32],
}

impl FileMark {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
    }
}

/// One module in `.terraform/modules/modules.json`, and in the plan file's `tfconfig/modules.json`. Go reads a field's
/// name in any case and takes the last of several, so a field that is not exactly one of these could mean something
/// else to Terraform than to us.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Record {
    pub(super) key: String,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) version: String,
    pub(super) dir: String,
}

impl Snapshot {
    /// Reads what `tool` would load for the project in `dir`, in its `workspace`. Nothing outside of `root`, the work tree, is read, through
    /// no link. Reads from the disk without async.
    ///
    /// # Errors
    /// When a module or file is outside of the work tree, or something cannot be read.
    pub fn take(root: &Path, dir: &Path, tool: &Tool, workspace: &Workspace) -> Result<Self, SnapshotError> {
        let root = fs::canonicalize(root)?;
        let mut modules = BTreeMap::new();
        for Record { key, source, version, dir: module_dir } in records(dir)? {
            let found = fs::canonicalize(dir.join(&module_dir)).ok().filter(|found| found.starts_with(&root));
            let Some(found) = found else { return Err(SnapshotError::ModuleOutside { key, dir: module_dir }) };
            let files = files(&root, &found, &module_dir, tool)?;
            modules.insert(key, Module { source, version, dir: module_dir, files });
        }
        if fs::symlink_metadata(dir.join(LOCK_FILE)).is_ok_and(|found| found.is_symlink()) {
            return Err(SnapshotError::LockIsLink);
        }
        let lock = read(dir, LOCK_FILE, LARGEST_LOCK_FILE)?;
        let record = read(dir, ".terraform/terraform.tfstate", LARGEST_RECORD)?;
        let record: serde_json::Value =
            record.map_or(Ok(serde_json::Value::Null), |json| serde_json::from_slice(&json))?;
        Ok(Self { modules, lock, backend: record["backend"].to_string(), workspace: workspace.clone() })
    }

    /// A hash over the modules that `init` fetched from elsewhere; `None` if there are none. Git's trees say nothing of
    /// them, and what stands behind a branch or a range of versions may change.
    #[must_use]
    pub fn fetched(&self) -> Option<String> {
        let mut hash = Sha256::new();
        let mut any = false;
        for (key, module) in self.modules.iter().filter(|(_, module)| module.dir.starts_with(".terraform/")) {
            any = true;
            let mut add = |part: &[u8]| {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            };
            add(key.as_bytes());
            add(&(module.files.len() as u64).to_le_bytes());
            for (name, mark) in &module.files {
                add(name.as_bytes());
                add(&mark.sha256);
            }
        }
        any.then(|| hex::encode(hash.finalize()))
    }
}

/// Removes links in fetched modules that lead out of the work tree, as a checkout does for the repository's own, and
/// returns their paths from there. To be called after `init` and before anything else. Works on the disk without async.
///
/// # Errors
/// When the directories cannot be read or a link not be removed.
pub fn remove_outward_links(root: &Path, dir: &Path) -> io::Result<Vec<PathBuf>> {
    let root = fs::canonicalize(root)?;
    let modules = fs::canonicalize(dir)?.join(".terraform/modules");
    let mut dirs: Vec<PathBuf> =
        fs::symlink_metadata(&modules).is_ok_and(|found| found.is_dir()).then_some(modules).into_iter().collect();
    let mut found = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                dirs.push(entry.path());
            } else if kind.is_symlink() {
                found.push(entry.path());
            }
        }
    }
    links::remove_outward(&root, found)
}

/// The modules that belong to the configuration. `init` also notes those that only tests use; their callers are no
/// modules, and a plan knows nothing of them.
fn records(dir: &Path) -> Result<Vec<Record>, SnapshotError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Manifest {
        modules: Vec<Record>,
    }
    let manifest = read(dir, ".terraform/modules/modules.json", LARGEST_RECORD)?;
    // Without modules, `init` writes none.
    let mut records = match manifest {
        Some(manifest) => serde_json::from_slice::<Manifest>(&manifest)?.modules,
        None => vec![],
    };
    if !records.iter().any(|record| record.key.is_empty()) {
        records.push(Record { key: String::new(), source: String::new(), version: String::new(), dir: ".".into() });
    }
    let keys: BTreeSet<String> = records.iter().map(|record| record.key.clone()).collect();
    let callers_are_modules = |key: &str| key.match_indices('.').all(|(at, _)| keys.contains(&key[..at]));
    records.retain(|record| callers_are_modules(&record.key));
    Ok(records)
}

fn files(root: &Path, module: &Path, shown: &str, tool: &Tool) -> Result<BTreeMap<String, FileMark>, SnapshotError> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(module)? {
        let entry = entry?;
        match entry.file_name().into_string() {
            // Terraform leaves directories out, and follows links.
            Ok(name) if is_source(&name) && !entry.file_type()?.is_dir() => _ = names.insert(name),
            Err(name) if is_source(&name.to_string_lossy()) => return Err(SnapshotError::Name(shown.to_owned())),
            _ => {}
        }
    }
    let mut marks = BTreeMap::new();
    for name in loaded(&names, tool) {
        let path = module.join(name);
        let shown = || format!("{shown}/{name}");
        let end = fs::canonicalize(&path).map_err(|_| SnapshotError::FileOutside(shown()))?;
        if !end.starts_with(root) {
            return Err(SnapshotError::FileOutside(shown()));
        }
        let bytes =
            untrusted::read(&end, LARGEST_SOURCE).ok().flatten().ok_or_else(|| SnapshotError::Unread(shown()))?;
        marks.insert(name.to_owned(), FileMark::of(&bytes));
    }
    Ok(marks)
}

/// A file of the project's directory. An error names it without the server's own path, for people read it.
fn read(dir: &Path, name: &str, max: u64) -> Result<Option<Vec<u8>>, SnapshotError> {
    untrusted::read(&dir.join(name), max).map_err(|_| SnapshotError::Unread(name.to_owned()))
}

/// Which of a directory's Terraform files the tool loads.
fn loaded<'a>(names: &'a BTreeSet<String>, tool: &Tool) -> impl Iterator<Item = &'a str> {
    let tofu_files = tool.product == Product::OpenTofu && tool.version >= TOFU_FILES_SINCE;
    names.iter().map(String::as_str).filter(move |name| {
        let tf = name.strip_suffix(".tf").map(|stem| (stem, ".tofu"));
        let tf = tf.or_else(|| name.strip_suffix(".tf.json").map(|stem| (stem, ".tofu.json")));
        match tf {
            Some((stem, twin)) => !(tofu_files && names.contains(&format!("{stem}{twin}"))),
            None => tofu_files,
        }
    })
}
