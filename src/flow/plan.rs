//! Makes a plan: init, plan, show; what came of it goes to the archive first and to the store after.

use super::bench::{Bench, Stop, failure};
use super::{Flow, FlowError};
use crate::archive::{ArchiveName, RunFile};
use crate::config::Phase;
use crate::domain::fingerprint::{FingerprintContext, fingerprint};
use crate::domain::id::{Fingerprint, RunId, TreeId, Workspace};
use crate::domain::plan::{self, PlanSummary, PlanView};
use crate::domain::run::{Outcome, PlanIdentity, Planned, Run, StateMark, Step};
use crate::git::Want;
use crate::terraform::{plan_file, untrusted};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Nothing that is larger is kept or read back.
const LARGEST: usize = 256 << 20;
const LARGEST_LOCK_FILE: u64 = 1 << 20;
pub(super) const LOCK_FILE: &str = ".terraform.lock.hcl";

impl Flow {
    pub(super) async fn plan(&self, run: &Run, cancel: &CancellationToken) -> Result<Outcome, Stop> {
        let wants = [Want::Commit(run.target.head.clone()), Want::Commit(run.target.base.clone())];
        let mirror = self.fetch(&run.pull.repo, &wants).await?;
        // The tree of the merge has no name in git, so an old one may have been tidied away: merging makes it again.
        if run.created_at.0 < super::now().0 - KEPT_FOR_MS {
            mirror.merge(&run.target.base, &run.target.head).await?;
        }
        let bench = self.bench(run, &mirror, &run.target.tree, cancel).await?;
        bench.init(&bench.steps(Phase::Plan), false).await?;
        let planned = self.make_plan(&bench, &run.target.tree, &run.target.inputs).await?;
        Ok(Outcome::Planned(planned))
    }

    /// Plans in a work tree that is initialised, and puts everything into the archive under the run's id.
    pub(super) async fn make_plan(&self, bench: &Bench<'_>, tree: &TreeId, inputs: &str) -> Result<Planned, Stop> {
        let run = bench.run;
        let steps = bench.steps(Phase::Plan);
        let path = bench.plan_path();
        steps.plan(&path, &run.project.var_files).await?;
        let json = steps.show_json(&path).await?;
        let made = Made {
            json,
            path,
            lock_path: bench.dir().join(LOCK_FILE),
            workspace: run.project.key.workspace.clone(),
            backend: backend(bench)?,
            inputs: inputs.to_owned(),
            key: self.archive.hmac_key(),
        };
        // Seconds of work, if the plan is large.
        let read = tokio::task::spawn_blocking(|| made.read()).await;
        let Read { json, file, lock, view, summary, fingerprint, state } =
            read.unwrap_or_else(|_| Err(unreadable("reading it was interrupted")))?;
        let identity = PlanIdentity {
            terraform: bench.tool.identity(),
            workspace: run.project.key.workspace.to_string(),
            workflow: self.workflow(run),
            state_address: bench.managed.map(|state| self.state_address(state)),
            state,
        };
        let keep = |file: RunFile, bytes: Vec<u8>| async move {
            self.archive.put(&ArchiveName::run(run.id, file), bytes).await.map_err(FlowError::from)
        };
        // Side by side: each is synced to the disk.
        tokio::try_join!(keep(RunFile::Plan, file), keep(RunFile::PlanJson, json), keep(RunFile::View, view), async {
            match lock {
                Some(lock) => keep(RunFile::LockFile, lock).await,
                None => Ok(()),
            }
        })?;
        Ok(Planned { summary, fingerprint, identity, tree: tree.clone(), inputs: inputs.to_owned() })
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
        add("var files");
        run.project.var_files.iter().for_each(|file| add(file));
        hex::encode(hash.finalize().into_bytes())
    }
}

/// What terraform has made, and what else its fingerprint depends on.
struct Made {
    json: Vec<u8>,
    path: PathBuf,
    lock_path: PathBuf,
    workspace: Workspace,
    backend: String,
    inputs: String,
    key: [u8; 32],
}

/// What is kept of it.
struct Read {
    json: Vec<u8>,
    file: Vec<u8>,
    lock: Option<Vec<u8>>,
    view: Vec<u8>,
    summary: PlanSummary,
    fingerprint: Fingerprint,
    state: StateMark,
}

impl Made {
    fn read(self) -> Result<Read, Stop> {
        let facts = plan::read(&self.json).map_err(unreadable)?;
        let file = plan_file::read(&self.path).map_err(unreadable)?;
        let context = FingerprintContext { workspace: &self.workspace, backend: &self.backend, inputs: &self.inputs };
        Ok(Read {
            fingerprint: fingerprint(&facts.raw, &context, &self.key),
            view: serde_json::to_vec(&facts.view).expect("a view is plain data"),
            lock: untrusted::read(&self.lock_path, LARGEST_LOCK_FILE).map_err(unreadable)?,
            state: plan_file::state_mark(&file).map_err(unreadable)?,
            summary: facts.summary,
            json: self.json,
            file,
        })
    }
}

/// Git keeps unnamed objects for two weeks at least.
const KEPT_FOR_MS: i64 = 10 * 24 * 3600 * 1000;

/// Which backend the plan was made with: managed state by its id, for its address may change; any other as `init` wrote
/// it down, with its whole configuration.
fn backend(bench: &Bench<'_>) -> Result<String, Stop> {
    if let Some(state) = bench.managed {
        return Ok(format!("managed {state}"));
    }
    let path = bench.dir().join(".terraform/terraform.tfstate");
    let written = untrusted::read(&path, LARGEST_LOCK_FILE).map_err(unreadable)?.unwrap_or_default();
    let written: serde_json::Value = serde_json::from_slice(&written).unwrap_or_default();
    Ok(written["backend"].to_string())
}

fn unreadable(error: impl std::fmt::Display) -> Stop {
    Stop::Failed(failure(Step::Show, format!("the plan can't be read: {error}")))
}

/// Whether a state is still what a plan was made from. Before the first apply there is no lineage yet, and Terraform
/// compares the serial alone.
pub(super) fn same_state(planned: &StateMark, now: &StateMark) -> bool {
    let first = planned.lineage.is_empty() && planned.serial == 0;
    planned.serial == now.serial && (first || planned.lineage == now.lineage)
}
