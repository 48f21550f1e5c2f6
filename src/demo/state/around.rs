//! What stands around repositories: the teams of an organisation, the webhooks that were made through the API, and
//! pipelines.

use crate::domain::id::{Sha, Timestamp};
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
pub struct Team {
    pub id: u64,
    pub org: String,
    pub name: String,
    pub members: BTreeSet<String>,
}

/// A webhook of a repository, as it was made through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledHook {
    pub id: u64,
    pub url: String,
    pub content_type: String,
    pub secret: String,
    pub events: Vec<String>,
    pub active: bool,
    pub at: Timestamp,
}

/// A run of the project's CI on GitLab, in which statuses stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    pub id: u64,
    pub sha: Sha,
    /// A branch, or one of a merge request's refs.
    pub reference: String,
    /// `push`, `merge_request_event`, or `external` for one that was made for a status.
    pub source: &'static str,
    /// The head whose merge `sha` is, if it is one that was made to be tested.
    pub of_head: Option<Sha>,
}

/// A pull request in a merge queue, with what would be merged of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InQueue {
    pub number: u64,
    pub base_branch: String,
    /// `gh-readonly-queue/main/pr-7-…`
    pub branch: String,
    pub head: Sha,
    /// What it is added to: the base branch's tip, or the head of the one before it.
    pub base: Sha,
}
