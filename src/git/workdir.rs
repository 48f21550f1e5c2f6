//! The directory that a run works in. Its path is a function of a name, because a saved plan holds absolute paths: the
//! plan and the apply of one project of one pull request must see the same one.

use sha2::{Digest as _, Sha256};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What is being removed is moved to a name that begins so.
const GONE: &str = ".gone-";

/// An empty directory of our own, mode 0711, that is gone when this value is.
///
/// Two runs of one name do not happen side by side (the queue's lanes). If a run lost its lease and still goes on
/// while another has begun, the directory belongs to the newer: the older one's is moved away, and its end removes
/// nothing of the newer.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    /// Kept open, so that its inode is not given to another directory while we compare by it.
    held: fs::File,
    left: bool,
}

/// A run may have a user of its own, who must get to what is the run's below. Nobody can list it, and what is not for
/// everybody there has to be private itself.
const PASSABLE: u32 = 0o711;

impl WorkDir {
    /// Creates the directory for `name` under `root`; one that is there already is removed. The path is short, because
    /// providers put sockets below it, whose paths may have 107 bytes.
    ///
    /// # Errors
    /// When the directories cannot be created or removed.
    pub fn create(root: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let path = fs::canonicalize(root)?.join(&hex::encode(Sha256::digest(name))[..20]);
        discard(&path)?;
        fs::create_dir(&path)?;
        for dir in [root, &path] {
            fs::set_permissions(dir, Permissions::from_mode(PASSABLE))?;
        }
        Ok(Self { held: fs::File::open(&path)?, path, left: false })
    }

    /// One that another process has left; it is gone when this value is.
    ///
    /// # Errors
    /// When it can't be opened; `Ok(None)`: it is not there.
    pub fn adopt(path: &Path) -> io::Result<Option<Self>> {
        match fs::File::open(path) {
            Ok(held) => Ok(Some(Self { held, path: path.to_owned(), left: false })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the directory stays when this value is gone: somebody else works in it then.
    pub const fn leave(&mut self, left: bool) {
        self.left = left;
    }

    /// Removes what earlier processes left under `root`, but those directories. To be called before the first run.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clear(root: &Path, but: &[PathBuf]) -> io::Result<()> {
        let entries = match fs::read_dir(root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let kept: Vec<_> = but.iter().filter_map(|path| path.file_name()).collect();
        for entry in entries {
            let entry = entry?;
            if !kept.contains(&entry.file_name().as_os_str()) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to what this value made.
    fn is_in_its_place(&self) -> bool {
        let identity = |facts: fs::Metadata| (facts.dev(), facts.ino());
        match (fs::symlink_metadata(&self.path), self.held.metadata()) {
            (Ok(there), Ok(ours)) => identity(there) == identity(ours),
            _ => false,
        }
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if !self.left
            && self.is_in_its_place()
            && let Err(error) = discard(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "git.workdir.left: could not be removed");
        }
    }
}

/// Frees the path at once, and removes what was there in a thread of its own: `.terraform` may hold a gigabyte.
fn discard(path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    let aside = parent.join(format!("{GONE}{}", uuid::Uuid::now_v7().as_simple()));
    match fs::rename(path, &aside) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result?,
    }
    std::thread::Builder::new().name("remove-workdir".into()).spawn(move || {
        // What cannot be removed now is removed by the next start's `clear`.
        if let Err(error) = fs::remove_dir_all(&aside) {
            tracing::warn!(path = %aside.display(), %error, "git.workdir.left: could not be removed");
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn becomes_empty(root: &Path) {
        for _ in 0..500 {
            if fs::read_dir(root).unwrap().count() == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} is not empty", root.display());
    }

    #[test]
    fn plan_and_apply_of_one_name_see_the_same_path_and_a_fresh_directory() {
        let root = tempfile::tempdir().unwrap();
        let plan = WorkDir::create(root.path(), "github.com/acme/infra#1 prod@default").unwrap();
        let path = plan.path().to_owned();
        fs::write(path.join("left"), "x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o711);
        drop(plan);
        assert!(!path.exists());
        let apply = WorkDir::create(root.path(), "github.com/acme/infra#1 prod@default").unwrap();
        assert_eq!(apply.path(), path);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        let other = WorkDir::create(root.path(), "github.com/acme/infra#2 prod@default").unwrap();
        assert_ne!(other.path(), path);
        drop((apply, other));
        becomes_empty(root.path());
    }

    #[test]
    fn what_a_killed_server_left_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let first = WorkDir::create(root.path(), "a").unwrap();
        fs::write(first.path().join("old"), "x").unwrap();
        std::mem::forget(first);
        let second = WorkDir::create(root.path(), "a").unwrap();
        assert_eq!(fs::read_dir(second.path()).unwrap().count(), 0);
        std::mem::forget(second);
        WorkDir::clear(root.path(), &[]).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_end_of_an_older_run_does_not_remove_the_directory_of_a_newer() {
        let root = tempfile::tempdir().unwrap();
        let older = WorkDir::create(root.path(), "a").unwrap();
        let newer = WorkDir::create(root.path(), "a").unwrap();
        fs::write(newer.path().join("plan"), "x").unwrap();
        drop(older);
        assert!(newer.path().join("plan").exists());
    }

    #[test]
    fn links_in_a_work_directory_are_removed_and_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let precious = tempfile::tempdir().unwrap();
        fs::write(precious.path().join("file"), "x").unwrap();
        let dir = WorkDir::create(root.path(), "a").unwrap();
        std::os::unix::fs::symlink(precious.path(), dir.path().join("link")).unwrap();
        drop(dir);
        becomes_empty(root.path());
        assert!(precious.path().join("file").exists());
    }
}
