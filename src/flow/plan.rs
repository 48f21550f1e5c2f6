//! Makes a plan: init, plan, show; what came of it goes to the archive first and to the store after.

use super::bench::{Attempt, Bench, Stop, failure};
use super::cage::Part;
use super::{Flow, FlowError};
use crate::archive::{ArchiveName, RunFile};
use crate::config::Phase;
use crate::domain::fingerprint::{FingerprintContext, fingerprint, shape};
use crate::domain::id::{Fingerprint, RunId, TreeId, Workspace};
use crate::domain::plan::{self, PlanSummary, PlanView};
use crate::domain::run::{Outcome, PlanIdentity, Planned, Run, Step};
use crate::git::Want;
use crate::sandbox::redact::Redactor;
use crate::terraform::plan_state::PlanState;
use crate::terraform::snapshot::Snapshot;
use crate::terraform::{integrity, plan_file};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;

/// Bytes of a plan's JSON from which on it is read alone.
const LARGE_JSON: usize = 16 << 20;
/// Nothing that is larger is kept or read back.
const LARGEST: usize = 256 << 20;

impl Flow {
    /// A work tree with what is to be planned.
    pub(super) async fn bench_to_plan<'a>(&'a self, attempt: Attempt<'a>) -> Result<Bench<'a>, Stop> {
        let run = attempt.run;
        let wants = [Want::Commit(run.target.head.clone()), Want::Commit(run.target.base.clone())];
        let mirror = self.fetch(&run.pull.repo, &wants).await?;
        // The tree of the merge has no name in git, so an old one may have been tidied away: merging makes it again.
        if run.created_at.0 < super::now().0 - KEPT_FOR_MS {
            mirror.merge(&run.target.base, &run.target.head).await?;
        }
        self.bench(attempt, &mirror, &run.target.tree).await
    }

    pub(super) async fn plan(&self, mut bench: Bench<'_>) -> Result<Outcome, Stop> {
        let target = &bench.run.target;
        let snapshot = bench.init(Phase::Plan, false).await?;
        let planned = self.make_plan(&mut bench, snapshot, &target.tree, &target.inputs).await?;
        Ok(Outcome::Planned(planned))
    }

    /// Plans in a work tree that is initialised, and puts everything into the archive under the run's id. Planning runs
    /// the pull request's code: from then on nothing in the work tree is believed. The plan file is read once and
    /// compared with `snapshot`, and what was compared is what is shown and kept.
    pub(super) async fn make_plan(
        &self,
        bench: &mut Bench<'_>,
        mut snapshot: Snapshot,
        tree: &TreeId,
        inputs: &str,
    ) -> Result<Planned, Stop> {
        let run = bench.run;
        let steps = bench.steps(Phase::Plan);
        let path = bench.plan_path();
        bench.set_aside()?;
        bench.prepare(&steps)?;
        let mut caged = bench.cage(Part::Plan).await?;
        bench.open_ahead(Part::Show);
        steps.plan(&mut caged.cage, &path, &run.project.var_files, &run.extra).await?;
        let file = caged.cage.take(&path, LARGEST as u64).await.map_err(unreadable)?;
        let file = file.ok_or_else(|| unreadable("terraform has written none"))?;
        let verified = off_the_async_threads(move || {
            integrity::verify(&file, &snapshot).map_err(refused)?;
            let state = plan_file::state_mark(&file).map_err(unreadable)?;
            let lock = snapshot.lock.take();
            let states = PlanState::of(&file).map_err(unreadable)?;
            Ok((file, state, states, lock, snapshot))
        });
        // All that ran in it is dead already.
        let (verified, ()) = tokio::join!(verified, caged.close());
        let (file, state, states, lock, snapshot) = verified?;
        bench.renew()?;
        bench.restore_plan(&file)?;
        bench.prepare(&steps)?;
        let mut caged = bench.cage(Part::Show).await?;
        let keep = |file: RunFile, bytes: Vec<u8>| async move {
            self.archive.put(&ArchiveName::run(run.id, file), bytes).await.map_err(|error| Stop::Ours(error.into()))
        };
        let keep_lock = async {
            match lock {
                Some(lock) => keep(RunFile::LockFile, lock).await,
                None => Ok(()),
            }
        };
        let shown = async { Ok(steps.show_json(&mut caged.cage, &path).await?) };
        let (json, (), ()) = tokio::try_join!(shown, keep(RunFile::Plan, file), keep_lock)?;
        let made = Made {
            states,
            json,
            workspace: run.project.key.workspace.clone(),
            backend: backend(bench, &snapshot),
            inputs: snapshot.fetched().map_or_else(|| inputs.to_owned(), |fetched| format!("{inputs} {fetched}")),
            key: self.archive.hmac_key(),
            redactor: bench.log.redactor().clone(),
        };
        // Seconds of work, if the plan is large, and several times its size in memory: then one at a time.
        let large = made.json.len() > LARGE_JSON;
        let _turn = if large { self.large_plans.acquire().await.ok() } else { None };
        let (read, ()) = tokio::join!(off_the_async_threads(|| made.read()), caged.close());
        let Read { json, view, summary, fingerprint, touched } = read?;
        // Side by side: each is synced to the disk.
        tokio::try_join!(keep(RunFile::PlanJson, json), keep(RunFile::View, view))?;
        let identity = PlanIdentity {
            terraform: bench.tool.identity(),
            workspace: run.project.key.workspace.to_string(),
            workflow: self.workflow(run),
            state_address: bench.managed.map(|state| self.state_address(run, state)),
            state,
        };
        Ok(Planned { summary, fingerprint, identity, tree: tree.clone(), inputs: inputs.to_owned(), touched })
    }

    /// The masked plan of a run, for the comment; `None` if it is gone or was encrypted with another key: the counts
    /// in the store are still there to be shown.
    pub(super) async fn load_view(&self, run: RunId) -> Option<PlanView> {
        match self.load(run, RunFile::View).await {
            Ok(bytes) => serde_json::from_slice(&bytes?).ok(),
            Err(error) => {
                tracing::warn!(run = %run, error = %error.chain(), "a plan can't be read from the archive");
                None
            }
        }
    }

    pub(super) async fn load(&self, run: RunId, file: RunFile) -> Result<Option<Vec<u8>>, FlowError> {
        Ok(self.archive.get(&ArchiveName::run(run, file), LARGEST).await?)
    }

    /// A hash over what a plan is given besides the code: values enter through a keyed hash only.
    pub(super) fn workflow(&self, run: &Run) -> String {
        let mut hash = Hmac::<Sha256>::new_from_slice(&self.archive.hmac_key()).expect("HMAC takes keys of any length");
        let mut add = |part: &str| {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        for (name, value) in self.config.env_for(&run.pull.repo, &run.project, Phase::Plan) {
            add(&name);
            add(value.expose_secret());
        }
        // What `init` alone is granted decides which backend and modules there are. The token for modules does not: what it
        // fetched is compared itself, and a token may be short-lived.
        let of_init = self.config.env_for(&run.pull.repo, &run.project, Phase::Init);
        if !of_init.is_empty() {
            add("init");
        }
        for (name, value) in of_init {
            add(&name);
            add(value.expose_secret());
        }
        add("var files");
        run.project.var_files.iter().for_each(|file| add(file));
        if !run.extra.is_empty() {
            add("arguments");
            run.extra.iter().for_each(|argument| add(argument));
        }
        hex::encode(hash.finalize().into_bytes())
    }
}

/// What terraform has made, and what else its fingerprint depends on.
struct Made {
    states: PlanState,
    json: Vec<u8>,
    workspace: Workspace,
    backend: String,
    inputs: String,
    key: [u8; 32],
    /// Of what the run was granted: it must not be seen where a provider echoes it either.
    redactor: Redactor,
}

/// What is kept of it.
struct Read {
    json: Vec<u8>,
    view: Vec<u8>,
    summary: PlanSummary,
    fingerprint: Fingerprint,
    touched: Vec<String>,
}

/// More addresses that a plan changes are not compared with those of other pull requests.
const MOST_TOUCHED: usize = 500;

impl Made {
    fn read(self) -> Result<Read, Stop> {
        self.states.verify_told(&self.json).map_err(refused)?;
        let mut facts = plan::read(&self.json).map_err(unreadable)?;
        facts.rewrite(&|text| self.redactor.text(text));
        facts.summary.shape = Some(shape(&facts.raw, &self.key));
        let context = FingerprintContext { workspace: &self.workspace, backend: &self.backend, inputs: &self.inputs };
        Ok(Read {
            fingerprint: fingerprint(&facts.raw, &context, &self.key),
            view: serde_json::to_vec(&facts.view).expect("a view is plain data"),
            touched: facts.view.resources.iter().map(|resource| resource.address.clone()).take(MOST_TOUCHED).collect(),
            summary: facts.summary,
            json: self.json,
        })
    }
}

/// Git keeps unnamed objects for two weeks at least.
const KEPT_FOR_MS: i64 = 10 * 24 * 3600 * 1000;

/// Which backend the plan was made with: managed state by its id, for its address may change; any other as `init` wrote
/// it down.
fn backend(bench: &Bench<'_>, snapshot: &Snapshot) -> String {
    bench.managed.map_or_else(|| snapshot.backend.clone(), |state| format!("managed {state}"))
}

async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Stop> + Send + 'static,
) -> Result<T, Stop> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(unreadable("reading it was interrupted")))
}

/// The plan is not what it claims to be: it is neither shown nor kept.
fn refused(error: impl std::fmt::Display) -> Stop {
    Stop::Failed(failure(Step::Plan, error))
}

fn unreadable(error: impl std::fmt::Display) -> Stop {
    Stop::Failed(failure(Step::Show, format!("the plan can't be read: {error}")))
}
