//! The mirror: unpacked packages in the layout that Terraform calls a filesystem mirror,
//! `HOST/NAMESPACE/NAME/VERSION/OS_ARCH/`. Any number of `init`s link to it while new packages come in.
//!
//! A package appears whole, by one rename, and is read-only from then on. It is prepared beside the mirror and not in
//! it: Terraform searches the whole mirror, and would stumble over what vanishes meanwhile. Next to each package stands
//! a record, `OS_ARCH.json`, with its hashes and the size and time of each file: without a record, or if one of the
//! files is not as recorded, the package counts as missing and is fetched again.

use super::address::Provider;
use super::package::{Hashes, hash_dir};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use semver::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// What is left in the directory for preparing is from a dead process after this time.
const ABANDONED: Duration = Duration::from_hours(24);

#[derive(Debug, Clone)]
pub(super) struct Mirror {
    root: PathBuf,
    incoming: PathBuf,
    /// Whoever finds a package notes that it is used before anybody looks whether it is.
    looking: Arc<Mutex<()>>,
}

/// What stands next to a package.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    h1: String,
    zh: String,
    /// Each file's size in bytes and the time of its last change in nanoseconds.
    files: BTreeMap<String, (u64, i128)>,
}

impl Mirror {
    /// Below `dir`, which is made if it is not there.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = fs::canonicalize(dir)?;
        let (root, incoming) = (dir.join("mirror"), dir.join("incoming"));
        let mirror = Self { root, incoming, looking: Arc::default() };
        fs::create_dir_all(&mirror.root)?;
        fs::create_dir_all(&mirror.incoming)?;
        for entry in fs::read_dir(&mirror.incoming)?.flatten() {
            let age =
                entry.metadata().and_then(|facts| facts.modified()).map(|then| SystemTime::now().duration_since(then));
            if matches!(age, Ok(Ok(age)) if age > ABANDONED) {
                remove(&entry.path());
            }
        }
        Ok(mirror)
    }

    /// What Terraform is pointed to.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// An empty directory on the mirror's disk, gone when it is dropped.
    pub(super) fn scratch(&self) -> io::Result<TempDir> {
        tempfile::Builder::new().prefix("fetch-").tempdir_in(&self.incoming)
    }

    /// The hashes of a package that is there and as it was published; `None`: it has to be fetched. Counts as its use.
    pub(super) fn find(&self, provider: &Provider, version: &Version) -> Option<Hashes> {
        let dir = self.package(provider, version);
        let _looking = self.look();
        let record: Record = serde_json::from_slice(&fs::read(record_of(&dir)).ok()?).ok()?;
        let intact = facts(&dir).is_ok_and(|facts| facts == record.files);
        if intact {
            // On a disk that takes no notes it is fetched again one day.
            let _ = File::open(record_of(&dir)).and_then(|file| file.set_modified(SystemTime::now()));
        }
        intact.then_some(Hashes { h1: record.h1, zh: record.zh })
    }

    /// When each package was last used or asked for, and the bytes that it takes.
    pub(super) fn uses(&self) -> io::Result<Vec<(SystemTime, u64)>> {
        let mut uses = Vec::new();
        for package in self.packages()? {
            let files = files(&package)?;
            let facts = files.iter().filter_map(|file| fs::symlink_metadata(package.join(file)).ok());
            let bytes = facts.map(|facts| facts.len()).sum();
            uses.extend(last_use_of(&package)?.map(|used| (used, bytes)));
        }
        Ok(uses)
    }

    /// Removes the packages that nobody has asked for since a moment. What is asked for later is fetched again. Whoever
    /// found one must have no use for it after that time.
    pub(super) fn forget_unused(&self, since: SystemTime) -> io::Result<()> {
        for package in self.packages()? {
            if let Some(aside) = self.take_out(&package, since)? {
                tracing::info!(package = %package.display(), "a provider that nobody uses is removed");
                remove(aside.path());
            }
        }
        Ok(())
    }

    /// `host/namespace/type/version/platform`; beside each is the record of its content.
    fn packages(&self) -> io::Result<Vec<PathBuf>> {
        let mut level = vec![self.root.clone()];
        for _ in 0..5 {
            let mut below = Vec::new();
            for dir in level {
                for entry in fs::read_dir(dir)? {
                    let entry = entry?;
                    below.extend(entry.file_type()?.is_dir().then(|| entry.path()));
                }
            }
            level = below;
        }
        Ok(level)
    }

    /// At once, for `init`s that look through the mirror meanwhile. `None`: it is used.
    fn take_out(&self, package: &Path, since: SystemTime) -> io::Result<Option<TempDir>> {
        let _looking = self.look();
        if last_use_of(package)?.is_none_or(|used| used >= since) {
            return Ok(None);
        }
        let aside = self.scratch()?;
        // First: what has no record counts as not there.
        match fs::remove_file(record_of(package)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        writable(package)?;
        fs::rename(package, aside.path().join("package"))?;
        Ok(Some(aside))
    }

    fn look(&self) -> MutexGuard<'_, ()> {
        // There is nothing in it that could be left half done.
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an unpacked package into its place. One that is there already and the same stays: whoever else published it
    /// was faster.
    pub(super) fn publish(
        &self,
        provider: &Provider,
        version: &Version,
        unpacked: &Path,
        hashes: &Hashes,
    ) -> io::Result<()> {
        let dir = self.package(provider, version);
        fs::create_dir_all(dir.parent().unwrap_or(&self.root))?;
        let _looking = self.look();
        match fs::rename(unpacked, &dir) {
            Ok(()) => {}
            Err(error) if in_the_way(&error) => {
                if !hash_dir(&dir).is_ok_and(|h1| h1 == hashes.h1) {
                    replace(unpacked, &dir)?;
                }
            }
            Err(error) => return Err(error),
        }
        lock_down(&dir)?;
        let record = Record { h1: hashes.h1.clone(), zh: hashes.zh.clone(), files: facts(&dir)? };
        let mut file = tempfile::NamedTempFile::new_in(&self.incoming)?;
        serde_json::to_writer(&mut file, &record)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o444))?;
        file.as_file().sync_all()?;
        file.persist(record_of(&dir)).map_err(|error| error.error)?;
        Ok(())
    }

    fn package(&self, provider: &Provider, version: &Version) -> PathBuf {
        self.root.join(provider.dir()).join(version.to_string()).join(platform())
    }
}

/// What providers are built for: the operating system and architecture of this server, in Go's words.
pub(super) const fn platform() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "linux_amd64"
    } else if cfg!(target_arch = "aarch64") {
        "linux_arm64"
    } else {
        panic!("say how Go calls this architecture")
    }
}

fn in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | NotADirectory)
}

fn record_of(package: &Path) -> PathBuf {
    package.with_extension("json")
}

/// The regular files below a directory, by their paths from it.
///
/// # Errors
/// When there is anything else but files and directories, or a name is not UTF-8.
pub(super) fn files(dir: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![String::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(dir.join(&below))? {
            let entry = entry?;
            let strange = || io::Error::other(format!("{} is no plain file", entry.path().display()));
            let name = entry.file_name().into_string().map_err(|_| strange())?;
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            match entry.file_type()? {
                kind if kind.is_dir() => open.push(path),
                kind if kind.is_file() => files.push(path),
                _ => return Err(strange()),
            }
        }
    }
    Ok(files)
}

fn facts(dir: &Path) -> io::Result<BTreeMap<String, (u64, i128)>> {
    let fact = |path: String| {
        let facts = fs::symlink_metadata(dir.join(&path))?;
        Ok((path, (facts.len(), i128::from(facts.mtime()) * 1_000_000_000 + i128::from(facts.mtime_nsec()))))
    };
    files(dir)?.into_iter().map(fact).collect()
}

/// Puts a directory in the place of another, and removes that. There is no moment at which neither is there, where the
/// file system can exchange two names.
fn replace(new: &Path, old: &Path) -> io::Result<()> {
    // Fails for what is no directory, which needs no more than to be renamed.
    let _ = writable(old);
    if renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE).is_ok() {
        remove(new);
        return Ok(());
    }
    let aside = new.with_extension("old");
    fs::rename(old, &aside)?;
    fs::rename(new, old)?;
    remove(&aside);
    Ok(())
}

fn directories(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = vec![dir.to_owned()];
    let mut next = 0;
    while let Some(dir) = all.get(next).cloned() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                all.push(entry.path());
            }
        }
        next += 1;
    }
    Ok(all)
}

fn lock_down(dir: &Path) -> io::Result<()> {
    directories(dir)?.iter().try_for_each(|dir| fs::set_permissions(dir, fs::Permissions::from_mode(0o555)))
}

/// So that it can be moved and removed by somebody who is not root.
fn writable(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    directories(dir)?.iter().try_for_each(|dir| fs::set_permissions(dir, fs::Permissions::from_mode(0o755)))
}

/// When somebody found the package, or a program read it.
fn last_use_of(package: &Path) -> io::Result<Option<SystemTime>> {
    let used = files(package)?.iter().filter_map(|file| last_use(&package.join(file)).ok()).max();
    let found = fs::metadata(record_of(package)).and_then(|record| record.modified()).ok();
    Ok(used.max(found))
}

/// Also what the file system noted of programs that read it.
fn last_use(file: &Path) -> io::Result<SystemTime> {
    let facts = fs::symlink_metadata(file)?;
    Ok(facts.accessed()?.max(facts.modified()?))
}

/// What can't be removed is in nobody's way.
fn remove(path: &Path) {
    let _ = writable(path);
    if let Err(error) = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path)) {
        tracing::warn!(path = %path.display(), %error, "terraform.providers.left: could not be removed");
    }
}

#[cfg(test)]
mod tests;
