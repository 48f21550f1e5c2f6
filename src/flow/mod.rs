//! The glue: loads what is known, asks the core what follows, performs it with the edges. It decides nothing.
//!
//! ```text
//! worker ── claims ──▶ ingest (a delivery)  ──▶ find, perform ──▶ runs and tells are queued
//!                 ├──▶ run    (plan, apply) ──▶ bench, terraform ──▶ perform
//!                 └──▶ tell   (a pull request's comments and statuses)
//! ```

mod access;
mod apply;
mod asking;
mod bench;
mod cage;
mod catch_up;
mod cleanup;
mod error;
mod find;
mod ingest;
mod labels;
pub mod links;
mod lost;
pub mod outbox;
mod pace;
mod perform;
mod plan;
mod queue;
mod renew;
mod reviewed;
mod room;
mod run;
mod running;
mod start;
mod supervise;
mod survey;
mod tell;
mod texts;
pub mod tokens;
mod turn;
mod verdicts;
mod worker;

pub use catch_up::keep_catching_up;
pub use cleanup::keep_clean;
pub use error::FlowError;
pub use pace::Pace;
pub use running::Running;
pub use start::{ArchiveUnusable, Occupied, Tenancy, clear_remains, clear_scratch, open_archive};
pub use survey::Surveys;
pub use worker::Worker;

use crate::archive::Archive;
use crate::config::ServerConfig;
use crate::domain::command::Names;
use crate::domain::id::{ForgeKind, RepoName, Timestamp};
use crate::domain::report::Server;
use crate::forge::Forge;
use crate::git::Mirrors;
use crate::render::Renderer;
use crate::sandbox::Sandbox;
use crate::sandbox::egress::Outside;
use crate::store::Store;
use crate::terraform::install::Tools;
use crate::terraform::providers::Providers;
use crate::terraform::supervisor::Applies;
use links::Links;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokens::Tokens;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// Everything that the glue works with. Cheap to clone through the `Arc` that holds it.
pub struct Flow {
    pub config: ServerConfig,
    pub store: Store,
    pub archive: Archive,
    pub forges: Vec<Forge>,
    pub mirrors: Mirrors,
    pub tools: Tools,
    /// Applies, which outlive this process.
    pub applies: Applies,
    pub providers: Providers,
    pub renderer: Renderer,
    pub links: Links,
    pub tokens: Tokens,
    /// What comments say of this server.
    pub server: Server,
    /// Where this process serves managed state, for terraform on this host.
    pub address: SocketAddr,
    /// `PATH` for terraform's children: provisioners, and git for modules.
    pub path: String,
    /// Runs of this process that can be told to stop.
    pub running: Running,
    pub pace: Pace,
    /// What holds the code of pull requests.
    pub sandbox: Sandbox,
    /// How the proxies of all cages reach what they may.
    pub outside: Outside,
    /// Held while a large plan is read.
    pub large_plans: Semaphore,
    /// What was read of trees lately.
    pub surveys: Surveys,
    /// When this process has to let go of what it does.
    pub ends: Ends,
    /// Rung whenever work was queued.
    pub wake: Arc<Notify>,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The end of a process, in two steps.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Nothing new is begun.
    pub(crate) soon: CancellationToken,
    /// Whatever goes on is stopped, applies too.
    pub(crate) now: CancellationToken,
}

impl Flow {
    /// The forge that holds a repository.
    ///
    /// # Errors
    /// When no forge with the repository's host is configured.
    pub fn forge(&self, repo: &RepoName) -> Result<&Forge, FlowError> {
        self.forges
            .iter()
            .find(|forge| forge.host() == repo.host())
            .ok_or_else(|| FlowError::NoForge { host: repo.host().to_owned() })
    }

    /// The host in the names of a forge's repositories.
    ///
    /// # Errors
    /// When no forge of this kind is configured (any more).
    pub fn host_of(&self, kind: ForgeKind) -> Result<&str, FlowError> {
        let forge = self.forges.iter().find(|forge| forge.kind() == kind);
        forge.map(Forge::host).ok_or_else(|| FlowError::NoForge { host: kind.to_string() })
    }

    #[must_use]
    pub fn names(&self) -> Names {
        Names::new(&self.config.name, self.config.commands.names.iter().cloned())
    }
}

/// The time as the store keeps it. Asked for here and in `web`, never in the core.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
