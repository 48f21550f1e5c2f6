//! The steps of a run: get, init, plan, show, state pull, apply. Each is one process with the same surroundings; its exit code
//! says whether it worked, and its output goes to the run's log.

use super::environment::{Environment, Installation, permitted};
use super::events::{Events, Tally};
pub use super::failure::{StepFailure, StepFailureKind};
use super::failure::{not_started, unusable};
use super::install::Tool;
use super::managed::{ManagedState, PATIENCE};
use super::plan_file::read_mark;
use super::plan_state::Objects;
use super::private_modules::{self, PrivateModules};
use super::untrusted::{self, UntrustedFile};
use crate::domain::id::Workspace;
use crate::domain::run::{Failure, ResourceOutcome, StateMark, Step};
use crate::sandbox::log::LogWriter;
use crate::sandbox::process::{End, Outcome, Spec};
use crate::sandbox::sink::Sink;
use crate::sandbox::{Cage, egress};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempPath;
use tokio_util::sync::CancellationToken;

mod diagnosis;

#[cfg(test)]
mod tests;

/// How much of a step's output the log keeps, in bytes; the rest is counted.
const KEPT_OUTPUT: u64 = 8 << 20;

/// How much of a step's last words is kept for the message, in bytes.
pub(super) const LONGEST_OUTPUT: usize = 16 << 10;

/// A quarter of what `init` computes is Go's garbage collection while the program starts. It keeps little in memory, so
/// it may let more garbage lie. The other steps may not: they start providers, which inherit the environment and hold
/// hundreds of megabytes. What the operator grants comes first.
const INIT_GARBAGE: (&str, &str) = ("GOGC", "400");

/// Everything that the steps of one run share.
#[derive(Debug)]
pub struct StepSettings {
    pub tool: Tool,
    /// The project's directory in the work tree.
    pub dir: PathBuf,
    /// A directory of the run's own, outside of the code; at the same path for a plan and its apply.
    pub scratch: PathBuf,
    /// A directory that no step can see: what they answer is written here.
    pub results: PathBuf,
    pub workspace: Workspace,
    /// `PATH`, for provisioners and for modules that are fetched with git.
    pub path: String,
    pub installation: Installation,
    /// What the operator grants.
    pub env: Vec<(String, SecretString)>,
    /// What is granted to `init` besides, and to nothing after it.
    pub init_env: Vec<(String, SecretString)>,
    pub modules: Option<PrivateModules>,
    pub state: Option<ManagedState>,
    pub log: LogWriter,
    pub cancel: CancellationToken,
    pub limits: Limits,
}

/// What a step may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limits {
    /// Time for `init`, and for each of the small steps (`show`, `state pull`).
    pub init: Duration,
    pub plan: Duration,
    /// Time for `apply`, and how long it waits in it for somebody else's state lock.
    pub apply: Duration,
    pub lock: Duration,
    /// Time from SIGINT to SIGKILL. An apply waits for calls that are under way, so that they are in its state.
    pub grace: Duration,
    pub apply_grace: Duration,
    /// Bytes of the plan's JSON.
    pub plan_json: u64,
    /// Bytes of the state.
    pub state: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            init: Duration::from_mins(10),
            plan: Duration::from_mins(60),
            apply: Duration::from_hours(4),
            lock: Duration::from_mins(2),
            grace: Duration::from_secs(10),
            apply_grace: Duration::from_mins(5),
            plan_json: 256 << 20,
            state: 512 << 20,
        }
    }
}

/// What an apply did. The lists come from terraform's events: whatever they do not say is done is not done.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApplyReport {
    /// `None`: it succeeded.
    pub failure: Option<StepFailure>,
    pub done: Vec<ResourceOutcome>,
    pub not_done: Vec<ResourceOutcome>,
    /// Of what is not done, that which was begun: it may be there by half.
    pub uncertain: Vec<ResourceOutcome>,
    /// It failed, and more may have begun than the lists say.
    pub unclear: bool,
}

impl ApplyReport {
    #[must_use]
    pub const fn succeeded(&self) -> bool {
        self.failure.is_none()
    }

    /// Whether any resource was touched. If not, the state's mark tells whether the plan had become stale.
    #[must_use]
    pub fn started_something(&self) -> bool {
        let lost = self.failure.as_ref().is_some_and(|failure| failure.kind == StepFailureKind::Lost);
        lost || self.unclear || !self.done.is_empty() || !self.uncertain.is_empty()
    }

    /// The failure with the resources' fates; `None` if it succeeded.
    #[must_use]
    pub fn into_failure(self) -> Option<Failure> {
        let changed_something = self.started_something();
        let failure = Failure::from(self.failure?);
        Some(Failure { done: self.done, not_done: self.not_done, changed_something, ..failure })
    }
}

/// Runs the steps, in the order that its user wants.
#[derive(Debug)]
pub struct Steps {
    settings: StepSettings,
    environment: Environment,
    /// On top of it, for `init`.
    init_env: Vec<(String, SecretString)>,
}

impl Steps {
    /// Granted variables that would change what the steps mean (such as `TF_DATA_DIR`) are left out, and the log says so.
    #[must_use]
    pub fn new(mut settings: StepSettings) -> Self {
        let granted = settings.env.clone();
        let environment = Environment::new(&settings.scratch, &settings.path, &settings.installation, granted)
            .own(settings.state.as_ref().map(ManagedState::environment).unwrap_or_default())
            .workspace(&settings.workspace);
        let (mut init_env, refused) = permitted(std::mem::take(&mut settings.init_env));
        init_env.extend(private_modules::environment(settings.modules.take().as_ref()));
        for name in environment.refused.iter().chain(&refused) {
            settings.log.line(&format!("The variable {name} is not passed on: terraform's steps depend on it."));
        }
        Self { settings, environment, init_env }
    }

    /// Fetches the modules that are not in the repository, as `init` would.
    ///
    /// # Errors
    /// When it does not end with exit code 0.
    pub async fn get(&self, cage: &mut Cage) -> Result<(), StepFailure> {
        let mut spec = self.spec(vec!["get".into()], self.settings.limits.init);
        self.for_init(&mut spec);
        self.logged(cage, Step::Init, spec).await
    }

    /// With `readonly_lock`, the lock file is as it was when the plan was made, and providers must be those in it.
    ///
    /// # Errors
    /// When it does not end with exit code 0.
    pub async fn init(&self, cage: &mut Cage, readonly_lock: bool) -> Result<(), StepFailure> {
        let mut args = vec!["init", "-input=false"];
        args.extend(readonly_lock.then_some("-lockfile=readonly"));
        let mut spec = self.spec(args.into_iter().map(OsString::from).collect(), self.settings.limits.init);
        let (name, value) = INIT_GARBAGE;
        spec.env.push((name.to_owned(), value.to_owned()));
        self.for_init(&mut spec);
        self.logged(cage, Step::Init, spec).await
    }

    /// Adds what only fetching modules and providers is given.
    fn for_init(&self, spec: &mut Spec) {
        spec.secret_env.retain(|(name, _)| !self.init_env.iter().any(|(over, _)| over == name));
        spec.secret_env.extend(self.init_env.iter().cloned());
    }

    /// Plans without the state lock: a plan must not fail because somebody applies. `extra`: arguments that a comment gave
    /// and [`crate::domain::command::permitted_extra`] let pass.
    ///
    /// # Errors
    /// When it does not end with exit code 0.
    pub async fn plan(
        &self,
        cage: &mut Cage,
        out: &Path,
        var_files: &[String],
        extra: &[String],
    ) -> Result<(), StepFailure> {
        let mut args: Vec<OsString> = ["plan", "-input=false", "-lock=false"].map(OsString::from).into();
        args.push(joined("-out=", out));
        args.extend(var_files.iter().map(|file| joined("-var-file=", Path::new(file))));
        args.extend(extra.iter().map(OsString::from));
        let planned = self.logged(cage, Step::Plan, self.spec(args, self.settings.limits.plan)).await;
        self.diagnosed(cage, planned).await
    }

    /// The saved plan as JSON.
    ///
    /// # Errors
    /// When it fails, or is larger than [`Limits::plan_json`].
    pub async fn show_json(&self, cage: &mut Cage, plan: &Path) -> Result<Vec<u8>, StepFailure> {
        let max = self.settings.limits.plan_json;
        let args = ["show".into(), "-json".into(), plan.into()].into();
        self.result(cage, Step::Show, args, "plan.json", max, move |path| {
            Ok::<_, UntrustedFile>(untrusted::read(path, max)?.unwrap_or_default())
        })
        .await
    }

    /// The lineage and serial that the state has now; empty and 0 where there is none yet.
    ///
    /// # Errors
    /// When it fails, or what comes is no state.
    pub async fn state_pull(&self, cage: &mut Cage) -> Result<StateMark, StepFailure> {
        let args = ["state", "pull"].map(OsString::from).into();
        self.result(cage, Step::State, args, "state.json", self.settings.limits.state, |path| {
            match untrusted::open(path).map_err(io::Error::other)? {
                Some(state) if state.metadata()?.len() > 0 => Ok(read_mark(state)?),
                // What a backend prints that keeps files, as long as there are none.
                _ => Ok::<_, io::Error>(StateMark { lineage: String::new(), serial: 0 }),
            }
        })
        .await
    }

    /// The same, with the objects that the state has.
    ///
    /// # Errors
    /// As for [`Steps::state_pull`].
    pub async fn state(&self, cage: &mut Cage) -> Result<(StateMark, Objects), StepFailure> {
        let args = ["state", "pull"].map(OsString::from).into();
        self.result(cage, Step::State, args, "state.json", self.settings.limits.state, |path| {
            let open = || untrusted::open(path).map_err(io::Error::other);
            match open()? {
                Some(state) if state.metadata()?.len() > 0 => {
                    let objects = open()?.map(Objects::read).transpose()?.unwrap_or_default();
                    Ok((read_mark(state)?, objects))
                }
                _ => Ok::<_, io::Error>((StateMark { lineage: String::new(), serial: 0 }, Objects::default())),
            }
        })
        .await
    }

    /// The addresses of the providers that the state's resources were made with, as the state has them. Works after an
    /// `init` that failed for want of a provider.
    ///
    /// # Errors
    /// When it fails, or what comes is no state.
    pub async fn providers_in_state(&self, cage: &mut Cage) -> Result<BTreeSet<String>, StepFailure> {
        #[derive(Default, Deserialize)]
        struct State {
            #[serde(default)]
            resources: Vec<Resource>,
        }
        #[derive(Deserialize)]
        struct Resource {
            provider: String,
        }
        let args = ["state", "pull"].map(OsString::from).into();
        self.result(cage, Step::State, args, "state.json", self.settings.limits.state, |path| {
            let state = match untrusted::open(path).map_err(io::Error::other)? {
                Some(file) if file.metadata()?.len() > 0 => serde_json::from_reader(io::BufReader::new(file))?,
                _ => State::default(),
            };
            Ok::<_, io::Error>(state.resources.into_iter().map(|resource| resource.provider).collect())
        })
        .await
    }

    /// Applies the saved plan, and nothing else.
    ///
    /// # Errors
    /// When it could not even be started; whatever comes after that is in the report.
    pub async fn apply(&self, cage: &mut Cage, plan: &Path) -> Result<ApplyReport, StepFailure> {
        let limits = &self.settings.limits;
        let lock = format!("-lock-timeout={}s", limits.lock.as_secs());
        let args = ["apply", "-json", "-input=false", &lock].map(OsString::from).into_iter().chain([plan.into()]);
        let listener = Arc::new(Mutex::new((Events::default(), self.settings.log.stream())));
        let mut spec = self.spec(args.collect(), limits.apply);
        spec.grace = limits.apply_grace;
        if self.settings.state.is_some() {
            spec.env.extend(PATIENCE.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        spec.stdout = Sink::Each({
            let listener = Arc::clone(&listener);
            Box::new(move |chunk| {
                let (events, log) = &mut *listener.lock().unwrap_or_else(PoisonError::into_inner);
                log.write(events.push(chunk).as_bytes());
            })
        });
        let ended = self.run(cage, Step::Apply, spec).await;
        let events = {
            let (events, log) = &mut *listener.lock().unwrap_or_else(PoisonError::into_inner);
            log.write(events.finish().as_bytes());
            log.finish();
            std::mem::take(events)
        };
        let outcome = match ended {
            Ok(outcome) => outcome,
            // Never to be taken for an apply that did nothing.
            Err(failure) if failure.kind == StepFailureKind::Lost => {
                let tally = events.tally(false);
                let Tally { done, not_done, uncertain, unclear, .. } = tally;
                return Ok(ApplyReport { failure: Some(failure), done, not_done, uncertain, unclear });
            }
            Err(failure) => return Err(failure),
        };
        // Also when it was stopped too late. The exit code alone says so: what is printed may be anybody's.
        let complete = outcome.code == Some(0) && !matches!(outcome.end, End::Limit(_));
        let tally = events.tally(complete);
        let failure = (!complete).then(|| {
            let mut failure = self.failure(Step::Apply, &outcome);
            if !tally.errors.is_empty() {
                failure.output = self.settings.log.redactor().text(&tally.errors);
            }
            failure.diagnostics = self.without_secrets(tally.diagnostics);
            failure
        });
        let Tally { done, not_done, uncertain, unclear, .. } = tally;
        Ok(ApplyReport { failure, done, not_done, uncertain, unclear })
    }

    /// A step whose output is for people.
    async fn logged(&self, cage: &mut Cage, step: Step, spec: Spec) -> Result<(), StepFailure> {
        let outcome = self.run(cage, step, spec).await?;
        if outcome.end.success() { Ok(()) } else { Err(self.failure(step, &outcome)) }
    }

    /// A step whose output is for us: it goes to a file of at most `max` bytes, which is read off the async threads. The
    /// file may hold secrets, and does not outlive this call, however it ends.
    async fn result<T: Send + 'static, E: Display>(
        &self,
        cage: &mut Cage,
        step: Step,
        args: Vec<OsString>,
        name: &str,
        max: u64,
        read: impl FnOnce(&Path) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StepFailure> {
        let mut spec = self.spec(args, self.settings.limits.init);
        let path = self.settings.results.join(name);
        let file = TempPath::try_from_path(&path).map_err(|error| not_started(step, &error.to_string()))?;
        spec.stdout = Sink::File { path, max };
        let outcome = self.run(cage, step, spec).await?;
        if !outcome.end.success() {
            return Err(self.failure(step, &outcome));
        }
        if let Some(error) = outcome.stdout.failure {
            return Err(unusable(step, &format!("the server cannot write it to its disk: {error}")));
        }
        if outcome.stdout.dropped > 0 {
            return Err(unusable(step, &format!("it is larger than {max} bytes")));
        }
        let read = move || read(&file).map_err(|error| error.to_string());
        match tokio::task::spawn_blocking(read).await {
            Ok(result) => result.map_err(|error| unusable(step, &format!("it is not readable: {error}"))),
            Err(_) => Err(unusable(step, "reading it was interrupted")),
        }
    }

    /// Makes the files and directories that the environment names. To be called before a cage is opened whose code may find
    /// them changed by what ran before.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn prepare(&self) -> io::Result<()> {
        self.environment.prepare()
    }

    fn spec(&self, args: Vec<OsString>, deadline: Duration) -> Spec {
        let StepSettings { tool, dir, log, cancel, limits, .. } = &self.settings;
        let to_log = || Sink::Log { log: log.clone(), tail: LONGEST_OUTPUT };
        Spec {
            args,
            env: self.environment.plain.clone(),
            secret_env: self.environment.granted.clone(),
            stdout: to_log(),
            stderr: to_log(),
            deadline,
            grace: limits.grace,
            cancel: cancel.clone(),
            ..Spec::new(&tool.path, dir)
        }
    }

    async fn run(&self, cage: &mut Cage, step: Step, mut spec: Spec) -> Result<Outcome, StepFailure> {
        let StepSettings { tool, log, cancel, .. } = &self.settings;
        if cancel.is_cancelled() {
            let message = format!("It was cancelled before `{}`.", step.as_str());
            return Err(StepFailure {
                step,
                kind: StepFailureKind::Cancelled,
                message,
                output: String::new(),
                diagnostics: vec![],
            });
        }
        let words: Vec<_> = spec.args.iter().map(|arg| arg.to_string_lossy()).collect();
        log.begin_part(KEPT_OUTPUT);
        log.line(&format!("$ {} {}", tool.product.program(), words.join(" ")));
        spec.env.extend(cage.proxy().into_iter().flat_map(egress::variables));
        cage.run(spec).await.map_err(|error| {
            if error.begun {
                StepFailure::lost(step, &self.name(step), &error)
            } else {
                not_started(step, &format!("{error}: {}", error.source))
            }
        })
    }

    pub(super) const fn settings(&self) -> &StepSettings {
        &self.settings
    }

    /// What the operator grants, as it was given.
    pub(super) fn granted(&self) -> &[(String, SecretString)] {
        &self.settings.env
    }

    pub(super) const fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What people are told that a step is.
    fn name(&self, step: Step) -> String {
        format!("`{} {}`", self.settings.tool.product.program(), step.as_str())
    }

    fn failure(&self, step: Step, outcome: &Outcome) -> StepFailure {
        StepFailure::of(step, &self.name(step), outcome)
    }
}

fn joined(flag: &str, path: &Path) -> OsString {
    let mut arg = OsString::from(flag);
    arg.push(path);
    arg
}
