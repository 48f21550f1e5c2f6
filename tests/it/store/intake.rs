//! Webhooks on disk before they are acknowledged.

use super::sample::{at, delivery, repo, tell};
use super::{Fresh, on_both};
use std::time::Duration;
use terraplane::domain::id::ForgeKind::Github;
use terraplane::store::{DeliveryEnd, Job, JobKind, Recorded, Store, StoreError};

on_both!(
    a_delivery_and_its_job_are_there_after_a_restart,
    a_repeated_delivery_does_nothing,
    many_at_once_are_each_answered_and_recorded_once,
    a_caller_who_leaves_changes_nothing,
    deliveries_of_a_lane_are_looked_at_in_their_order,
    its_end_is_written_down_by_whoever_holds_the_job,
    a_closed_store_records_nothing,
);

async fn a_delivery_and_its_job_are_there_after_a_restart(db: Fresh) {
    let mut sent = delivery("d1", "acme", 5);
    sent.body = "{\"title\":\"ü\\u0000\"}".into();
    assert_eq!(db.store.record_delivery(sent.clone()).await.unwrap(), Recorded::New);
    db.store.close().await;
    let store = Store::open(&db.url).await.unwrap();
    let stored = store.delivery(Github, &sent.id).await.unwrap().unwrap();
    assert_eq!(stored.delivery, sent);
    assert_eq!(stored.end, None);
    let lease = store.claim(&[JobKind::Ingest], at(5), 100).await.unwrap().unwrap();
    assert_eq!(lease.job, Job::Ingest { forge: Github, delivery: sent.id });
    assert_eq!(store.delivery(Github, &"other".parse().unwrap()).await.unwrap(), None);
}

async fn a_repeated_delivery_does_nothing(db: Fresh) {
    let sent = delivery("d1", "acme", 5);
    assert_eq!(db.store.record_delivery(sent.clone()).await.unwrap(), Recorded::New);
    let lease = db.store.claim(&[JobKind::Ingest], at(5), 100).await.unwrap().unwrap();
    let mut again = sent.clone();
    again.body = "{}".into();
    assert_eq!(db.store.record_delivery(again.clone()).await.unwrap(), Recorded::Repeated);
    assert!(db.store.finish(&lease).await.unwrap());
    assert_eq!(db.store.record_delivery(again).await.unwrap(), Recorded::Repeated, "also after its job is over");
    assert_eq!(db.store.delivery(Github, &sent.id).await.unwrap().unwrap().delivery, sent);
    assert_eq!(db.store.next_due(&JobKind::ALL).await.unwrap(), None);
}

async fn many_at_once_are_each_answered_and_recorded_once(db: Fresh) {
    // 300 deliveries, each sent twice.
    let tasks: Vec<_> = (0..600)
        .map(|n| {
            let store = db.store.clone();
            let new = delivery(&format!("d{}", n % 300), &format!("lane {}", n % 7), n);
            tokio::spawn(async move { store.record_delivery(new).await.unwrap() })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += usize::from(task.await.unwrap() == Recorded::New);
    }
    assert_eq!(new, 300);
    assert_eq!(db.store.queue_counts().await.unwrap()[0], (JobKind::Ingest, 300, 0));
}

async fn a_caller_who_leaves_changes_nothing(db: Fresh) {
    let tx = db.store.write(&repo()).await.unwrap();
    let asked = db.store.record_delivery(delivery("d1", "acme", 5));
    let answered = tokio::time::timeout(Duration::from_millis(50), asked).await;
    drop(tx);
    if answered.is_err() {
        // The second caller comes after the first.
        assert_eq!(db.store.record_delivery(delivery("d1", "acme", 5)).await.unwrap(), Recorded::Repeated);
    }
    assert!(db.store.delivery(Github, &"d1".parse().unwrap()).await.unwrap().is_some());
}

async fn deliveries_of_a_lane_are_looked_at_in_their_order(db: Fresh) {
    for (id, lane) in [("d1", "one"), ("d2", "one"), ("d3", "two")] {
        db.store.record_delivery(delivery(id, lane, 5)).await.unwrap();
    }
    let claim = || async { db.store.claim(&[JobKind::Ingest], at(5), 100).await.unwrap() };
    let (first, other) = (claim().await.unwrap(), claim().await.unwrap());
    let id = |job: &Job| match job {
        Job::Ingest { delivery, .. } => delivery.to_string(),
        _ => panic!("{job:?}"),
    };
    assert_eq!((id(&first.job).as_str(), id(&other.job).as_str()), ("d1", "d3"));
    assert_eq!(claim().await, None, "d2 waits for d1");
    db.store.finish(&first).await.unwrap();
    assert_eq!(id(&claim().await.unwrap().job), "d2");
}

async fn its_end_is_written_down_by_whoever_holds_the_job(db: Fresh) {
    let sent = delivery("d1", "acme", 5);
    db.store.record_delivery(sent.clone()).await.unwrap();
    let slow = db.store.claim(&[JobKind::Ingest], at(5), 10).await.unwrap().unwrap();
    let holder = db.store.claim(&[JobKind::Ingest], at(15), 10).await.unwrap().unwrap();
    let late = db.store.end_delivery(&slow, Github, &sent.id, DeliveryEnd::Done).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)));
    assert_eq!(db.store.delivery(Github, &sent.id).await.unwrap().unwrap().end, None);
    db.store.end_delivery(&holder, Github, &sent.id, DeliveryEnd::Done).await.unwrap();
    assert!(!db.store.finish(&holder).await.unwrap(), "the job is done by that");
    assert_eq!(db.store.delivery(Github, &sent.id).await.unwrap().unwrap().end, Some(DeliveryEnd::Done));
    for (id, end, stored) in [
        ("d2", DeliveryEnd::Ignored("unknown action".into()), DeliveryEnd::Ignored("unknown action".into())),
        ("d3", DeliveryEnd::Failed("not\0text".into()), DeliveryEnd::Failed("not\u{FFFD}text".into())),
    ] {
        let sent = delivery(id, "acme", 20);
        db.store.record_delivery(sent.clone()).await.unwrap();
        let lease = db.store.claim(&[JobKind::Ingest], at(20), 10).await.unwrap().unwrap();
        db.store.end_delivery(&lease, Github, &sent.id, end).await.unwrap();
        assert_eq!(db.store.delivery(Github, &sent.id).await.unwrap().unwrap().end, Some(stored));
    }
}

async fn a_closed_store_records_nothing(db: Fresh) {
    db.store.ready().await.unwrap();
    db.store.close().await;
    assert!(matches!(db.store.record_delivery(delivery("d1", "acme", 5)).await, Err(StoreError::Closed)));
    assert!(matches!(db.store.ready().await, Err(StoreError::Closed)));
    assert!(matches!(db.store.claim(&JobKind::ALL, at(5), 10).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn one_that_the_database_refuses_does_not_take_others_with_it() {
    let db = Fresh::postgres().await;
    // PostgreSQL's text can't hold a NUL. On the one thread of this test all have asked before the first is answered, so
    // that most of them share a transaction.
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let store = db.store.clone();
            let mut new = delivery(&format!("d{n}"), "acme", 5);
            if n == 7 {
                new.body = "\0".into();
            }
            tokio::spawn(async move { store.record_delivery(new).await })
        })
        .collect();
    for (n, task) in tasks.into_iter().enumerate() {
        let recorded = task.await.unwrap();
        match n {
            7 => assert!(matches!(recorded, Err(StoreError::Database(_)))),
            _ => assert_eq!(recorded.unwrap(), Recorded::New),
        }
    }
    assert_eq!(db.store.queue_counts().await.unwrap()[0], (JobKind::Ingest, 19, 0));
}

#[tokio::test]
async fn sqlite_survives_with_what_was_acknowledged_when_the_process_is_killed() {
    // What a killed process leaves behind: the files as they are, with the write-ahead log not yet taken in.
    let db = Fresh::sqlite().await;
    db.store.record_delivery(delivery("d1", "acme", 5)).await.unwrap();
    let mut tx = db.store.write(&repo()).await.unwrap();
    tx.enqueue(&tell(1), at(5)).await.unwrap();
    let path = db.url.strip_prefix("sqlite:").unwrap();
    let copy = tempfile::tempdir().unwrap();
    let copied = copy.path().join("store.db").display().to_string();
    for suffix in ["", "-wal"] {
        std::fs::copy(format!("{path}{suffix}"), format!("{copied}{suffix}")).unwrap();
    }
    let store = Store::open(&format!("sqlite:{copied}")).await.unwrap();
    assert!(store.delivery(Github, &"d1".parse().unwrap()).await.unwrap().is_some());
    let counts = store.queue_counts().await.unwrap();
    assert_eq!(counts, [(JobKind::Ingest, 1, 0), (JobKind::Run, 0, 0), (JobKind::Tell, 0, 0), (JobKind::Replan, 0, 0)]);
}
