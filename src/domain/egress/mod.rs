//! What a cage may reach: the names that are listed under `sandbox.egress`, and what was refused.
//!
//! The configuration reads the list, the proxy in `sandbox::egress` obeys it, and a comment tells what was refused: all
//! three mean the same by a [`Rule`] and a [`Refusal`], so both are here.

mod defaults;
mod name;
mod refusal;
mod rule;

pub use defaults::for_init;
pub use name::{HostName, InvalidName};
pub use refusal::{Reason, Refusal};
pub use rule::{InvalidRule, Rule};
