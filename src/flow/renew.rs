//! A work tree in which the pull request's code has run is believed no more. At the best level nothing of what it wrote is
//! there; below it the tree is put aside before and brought back after.

use super::FlowError;
use super::bench::{Bench, Stop, private_dir};
use crate::domain::sandbox::Level;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

impl Bench<'_> {
    /// Keeps a copy of the work tree as `init` left it, out of reach of what runs next.
    pub(super) fn set_aside(&self) -> Result<(), Stop> {
        if self.writes_on_disk() {
            copy(&self.tree(), &self.aside()).map_err(|error| FlowError::disk(&self.aside(), error))?;
        }
        Ok(())
    }

    /// The work tree is as it was set aside, and the directory beside it is empty.
    pub(super) fn renew(&self) -> Result<(), Stop> {
        if self.writes_on_disk() {
            let again = || {
                fs::remove_dir_all(self.tree())?;
                fs::rename(self.aside(), self.tree())?;
                fs::remove_dir_all(self.scratch())?;
                private_dir(&self.scratch())
            };
            again().map_err(|error| FlowError::disk(&self.tree(), error))?;
        }
        Ok(())
    }

    fn writes_on_disk(&self) -> bool {
        matches!(self.flow.sandbox.level(), Level::Reduced | Level::Weak)
    }

    fn aside(&self) -> PathBuf {
        self.tree().with_extension("aside")
    }
}

/// Directories, which nobody else may pass, regular files with their permissions, and links as they are; there is nothing
/// else in a checkout, and what else there may be is left out.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    private_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_copy_has_what_a_checkout_has() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::write(from.join("a/b/run.sh"), "#!/bin/sh").unwrap();
        fs::set_permissions(from.join("a/b/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("a/b", from.join("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, from.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b/run.sh")).unwrap(), "#!/bin/sh");
        assert_eq!(fs::metadata(to.join("a/b/run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("a/b"));
        assert!(!to.join("pipe").exists());
    }
}
