//! A tree's files in a directory, as terraform may see them: without `.git`, without what an earlier terraform left in
//! the repository, and without links that lead out of the directory.

use super::command::{Call, INDEX};
use super::error::GitError;
use super::mirror::Mirror;
use crate::domain::id::TreeId;
use crate::sandbox::links;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

impl Mirror {
    /// Writes the tree's files into `dir`, an empty directory. No hook, no filter, no submodule. Afterwards removed, at
    /// any depth:
    ///
    /// - `.terraform`: a committed one would decide which modules and providers are used;
    /// - `terraform.tfstate*` and `.terraform.tfstate*`: state comes from the backend, and from nowhere else;
    /// - `terraform.d`: terraform runs providers that it finds in its `plugins`, unless its configuration says otherwise;
    /// - symbolic links that do not end at something inside `dir`: neither the server, which writes files of its own in
    ///   there, nor terraform, which loads what is called `*.auto.tfvars`, follows one to somebody else's file.
    ///
    /// Returns the paths of what was removed, from `dir`.
    ///
    /// # Errors
    /// When the tree is not there, or the files cannot be written.
    pub async fn checkout(&self, tree: &TreeId, dir: &Path) -> Result<Vec<PathBuf>, GitError> {
        let doing = || format!("writing the files of a commit into `{}`", dir.display());
        let dir = fs::canonicalize(dir).map_err(GitError::io(doing()))?;
        let index = self.git().scratch().join(format!("{INDEX}{}", uuid::Uuid::now_v7().as_simple()));
        let index = tempfile::TempPath::try_from_path(index).map_err(GitError::io(doing()))?;
        let mut call = Call::local(self.dir(), "read-tree", ["--reset", "-u", tree.as_str()]);
        call.dir = &dir;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        call.env = vec![("GIT_WORK_TREE".into(), text(&dir)), ("GIT_INDEX_FILE".into(), text(&index))];
        let answer = self.git().run(call).await?;
        if !answer.end.success() {
            return Err(self.explain(&answer, &[tree.as_str()]).await);
        }
        let doing = doing();
        let cleaned = tokio::task::spawn_blocking(move || clean(&dir)).await;
        cleaned.unwrap_or_else(|panicked| Err(io::Error::other(panicked))).map_err(GitError::io(doing))
    }
}

/// What was removed, by its path from `root`.
fn clean(root: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut removed, mut found) = (Vec::new(), Vec::new());
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if is_left_over(&entry.file_name().to_string_lossy()) {
                if kind.is_dir() {
                    fs::remove_dir_all(&path)?
                } else {
                    fs::remove_file(&path)?
                }
                removed.push(path.strip_prefix(root).map(Path::to_owned).unwrap_or(path));
            } else if kind.is_dir() {
                dirs.push(path);
            } else if kind.is_symlink() {
                found.push(path);
            }
        }
    }
    // After everything else, so that a link to something that has been removed is seen to lead nowhere.
    removed.extend(links::remove_outward(root, found)?);
    removed.sort();
    Ok(removed)
}

fn is_left_over(name: &str) -> bool {
    matches!(name, ".terraform" | "terraform.d")
        || name.starts_with("terraform.tfstate")
        || name.starts_with(".terraform.tfstate")
}
