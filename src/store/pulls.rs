//! Pull requests, and everything that is known when something happens to one.

use super::error::StoreError;
use super::{Store, Tx, freezes, locks, row, shown, touched, turns};
use crate::domain::decide::{
    Affected, AffectedProject, Around, ProjectState, PullRecord, PullState, Queued, QueuedCommit, Shown,
};
use crate::domain::id::{ProjectKey, PullId, RepoName, Timestamp};
use crate::domain::lock::{Lock, Wait};
use crate::domain::project::{Project, StateKind, Target};
use crate::domain::pull::{Phase, Pull};
use crate::domain::run::Run;
use sqlx::{AnyConnection, Row as _};
use std::collections::{BTreeMap, BTreeSet};

impl Store {
    /// What is known of a pull request, all of one moment. `None`: nothing.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn pull_state(&self, id: &PullId) -> Result<Option<PullState>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let state = load(&mut snapshot, id).await?;
        snapshot.rollback().await?;
        Ok(state)
    }

    /// The repositories of which any pull request is known.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn repos(&self) -> Result<Vec<RepoName>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT repo FROM pull").fetch_all(&self.pools.reads).await?;
        rows.iter().map(|row| row::id(row, "repo")).collect()
    }
}

impl Tx {
    /// What is known of a pull request, with what this transaction has written.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn pull_state(&mut self, id: &PullId) -> Result<Option<PullState>, StoreError> {
        load(self.connection(), id).await
    }

    /// # Errors
    /// The database's.
    pub async fn save_pull(&mut self, record: &PullRecord, now: Timestamp) -> Result<(), StoreError> {
        let merged_at = match &record.pull.phase {
            Phase::Merged { at, .. } => Some(at.0),
            Phase::Open | Phase::Closed => None,
        };
        sqlx::query(
            "INSERT INTO pull (id, repo, merged_at, updated_at, record, open) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (id) DO UPDATE SET merged_at = excluded.merged_at, updated_at = excluded.updated_at, \
             record = excluded.record, open = excluded.open",
        )
        .bind(record.pull.id.to_string())
        .bind(record.pull.id.repo.to_string())
        .bind(merged_at)
        .bind(now.0)
        .bind(row::to_json(record))
        .bind(i64::from(record.pull.is_open()))
        .execute(self.connection())
        .await?;
        self.touched.insert(record.pull.id.clone());
        Ok(())
    }

    /// The other pull requests that are merged and have this project still to apply, in the order of their merges.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn other_pulls_waiting_to_apply(
        &mut self,
        repo: &RepoName,
        project: &ProjectKey,
        than: &PullId,
    ) -> Result<Vec<PullId>, StoreError> {
        self.mark_settled().await?;
        let rows =
            sqlx::query("SELECT id FROM pull WHERE repo = $1 AND unsettled = 1 AND id <> $2 ORDER BY merged_at, id")
                .bind(repo.to_string())
                .bind(than.to_string())
                .fetch_all(self.connection())
                .await?;
        let mut pulls = Vec::new();
        for row in &rows {
            let id: PullId = row::id(row, "id")?;
            let state = load(self.connection(), &id).await?;
            if state.is_some_and(|state| state.projects.iter().any(|p| p.project.key == *project && is_to_apply(p))) {
                pulls.push(id);
            }
        }
        Ok(pulls)
    }

    /// The pull requests of a repository that are open, or merged with something left to apply.
    ///
    /// # Errors
    /// The database's, or rows of another version.
    pub async fn pulls_under_way(&mut self, repo: &RepoName) -> Result<Vec<PullId>, StoreError> {
        let rows = sqlx::query("SELECT id FROM pull WHERE repo = $1 AND (open = 1 OR unsettled = 1) ORDER BY id")
            .bind(repo.to_string())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(|row| row::id(row, "id")).collect()
    }

    /// Finds out anew, for each pull request that this transaction touched, whether it is merged with something left to
    /// apply. Merged ones are many, those are few: the mark makes them quick to find.
    pub(super) async fn mark_settled(&mut self) -> Result<(), StoreError> {
        for id in std::mem::take(&mut self.touched) {
            let merged = sqlx::query("SELECT id FROM pull WHERE id = $1 AND merged_at IS NOT NULL")
                .bind(id.to_string())
                .fetch_optional(self.connection())
                .await?;
            if merged.is_none() {
                continue;
            }
            let state = load(self.connection(), &id).await?;
            let unsettled = state.is_some_and(|state| state.projects.iter().any(is_to_apply));
            sqlx::query("UPDATE pull SET unsettled = $2 WHERE id = $1 AND unsettled <> $2")
                .bind(id.to_string())
                .bind(i64::from(unsettled))
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }
}

/// Whether a merged pull request still has to apply the project. One whose state is nowhere is never applied; one that
/// the merged head no longer concerns has only what was begun before.
fn is_to_apply(project: &ProjectState) -> bool {
    let begun = || project.apply.as_ref().is_some_and(|apply| !apply.state.is_over());
    let left = if project.target.is_some() { !project.is_settled() } else { begun() };
    left && project.project.state != StateKind::Nowhere
}

async fn load(connection: &mut AnyConnection, id: &PullId) -> Result<Option<PullState>, StoreError> {
    // One row for each commit in a merge queue, and one if there is none.
    let rows = sqlx::query(
        "SELECT pull.record AS record, queued.record AS queued FROM pull LEFT JOIN queued ON queued.pull = pull.id \
         WHERE pull.id = $1 ORDER BY queued.at, queued.head",
    )
    .bind(id.to_string())
    .fetch_all(&mut *connection)
    .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let record: PullRecord = row::json(row, "record")?;
    let mut queued = Vec::new();
    for row in &rows {
        if row.try_get::<Option<String>, _>("queued")?.is_some() {
            queued.push(row::json::<QueuedCommit>(row, "queued")?);
        }
    }
    let runs = current_runs(connection, id, record.affected.as_ref()).await?;
    let mut around = Around {
        locks: locks::of_repo(connection, &id.repo).await?,
        waits: turns::waiting(connection, &id.repo).await?,
        at_work: turns::at_work(connection, &id.repo).await?,
        freezes: freezes::of_repo(connection, &id.repo).await?,
        overlaps: Vec::new(),
    };
    if let Some(affected) = record.affected.as_ref().filter(|_| record.pull.is_open()) {
        let projects: Vec<&ProjectKey> = affected.projects.iter().map(|entry| &entry.project.key).collect();
        around.overlaps = touched::overlaps(connection, id, &projects).await?;
    }
    let shown = shown::of_pull(connection, id).await?;
    let mut newest = Newest::of(runs, record.affected.as_ref(), queued);
    // A lock outlives the heads and the applies that it was taken for.
    for lock in around.locks.iter().filter(|lock| lock.held_by == *id) {
        if !newest.projects.contains_key(&lock.project)
            && let Some(run) = last_run(connection, id, &lock.project).await?
        {
            newest.projects.insert(lock.project.clone(), run.project);
        }
    }
    Ok(Some(assemble(record, newest, around, &shown)))
}

/// The plans of the present head and base, all applies, the trials of what is in a merge queue, and whatever is not over,
/// oldest first; without those that were superseded.
async fn current_runs(
    connection: &mut AnyConnection,
    id: &PullId,
    affected: Option<&Affected>,
) -> Result<Vec<Run>, StoreError> {
    let rows = sqlx::query(
        "SELECT record FROM run WHERE pull = $1 AND state <> 'superseded' \
         AND (kind = 'apply' OR (kind = 'plan' AND head = $2 AND base = $3) \
         OR (kind = 'plan' AND head IN (SELECT head FROM queued WHERE pull = $1 AND ended = 0)) \
         OR state IN ('queued', 'waiting', 'running')) ORDER BY created_at, id",
    )
    .bind(id.to_string())
    .bind(affected.map(|affected| affected.head.as_str()))
    .bind(affected.map(|affected| affected.base.as_str()))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row::json(row, "record")).collect()
}

async fn last_run(
    connection: &mut AnyConnection,
    pull: &PullId,
    project: &ProjectKey,
) -> Result<Option<Run>, StoreError> {
    let row = sqlx::query(
        "SELECT record FROM run WHERE pull = $1 AND project = $2 ORDER BY created_at DESC, id DESC LIMIT 1",
    )
    .bind(pull.to_string())
    .bind(project.to_string())
    .fetch_optional(connection)
    .await?;
    row.map(|row| row::json(&row, "record")).transpose()
}

/// The newest plan, apply and trials of each project, the projects that are only known by an apply or a lock, and the runs that
/// are not over.
#[derive(Default)]
struct Newest {
    plans: BTreeMap<ProjectKey, Run>,
    applies: BTreeMap<ProjectKey, Run>,
    projects: BTreeMap<ProjectKey, Project>,
    unfinished: Vec<Run>,
    queued: Vec<Queued>,
}

impl Newest {
    /// From runs that are sorted oldest first.
    fn of(runs: Vec<Run>, affected: Option<&Affected>, queued: Vec<QueuedCommit>) -> Self {
        let queued = queued.into_iter().map(|commit| Queued { commit, trials: Vec::new() }).collect();
        let mut newest = Self { queued, ..Self::default() };
        for run in runs {
            let key = run.project.key.clone();
            if !run.state.is_over() {
                newest.unfinished.push(run.clone());
            }
            if run.is_trial() {
                newest.add_trial(run);
            } else if run.is_plan() {
                let is_current = affected
                    .is_some_and(|affected| affected.head == run.target.head && affected.base == run.target.base);
                if is_current {
                    newest.plans.insert(key, run);
                }
            } else {
                newest.projects.insert(key.clone(), run.project.clone());
                newest.applies.insert(key, run);
            }
        }
        newest
    }

    fn add_trial(&mut self, run: Run) {
        let of_it = |queued: &&mut Queued| !queued.commit.ended && queued.commit.group.head == run.target.head;
        if let Some(queued) = self.queued.iter_mut().find(of_it) {
            queued.trials.retain(|older| older.project.key != run.project.key);
            queued.trials.push(run);
        }
    }
}

fn assemble(record: PullRecord, mut newest: Newest, around: Around, shown: &[(ProjectKey, Shown)]) -> PullState {
    let locks: &[Lock] = &around.locks;
    let mut state_of = |project: Project, target: Option<Target>, plan: Option<Run>| ProjectState {
        apply: newest.applies.remove(&project.key),
        lock: locks.iter().find(|lock| lock.project == project.key).cloned(),
        queue_position: queue_position(&around.waits, &record.pull, &project.key),
        shown: shown.iter().filter(|(key, _)| *key == project.key).map(|(_, shown)| shown.clone()).collect(),
        project,
        target,
        plan,
    };
    let mut projects = Vec::new();
    if let Some(affected) = &record.affected {
        for AffectedProject { project, inputs } in &affected.projects {
            newest.projects.remove(&project.key);
            let (head, base) = (affected.head.clone(), affected.base.clone());
            let target = Target { head, base, tree: affected.tree.clone(), inputs: inputs.clone() };
            let plan = newest.plans.remove(&project.key);
            projects.push(state_of(project.clone(), Some(target), plan));
        }
    }
    for project in newest.projects.into_values() {
        projects.push(state_of(project, None, None));
    }
    PullState { record, projects, unfinished: newest.unfinished, queued: newest.queued, around }
}

/// A pull request's place among those that wait for the project, counted from 1; or the one that it would get.
fn queue_position(waiting: &[Wait], pull: &Pull, project: &ProjectKey) -> usize {
    let merged = pull.merge_commit().is_some();
    let others = waiting.iter().filter(|waiting| waiting.project == *project);
    let before = others.take_while(|other| other.pull != pull.id).filter(|other| !merged || other.merged);
    before.map(|other| &other.pull).collect::<BTreeSet<_>>().len() + 1
}
