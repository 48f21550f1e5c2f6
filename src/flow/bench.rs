//! Where a run works: its work tree, its terraform, its environment and its log.
//!
//! A saved plan holds absolute paths and reads files again when it is applied, so the directory's name is a function of
//! the pull request and the project: plan and apply see the same path. The queue never gives out two runs of the same
//! pull request and project at once. The directory is gone when the bench is dropped.

use super::tokens::Right;
use super::{Flow, FlowError};
use crate::config::Phase;
use crate::domain::id::TreeId;
use crate::domain::project::StateKind;
use crate::domain::run::{Failure, Run, Step};
use crate::git::{GitError, Mirror, WorkDir};
use crate::sandbox::Level;
use crate::sandbox::log::LogWriter;
use crate::sandbox::redact::Redactor;
use crate::store::{StateId, StoreError};
use crate::terraform::environment::Installation;
use crate::terraform::install::Tool;
use crate::terraform::managed::{self, ManagedState};
use crate::terraform::steps::{Limits, StepFailure, StepSettings, Steps};
use secrecy::SecretString;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// A run's log is cut at this many bytes.
const LONGEST_LOG: u64 = 64 << 20;

/// Why a run can't go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The run's own fault, told to people.
    Failed(Failure),
    /// Ours or the forge's: tried again.
    Ours(FlowError),
}

impl From<FlowError> for Stop {
    fn from(error: FlowError) -> Self {
        Self::Ours(error)
    }
}

impl From<GitError> for Stop {
    fn from(error: GitError) -> Self {
        Self::Ours(error.into())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Ours(error.into())
    }
}

impl From<StepFailure> for Stop {
    fn from(failure: StepFailure) -> Self {
        Self::Failed(failure.into())
    }
}

/// A failure before terraform had its say.
pub(super) fn not_prepared(message: impl ToString) -> Stop {
    Stop::Failed(failure(Step::Prepare, message))
}

pub(super) fn failure(step: Step, message: impl ToString) -> Failure {
    Failure {
        step,
        message: message.to_string(),
        output: String::new(),
        done: vec![],
        not_done: vec![],
        changed_something: false,
    }
}

#[derive(Debug)]
pub(super) struct Bench<'a> {
    flow: &'a Flow,
    pub(super) run: &'a Run,
    pub(super) tool: Tool,
    pub(super) managed: Option<StateId>,
    work: WorkDir,
    log: LogWriter,
    cancel: CancellationToken,
}

impl Flow {
    /// Prepares the work tree of `tree` for a run.
    pub(super) async fn bench<'a>(
        &'a self,
        run: &'a Run,
        mirror: &Mirror,
        tree: &TreeId,
        cancel: &CancellationToken,
    ) -> Result<Bench<'a>, Stop> {
        let log = self.open_log(run).await?;
        let default = self.config.terraform.default_version.as_deref();
        let wanted = run.project.terraform_version.as_deref().or(default);
        let tool = self.tools.choose(wanted).await.map_err(not_prepared)?;
        let work = WorkDir::create(&self.work_root(), &format!("{} {}", run.pull, run.project.key))
            .map_err(|error| FlowError::disk(&self.work_root(), error))?;
        let managed = self.managed_state(run).await?;
        let bench = Bench { flow: self, run, tool, managed, work, log, cancel: cancel.clone() };
        for dir in [bench.tree(), bench.scratch()] {
            std::fs::create_dir(&dir).map_err(|error| FlowError::disk(&dir, error))?;
        }
        mirror.checkout(tree, &bench.tree()).await?;
        if !bench.dir().is_dir() {
            return Err(not_prepared(format!("the directory `{}` is not there at this commit", run.project.key.dir)));
        }
        if managed.is_some() {
            managed::write_override(&bench.dir(), &run.project.key.workspace).map_err(not_prepared)?;
        }
        bench.say(&format!("# {} of {} with {}", run.work.kind(), run.project.name, bench.tool.identity()));
        Ok(bench)
    }

    pub(super) fn work_root(&self) -> PathBuf {
        self.config.data_dir.join("work")
    }

    /// What the run is granted never stands in its log.
    async fn open_log(&self, run: &Run) -> Result<LogWriter, Stop> {
        let granted: Vec<SecretString> = [Phase::Plan, Phase::Apply]
            .into_iter()
            .flat_map(|phase| self.config.env_for(&run.pull.repo, &run.project, phase))
            .map(|(_, value)| value)
            .collect();
        let path = self.archive.create_log(run.id).await.map_err(FlowError::from)?;
        let log = LogWriter::open(&path, Redactor::new(&granted), LONGEST_LOG)
            .map_err(|error| FlowError::disk(&path, error))?;
        log.line(Level::Off.banner());
        Ok(log)
    }

    /// The state that Terraplane keeps for the project; `None` if it keeps none.
    pub(super) async fn managed_state(&self, run: &Run) -> Result<Option<StateId>, FlowError> {
        if run.project.state != StateKind::Managed {
            return Ok(None);
        }
        Ok(Some(self.store.state_id(&run.pull.repo, &run.project.key).await?))
    }

    /// Where managed state is reached; a saved plan holds it.
    pub(super) fn state_address(&self, state: StateId) -> String {
        format!("{}/state/{state}", self.state_base)
    }
}

impl Bench<'_> {
    fn tree(&self) -> PathBuf {
        self.work.path().join("tree")
    }

    /// The run's own directory outside of the code.
    fn scratch(&self) -> PathBuf {
        self.work.path().join("scratch")
    }

    /// The project's directory in the work tree.
    pub(super) fn dir(&self) -> PathBuf {
        self.tree().join(self.run.project.key.dir.as_str())
    }

    pub(super) fn plan_path(&self) -> PathBuf {
        self.scratch().join("plan.bin")
    }

    /// Terraform for a phase, with that phase's environment and its right to managed state.
    pub(super) fn steps(&self, phase: Phase) -> Steps {
        let flow = self.flow;
        let mut env = flow.config.env_for(&self.run.pull.repo, &self.run.project, phase);
        if let Some(state) = self.managed {
            let right = if phase == Phase::Apply { Right::Write } else { Right::Read };
            let token = flow.tokens.issue(self.run.id, &state.to_string(), right);
            let address = flow.state_address(state);
            env.extend(ManagedState { address, run: self.run.id.to_string(), token }.environment());
        }
        let limits = &flow.config.terraform;
        Steps::new(StepSettings {
            tool: self.tool.clone(),
            dir: self.dir(),
            scratch: self.scratch(),
            workspace: self.run.project.key.workspace.clone(),
            path: flow.path.clone(),
            installation: match &flow.config.terraform.cli_config {
                Some(theirs) => Installation::Operator(theirs.clone()),
                None => flow.providers.installation(),
            },
            env,
            log: self.log.clone(),
            cancel: self.cancel.clone(),
            limits: Limits {
                init: limits.init_timeout,
                plan: limits.plan_timeout,
                apply: limits.apply_timeout,
                ..Limits::default()
            },
        })
    }

    /// Has the project's providers in the mirror and initialises the work tree. With `readonly_lock`, its lock file is
    /// that of a plan.
    pub(super) async fn init(&self, steps: &Steps, readonly_lock: bool) -> Result<(), StepFailure> {
        self.flow.providers.init(steps, &self.tree(), readonly_lock).await
    }

    pub(super) fn say(&self, line: &str) {
        self.log.line(line);
    }
}
