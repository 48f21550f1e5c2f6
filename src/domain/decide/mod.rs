//! The heart: what follows from something that happened. A pure function of what is known, what happened and the
//! rules; the same input twice gives the same effects once.

mod effect;
mod state;

pub use effect::{Effect, Missing, Say};
pub use state::{Affected, AffectedProject, Problem, ProjectState, PullRecord, PullState};
