//! Where programs run that the server does not trust, and the only place where the server starts any program.
//!
//! 1. A [`Sandbox`] knows what this host can do, and opens a [`Cage`] for a [`policy::Policy`]. In a cage several programs
//!    run one after the other; nothing of them is left when it is closed.
//! 2. The [`helper`] is this same binary, started anew: it builds the cage around itself and starts the programs in it,
//!    so that the server, which has threads and secrets, never forks. `session` talks to it over `wire`; a `spare` one is
//!    started ahead; a `keeper` sees to its end.
//! 3. [`Level`] says how well the host is protected from what runs. The `probe` does not ask what the kernel has, but
//!    tries to break out.
//! 4. [`process`] starts a program without a cage, with an environment built from nothing, reads all it says, and is
//!    sure to be rid of it and its children when its time is over.
//! 5. [`sink`] is where a program's output goes: bounded, and always read to its end. [`log`] and [`redact`] write the
//!    log of a run without the secrets that the run was given.
//! 6. [`handover`] starts this binary anew for work that outlives the server.
//! 7. [`egress`] is the proxy through which a cage reaches what it may reach, and nothing else.

mod cage;
pub mod egress;
pub mod handover;
pub mod helper;
mod host;
mod keeper;
mod level;
pub mod links;
pub mod log;
pub mod policy;
mod probe;
pub mod process;
pub mod redact;
mod session;
pub mod sink;
mod spare;
mod users;
mod wire;

pub use cage::{Cage, TakeError};
pub use host::{CageError, Finding, Foundation, Sandbox, Setup, Slot};
pub use level::Level;
pub use session::SessionError;
