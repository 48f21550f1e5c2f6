//! The durable queue, rule by rule. What holds for any sequence of them is in `property.rs`.

use super::sample::{at, pull_id, repo, run_job, sha, tell};
use super::{Fresh, on_both};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use terraplane::domain::id::CommentId;
use terraplane::store::{Job, JobKind, Lease, SentStatus, Store, StoreError};

on_both!(
    jobs_go_by_their_due_time_and_never_before_it,
    a_worker_gets_only_the_kinds_it_asks_for,
    jobs_of_a_lane_go_one_after_the_other,
    a_lost_lease_makes_the_job_claimable_again_before_its_lane_goes_on,
    a_renewed_lease_is_kept,
    whoever_lost_the_lease_writes_nothing,
    equal_jobs_that_wait_are_one_and_the_earlier_time_holds,
    a_job_enqueued_while_it_runs_runs_once_more,
    giving_back_a_job_that_was_enqueued_meanwhile_leaves_one,
    a_waiting_job_can_be_dropped_and_a_running_one_not,
    next_due_tells_how_long_to_sleep,
    nothing_of_a_transaction_that_was_not_committed_happens,
    a_finish_in_a_transaction_happens_with_it,
    a_transaction_holds_the_job_until_it_is_over,
    many_workers_do_every_job_once_and_no_lane_twice_at_a_time,
);

async fn enqueue(store: &Store, job: &Job, due: i64) {
    let mut tx = store.write(&repo()).await.unwrap();
    tx.enqueue(job, at(due)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn claim(store: &Store, now: i64) -> Option<Lease> {
    store.claim(&JobKind::ALL, at(now), 100).await.unwrap()
}

async fn jobs_go_by_their_due_time_and_never_before_it(db: Fresh) {
    for (n, due) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
        enqueue(&db.store, &tell(n), due).await;
    }
    assert_eq!(claim(&db.store, 9).await, None);
    let mut order = Vec::new();
    while let Some(lease) = claim(&db.store, 29).await {
        assert_eq!(lease.attempts, 1);
        order.push(lease.job);
    }
    assert_eq!(order, [tell(2), tell(4), tell(3)]);
    assert_eq!(claim(&db.store, 30).await.unwrap().job, tell(1));
}

async fn a_worker_gets_only_the_kinds_it_asks_for(db: Fresh) {
    enqueue(&db.store, &tell(1), 0).await;
    enqueue(&db.store, &run_job(1, 1, "prod"), 1).await;
    let claim = |kinds: &'static [JobKind]| db.store.claim(kinds, at(5), 100);
    assert_eq!(claim(&[]).await.unwrap(), None);
    assert_eq!(claim(&[JobKind::Ingest]).await.unwrap(), None);
    assert_eq!(claim(&[JobKind::Ingest, JobKind::Run]).await.unwrap().unwrap().job, run_job(1, 1, "prod"));
    assert_eq!(claim(&[JobKind::Tell]).await.unwrap().unwrap().job, tell(1));
    let counts = db.store.queue_counts().await.unwrap();
    assert_eq!(counts, [(JobKind::Ingest, 0, 0), (JobKind::Run, 0, 1), (JobKind::Tell, 0, 1), (JobKind::Replan, 0, 0)]);
}

async fn jobs_of_a_lane_go_one_after_the_other(db: Fresh) {
    for (n, dir) in [(1, "prod"), (2, "prod"), (3, "dev")] {
        enqueue(&db.store, &run_job(n, 1, dir), 0).await;
    }
    let first = claim(&db.store, 0).await.unwrap();
    assert_eq!(claim(&db.store, 0).await.unwrap().job, run_job(3, 1, "dev"), "another project runs beside it");
    assert_eq!(claim(&db.store, 0).await, None);
    assert!(db.store.give_back(&first, at(50), "no network").await.unwrap());
    let second = claim(&db.store, 0).await.unwrap();
    assert_eq!(second.job, run_job(2, 1, "prod"), "a job that waits for its time doesn't keep the lane");
    assert_eq!(claim(&db.store, 50).await, None);
    db.store.finish(&second).await.unwrap();
    let again = claim(&db.store, 50).await.unwrap();
    assert_eq!((again.job, again.attempts), (first.job, 2));
}

async fn a_lost_lease_makes_the_job_claimable_again_before_its_lane_goes_on(db: Fresh) {
    enqueue(&db.store, &run_job(1, 1, "prod"), 0).await;
    enqueue(&db.store, &run_job(2, 1, "prod"), 0).await;
    let lost = claim(&db.store, 0).await.unwrap();
    assert_eq!(claim(&db.store, 99).await, None);
    let again = claim(&db.store, 100).await.unwrap();
    assert_eq!((again.job_id, &again.job, again.attempts), (lost.job_id, &lost.job, 2));
    assert_eq!(claim(&db.store, 100).await, None);
    assert!(db.store.finish(&again).await.unwrap());
    assert_eq!(claim(&db.store, 100).await.unwrap().job, run_job(2, 1, "prod"));
}

async fn a_renewed_lease_is_kept(db: Fresh) {
    enqueue(&db.store, &tell(1), 0).await;
    let lease = claim(&db.store, 0).await.unwrap();
    assert!(db.store.renew(&lease, at(90), 100).await.unwrap());
    assert_eq!(claim(&db.store, 189).await, None);
    // Late, but nobody else has come.
    assert!(db.store.renew(&lease, at(300), 100).await.unwrap());
    assert_eq!(claim(&db.store, 399).await, None);
    assert!(claim(&db.store, 400).await.is_some());
    assert!(!db.store.renew(&lease, at(400), 100).await.unwrap());
}

async fn whoever_lost_the_lease_writes_nothing(db: Fresh) {
    let store = &db.store;
    enqueue(store, &tell(1), 0).await;
    let lost = claim(store, 0).await.unwrap();
    let holder = claim(store, 100).await.unwrap();
    let status = SentStatus {
        sha: sha('a'),
        context: "c".into(),
        state: "success".into(),
        description: "d".into(),
        check: None,
    };
    for gone in [false, true] {
        if gone {
            assert!(store.finish(&holder).await.unwrap());
        }
        assert!(!store.renew(&lost, at(100), 100).await.unwrap());
        assert!(!store.finish(&lost).await.unwrap());
        assert!(!store.give_back(&lost, at(0), "").await.unwrap());
        let refused = [
            store.comment_sent(&lost, "live", CommentId(1), "h").await,
            store.comment_given_up(&lost, "live", "why").await,
            store.status_sent(&lost, &pull_id(1), &status, None).await,
        ];
        assert!(refused.iter().all(|written| matches!(written, Err(StoreError::LeaseLost))), "{refused:?}");
        let mut tx = store.write(&repo()).await.unwrap();
        assert!(matches!(tx.hold(&lost).await, Err(StoreError::LeaseLost)));
        assert!(matches!(tx.finish(&lost).await, Err(StoreError::LeaseLost)));
        tx.commit().await.unwrap();
        assert_eq!(store.queue_counts().await.unwrap()[2], (JobKind::Tell, 0, i64::from(!gone)));
    }
    assert_eq!(store.comments(&pull_id(1)).await.unwrap(), []);
    assert_eq!(store.statuses(&pull_id(1)).await.unwrap(), []);
}

async fn equal_jobs_that_wait_are_one_and_the_earlier_time_holds(db: Fresh) {
    for due in [50, 20, 90] {
        enqueue(&db.store, &tell(1), due).await;
    }
    assert_eq!(db.store.next_due(&JobKind::ALL).await.unwrap(), Some(at(20)));
    assert_eq!(db.store.queue_counts().await.unwrap()[2], (JobKind::Tell, 1, 0));
    let mut tx = db.store.write(&repo()).await.unwrap();
    for due in [15, 12] {
        tx.enqueue(&tell(2), at(due)).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(db.store.queue_counts().await.unwrap()[2], (JobKind::Tell, 2, 0));
    assert_eq!(db.store.next_due(&JobKind::ALL).await.unwrap(), Some(at(12)));
}

async fn a_job_enqueued_while_it_runs_runs_once_more(db: Fresh) {
    enqueue(&db.store, &tell(1), 0).await;
    let running = claim(&db.store, 0).await.unwrap();
    enqueue(&db.store, &tell(1), 0).await;
    assert_eq!(claim(&db.store, 0).await, None);
    assert!(db.store.finish(&running).await.unwrap());
    let again = claim(&db.store, 0).await.unwrap();
    assert_eq!((again.job, again.attempts), (tell(1), 1));
}

async fn giving_back_a_job_that_was_enqueued_meanwhile_leaves_one(db: Fresh) {
    for (back, twin, due) in [(80, 30, 30), (30, 80, 30)] {
        enqueue(&db.store, &tell(1), 0).await;
        let running = claim(&db.store, 0).await.unwrap();
        enqueue(&db.store, &tell(1), twin).await;
        assert!(db.store.give_back(&running, at(back), "rate \0 limit").await.unwrap());
        assert_eq!(db.store.queue_counts().await.unwrap()[2], (JobKind::Tell, 1, 0));
        assert_eq!(db.store.next_due(&JobKind::ALL).await.unwrap(), Some(at(due)), "nobody's wish is delayed");
        let again = claim(&db.store, due).await.unwrap();
        assert_eq!((again.job_id, again.attempts), (running.job_id, 2));
        assert!(db.store.finish(&again).await.unwrap());
    }
}

async fn a_waiting_job_can_be_dropped_and_a_running_one_not(db: Fresh) {
    enqueue(&db.store, &run_job(1, 1, "prod"), 0).await;
    enqueue(&db.store, &run_job(2, 1, "dev"), 0).await;
    let running = claim(&db.store, 0).await.unwrap();
    let mut tx = db.store.write(&repo()).await.unwrap();
    assert!(!tx.drop_job(&run_job(1, 1, "prod")).await.unwrap());
    assert!(tx.drop_job(&run_job(2, 1, "dev")).await.unwrap());
    assert!(!tx.drop_job(&run_job(2, 1, "dev")).await.unwrap());
    tx.commit().await.unwrap();
    assert!(db.store.finish(&running).await.unwrap());
    assert_eq!(claim(&db.store, 0).await, None);
}

async fn next_due_tells_how_long_to_sleep(db: Fresh) {
    let next = || async { db.store.next_due(&[JobKind::Run]).await.unwrap().map(|at| at.0) };
    assert_eq!(next().await, None);
    enqueue(&db.store, &tell(1), 0).await;
    assert_eq!(next().await, None, "another kind");
    enqueue(&db.store, &run_job(1, 1, "prod"), 10).await;
    enqueue(&db.store, &run_job(2, 1, "prod"), 20).await;
    assert_eq!(next().await, Some(10));
    let lease = db.store.claim(&[JobKind::Run], at(10), 100).await.unwrap().unwrap();
    assert_eq!(next().await, Some(110), "the lane is taken until then");
    db.store.finish(&lease).await.unwrap();
    assert_eq!(next().await, Some(20));
}

async fn nothing_of_a_transaction_that_was_not_committed_happens(db: Fresh) {
    let mut tx = db.store.write(&repo()).await.unwrap();
    tx.enqueue(&tell(1), at(0)).await.unwrap();
    drop(tx);
    assert_eq!(claim(&db.store, 0).await, None);
    enqueue(&db.store, &tell(2), 0).await;
    let lease = claim(&db.store, 0).await.unwrap();
    let mut tx = db.store.write(&repo()).await.unwrap();
    tx.finish(&lease).await.unwrap();
    drop(tx);
    assert!(db.store.finish(&lease).await.unwrap());
}

async fn a_finish_in_a_transaction_happens_with_it(db: Fresh) {
    enqueue(&db.store, &tell(1), 0).await;
    let lease = claim(&db.store, 0).await.unwrap();
    let mut tx = db.store.write(&repo()).await.unwrap();
    tx.hold(&lease).await.unwrap();
    tx.enqueue(&tell(1), at(7)).await.unwrap();
    tx.finish(&lease).await.unwrap();
    assert!(matches!(tx.hold(&lease).await, Err(StoreError::LeaseLost)));
    tx.commit().await.unwrap();
    assert_eq!(claim(&db.store, 7).await.unwrap().attempts, 1);
}

async fn a_transaction_holds_the_job_until_it_is_over(db: Fresh) {
    enqueue(&db.store, &tell(1), 0).await;
    let lease = claim(&db.store, 0).await.unwrap();
    let mut tx = db.store.write(&repo()).await.unwrap();
    tx.hold(&lease).await.unwrap();
    // The lease's time is over; somebody else tries to claim it while we write.
    let store = db.store.clone();
    let other = tokio::spawn(async move { store.claim(&JobKind::ALL, at(100), 100).await.unwrap() });
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    tx.enqueue(&tell(2), at(1_000)).await.unwrap();
    tx.finish(&lease).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(other.await.unwrap(), None);
}

async fn many_workers_do_every_job_once_and_no_lane_twice_at_a_time(db: Fresh) {
    const JOBS: u128 = 120;
    let mut tx = db.store.write(&repo()).await.unwrap();
    for n in 0..JOBS {
        tx.enqueue(&run_job(n, 1, &format!("lane{}", n % 9)), at(0)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let ended: Arc<Mutex<HashMap<Job, u32>>> = Arc::default();
    let busy: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let workers: Vec<_> = (0..6)
        .map(|worker: usize| {
            let (store, ended, busy) = (db.store.clone(), Arc::clone(&ended), Arc::clone(&busy));
            tokio::spawn(async move {
                for step in worker.. {
                    let Some(lease) = store.claim(&JobKind::ALL, at(0), 1_000_000).await.unwrap() else {
                        if store.next_due(&JobKind::ALL).await.unwrap().is_none() {
                            return;
                        }
                        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                        continue;
                    };
                    *busy.lock().unwrap().entry(lease.job.lane()).or_default() += 1;
                    tokio::task::yield_now().await;
                    {
                        let mut busy = busy.lock().unwrap();
                        let here = busy.get_mut(&lease.job.lane()).unwrap();
                        assert_eq!(*here, 1, "two at once in {}", lease.job.lane());
                        *here -= 1;
                    }
                    if step % 5 == 0 && lease.attempts < 4 {
                        assert!(store.give_back(&lease, at(0), "again").await.unwrap());
                    } else {
                        assert!(store.finish(&lease).await.unwrap());
                        *ended.lock().unwrap().entry(lease.job).or_default() += 1;
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let ended = ended.lock().unwrap();
    assert_eq!(ended.len() as u128, JOBS);
    assert!(ended.values().all(|times| *times == 1));
}
