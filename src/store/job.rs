//! What can be queued, and the lease by which a worker holds it.

use crate::domain::id::{DeliveryId, ForgeKind, JobId, ProjectKey, PullId, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use uuid::Uuid;

/// A piece of durable work. It names what is to be looked at, not what is to be done: whoever claims it looks at the
/// store and acts on what is true by then.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Find out what a delivery means, and what follows.
    Ingest { forge: ForgeKind, delivery: DeliveryId },
    /// Plan or apply.
    Run { run: RunId, pull: PullId, project: ProjectKey },
    /// Somebody applied something of a project that this open pull request plans too: what was planned before is planned
    /// again.
    Replan { pull: PullId, project: ProjectKey, at: Timestamp },
    /// Bring the forge's comments and statuses of a pull request up to date.
    Tell { pull: PullId },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Ingest,
    Run,
    Replan,
    Tell,
}

impl JobKind {
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Run, Self::Tell, Self::Replan];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Run => "run",
            Self::Replan => "replan",
            Self::Tell => "tell",
        }
    }
}

impl FromStr for JobKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| format!("`{text}` is not a kind of job"))
    }
}

impl Job {
    #[must_use]
    pub const fn kind(&self) -> JobKind {
        match self {
            Self::Ingest { .. } => JobKind::Ingest,
            Self::Run { .. } => JobKind::Run,
            Self::Replan { .. } => JobKind::Replan,
            Self::Tell { .. } => JobKind::Tell,
        }
    }

    /// Jobs of one lane never run at once. An ingest job that is enqueued with its delivery has that delivery's lane;
    /// here it is alone in its own.
    #[must_use]
    pub fn lane(&self) -> String {
        match self {
            Self::Ingest { forge, delivery } => format!("ingest:{forge}/{delivery}"),
            Self::Run { pull, project, .. } => format!("run:{pull}:{project}"),
            Self::Replan { pull, .. } => format!("replan:{pull}"),
            Self::Tell { pull } => format!("tell:{pull}"),
        }
    }

    /// While a job waits, another one with the same key is the same job. Deliveries are unique already.
    #[must_use]
    pub fn dedupe(&self) -> Option<String> {
        match self {
            Self::Ingest { .. } => None,
            Self::Run { run, .. } => Some(format!("run:{run}")),
            Self::Replan { pull, project, at } => Some(format!("replan:{pull}:{project}:{}", at.0)),
            Self::Tell { .. } => Some(self.lane()),
        }
    }

    /// The pull request that it is about, where that is known.
    #[must_use]
    pub const fn pull(&self) -> Option<&PullId> {
        match self {
            Self::Ingest { .. } => None,
            Self::Run { pull, .. } | Self::Replan { pull, .. } | Self::Tell { pull } => Some(pull),
        }
    }
}

/// Known only to the claim that made it: whoever has it is the one who may write. A claim by somebody else makes a new
/// one, and from then on nothing that is written with this one has any effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeaseToken(pub(super) Uuid);

/// A worker's hold on a job. It has to be renewed before its time runs out; after that it is still good until another
/// worker claims the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub job_id: JobId,
    pub job: Job,
    /// How often the job has been claimed, this time included.
    pub attempts: u32,
    pub(super) token: LeaseToken,
}

impl LeaseToken {
    pub(super) fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl std::fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_simple().fmt(f)
    }
}
