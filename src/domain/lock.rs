//! A pull request's hold on a project: from its apply (or merge) until it is merged and applied. Planning takes none.

use super::id::{ProjectKey, PullId, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub project: ProjectKey,
    pub held_by: PullId,
    pub since: Timestamp,
    /// Something was applied under this lock: reality may differ from the base branch, so closing does not free it.
    pub applied: bool,
}
