//! The one door: who may ask for what. Every command passes here, whatever its surface.

use super::command::Verb;
use super::pull::{Actor, Role};

/// Proof that an apply was allowed: it can only be made by [`super::requirement::allow_apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MayApply(pub(super) ());

/// The least role that a verb needs; `None`: anybody may.
#[must_use]
pub const fn needed_role(verb: Verb) -> Option<Role> {
    match verb {
        Verb::Help => None,
        Verb::Plan | Verb::Apply | Verb::Approve | Verb::Unlock | Verb::Cancel => Some(Role::Write),
    }
}

/// # Errors
/// What the actor lacks, as a sentence.
pub fn authorize(verb: Verb, actor: &Actor) -> Result<(), String> {
    match needed_role(verb) {
        Some(needed) if actor.role < needed => Err(format!(
            "`{}` needs the role `{}` in this repository, and you have `{}`",
            verb.as_str(),
            needed.as_str(),
            actor.role.as_str()
        )),
        _ => Ok(()),
    }
}
