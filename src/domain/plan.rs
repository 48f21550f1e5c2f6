//! What a plan would change, read from `terraform show -json` and from nothing else.
//!
//! Format: <https://developer.hashicorp.com/terraform/internals/json-format>. What Terraform marks sensitive is masked
//! here, before anything is stored or shown.

mod compare;
mod mask;
mod read;

pub use compare::{Difference, differences};
pub use read::{PlanError, PlanFacts, read};

use serde::{Deserialize, Serialize};

/// Counts and the addresses that people must not miss. Small enough for the store.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanSummary {
    pub add: usize,
    pub change: usize,
    pub replace: usize,
    pub destroy: usize,
    pub import: usize,
    pub moved: usize,
    pub forget: usize,
    /// Data sources that can only be read during the apply.
    pub read: usize,
    pub outputs: usize,
    pub unchanged: usize,
    /// Addresses that are destroyed or replaced: the first 50.
    pub destroyed: Vec<String>,
    /// Resources that were changed outside of Terraform.
    pub drifted: usize,
}

impl PlanSummary {
    /// Applying it would change nothing: neither reality, nor outputs, nor the state's addresses.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.add + self.change + self.replace + self.destroy + self.import + self.moved + self.forget + self.outputs
            == 0
    }
}

/// A plan as people read it: masked, in the order of the plan. Stored in the archive, not in the database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanView {
    pub resources: Vec<ResourceView>,
    pub outputs: Vec<OutputView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceView {
    pub address: String,
    pub action: Action,
    /// The key of a deposed object: what a replacement left behind, on its way out. The address's present object is
    /// another one.
    #[serde(default)]
    pub deposed: Option<String>,
    /// Attributes that force a replacement, as paths.
    pub forces_replacement: Vec<String>,
    /// The address it had before, if it moved.
    pub moved_from: Option<String>,
    pub importing: bool,
    pub attributes: Vec<AttributeChange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputView {
    pub name: String,
    pub action: Action,
    pub attributes: Vec<AttributeChange>,
}

/// One attribute that differs, with its path (`tags.Owner`, `ingress[0].port`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    pub path: String,
    pub before: Shown,
    pub after: Shown,
}

/// A value as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// Not there on this side.
    Absent,
    /// JSON text of the value.
    Value(String),
    /// Known only after the apply.
    Unknown,
    Sensitive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Update,
    Replace,
    Delete,
    Read,
    Forget,
    /// Only moved or imported.
    NoOp,
}

impl Action {
    /// An object is gone afterwards.
    #[must_use]
    pub const fn destroys(self) -> bool {
        matches!(self, Self::Delete | Self::Replace)
    }
}
