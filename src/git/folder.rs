//! A tree as a tree of folders. What two versions of a repository have in common is held once: a folder whose id is the
//! same at the same place is the same value.

use super::objects::{Entry, ObjectId};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// One folder with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// From the root of the repository, with `/`; the root's is empty.
    pub path: String,
    /// Equal ids are equal contents.
    pub object: ObjectId,
    /// All but the folders, in git's order.
    pub entries: Vec<Entry>,
    pub folders: Vec<Arc<Self>>,
}

impl Folder {
    /// This folder and all below it.
    pub fn walk(&self) -> impl Iterator<Item = &Self> {
        let mut open = vec![self];
        std::iter::from_fn(move || {
            let next = open.pop()?;
            open.extend(next.folders.iter().map(|folder| &**folder));
            Some(next)
        })
    }

    /// All that is in it and below it, but the folders; in no order.
    pub fn files(&self) -> impl Iterator<Item = &Entry> {
        self.walk().flat_map(|folder| &folder.entries)
    }

    /// The paths whose contents differ in `to`, sorted; a renamed file is both its names.
    #[must_use]
    pub fn changes(&self, to: &Self) -> Vec<String> {
        let mut changed = BTreeSet::new();
        let mut open = vec![(Some(self), Some(to))];
        while let Some((old, new)) = open.pop() {
            if old.map(|old| &old.object) == new.map(|new| &new.object) {
                continue;
            }
            let sides = [old, new];
            let [gone, come] =
                sides.map(|side| side.into_iter().flat_map(|side| &side.entries).collect::<HashSet<_>>());
            changed.extend(gone.symmetric_difference(&come).map(|entry| entry.path.clone()));
            let mut below: BTreeMap<&str, (Option<&Self>, Option<&Self>)> = BTreeMap::new();
            for folder in old.into_iter().flat_map(|old| &old.folders) {
                below.entry(&folder.path).or_default().0 = Some(folder);
            }
            for folder in new.into_iter().flat_map(|new| &new.folders) {
                below.entry(&folder.path).or_default().1 = Some(folder);
            }
            open.extend(below.into_values());
        }
        changed.into_iter().collect()
    }
}
