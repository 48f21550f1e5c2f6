//! A tree as far as it must be read to know its projects: its files' ids, and what its Terraform sources say.
//!
//! Sources are read from git's objects, never from a work tree, so that no link can lead anywhere. The surveys of the
//! last trees are kept by the trees' ids, which tell everything: the default branch is read once for many pull requests.

use super::{Flow, FlowError};
use crate::config::{REPO_FILE, RepoConfig};
use crate::domain::id::TreeId;
use crate::domain::impact::{Extent, Modules, TreeFile};
use crate::git::{Entry, EntryKind, Mirror};
use crate::terraform::source::{self, Content, SourceFile};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Larger files than this are not read. What a source of that size uses counts as unknown, so that more is planned; a
/// configuration of that size is refused by its parser in any case.
const LARGEST: usize = 4 << 20;

/// So many files are kept in memory, at about 150 bytes each.
const MOST_ENTRIES: usize = 50_000;
/// So many surveys are kept, however small.
const MOST_SURVEYS: usize = 64;

#[derive(Debug)]
pub(super) struct Survey {
    entries: Vec<Entry>,
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
        while kept.len() > MOST_SURVEYS
            || kept.iter().map(|(_, survey)| survey.entries.len()).sum::<usize>() > MOST_ENTRIES
        {
            kept.pop_front();
        }
    }
}

impl Flow {
    pub(super) async fn survey(&self, mirror: &Mirror, tree: &TreeId) -> Result<Arc<Survey>, FlowError> {
        if let Some(known) = self.surveys.get(tree) {
            return Ok(known);
        }
        let entries = mirror.entries(tree).await?;
        let is_config = |entry: &&Entry| entry.path == REPO_FILE && entry.kind != EntryKind::Tree;
        let config = entries.iter().find(is_config);
        let sources: Vec<&Entry> = entries
            .iter()
            .filter(|entry| matches!(entry.kind, EntryKind::Blob | EntryKind::Link) && source::is_source(&entry.path))
            .collect();
        let objects: Vec<_> = sources.iter().copied().chain(config).map(|entry| entry.object.clone()).collect();
        let contents = mirror.read(&objects, LARGEST).await?;
        let files = sources.iter().map(|entry| SourceFile {
            path: &entry.path,
            content: match (contents.get(&entry.object), entry.kind) {
                (Some(bytes), EntryKind::Link) => Content::Link(bytes),
                (Some(bytes), _) => Content::Text(bytes),
                (None, _) => Content::Unread,
            },
        });
        let modules = source::modules(files);
        let config = config.map(|entry| match contents.get(&entry.object) {
            // A link is followed nowhere, and is not nothing: the parser refuses this too.
            _ if entry.kind != EntryKind::Blob => "(a link, which is not followed)".to_owned(),
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            // Not as if it were not there, for then it would have no rules: the parser refuses this for its size.
            None => "#".repeat(RepoConfig::MAX_BYTES + 1),
        });
        let survey = Arc::new(Survey { entries, modules, config });
        self.surveys.keep(tree, &survey);
        Ok(survey)
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
}
