//! Reads commits, trees and files out of a mirror, one question after the other, from one `git cat-file` that lives as
//! long as the questions do. To start a process costs more than to read most repositories; so finding out what a pull
//! request changes takes one, and an answer that is known by its id takes none.

use super::command::{ANSWER, Answer, Call};
use super::error::GitError;
use super::folder::Folder;
use super::mirror::{BATCH, Mirror};
use super::mirrors::{Mirrors, lines};
use super::objects::{self, Batch, Commit, Entry, Found, Kind, ObjectId};
use crate::domain::id::{RepoName, Sha, TreeId};
use crate::sandbox::process::Stdin;
use crate::sandbox::sink::Sink;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

/// So many commits are looked at to find out whether nothing has to be merged. Few pull requests have more.
const MOST_COMMITS: usize = 32;

/// No file system has longer paths, in bytes: nothing below could ever be checked out.
const LONGEST_PATH: usize = 4096;

/// What a path in a listing costs besides its bytes, about.
const PER_ENTRY: usize = 64;

/// Questions to one process, which starts with the first of them and ends when this is dropped.
#[derive(Debug)]
pub struct Reader {
    mirror: Mirror,
    max_blob: usize,
    session: Option<Session>,
    commits: HashMap<Sha, Commit>,
}

/// The process.
#[derive(Debug)]
struct Session {
    questions: mpsc::Sender<Vec<u8>>,
    answers: mpsc::UnboundedReceiver<Found>,
    /// Killed when this is dropped.
    git: AbortOnDropHandle<Result<Answer, GitError>>,
}

/// A folder whose own folders are yet to come.
struct Open {
    folder: Folder,
    parent: usize,
    /// What another tree has at this place.
    known: Option<Arc<Folder>>,
}

impl Mirror {
    /// Reads what is in the mirror. A blob of more than `max_blob` bytes counts as too large.
    #[must_use]
    pub fn reader(&self, max_blob: usize) -> Reader {
        Reader { mirror: self.clone(), max_blob, session: None, commits: HashMap::new() }
    }
}

impl Mirrors {
    /// Reads what is in a mirror, also what a later fetch brings: where there is a mirror, git starts already now, so that
    /// it is ready when the fetch is over. Must be called within a tokio runtime.
    #[must_use]
    pub fn reader(&self, repo: &RepoName, max_blob: usize) -> Reader {
        let mut reader = self.unfetched(repo).reader(max_blob);
        if reader.mirror.dir().join("HEAD").exists() {
            reader.session();
        }
        reader
    }
}

impl Session {
    fn start(mirror: Mirror, max_blob: usize) -> Self {
        let (questions, asked) = mpsc::channel(1);
        let (answer, answers) = mpsc::unbounded_channel();
        let git = async move {
            let mut call = Call::local(mirror.dir(), "cat-file", [BATCH]);
            let mut batch = Batch::new(max_blob);
            call.stdin = Stdin::Fed(asked);
            call.stdout = Sink::Each(Box::new(move |chunk| {
                batch.push(chunk);
                // Who no longer listens is about to end this process.
                batch.take().into_iter().for_each(|found| drop(answer.send(found)));
            }));
            mirror.git().run(call).await
        };
        let git = AbortOnDropHandle::new(tokio::spawn(git.in_current_span()));
        Self { questions, answers, git }
    }

    /// Why there are no more answers.
    async fn broken_off(&mut self) -> GitError {
        match (&mut self.git).await {
            Ok(Ok(answer)) => answer.error(),
            Ok(Err(error)) => error,
            Err(stopped) => GitError::io("reading objects")(io::Error::other(stopped)),
        }
    }
}

impl Reader {
    /// The tree of a commit.
    ///
    /// # Errors
    /// When the commit is not there.
    pub async fn tree_of(&mut self, commit: &Sha) -> Result<TreeId, GitError> {
        self.read_commits(&[commit]).await?;
        Ok(self.commits[commit].tree.clone())
    }

    /// The tree of `head` if `head` contains `base`, for that is what their merge gives. `None` if it does not, or if
    /// that is not seen soon: then git has to merge.
    ///
    /// # Errors
    /// When a commit is not there.
    pub async fn fast_forward(&mut self, base: &Sha, head: &Sha) -> Result<Option<TreeId>, GitError> {
        self.read_commits(&[base, head]).await?;
        let since = self.commits[base].at;
        let (mut seen, mut open) = (BTreeSet::new(), vec![head.clone()]);
        while !open.is_empty() && seen.len() < MOST_COMMITS {
            if open.contains(base) {
                return Ok(Some(self.commits[head].tree.clone()));
            }
            self.read_commits(&open.iter().collect::<Vec<_>>()).await?;
            // What is older than `base` does not contain it, if the clocks were right. If not, git merges.
            let newer = open.iter().map(|sha| &self.commits[sha]).filter(|commit| commit.at >= since);
            let parents: BTreeSet<Sha> = newer.flat_map(|commit| &commit.parents).cloned().collect();
            seen.extend(open);
            open = parents.into_iter().filter(|parent| !seen.contains(parent)).collect();
        }
        Ok(None)
    }

    /// The whole tree. What `known` has at the same place with the same id is taken from there and not read.
    ///
    /// # Errors
    /// When a part of it is not there, or there is more in it than a server can hold.
    pub async fn folder(&mut self, root: &TreeId, known: Option<&Arc<Folder>>) -> Result<Arc<Folder>, GitError> {
        let root: ObjectId = root.as_str().parse().expect("a tree's id is an object's id");
        let id_length = root.as_str().len() / 2;
        let mut all = vec![Open::new(String::new(), root, 0, known.cloned())];
        let (mut level, mut listed) = (0..1, 0);
        while !level.is_empty() {
            let unknown: BTreeSet<&ObjectId> = all[level.clone()].iter().filter_map(Open::unread).collect();
            let unknown: Vec<ObjectId> = unknown.into_iter().cloned().collect();
            let trees = self.objects(&unknown, Kind::Tree).await?;
            for at in level.clone() {
                let Some(object) = all[at].unread() else { continue };
                let items = trees.get(object).and_then(|tree| objects::items(tree, id_length));
                let items = items.ok_or_else(|| self.strange(object))?;
                let known = all[at].known.take();
                let known: HashMap<&str, &Arc<Folder>> = match &known {
                    Some(known) => known.folders.iter().map(|folder| (folder.path.as_str(), folder)).collect(),
                    None => HashMap::new(),
                };
                for item in items {
                    let parent = &mut all[at];
                    let path = match parent.folder.path.as_str() {
                        "" => item.name,
                        above => format!("{above}/{}", item.name),
                    };
                    // A few small trees can name each other's contents a million times over.
                    listed += path.len() + PER_ENTRY;
                    if listed > ANSWER || path.len() > LONGEST_PATH {
                        return Err(GitError::TooLarge { what: "the list of all files".to_owned(), max: ANSWER });
                    }
                    let (object, executable) = (item.object, item.executable);
                    match item.kind {
                        Some(kind) => parent.folder.entries.push(Entry { path, object, kind, executable }),
                        None => {
                            let known = known.get(path.as_str()).map(|&folder| Arc::clone(folder));
                            all.push(Open::new(path, object, at, known));
                        }
                    }
                }
            }
            level = level.end..all.len();
        }
        Ok(assemble(all))
    }

    /// The contents of blobs. One that is too large is not in the map.
    ///
    /// # Errors
    /// When an object is not there, or no blob.
    pub async fn blobs(&mut self, blobs: &[ObjectId]) -> Result<HashMap<ObjectId, Vec<u8>>, GitError> {
        let unique: Vec<ObjectId> = blobs.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        self.objects(&unique, Kind::Blob).await
    }

    async fn read_commits(&mut self, commits: &[&Sha]) -> Result<(), GitError> {
        let new: BTreeSet<&Sha> = commits.iter().copied().filter(|sha| !self.commits.contains_key(sha)).collect();
        let ids: Vec<ObjectId> =
            new.iter().map(|sha| sha.as_str().parse().expect("a commit's id is an object's id")).collect();
        let mut texts = self.objects(&ids, Kind::Commit).await?;
        for (sha, id) in new.into_iter().zip(ids) {
            let text = texts.remove(&id).unwrap_or_default();
            let commit = objects::commit(&text).ok_or_else(|| self.strange(&id))?;
            self.commits.insert(sha.clone(), commit);
        }
        Ok(())
    }

    /// Asks for all at once, each id once. A blob that is too large is not in the map.
    async fn objects(&mut self, ids: &[ObjectId], wanted: Kind) -> Result<HashMap<ObjectId, Vec<u8>>, GitError> {
        let mut contents = HashMap::new();
        if ids.is_empty() {
            return Ok(contents);
        }
        let session = self.session();
        // A git that is gone does not answer either, which is told below.
        let _ = session.questions.send(lines(ids.iter().map(ObjectId::as_str))).await;
        for id in ids {
            match session.answers.recv().await {
                Some(Found::Object(kind, bytes)) if kind == wanted => _ = contents.insert(id.clone(), bytes),
                Some(Found::TooLarge) if wanted == Kind::Blob => {}
                Some(Found::TooLarge) => {
                    return Err(GitError::TooLarge { what: format!("object {id}"), max: ANSWER });
                }
                Some(Found::Object(..) | Found::Missing) => {
                    return Err(self.mirror.missing(&format!("object {id}"), "it is not in the mirror"));
                }
                None => return Err(session.broken_off().await),
            }
        }
        Ok(contents)
    }

    fn session(&mut self) -> &mut Session {
        // It may have waited for a long fetch until its time was over.
        self.session.take_if(|session| session.git.is_finished());
        let start = || Session::start(self.mirror.clone(), self.max_blob);
        self.session.get_or_insert_with(start)
    }

    fn strange(&self, object: &ObjectId) -> GitError {
        self.mirror.missing(&format!("object {object}"), "what is in the mirror under this id is something else")
    }
}

impl Open {
    fn new(path: String, object: ObjectId, parent: usize, known: Option<Arc<Folder>>) -> Self {
        Self { folder: Folder { path, object, entries: Vec::new(), folders: Vec::new() }, parent, known }
    }

    /// The id, if the contents are not known by it.
    fn unread(&self) -> Option<&ObjectId> {
        let object = &self.folder.object;
        self.known.as_ref().is_none_or(|known| known.object != *object).then_some(object)
    }
}

/// Puts folders into those above them. Each comes after its parent, and the root is the first.
fn assemble(mut all: Vec<Open>) -> Arc<Folder> {
    loop {
        let mut last = all.pop().expect("the root is the last to be taken");
        last.folder.folders.reverse();
        let done = match last.known.take() {
            Some(known) if known.object == last.folder.object => known,
            _ => Arc::new(last.folder),
        };
        match all.get_mut(last.parent) {
            Some(parent) => parent.folder.folders.push(done),
            None => return done,
        }
    }
}
