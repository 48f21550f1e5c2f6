//! The mirrors: one bare repository per repository of the forge, which only this module writes to.
//!
//! A mirror is a cache. What is wanted and not there is fetched, by commit id where one is known, so that nothing
//! depends on how far a branch has moved meanwhile. Each fetched commit gets a ref of its own (`refs/commits/ID`), for
//! three reasons: git then offers it to the forge as known, a ref is written only after all that it reaches is on disk,
//! and what has a ref is never cleaned up. Branches are kept under the hash of their name, which spares us every rule
//! about which names can stand beside each other.

use super::command::{Access, Answer, Call, Git};
use super::error::GitError;
use super::mirror::Mirror;
use crate::domain::id::{Branch, RepoName, Sha, Timestamp};
use crate::sandbox::process::Stdin;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use std::time::SystemTime;
use tokio::sync::Mutex;

/// For a first fetch of a large repository; a connection that stalls ends after a minute (`http.lowSpeedTime`).
const FETCH_DEADLINE: Duration = Duration::from_mins(30);

/// For cleaning up a large mirror.
const TIDY_DEADLINE: Duration = Duration::from_mins(30);

/// Something that a mirror should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    Commit(Sha),
    /// The branch's tip as it is on the forge now.
    Branch(Branch),
}

/// All mirrors below one directory.
#[derive(Debug, Clone)]
pub struct Mirrors {
    git: Git,
    root: PathBuf,
    open: Arc<std::sync::Mutex<HashMap<RepoName, Arc<Mutex<State>>>>>,
}

/// What is known about a mirror without asking git. Who holds it may write to the mirror.
#[derive(Debug, Default)]
struct State {
    /// The mirror exists, and no git that was killed has left a lock in it.
    ready: bool,
    /// Commits that this process fetched and that therefore have a ref.
    present: HashSet<Sha>,
    /// Where each branch's ref points to, by the ref's name.
    tips: HashMap<String, Sha>,
}

impl State {
    fn has(&self, sha: &Sha) -> bool {
        self.present.contains(sha) || self.tips.values().any(|tip| tip == sha)
    }

    fn forget(&mut self) {
        self.present.clear();
        self.tips.clear();
    }
}

impl Mirrors {
    #[must_use]
    pub fn new(git: Git, root: PathBuf) -> Self {
        Self { git, root, open: Arc::default() }
    }

    /// Makes sure that the mirror has all that is wanted, by at most one network fetch: by none if only commits are
    /// wanted and all are there. Calls for one repository follow one another.
    ///
    /// # Errors
    /// [`GitError::NotFound`] when the repository, a branch or a commit is not there; [`GitError::Auth`] and
    /// [`GitError::Network`] as they say.
    pub async fn fetch(&self, repo: &RepoName, access: &Access, wants: &[Want]) -> Result<Mirror, GitError> {
        access.check(&repo.to_string())?;
        let dir = self.dir(repo);
        let state = self.state(repo);
        let mut state = state.lock().await;
        if !state.ready {
            self.make_ready(&dir, wants).await?;
        }
        // Until this call is over: if it is dropped, git is killed and may leave a lock.
        state.ready = false;
        let mut commits: Vec<&Sha> = Vec::new();
        let mut branches: BTreeMap<String, &Branch> = BTreeMap::new();
        for want in wants {
            match want {
                Want::Commit(sha) if state.has(sha) || commits.contains(&sha) => {}
                Want::Commit(sha) => commits.push(sha),
                Want::Branch(branch) => _ = branches.insert(branch_ref(branch), branch),
            }
        }
        // Where a branch stands is asked of the forge in any case; only without one is it worth a process to find out
        // whether the commits are there.
        if !branches.is_empty() || !(commits.is_empty() || self.has(&dir, &commits).await?) {
            match self.fetch_refs(repo, &dir, access, &commits, &branches).await {
                Err(error @ GitError::Other { .. }) => {
                    self.rebuild_if_damaged(repo, &dir, error).await?;
                    state.forget();
                    self.make_ready(&dir, wants).await?;
                    self.fetch_refs(repo, &dir, access, &commits, &branches).await?;
                }
                result => result?,
            }
            state.present.extend(commits.into_iter().cloned());
            state.tips.extend(self.tips(&dir, branches.keys()).await?);
        }
        state.ready = true;
        in_use(&dir);
        let tip = |(name, branch): (String, &Branch)| Some((branch.clone(), state.tips.get(&name)?.clone()));
        let tips = branches.into_iter().filter_map(tip).collect();
        Ok(Mirror::new(self.git.clone(), repo.clone(), dir, tips))
    }

    /// Forgets commits whose date is before `keep_after`, and lets git pack what has become many small files. To be
    /// called now and then; what is wanted later is fetched again.
    ///
    /// # Errors
    /// When git fails.
    pub async fn tidy(&self, repo: &RepoName, keep_after: Timestamp) -> Result<(), GitError> {
        let dir = self.dir(repo);
        let state = self.state(repo);
        let mut state = state.lock().await;
        if !dir.join("HEAD").exists() {
            return Ok(());
        }
        let listed = ["--format=%(committerdate:unix) %(refname)", "refs/commits/"];
        let listed = self.git.run(Call::local(&dir, "for-each-ref", listed)).await?.success()?;
        let mut deletions = String::new();
        for line in String::from_utf8_lossy(&listed).lines() {
            if let Some((seconds, name)) = line.split_once(' ')
                && seconds.parse::<i64>().is_ok_and(|seconds| seconds * 1000 < keep_after.0)
            {
                let _ = writeln!(deletions, "delete {name}");
            }
        }
        if !deletions.is_empty() {
            let mut update = Call::local(&dir, "update-ref", ["--stdin"]);
            update.stdin = Stdin::Bytes(deletions.into());
            self.git.run(update).await?.success()?;
            state.forget();
        }
        let mut gc = Call::local(&dir, "gc", ["--auto", "--quiet"]);
        gc.deadline = TIDY_DEADLINE;
        self.git.run(gc).await?.success().map(drop)
    }

    /// When each mirror was last asked for something, and the bytes that it takes.
    ///
    /// # Errors
    /// When they can't be listed.
    pub async fn uses(&self) -> Result<Vec<(SystemTime, u64)>, GitError> {
        let dirs = self.dirs()?;
        let measured = move || dirs.iter().filter_map(|dir| Some((last_use(dir)?, bytes_below(dir)))).collect();
        Ok(tokio::task::spawn_blocking(measured).await.expect("measuring files doesn't panic"))
    }

    /// Those that are there, and what is being made beside them.
    fn dirs(&self) -> Result<Vec<PathBuf>, GitError> {
        match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(GitError::io(format!("listing the mirrors in `{}`", self.root.display()))(error)),
            Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        }
    }

    /// Removes the mirrors that nothing was asked of since a moment. What is wanted later is fetched again.
    ///
    /// # Errors
    /// When one can't be removed.
    pub async fn forget_unused(&self, since: SystemTime) -> Result<(), GitError> {
        let failed = |path: &Path| GitError::io(format!("removing mirrors in `{}`", path.display()));
        for dir in self.dirs()?.into_iter().filter(|dir| last_use(dir).is_some_and(|used| used < since)) {
            let known = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let state = known.into_iter().find_map(|(repo, state)| (self.dir(&repo) == dir).then_some(state));
            // Held to the end, so that nobody begins to use it meanwhile.
            let mut state = match &state {
                Some(state) => Some(state.lock().await),
                None => None,
            };
            if let Some(state) = &mut state {
                **state = State::default();
            }
            std::fs::remove_dir_all(&dir).map_err(failed(&dir))?;
        }
        Ok(())
    }

    /// A mirror as it is, of which no branch is known.
    pub(super) fn unfetched(&self, repo: &RepoName) -> Mirror {
        Mirror::new(self.git.clone(), repo.clone(), self.dir(repo), HashMap::new())
    }

    fn dir(&self, repo: &RepoName) -> PathBuf {
        let name: String = repo.name().chars().take(60).collect();
        let hash = hex::encode(Sha256::digest(repo.to_string()));
        self.root.join(format!("{name}-{}.git", &hash[..16]))
    }

    fn state(&self, repo: &RepoName) -> Arc<Mutex<State>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(open.entry(repo.clone()).or_default())
    }

    async fn make_ready(&self, dir: &Path, wants: &[Want]) -> Result<(), GitError> {
        if dir.join("HEAD").exists() {
            return remove_locks(dir).map_err(GitError::io(format!("removing old locks in `{}`", dir.display())));
        }
        std::fs::create_dir_all(&self.root).map_err(GitError::io(format!("creating `{}`", self.root.display())))?;
        // Made beside its place and moved, so that a half-made mirror is never taken for one.
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.root);
        let new = new.map_err(GitError::io(format!("creating a directory in `{}`", self.root.display())))?;
        let long = wants.iter().any(|want| matches!(want, Want::Commit(sha) if sha.as_str().len() == 64));
        let format = if long { "--object-format=sha256" } else { "--object-format=sha1" };
        let mut init = Call::local(new.path(), "init", ["--bare", "--quiet", "--template=", format, "."]);
        init.git_dir = None;
        self.git.run(init).await?.success()?;
        std::fs::rename(new.path(), dir).map_err(GitError::io(format!("creating `{}`", dir.display())))
    }

    /// Whether the commits and all that they reach are there: the question that git asks itself before a fetch.
    async fn has(&self, dir: &Path, commits: &[&Sha]) -> Result<bool, GitError> {
        let mut call = Call::local(dir, "rev-list", ["--objects", "--stdin", "--not", "--all", "--quiet"]);
        call.stdin = Stdin::Bytes(lines(commits.iter().map(|sha| sha.as_str())));
        Ok(self.git.run(call).await?.end.success())
    }

    /// The one network fetch. Afterwards every wanted commit and branch has its ref, or this is an error.
    async fn fetch_refs(
        &self,
        repo: &RepoName,
        dir: &Path,
        access: &Access,
        commits: &[&Sha],
        branches: &BTreeMap<String, &Branch>,
    ) -> Result<(), GitError> {
        let options = "--quiet --stdin --no-tags --no-write-fetch-head --no-recurse-submodules \
            --no-auto-maintenance --no-show-forced-updates --end-of-options";
        let mut call = Call::local(dir, "fetch", options.split_whitespace().chain([access.url.as_str()]));
        let commits = commits.iter().map(|sha| format!("+{sha}:refs/commits/{sha}"));
        let branches = branches.iter().map(|(name, branch)| format!("+refs/heads/{branch}:{name}"));
        call.stdin = Stdin::Bytes(lines(commits.chain(branches)));
        call.access = Some(access);
        call.deadline = FETCH_DEADLINE;
        let Answer { end, stderr, .. } = self.git.run(call).await?;
        if end.success() { Ok(()) } else { Err(GitError::of_fetch(&repo.to_string(), end, &stderr)) }
    }

    /// Where the fetch has put the branches: as nobody else writes to the mirror, the refs still say it. What was moved
    /// is a file of its own; git is asked only for what it has packed away.
    async fn tips(&self, dir: &Path, names: impl Iterator<Item = &String>) -> Result<HashMap<String, Sha>, GitError> {
        let (mut tips, mut packed) = (HashMap::new(), Vec::new());
        for name in names {
            match std::fs::read_to_string(dir.join(name)).ok().and_then(|tip| tip.trim_end().parse().ok()) {
                Some(tip) => _ = tips.insert(name.clone(), tip),
                None => packed.push(name.as_str()),
            }
        }
        if !packed.is_empty() {
            let listed = ["--format=%(objectname) %(refname)"].into_iter().chain(packed);
            let listed = self.git.run(Call::local(dir, "for-each-ref", listed)).await?.success()?;
            let tip = |line: &str| {
                let (tip, name) = line.split_once(' ')?;
                Some((name.to_owned(), tip.parse().ok()?))
            };
            tips.extend(String::from_utf8_lossy(&listed).lines().filter_map(tip));
        }
        Ok(tips)
    }

    /// A mirror that lost objects (a disk that was full, a host that lost power) is removed, to be fetched anew.
    /// Returns the error if the mirror is sound.
    async fn rebuild_if_damaged(&self, repo: &RepoName, dir: &Path, error: GitError) -> Result<(), GitError> {
        let check = Call::local(dir, "fsck", ["--connectivity-only", "--no-dangling", "--no-progress"]);
        if self.git.run(check).await?.end.success() {
            return Err(error);
        }
        tracing::warn!(%repo, %error, "git.mirror.damaged: removed, to be fetched anew");
        std::fs::remove_dir_all(dir).map_err(GitError::io(format!("removing `{}`", dir.display())))
    }
}

/// Every mirror has this file, and git never looks at its age.
const USED: &str = "HEAD";

/// Notes that a mirror was asked for something. If that can't be noted, it may be fetched once more than needed.
fn in_use(dir: &Path) {
    let noted = File::options().append(true).open(dir.join(USED)).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = noted {
        tracing::debug!(dir = %dir.display(), %error, "the use of a mirror can't be noted");
    }
}

/// `None`: it is no mirror, or not yet.
fn last_use(dir: &Path) -> Option<SystemTime> {
    std::fs::metadata(dir.join(USED)).and_then(|facts| facts.modified()).ok()
}

/// Of all files below a directory. What goes away meanwhile takes nothing.
fn bytes_below(dir: &Path) -> u64 {
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => bytes_below(&entry.path()),
        Ok(facts) => facts.len(),
        Err(_) => 0,
    };
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(bytes).sum()
}

fn branch_ref(branch: &Branch) -> String {
    format!("refs/branches/{}", hex::encode(Sha256::digest(branch.as_str())))
}

pub(super) fn lines(lines: impl Iterator<Item = impl AsRef<str>>) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    text.into()
}

/// Lock files of a server that was killed: nobody else writes to the mirror.
fn remove_locks(dir: &Path) -> io::Result<()> {
    for dir in [dir.to_owned(), dir.join("refs/commits"), dir.join("refs/branches")] {
        match std::fs::read_dir(&dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
            Ok(files) => {
                for path in files.filter_map(|file| Some(file.ok()?.path())) {
                    if path.extension().is_some_and(|extension| extension == "lock") {
                        std::fs::remove_file(&path)?;
                    }
                }
            }
        }
    }
    Ok(())
}
