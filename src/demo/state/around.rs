//! What stands around repositories: the teams of an organisation, and the webhooks that were made through the API.

use crate::domain::id::Timestamp;
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
