//! A tree as far as it must be read to know its projects: its files' ids, and what its Terraform sources say.
//!
//! Sources are read from git's objects, never from a work tree, so that no link can lead anywhere. The surveys of the
//! last trees are kept by the trees' ids, which tell everything: the default branch is read once for many pull requests,
//! and of a pull request's tree only what differs.

use super::{Flow, FlowError};
use crate::config::{REPO_FILE, RepoConfig};
use crate::domain::id::{ProjectDir, TreeId};
use crate::domain::impact::{Extent, ModuleFacts, Modules, TreeFile};
use crate::git::{Entry, EntryKind, Folder, Reader};
use crate::terraform::source::{self, Content, SourceFile};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Larger files than this are not read. What a source of that size uses counts as unknown, so that more is planned; a
/// configuration of that size is refused by its parser in any case.
pub(super) const LARGEST: usize = 4 << 20;

/// So many files are kept in memory, at about 150 bytes each. What trees have in common counts once.
const MOST_ENTRIES: usize = 50_000;
/// So many surveys are kept, however small.
const MOST_SURVEYS: usize = 64;

#[derive(Debug)]
pub(super) struct Survey {
    pub(super) root: Arc<Folder>,
    pub(super) modules: Modules,
    /// The text of `terraplane.yaml`.
    pub(super) config: Option<String>,
}

/// The surveys that were asked for last, the newest at the end.
#[derive(Debug, Default)]
pub struct Surveys(Mutex<VecDeque<(TreeId, Arc<Survey>)>>);

impl Surveys {
    fn get(&self, tree: &TreeId) -> Option<Arc<Survey>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == tree)?;
        let found = kept.remove(at)?;
        let survey = Arc::clone(&found.1);
        kept.push_back(found);
        Some(survey)
    }

    fn keep(&self, tree: &TreeId, survey: &Arc<Survey>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((tree.clone(), Arc::clone(survey)));
        while kept.len() > MOST_SURVEYS || entries(&kept) > MOST_ENTRIES {
            kept.pop_front();
        }
    }
}

/// How many files the surveys hold. A folder that several have is held once.
fn entries(surveys: &VecDeque<(TreeId, Arc<Survey>)>) -> usize {
    let mut open: Vec<&Arc<Folder>> = surveys.iter().map(|(_, survey)| &survey.root).collect();
    let (mut seen, mut count) = (HashSet::new(), 0);
    while let Some(folder) = open.pop() {
        if seen.insert(Arc::as_ptr(folder)) {
            count += folder.entries.len();
            open.extend(&folder.folders);
        }
    }
    count
}

impl Flow {
    /// Reads the tree; `like` is the survey of one that has much in common with it.
    pub(super) async fn survey(
        &self,
        reader: &mut Reader,
        tree: &TreeId,
        like: Option<&Survey>,
    ) -> Result<Arc<Survey>, FlowError> {
        if let Some(known) = self.surveys.get(tree) {
            return Ok(known);
        }
        let root = reader.folder(tree, like.map(|like| &like.root)).await?;
        let is_config = |entry: &&Entry| entry.path == REPO_FILE && entry.kind == EntryKind::Blob;
        let config = root.entries.iter().find(is_config);
        let (known, unread) = known_and_unread(&root, like);
        let objects: Vec<_> = unread.iter().copied().chain(config).map(|entry| entry.object.clone()).collect();
        let contents = reader.blobs(&objects).await?;
        let files = unread.iter().map(|entry| SourceFile {
            path: &entry.path,
            content: match (contents.get(&entry.object), entry.kind) {
                (Some(bytes), EntryKind::Link) => Content::Link(bytes),
                (Some(bytes), _) => Content::Text(bytes),
                (None, _) => Content::Unread,
            },
        });
        let modules = known.into_iter().chain(source::facts(files)).collect();
        let config = config.map(|entry| match contents.get(&entry.object) {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            // Not as if it were not there, for then it would have no rules: the parser refuses this for its size.
            None => "#".repeat(RepoConfig::MAX_BYTES + 1),
        });
        let survey = Arc::new(Survey { root, modules, config });
        self.surveys.keep(tree, &survey);
        Ok(survey)
    }
}

/// The directories whose sources are those that `like` has there, with what they say, and the sources of all others.
/// What a link says is in another directory: where there is one, nothing is known.
fn known_and_unread<'a>(root: &'a Folder, like: Option<&Survey>) -> (Vec<(ProjectDir, ModuleFacts)>, Vec<&'a Entry>) {
    let all: Vec<(&Folder, Vec<&Entry>)> = root.walk().map(|folder| (folder, sources(folder))).collect();
    let linked = all.iter().flat_map(|(_, sources)| sources).any(|source| source.kind == EntryKind::Link);
    let like = like.filter(|_| !linked);
    let there: HashMap<&str, &Folder> =
        like.iter().flat_map(|like| like.root.walk()).map(|folder| (folder.path.as_str(), folder)).collect();
    let facts_of = |folder: &Folder, its: &[&Entry]| {
        let same = there.get(folder.path.as_str()).is_some_and(|there| sources(there) == its);
        let dir: ProjectDir = if folder.path.is_empty() { "." } else { &folder.path }.parse().ok()?;
        let facts = like.filter(|_| same)?.modules.get(&dir)?.clone();
        Some((dir, facts))
    };
    let (mut known, mut unread) = (Vec::new(), Vec::new());
    for (folder, its) in all.into_iter().filter(|(_, its)| !its.is_empty()) {
        match facts_of(folder, &its) {
            Some(facts) => known.push(facts),
            None => unread.extend(its),
        }
    }
    (known, unread)
}

/// The Terraform files that lie in the folder itself.
fn sources(folder: &Folder) -> Vec<&Entry> {
    let readable = |entry: &&Entry| matches!(entry.kind, EntryKind::Blob | EntryKind::Link);
    folder.entries.iter().filter(readable).filter(|entry| source::is_source(&entry.path)).collect()
}

impl Survey {
    pub(super) fn inputs(&self, project: &Extent<'_>) -> String {
        let files = self.root.files().map(|entry| TreeFile {
            path: &entry.path,
            object: entry.object.as_str(),
            link: entry.kind == EntryKind::Link,
        });
        self.modules.inputs(project, files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::ObjectId;
    use std::collections::BTreeMap;

    /// A file's path, and what is in it; a path that ends in `@` is a link.
    type File<'a> = (&'a str, u8);

    /// A tree with these files. Of equal contents are those with equal numbers.
    fn tree(files: &[File<'_>]) -> Arc<Folder> {
        fn folder(path: String, files: &[File<'_>]) -> Folder {
            let object = format!("{:040x}", files.iter().fold(7_u64, |sum, (_, n)| sum * 31 + u64::from(*n)));
            let (mut entries, mut below) = (Vec::new(), BTreeMap::<&str, Vec<File<'_>>>::new());
            let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            for (name, content) in files {
                match name.split_once('/') {
                    Some((dir, rest)) => below.entry(dir).or_default().push((rest, *content)),
                    None => entries.push(Entry {
                        path: join(name.trim_end_matches('@')),
                        object: format!("{content:040x}").parse::<ObjectId>().unwrap(),
                        kind: if name.ends_with('@') { EntryKind::Link } else { EntryKind::Blob },
                        executable: false,
                    }),
                }
            }
            let folders = below.into_iter().map(|(dir, files)| Arc::new(folder(join(dir), &files))).collect();
            Folder { path, object: object.parse().unwrap(), entries, folders }
        }
        Arc::new(folder(String::new(), files))
    }

    fn survey(files: &[File<'_>]) -> Survey {
        let root = tree(files);
        let dirs = root.walk().filter(|folder| !sources(folder).is_empty());
        let dir = |folder: &Folder| if folder.path.is_empty() { ".".to_owned() } else { folder.path.clone() };
        let facts = |folder| (dir(folder).parse::<ProjectDir>().unwrap(), ModuleFacts::default());
        let modules = dirs.map(facts).collect();
        Survey { root, modules, config: None }
    }

    /// What is added or changed, what is removed, which directories are known then, and which files have to be read.
    type Case<'a> = (&'a [File<'a>], &'a str, &'a [&'a str], &'a [&'a str]);

    const BEFORE: [File<'_>; 6] =
        [("main.tf", 1), ("README.md", 1), ("a/main.tf", 1), ("a/more.tf", 2), ("a/b/main.tf", 1), ("c/main.tf", 3)];

    /// The directories that need not be read, and the files that have to be.
    fn known_of(files: &[File<'_>]) -> (Vec<String>, Vec<String>) {
        let root = tree(files);
        let before = survey(&BEFORE);
        let (known, unread) = known_and_unread(&root, Some(&before));
        let mut known: Vec<_> = known.into_iter().map(|(dir, _)| dir.to_string()).collect();
        let mut unread: Vec<_> = unread.into_iter().map(|entry| entry.path.clone()).collect();
        known.sort();
        unread.sort();
        (known, unread)
    }

    fn but(changed: &[File<'_>], gone: &str) -> Vec<File<'static>> {
        let mut files: BTreeMap<String, u8> = BEFORE.iter().map(|(path, n)| ((*path).to_owned(), *n)).collect();
        files.remove(gone);
        files.extend(changed.iter().map(|(path, n)| ((*path).to_owned(), *n)));
        files.into_iter().map(|(path, n)| (&*path.leak(), n)).collect()
    }

    #[test]
    fn a_directory_is_read_again_if_one_of_its_own_sources_differs() {
        let cases: [Case<'_>; 7] = [
            (&[], "", &[".", "a", "a/b", "c"], &[]),
            (&[("README.md", 9), ("c/notes.txt", 9)], "", &[".", "a", "a/b", "c"], &[]),
            (&[("a/main.tf", 9)], "", &[".", "a/b", "c"], &["a/main.tf", "a/more.tf"]),
            (&[("c/new.tf", 9)], "", &[".", "a", "a/b"], &["c/main.tf", "c/new.tf"]),
            (&[("d/main.tf", 3)], "", &[".", "a", "a/b", "c"], &["d/main.tf"]),
            (&[], "a/more.tf", &[".", "a/b", "c"], &["a/main.tf"]),
            (&[], "c/main.tf", &[".", "a", "a/b"], &[]),
        ];
        for (changed, gone, known, unread) in cases {
            let (seen_known, seen_unread) = known_of(&but(changed, gone));
            assert_eq!(seen_known, known, "{changed:?} without {gone:?}");
            assert_eq!(seen_unread, unread, "{changed:?} without {gone:?}");
        }
    }

    #[test]
    fn where_a_source_is_a_link_everything_is_read() {
        let (known, unread) = known_of(&but(&[("c/shared.tf@", 9)], ""));
        assert_eq!(known, [] as [&str; 0]);
        assert_eq!(unread.len(), 6);
    }

    #[test]
    fn without_another_survey_everything_is_read() {
        let root = tree(&BEFORE);
        let (known, unread) = known_and_unread(&root, None);
        assert_eq!((known.len(), unread.len()), (0, 5));
    }

    #[test]
    fn what_surveys_have_in_common_counts_once() {
        let one = Arc::new(survey(&BEFORE));
        let mut other = survey(&but(&[("main.tf", 9)], ""));
        let shared = Folder { folders: one.root.folders.clone(), ..(*other.root).clone() };
        other.root = Arc::new(shared);
        let kept = |surveys: &[&Arc<Survey>]| {
            let id: TreeId = "0".repeat(40).parse().unwrap();
            entries(&surveys.iter().map(|survey| (id.clone(), Arc::clone(survey))).collect())
        };
        assert_eq!(kept(&[&one]), 6);
        assert_eq!(kept(&[&one, &Arc::new(other)]), 8, "two files of its own");
    }
}
