//! Where a run works: its work tree, its terraform, its environment and its log.
//!
//! A saved plan holds absolute paths and reads files again when it is applied, so the directory's name is a function of
//! the pull request and the project: plan and apply see the same path. The queue never gives out two runs of the same
//! pull request and project at once. The directory is gone when the bench is dropped.

use super::cage::{Ahead, Blocked, Part};
use super::tokens::Right;
use super::worker::Signals;
use super::{Flow, FlowError};
use crate::config::Phase;
use crate::domain::id::TreeId;
use crate::domain::project::{Project, StateKind};
use crate::domain::run::{Failure, Run, Step};
use crate::domain::sandbox::Network;
use crate::git::{GitError, Mirror, WorkDir};
use crate::sandbox::Slot;
use crate::sandbox::log::LogWriter;
use crate::sandbox::redact::Redactor;
use crate::store::{StateId, StoreError};
use crate::terraform::environment::Installation;
use crate::terraform::install::Tool;
use crate::terraform::managed::{self, ManagedState};
use crate::terraform::private_modules::PrivateModules;
use crate::terraform::snapshot::{self, LOCK_FILE, Snapshot, SnapshotError};
use crate::terraform::steps::{Limits, StepFailure, StepSettings, Steps};
use crate::terraform::untrusted;
use secrecy::SecretString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// Why files of a commit are not in its work tree, as the log says it.
const LEFT_OUT: &str = "it is terraform's own, or a link that leads out of the repository";

/// A run's log is cut at this many bytes.
pub(super) const LONGEST_LOG: u64 = 64 << 20;

/// Why a run can't go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The run's own fault, told to people.
    Failed(Failure),
    /// Ours or the forge's: tried again.
    Ours(FlowError),
    /// An apply has begun, and what became of it can't be read or kept at the moment: looked up again later, and never
    /// begun anew.
    Unread(FlowError),
    /// Nothing was changed, and it has to begin anew, for this reason.
    Again(String),
    /// An apply that had to wait, and has to wait on: of its project as the rules are now, nothing is applied at present.
    Frozen(Box<Project>),
    /// It goes on without us: whoever claims the run next takes it up.
    Left,
    /// An apply was killed: nobody knows how far it came.
    Interrupted,
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
        diagnostics: Box::default(),
        done: vec![],
        not_done: vec![],
        changed_something: false,
    }
}

/// One try to carry out a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) run: &'a Run,
    pub(super) signals: &'a Signals,
    pub(super) blocked: &'a Blocked,
}

#[derive(Debug)]
pub(super) struct Bench<'a> {
    pub(super) flow: &'a Flow,
    pub(super) run: &'a Run,
    pub(super) tool: Tool,
    pub(super) managed: Option<StateId>,
    pub(super) blocked: Blocked,
    pub(super) log: LogWriter,
    /// What does not stand in it.
    pub(super) masked: Vec<SecretString>,
    /// Who the run's processes are on this host. Given back after the work tree is gone.
    pub(super) slot: Slot,
    /// The cage of the part that comes next.
    pub(super) ahead: Option<Ahead>,
    work: WorkDir,
    cancel: CancellationToken,
}

impl Flow {
    /// Prepares the work tree of `tree` for a run.
    pub(super) async fn bench<'a>(
        &'a self,
        attempt: Attempt<'a>,
        mirror: &Mirror,
        tree: &TreeId,
    ) -> Result<Bench<'a>, Stop> {
        let Attempt { run, signals, blocked } = attempt;
        let (log, masked) = self.open_log(run).await?;
        let default = self.config.terraform.default_version.as_deref();
        let wanted = run.project.terraform_version.as_deref().or(default);
        let tool = self.tools.choose(wanted).await.map_err(not_prepared)?;
        let work = WorkDir::create(&self.work_root(), &format!("{} {}", run.pull, run.project.key))
            .map_err(|error| FlowError::disk(&self.work_root(), error))?;
        let managed = self.managed_state(run).await?;
        let (blocked, slot, cancel) = (blocked.clone(), self.sandbox.slot().await, signals.stop.clone());
        let ahead = None;
        let mut bench = Bench { flow: self, run, tool, managed, blocked, log, masked, slot, ahead, work, cancel };
        for dir in [bench.tree(), bench.scratch()] {
            private_dir(&dir).map_err(|error| FlowError::disk(&dir, error))?;
        }
        bench.open_ahead(Part::Init);
        for path in mirror.checkout(tree, &bench.tree()).await? {
            bench.say(&format!("`{}` is left out of the work tree: {}.", path.display(), LEFT_OUT));
        }
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
    async fn open_log(&self, run: &Run) -> Result<(LogWriter, Vec<SecretString>), Stop> {
        let granted = [Phase::Init, Phase::Plan, Phase::Apply]
            .into_iter()
            .flat_map(|phase| self.config.env_for(&run.pull.repo, &run.project, phase))
            .map(|(_, value)| value);
        let modules = self.private_modules(run);
        let granted = granted.chain(modules.iter().flat_map(PrivateModules::secrets));
        // It is handed none of the server's own secrets. They are not seen even if it finds them.
        let granted: Vec<SecretString> = granted.chain(self.config.own_secrets()).collect();
        let path = self.archive.create_log(run.id).await.map_err(FlowError::from)?;
        let log = LogWriter::open(&path, Redactor::new(&granted), LONGEST_LOG)
            .map_err(|error| FlowError::disk(&path, error))?;
        if let Some(banner) = self.server.level.banner() {
            log.line(banner);
        }
        if self.network(run) == Some(Network::Host) {
            log.line("THE RUN HAS THE NETWORK OF THE SERVER'S HOST");
        }
        Ok((log, granted))
    }

    fn private_modules(&self, run: &Run) -> Option<PrivateModules> {
        let access = self.config.modules_for(&run.pull.repo)?;
        Some(PrivateModules { hosts: access.hosts, token: access.token })
    }

    /// The state that Terraplane keeps for the project; `None` if it keeps none.
    pub(super) async fn managed_state(&self, run: &Run) -> Result<Option<StateId>, FlowError> {
        if run.project.state != StateKind::Managed {
            return Ok(None);
        }
        Ok(Some(self.store.state_id(&run.pull.repo, &run.project.key).await?))
    }

    /// Where a run reaches the managed state; a saved plan holds it.
    pub(super) fn state_address(&self, run: &Run, state: StateId) -> String {
        format!("{}/state/{state}", self.state_base(run))
    }
}

impl Bench<'_> {
    pub(super) fn tree(&self) -> PathBuf {
        self.work.path().join("tree")
    }

    /// All that is the run's alone.
    pub(super) fn work(&self) -> &Path {
        self.work.path()
    }

    /// Whether the work tree stays when this is gone.
    pub(super) const fn leave_work(&mut self, left: bool) {
        self.work.leave(left);
    }

    /// The run's own directory outside of the code.
    pub(super) fn scratch(&self) -> PathBuf {
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
        let env_for = |phase| flow.config.env_for(&self.run.pull.repo, &self.run.project, phase);
        let (mut managed, mut log) = (None, self.log.clone());
        if let Some(state) = self.managed {
            let right = if phase == Phase::Apply { Right::Write } else { Right::Read };
            let token = flow.tokens.issue(self.run.id, &state.to_string(), right);
            log = log.hiding(&token);
            let address = flow.state_address(self.run, state);
            managed = Some(ManagedState { address, run: self.run.id.to_string(), token });
        }
        let limits = &flow.config.terraform;
        Steps::new(StepSettings {
            tool: self.tool.clone(),
            dir: self.dir(),
            scratch: self.scratch(),
            results: self.work.path().to_owned(),
            workspace: self.run.project.key.workspace.clone(),
            path: flow.path.clone(),
            installation: match &flow.config.terraform.cli_config {
                Some(theirs) => Installation::Operator(theirs.clone()),
                None => flow.providers.installation(),
            },
            env: env_for(phase),
            init_env: env_for(Phase::Init),
            modules: flow.private_modules(self.run),
            state: managed,
            log,
            cancel: self.cancel.clone(),
            limits: Limits {
                init: limits.init_timeout,
                plan: limits.plan_timeout,
                apply: limits.apply_timeout,
                ..Limits::default()
            },
        })
    }

    /// Runs `init` with a phase's environment, and notes the configuration before any code of the pull request runs.
    /// With `readonly_lock`, providers must be those of the lock file.
    pub(super) async fn init(&mut self, phase: Phase, readonly_lock: bool) -> Result<Snapshot, Stop> {
        let steps = self.steps(phase);
        self.prepare(&steps)?;
        let mut caged = self.cage(Part::Init).await?;
        if phase == Phase::Plan {
            self.open_ahead(Part::Plan);
        }
        self.flow.providers.init(&steps, &mut caged.cage, &self.tree(), readonly_lock, &self.fetching()).await?;
        let (root, dir, tool) = (self.tree(), self.dir(), self.tool.clone());
        let workspace = self.run.project.key.workspace.clone();
        let noted = tokio::task::spawn_blocking(move || {
            let removed = snapshot::remove_outward_links(&root, &dir)?;
            Ok::<_, SnapshotError>((removed, Snapshot::take(&root, &dir, &tool, &workspace)?))
        });
        // All that ran in it is dead already.
        let (noted, ()) = tokio::join!(noted, caged.close());
        let noted = noted.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked).into()));
        let (removed, snapshot) = noted.map_err(|error| Stop::Failed(failure(Step::Init, error)))?;
        for path in removed {
            self.say(&format!("`{}` was removed: the link leads out of the work tree.", path.display()));
        }
        Ok(snapshot)
    }

    /// Makes what the steps need beside the work tree.
    pub(super) fn prepare(&self, steps: &Steps) -> Result<(), Stop> {
        let failed = |error| FlowError::disk(&self.scratch(), error);
        Ok(steps.prepare().map_err(failed)?)
    }

    /// Puts a plan's bytes where terraform reads them, in the place of whatever is there.
    pub(super) fn restore_plan(&self, plan: &[u8]) -> Result<(), Stop> {
        put(&self.plan_path(), plan)
    }

    pub(super) fn restore_lock(&self, lock: &[u8]) -> Result<(), Stop> {
        put(&self.dir().join(LOCK_FILE), lock)
    }

    pub(super) fn say(&self, line: &str) {
        self.log.line(line);
    }
}

/// A directory that is the run's alone, whoever its processes are: a cage gives it to them before its first program.
pub(super) fn private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Stop> {
    untrusted::replace(path, bytes).map_err(|error| FlowError::disk(path, error).into())
}
