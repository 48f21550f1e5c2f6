//! Questions to a mirror. Each is one short git process without the token and without the network.

use super::command::{Answer, Call, Git};
use super::error::GitError;
use super::mirrors::lines;
use super::objects::{self, Batch, Found, Kind};
use crate::domain::id::{Branch, RepoName, Sha, TreeId};
use crate::sandbox::process::{End, Stdin};
use crate::sandbox::sink::Sink;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Lets `cat-file` answer in the format of [`Batch`].
pub(super) const BATCH: &str = "--batch=%(objecttype) %(objectsize)";

/// A repository as of one fetch. Cheap to clone; all questions can be asked side by side.
#[derive(Debug, Clone)]
pub struct Mirror {
    git: Git,
    repo: RepoName,
    dir: PathBuf,
    tips: Arc<HashMap<Branch, Sha>>,
}

/// What merging two commits gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// The tree of the merge. It is kept for two weeks at least, without a name; merging again gives the same.
    Clean(TreeId),
    /// The files that a person would have to merge.
    Conflict { files: Vec<String> },
}

/// A tree, or the tree of a commit.
#[derive(Debug, Clone, Copy)]
pub enum Treeish<'a> {
    Commit(&'a Sha),
    Tree(&'a TreeId),
}

impl Treeish<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Commit(sha) => sha.as_str(),
            Self::Tree(tree) => tree.as_str(),
        }
    }
}

impl<'a> From<&'a Sha> for Treeish<'a> {
    fn from(sha: &'a Sha) -> Self {
        Self::Commit(sha)
    }
}

impl<'a> From<&'a TreeId> for Treeish<'a> {
    fn from(tree: &'a TreeId) -> Self {
        Self::Tree(tree)
    }
}

impl Mirror {
    pub(super) fn new(git: Git, repo: RepoName, dir: PathBuf, tips: HashMap<Branch, Sha>) -> Self {
        Self { git, repo, dir, tips: Arc::new(tips) }
    }

    /// The branch's tip as the fetch saw it.
    ///
    /// # Errors
    /// [`GitError::NotFound`] when the fetch was not asked for the branch.
    pub fn tip(&self, branch: &Branch) -> Result<Sha, GitError> {
        let missing = || self.missing(&format!("branch `{branch}`"), "it was not fetched");
        self.tips.get(branch).cloned().ok_or_else(missing)
    }

    /// Merges `head` into `base` as the forge would, without touching either.
    ///
    /// # Errors
    /// When a commit or a part of it is not there, or the two have no common history.
    pub async fn merge(&self, base: &Sha, head: &Sha) -> Result<Merge, GitError> {
        let options = ["--write-tree", "-z", "--name-only", "--no-messages", "--end-of-options"];
        let answer = self.ask("merge-tree", options.into_iter().chain([base.as_str(), head.as_str()])).await?;
        // Before 2.44 git takes a tree that it cannot read for an empty one, complains, and answers with a merge that
        // lacks all of its files: planned, that would be the end of everything. A sound merge is silent.
        if !answer.stderr.is_empty() {
            return Err(self.explain(&answer, &[base.as_str(), head.as_str()]).await);
        }
        let mut parts = nul_separated(&answer.stdout).into_iter();
        let tree = parts.next();
        match (answer.end, tree.and_then(|tree| tree.parse().ok())) {
            (End::Exit(0), Some(tree)) => Ok(Merge::Clean(tree)),
            (End::Exit(1), Some(_)) => {
                let files: BTreeSet<String> = parts.collect();
                Ok(Merge::Conflict { files: files.into_iter().collect() })
            }
            _ => Err(self.explain(&answer, &[base.as_str(), head.as_str()]).await),
        }
    }

    /// Whether `ancestor` is `commit` or one that it contains.
    ///
    /// # Errors
    /// When a commit is not there.
    pub async fn is_ancestor(&self, ancestor: &Sha, commit: &Sha) -> Result<bool, GitError> {
        let args = ["--is-ancestor", ancestor.as_str(), commit.as_str()];
        let answer = self.ask("merge-base", args).await?;
        match answer.end {
            End::Exit(0) => Ok(true),
            End::Exit(1) => Ok(false),
            _ => Err(self.explain(&answer, &args[1..]).await),
        }
    }

    /// The best common ancestor; `None` if there is none.
    ///
    /// # Errors
    /// When a commit is not there.
    pub async fn merge_base(&self, a: &Sha, b: &Sha) -> Result<Option<Sha>, GitError> {
        let args = [a.as_str(), b.as_str()];
        let answer = self.ask("merge-base", args).await?;
        match (answer.end, id(&answer.stdout)) {
            (End::Exit(0), Some(base)) => Ok(Some(base)),
            (End::Exit(1), None) => Ok(None),
            _ => Err(self.explain(&answer, &args).await),
        }
    }

    /// The tree of a commit.
    ///
    /// # Errors
    /// When the commit is not there.
    pub async fn tree(&self, commit: &Sha) -> Result<TreeId, GitError> {
        let answer = self.ask("rev-parse", ["--verify", &format!("{commit}^{{tree}}")]).await?;
        match (answer.end, id(&answer.stdout)) {
            (End::Exit(0), Some(tree)) => Ok(tree),
            _ => Err(self.explain(&answer, &[commit.as_str()]).await),
        }
    }

    /// The paths whose contents differ; a renamed file is both its names.
    ///
    /// # Errors
    /// When one of them is not there.
    pub async fn changed_files<'a>(
        &self,
        from: impl Into<Treeish<'a>> + Send,
        to: impl Into<Treeish<'a>> + Send,
    ) -> Result<Vec<String>, GitError> {
        let (from, to) = (from.into(), to.into());
        let options = ["-r", "--name-only", "-z", "--no-renames", "--end-of-options"];
        let answer = self.ask("diff-tree", options.into_iter().chain([from.id(), to.id()])).await?;
        if !answer.end.success() {
            return Err(self.explain(&answer, &[from.id(), to.id()]).await);
        }
        Ok(nul_separated(&answer.stdout))
    }

    /// The contents of some files, in one process and without a listing. A path that is not there, is no file, or
    /// holds a line break is not in the map; of a symbolic link the target is read.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] when a file is larger than `max_each` bytes.
    pub async fn files<'a>(
        &self,
        at: impl Into<Treeish<'a>> + Send,
        paths: &[&str],
        max_each: usize,
    ) -> Result<HashMap<String, Vec<u8>>, GitError> {
        let at = at.into();
        let asked: Vec<String> = paths.iter().filter(|path| !path.contains('\n')).map(|&path| path.into()).collect();
        let names = asked.iter().map(|path| format!("{}:{path}", at.id())).collect();
        let found = objects::answered(asked, self.batch(names, max_each).await?);
        let mut contents = HashMap::new();
        for (path, found) in found.unwrap_or_default() {
            match found {
                Found::Object(Kind::Blob, bytes) => _ = contents.insert(path, bytes),
                Found::TooLarge => return Err(GitError::TooLarge { what: format!("`{path}`"), max: max_each }),
                Found::Object(..) | Found::Missing => {}
            }
        }
        Ok(contents)
    }

    pub(super) const fn git(&self) -> &Git {
        &self.git
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Asks `cat-file` for all names at once. As many answers as names.
    async fn batch(&self, names: Vec<String>, max_each: usize) -> Result<Vec<Found>, GitError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Arc::new(Mutex::new(Batch::new(max_each)));
        let mut call = Call::local(&self.dir, "cat-file", [BATCH, "--buffer"]);
        call.stdin = Stdin::Bytes(lines(names.iter()));
        let reader = Arc::clone(&batch);
        call.stdout =
            Sink::Each(Box::new(move |chunk| reader.lock().unwrap_or_else(PoisonError::into_inner).push(chunk)));
        let answer = self.git.run(call).await?;
        let found = batch.lock().unwrap_or_else(PoisonError::into_inner).take();
        if answer.end.success() && found.len() == names.len() { Ok(found) } else { Err(answer.error()) }
    }

    pub(super) async fn ask<A: Into<std::ffi::OsString>>(
        &self,
        name: &'static str,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Answer, GitError> {
        self.git.run(Call::local(&self.dir, name, args)).await
    }

    /// Why a command failed: an object that is not there is a fact that can be asked for.
    pub(super) async fn explain(&self, answer: &Answer, objects: &[&str]) -> GitError {
        let mut call = Call::local(&self.dir, "cat-file", ["--batch-check=%(objectname)"]);
        call.stdin = Stdin::Bytes(lines(objects.iter()));
        let Ok(check) = self.git.run(call).await else { return answer.error() };
        let known = String::from_utf8_lossy(&check.stdout).into_owned();
        match objects.iter().find(|object| !known.lines().any(|line| line == **object)) {
            Some(object) => self.missing(&format!("object {object}"), "it is not in the mirror"),
            None => answer.error(),
        }
    }

    pub(super) fn missing(&self, what: &str, said: &str) -> GitError {
        GitError::NotFound { what: format!("{what} of {}", self.repo), said: said.to_owned() }
    }
}

fn nul_separated(bytes: &[u8]) -> Vec<String> {
    let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

fn id<T: std::str::FromStr>(stdout: &[u8]) -> Option<T> {
    str::from_utf8(stdout).ok()?.trim_end().parse().ok()
}
