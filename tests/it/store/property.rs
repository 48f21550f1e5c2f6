//! Any interleaving of enqueueing, claiming, losing, giving back, finishing and dropping, against a model of the queue
//! that is simple enough to be seen right.

use super::Fresh;
use super::sample::{at, repo, run_job, tell};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use terraplane::domain::id::ForgeKind;
use terraplane::store::{Job, JobKind, Lease, Store, StoreError};

const LEASE_MS: i64 = 50;

#[derive(Debug, Clone)]
enum Step {
    Enqueue {
        job: usize,
        delay: i64,
    },
    Drop {
        job: usize,
    },
    Claim {
        kinds: [bool; 4],
    },
    Wait {
        ms: i64,
    },
    /// Of any lease that was ever given, also of those that were lost or ended.
    Renew {
        lease: prop::sample::Index,
    },
    GiveBack {
        lease: prop::sample::Index,
        delay: i64,
    },
    Finish {
        lease: prop::sample::Index,
    },
    FinishInTransaction {
        lease: prop::sample::Index,
        commit: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let lease = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0..jobs().len(), 0..60i64).prop_map(|(job, delay)| Step::Enqueue { job, delay }),
        1 => (0..jobs().len()).prop_map(|job| Step::Drop { job }),
        5 => any::<[bool; 4]>().prop_map(|kinds| Step::Claim { kinds }),
        3 => (0..80i64).prop_map(|ms| Step::Wait { ms }),
        1 => lease().prop_map(|lease| Step::Renew { lease }),
        2 => (lease(), 0..60i64).prop_map(|(lease, delay)| Step::GiveBack { lease, delay }),
        2 => lease().prop_map(|lease| Step::Finish { lease }),
        1 => (lease(), any::<bool>()).prop_map(|(lease, commit)| Step::FinishInTransaction { lease, commit }),
    ]
}

/// Three of one lane, one beside it, one of another kind, and one that is never the same as another.
fn jobs() -> [Job; 6] {
    let ingest = Job::Ingest { forge: ForgeKind::Github, delivery: "d1".parse().unwrap() };
    [run_job(1, 1, "prod"), run_job(2, 1, "prod"), run_job(3, 1, "prod"), run_job(4, 1, "dev"), tell(1), ingest]
}

/// A row, as it should be. Their order in the model is the order in which they were made.
#[derive(Debug)]
struct Row {
    job: Job,
    due: i64,
    attempts: u32,
    /// The lease that holds it.
    held: Option<usize>,
}

#[derive(Default)]
struct Model {
    now: i64,
    rows: Vec<Row>,
    leases: Vec<Lease>,
    /// How many jobs were made, were ended, and were merged into another or dropped.
    made: usize,
    ended: usize,
    gone: usize,
}

impl Model {
    fn waiting(&self, job: &Job) -> Option<usize> {
        let key = job.dedupe()?;
        self.rows.iter().position(|row| row.held.is_none() && row.job.dedupe().as_ref() == Some(&key))
    }

    fn held_by(&self, lease: usize) -> Option<usize> {
        self.rows.iter().position(|row| row.held == Some(lease))
    }

    fn claimable(&self, kinds: &[JobKind]) -> Option<usize> {
        let free = |row: &Row| {
            row.held.is_some()
                || !self.rows.iter().any(|other| other.held.is_some() && other.job.lane() == row.job.lane())
        };
        let candidates = self.rows.iter().enumerate().filter(|(_, row)| kinds.contains(&row.job.kind()) && free(row));
        candidates.min_by_key(|(at, row)| (row.due, *at)).map(|(at, _)| at)
    }

    fn remove(&mut self, at: usize) {
        self.rows.remove(at);
        self.ended += 1;
    }
}

async fn play(store: &Store, steps: Vec<Step>) -> Result<(), TestCaseError> {
    // What a case that failed has left behind.
    while let Some(lease) = store.claim(&JobKind::ALL, at(i64::MAX - LEASE_MS), LEASE_MS).await.unwrap() {
        store.finish(&lease).await.unwrap();
    }
    let mut model = Model { now: 1_000, ..Model::default() };
    for step in steps {
        take(store, &mut model, step).await?;
        agrees(store, &model).await?;
    }
    // Whatever is left comes to its end, once.
    while let Some(due) = store.next_due(&JobKind::ALL).await.unwrap() {
        model.now = model.now.max(due.0);
        let before = model.leases.len();
        take(store, &mut model, Step::Claim { kinds: [true; 4] }).await?;
        prop_assert_eq!(model.leases.len(), before + 1, "what is due can be claimed");
        let at = model.held_by(before).unwrap();
        prop_assert!(store.finish(&model.leases[before]).await.unwrap());
        model.remove(at);
    }
    prop_assert_eq!(model.rows.len(), 0);
    prop_assert_eq!(model.made, model.ended + model.gone);
    Ok(())
}

async fn take(store: &Store, model: &mut Model, step: Step) -> Result<(), TestCaseError> {
    let now = model.now;
    // With no lease given yet there is nothing to do with one.
    let pick = |index: prop::sample::Index| (!model.leases.is_empty()).then(|| index.index(model.leases.len()));
    match step {
        Step::Wait { ms } => model.now += ms,
        Step::Enqueue { job, delay } => {
            let job = jobs()[job].clone();
            let mut tx = store.write(&repo()).await.unwrap();
            tx.enqueue(&job, at(now + delay)).await.unwrap();
            tx.commit().await.unwrap();
            match model.waiting(&job) {
                Some(row) => model.rows[row].due = model.rows[row].due.min(now + delay),
                None => {
                    model.rows.push(Row { job, due: now + delay, attempts: 0, held: None });
                    model.made += 1;
                }
            }
        }
        Step::Drop { job } => {
            let job = &jobs()[job];
            let mut tx = store.write(&repo()).await.unwrap();
            let dropped = tx.drop_job(job).await.unwrap();
            tx.commit().await.unwrap();
            let row = model.waiting(job);
            prop_assert_eq!(dropped, row.is_some());
            if let Some(row) = row {
                model.rows.remove(row);
                model.gone += 1;
            }
        }
        Step::Claim { kinds } => {
            let kinds: Vec<JobKind> = JobKind::ALL.into_iter().zip(kinds).filter(|k| k.1).map(|k| k.0).collect();
            let lease = store.claim(&kinds, at(now), LEASE_MS).await.unwrap();
            let row = model.claimable(&kinds).filter(|row| model.rows[*row].due <= now);
            prop_assert_eq!(lease.is_some(), row.is_some());
            if let (Some(lease), Some(row)) = (lease, row) {
                let row = &mut model.rows[row];
                row.attempts += 1;
                prop_assert_eq!((&lease.job, lease.attempts), (&row.job, row.attempts));
                row.held = Some(model.leases.len());
                row.due = now + LEASE_MS;
                model.leases.push(lease);
            }
        }
        Step::Renew { lease } => {
            let Some(lease) = pick(lease) else { return Ok(()) };
            let row = model.held_by(lease);
            prop_assert_eq!(store.renew(&model.leases[lease], at(now), LEASE_MS).await.unwrap(), row.is_some());
            if let Some(row) = row {
                model.rows[row].due = now + LEASE_MS;
            }
        }
        Step::GiveBack { lease, delay } => {
            let Some(lease) = pick(lease) else { return Ok(()) };
            let row = model.held_by(lease);
            let given = store.give_back(&model.leases[lease], at(now + delay), "no").await.unwrap();
            prop_assert_eq!(given, row.is_some());
            if let Some(row) = row {
                let twin = model.waiting(&model.rows[row].job);
                let due = twin.map_or(now + delay, |twin| model.rows[twin].due.min(now + delay));
                model.rows[row].due = due;
                model.rows[row].held = None;
                if let Some(twin) = twin {
                    model.rows.remove(twin);
                    model.gone += 1;
                }
            }
        }
        Step::Finish { lease } => {
            let Some(lease) = pick(lease) else { return Ok(()) };
            let row = model.held_by(lease);
            prop_assert_eq!(store.finish(&model.leases[lease]).await.unwrap(), row.is_some());
            if let Some(row) = row {
                model.remove(row);
            }
        }
        Step::FinishInTransaction { lease, commit } => {
            let Some(lease) = pick(lease) else { return Ok(()) };
            let row = model.held_by(lease);
            let mut tx = store.write(&repo()).await.unwrap();
            let finished = tx.finish(&model.leases[lease]).await;
            match row {
                Some(_) => prop_assert!(finished.is_ok()),
                None => prop_assert!(matches!(finished, Err(StoreError::LeaseLost))),
            }
            if commit {
                tx.commit().await.unwrap();
                if let Some(row) = row {
                    model.remove(row);
                }
            }
        }
    }
    Ok(())
}

async fn agrees(store: &Store, model: &Model) -> Result<(), TestCaseError> {
    let due = model.claimable(&JobKind::ALL).map(|row| at(model.rows[row].due));
    prop_assert_eq!(store.next_due(&JobKind::ALL).await.unwrap(), due);
    for (kind, queued, leased) in store.queue_counts().await.unwrap() {
        let count =
            |held: bool| model.rows.iter().filter(|row| row.job.kind() == kind && row.held.is_some() == held).count();
        prop_assert_eq!(
            (usize::try_from(queued).unwrap(), usize::try_from(leased).unwrap()),
            (count(false), count(true))
        );
    }
    let mut lanes: Vec<String> = model.rows.iter().filter(|row| row.held.is_some()).map(|row| row.job.lane()).collect();
    lanes.sort();
    let held = lanes.len();
    lanes.dedup();
    prop_assert_eq!(held, lanes.len(), "two jobs of one lane are held");
    Ok(())
}

fn any_interleaving_agrees_with_the_model(cases: u32, open: impl Future<Output = Fresh>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let db = runtime.block_on(open);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(step(), 1..60), |steps| runtime.block_on(play(&db.store, steps)));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn any_interleaving_agrees_with_the_model_on_sqlite() {
    any_interleaving_agrees_with_the_model(64, Fresh::sqlite());
}

#[test]
fn any_interleaving_agrees_with_the_model_on_postgres() {
    any_interleaving_agrees_with_the_model(32, Fresh::postgres());
}
