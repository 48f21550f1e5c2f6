//! Applies outlive the server. Terraform changes real things for minutes or hours, and meanwhile servers are upgraded,
//! restarted and killed: so an apply belongs to a process of its own.
//!
//! ```text
//! server ─ Order ─▶ supervisor ─ cage, way out, log ─▶ terraform apply
//!    ▲                 │
//!    └─ ended.json ◀───┘  in the apply's directory (`Place`)
//! ```
//!
//! The supervisor is this same binary with one thread. It has all that the apply needs: the cage's socket, the proxy that
//! is its way out, the secrets to mask, the log, and the host's user that the apply runs as. It listens in the apply's
//! directory for whoever wants to stop it, writes down how it ended, and ends: also if no server ever asks.
//!
//! Who starts a server anew finds the directory: a lock tells whether somebody still works there, and a file how it ended.
//! Neither: it was killed, and nobody knows how far terraform came.

mod attend;
mod order;
mod place;
mod work;

pub use attend::Supervised;
pub use order::{About, Ending, Order, Surroundings, Verdict};
pub use place::{Applies, Place};
pub use work::entered;

/// The hidden command that makes this binary a supervisor.
const SUPERVISE: &str = "supervise-apply";
