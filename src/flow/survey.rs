//! A tree as far as it must be read to know its projects: its files' ids, and what its Terraform sources say.
//!
//! Sources are read from git's objects, never from a work tree, so that no link can lead anywhere. What was read of a
//! file is kept by the id of its contents: the next pull request changes a few files of a thousand.

use super::{Flow, FlowError};
use crate::domain::id::TreeId;
use crate::domain::impact::{Extent, Modules, TreeFile};
use crate::git::{Entry, EntryKind, Mirror};
use crate::terraform::source::{self, Content, SourceFile};
use std::collections::HashMap;

/// Larger sources than this are not read; what they use counts as unknown, so that more is planned.
const LARGEST_SOURCE: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Survey {
    entries: Vec<Entry>,
    pub(super) modules: Modules,
}

impl Flow {
    pub(super) async fn survey(&self, mirror: &Mirror, tree: &TreeId) -> Result<Survey, FlowError> {
        let entries = mirror.entries(tree).await?;
        let sources: Vec<&Entry> = entries
            .iter()
            .filter(|entry| matches!(entry.kind, EntryKind::Blob | EntryKind::Link) && source::is_source(&entry.path))
            .collect();
        let objects: Vec<_> = sources.iter().map(|entry| entry.object.clone()).collect();
        let contents = mirror.read(&objects, LARGEST_SOURCE).await?;
        let files = sources.iter().map(|entry| SourceFile {
            path: &entry.path,
            content: match (contents.get(&entry.object), entry.kind) {
                (Some(bytes), EntryKind::Link) => Content::Link(bytes),
                (Some(bytes), _) => Content::Text(bytes),
                (None, _) => Content::Unread,
            },
        });
        let modules = source::modules(files);
        Ok(Survey { entries, modules })
    }
}

impl Survey {
    pub(super) fn inputs(&self, project: &Extent<'_>) -> String {
        let files = self.entries.iter().filter(|entry| entry.kind != EntryKind::Tree).map(|entry| TreeFile {
            path: &entry.path,
            object: entry.object.as_str(),
            link: entry.kind == EntryKind::Link,
        });
        self.modules.inputs(project, files)
    }

    /// A small text file of the tree; `None` if there is none, or if it is larger than `max` bytes.
    pub(super) async fn file(&self, mirror: &Mirror, path: &str, max: usize) -> Result<Option<String>, FlowError> {
        let Some(entry) = self.entries.iter().find(|entry| entry.path == path && entry.kind == EntryKind::Blob) else {
            return Ok(None);
        };
        let mut contents: HashMap<_, _> =
            mirror.read(std::slice::from_ref(&entry.object), max).await?.into_iter().collect();
        Ok(contents.remove(&entry.object).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }
}
