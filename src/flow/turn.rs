//! Whose turn it is: what happens when a project is free again, thawed, or no longer has to wait for another one.

use super::perform::job;
use super::{Flow, FlowError};
use crate::domain::decide::{Turn, held_from_outside, turn};
use crate::domain::id::{ProjectKey, RepoName, Timestamp};
use crate::domain::lock::Lock;
use crate::domain::run::{Run, RunState};
use crate::store::{Job, Lease, Tx};

impl Flow {
    /// The project goes to the first of those who wait for it whom nothing else holds.
    pub(super) async fn take_turn(
        &self,
        tx: &mut Tx,
        repo: &RepoName,
        project: &ProjectKey,
        at: Timestamp,
    ) -> Result<(), FlowError> {
        for wait in tx.waits_for(repo, project).await? {
            let (Some(run), Some(state)) = (tx.run(wait.run).await?, tx.pull_state(&wait.pull).await?) else {
                continue;
            };
            match turn(&state, &run.project, at) {
                Turn::GoesOn => {
                    self.go_on(tx, run, at).await?;
                    tx.enqueue(&Job::Tell { pull: wait.pull }, at).await?;
                    return Ok(());
                }
                Turn::Waits(until) => look_again(tx, &run, until).await?,
            }
        }
        Ok(())
    }

    async fn go_on(&self, tx: &mut Tx, mut run: Run, at: Timestamp) -> Result<(), FlowError> {
        if tx.take_lock(&run.pull.repo, &lock_for(&run, at)).await? {
            run.state = RunState::Queued;
            run.resumed_at = Some(at);
            tx.update_run(&run).await?;
            tx.enqueue(&job(&run), at).await?;
        }
        Ok(())
    }

    /// Whether an apply that is about to begin may: its project is its pull request's, and is not frozen. Much may have
    /// happened since it was queued.
    pub(super) async fn may_begin(&self, tx: &mut Tx, run: &Run, at: Timestamp) -> Result<bool, FlowError> {
        let Some(state) = tx.pull_state(&run.pull).await? else { return Ok(false) };
        if held_from_outside(&state, &run.project, at).is_some() {
            return Ok(false);
        }
        Ok(tx.take_lock(&run.pull.repo, &lock_for(run, at)).await?)
    }

    /// An apply that can't begin waits for its turn once more. The job that this lease is for is over by that.
    pub(super) async fn wait_again(
        &self,
        tx: &mut Tx,
        lease: &Lease,
        mut run: Run,
        at: Timestamp,
    ) -> Result<(), FlowError> {
        run.state = RunState::Waiting;
        run.started_at = None;
        tx.update_run(&run).await?;
        tx.finish(lease).await?;
        tx.enqueue(&Job::Tell { pull: run.pull.clone() }, at).await?;
        self.take_turn(tx, &run.pull.repo, &run.project.key, at).await
    }

    /// Takes the turns of everything of the repository that anybody waits for.
    pub(super) async fn take_all_turns(&self, tx: &mut Tx, repo: &RepoName, at: Timestamp) -> Result<(), FlowError> {
        let mut projects: Vec<ProjectKey> = tx.waits(repo).await?.into_iter().map(|wait| wait.project).collect();
        projects.sort();
        projects.dedup();
        for project in projects {
            self.take_turn(tx, repo, &project, at).await?;
        }
        Ok(())
    }
}

fn lock_for(run: &Run, at: Timestamp) -> Lock {
    Lock {
        project: run.project.key.clone(),
        held_by: run.pull.clone(),
        since: at,
        applied: false,
        taken_by: None,
        reason: None,
    }
}

/// An apply that waits for a time looks for itself then.
pub(super) async fn look_again(tx: &mut Tx, run: &Run, until: Option<Timestamp>) -> Result<(), FlowError> {
    if let Some(until) = until {
        tx.enqueue(&job(run), until).await?;
    }
    Ok(())
}
