//! What a supervisor is told, and what it tells.

use crate::domain::egress::Refusal;
use crate::domain::id::{Fingerprint, RunId, Sha, Workspace};
use crate::domain::run::StateMark;
use crate::sandbox::egress::{OpenUpstream, Rules, Upstream};
use crate::sandbox::log::LogWriter;
use crate::sandbox::policy::{HostUser, Policy};
use crate::sandbox::redact::Redactor;
use crate::sandbox::{Foundation, Sandbox, Slot};
use crate::terraform::environment::Installation;
use crate::terraform::failure::StepFailure;
use crate::terraform::install::{Product, Tool};
use crate::terraform::managed::ManagedState;
use crate::terraform::plan_state::Moves;
use crate::terraform::steps::{ApplyReport, Limits, StepSettings, Steps};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// What the apply is. It is kept beside it, so that another server can say what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub run: RunId,
    /// The directory of the run, which nobody else removes.
    pub work: PathBuf,
    /// The commit of the base branch that is applied.
    pub commit: Option<Sha>,
    pub fingerprint: Fingerprint,
    pub used_saved_plan: bool,
}

/// How it ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ending {
    pub verdict: Verdict,
    /// What the cage was refused.
    pub blocked: Vec<Refusal>,
    /// [`super::Place::errored_state`] has what terraform could not bring to its backend.
    pub errored_state: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// Terraform ran, and this is what it did.
    Ran(ApplyReport),
    /// The state is not what the plan was made from. Nothing was changed.
    Stale,
    /// The plan file holds another state than the project has. Nothing was changed.
    Foreign(String),
    /// Terraform was not started to apply. Nothing was changed.
    Failed(StepFailure),
    /// The sandbox or the log could not be made. Nothing was changed.
    NotBuilt(String),
}

/// All that a supervisor needs. It holds secrets, and so has no `Debug` and is never written to a file.
#[derive(Serialize, Deserialize)]
pub struct Order {
    pub(super) foundation: Foundation,
    pub(super) policy: Policy,
    /// What the apply may reach; `None`: nothing, or all that the host reaches.
    pub(super) rules: Option<Rules>,
    upstream: Option<OpenUpstream>,
    pub(super) user: Option<HostUser>,
    /// The saved plan, and the state that it was made from.
    pub(super) plan: PathBuf,
    pub(super) planned: StateMark,
    pub(super) moves: Moves,
    log: PathBuf,
    log_bytes: u64,
    masked: Vec<String>,
    tool: (Product, String, PathBuf),
    dir: PathBuf,
    scratch: PathBuf,
    results: PathBuf,
    workspace: Workspace,
    path: String,
    installation: Installation,
    env: Vec<(String, String)>,
    /// Address, run and token of managed state.
    state: Option<(String, String, String)>,
    limits: Limits,
}

/// What an order is made of beside the steps.
#[derive(Debug)]
pub struct Surroundings<'a> {
    pub sandbox: &'a Sandbox,
    /// Who the apply runs as.
    pub slot: &'a Slot,
    pub policy: Policy,
    pub rules: Option<Rules>,
    pub upstream: Option<&'a Upstream>,
    pub plan: PathBuf,
    pub planned: StateMark,
    /// What the plan moves within the state.
    pub moves: Moves,
    pub log: PathBuf,
    pub log_bytes: u64,
    /// What must not stand in the log.
    pub masked: &'a [SecretString],
}

impl Order {
    /// To apply a saved plan with these steps, which are those of the phase `apply`.
    #[must_use]
    pub fn new(steps: &Steps, surroundings: Surroundings<'_>) -> Self {
        let Surroundings { sandbox, slot, policy, rules, upstream, plan, planned, moves, log, log_bytes, masked } =
            surroundings;
        let settings = steps.settings();
        let open = |secret: &SecretString| secret.expose_secret().to_owned();
        Self {
            foundation: sandbox.foundation(),
            policy,
            rules,
            upstream: upstream.map(OpenUpstream::from),
            user: slot.user().0,
            plan,
            planned,
            moves,
            log,
            log_bytes,
            masked: masked.iter().map(open).collect(),
            tool: (settings.tool.product, settings.tool.version.to_string(), settings.tool.path.clone()),
            dir: settings.dir.clone(),
            scratch: settings.scratch.clone(),
            results: settings.results.clone(),
            workspace: settings.workspace.clone(),
            path: settings.path.clone(),
            installation: settings.installation.clone(),
            env: steps.granted().iter().map(|(name, value)| (name.clone(), open(value))).collect(),
            state: settings.state.as_ref().map(|state| (state.address.clone(), state.run.clone(), open(&state.token))),
            limits: settings.limits.clone(),
        }
    }

    /// The operator's own proxy.
    pub(super) fn take_upstream(&mut self) -> Option<Upstream> {
        self.upstream.take().map(Into::into)
    }

    pub(super) fn open_log(&self) -> io::Result<LogWriter> {
        let token = self.state.as_ref().map(|(_, _, token)| token);
        let masked: Vec<SecretString> = self.masked.iter().chain(token).map(|text| text.as_str().into()).collect();
        LogWriter::open(&self.log, Redactor::new(&masked), self.log_bytes)
    }

    pub(super) fn into_steps(self, log: LogWriter, cancel: CancellationToken) -> io::Result<Steps> {
        let (product, version, path) = self.tool;
        let version = version.parse().map_err(io::Error::other)?;
        Ok(Steps::new(StepSettings {
            tool: Tool { product, version, path },
            dir: self.dir,
            scratch: self.scratch,
            results: self.results,
            workspace: self.workspace,
            path: self.path,
            installation: self.installation,
            env: self.env.into_iter().map(|(name, value)| (name, value.into())).collect(),
            init_env: vec![],
            modules: None,
            state: self.state.map(|(address, run, token)| ManagedState { address, run, token: token.into() }),
            log,
            cancel,
            limits: self.limits,
        }))
    }
}
