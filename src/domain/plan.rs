//! What a plan would change, read from `terraform show -json` and from nothing else.
//!
//! Format: <https://developer.hashicorp.com/terraform/internals/json-format>. What Terraform marks sensitive is masked
//! here, before anything is stored or shown.

mod compare;
mod items;
mod mask;
mod read;
mod stateful;
mod step;

pub use compare::{Difference, differences};
pub use read::{PlanError, PlanFacts, read};
pub use stateful::stateful;
pub use step::steps;

use super::id::Fingerprint;
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
    /// Those of them that hold data or whose loss reaches further than themselves: the first 50.
    #[serde(default)]
    pub stateful: Vec<Stateful>,
    /// Resources that were changed outside of Terraform.
    pub drifted: usize,
    /// Equal for plans of different projects that do the same to the same addresses, apart from the module that all of
    /// a plan's addresses begin with. `None` where nobody computed it: then the plan is like no other.
    #[serde(default)]
    pub shape: Option<Fingerprint>,
}

/// A resource that is destroyed or replaced, and what people would miss: `database`, `bucket`, `disk`, ….
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stateful {
    pub address: String,
    pub what: String,
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
    /// What was changed outside of Terraform since the last apply, from the state's values to the real ones.
    #[serde(default)]
    pub drift: Vec<ResourceView>,
    /// Checks that don't hold.
    #[serde(default)]
    pub checks: Vec<CheckView>,
}

/// A `check` block, or a condition of a resource or an output, that does not hold (yet).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    pub address: String,
    /// `fail`, `error`, or `unknown` when it can only be told after the apply: Terraform's words.
    pub status: String,
    /// What its author wrote for this case: the first ten.
    pub messages: Vec<String>,
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
    /// Why Terraform wants this, in its word (`replace_because_tainted`), where it is not plain from the attributes.
    #[serde(default)]
    pub because: Option<String>,
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
    /// A part of a string that is too long to be kept: JSON text of the part, how many characters were left out before
    /// it, how many there are in all, and a digest of all of it.
    Part {
        json: String,
        skipped: usize,
        length: usize,
        digest: String,
    },
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
