//! Managed state, the audit trail, facts about the store, and what can't be opened.

use super::sample::{at, project_key, pull_id, repo, run_id};
use super::{Fresh, on_both};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use terraplane::store::{AuditEntry, StateId, StateVersion, Store, StoreError};
use uuid::Uuid;

on_both!(
    a_project_has_one_managed_state,
    versions_of_a_state_are_added_one_by_one,
    a_state_is_locked_by_one_at_a_time,
    the_audit_trail_tells_who_did_what,
    facts_about_the_store_are_kept,
    a_store_can_be_opened_again_and_again,
);

async fn a_project_has_one_managed_state(db: Fresh) {
    let prod = project_key("prod");
    let ids: Vec<_> = (0..8)
        .map(|_| {
            let (store, prod) = (db.store.clone(), prod.clone());
            tokio::spawn(async move { store.state_id(&repo(), &prod).await.unwrap() })
        })
        .collect();
    let first = db.store.state_id(&repo(), &prod).await.unwrap();
    for id in ids {
        assert_eq!(id.await.unwrap(), first);
    }
    assert_ne!(db.store.state_id(&repo(), &project_key("prod@blue")).await.unwrap(), first);
    assert_ne!(db.store.state_id(&"ghes.example/acme/infra".parse().unwrap(), &prod).await.unwrap(), first);
    assert_eq!(first.to_string().parse::<StateId>().unwrap(), first);
}

async fn versions_of_a_state_are_added_one_by_one(db: Fresh) {
    let id = db.store.state_id(&repo(), &project_key("prod")).await.unwrap();
    let version = |version, serial| StateVersion {
        version,
        serial,
        lineage: "l".into(),
        archive_name: format!("state/{id}/{version}"),
        run: Some(run_id(1)),
        at: at(5),
    };
    assert_eq!(db.store.state_head(&id).await.unwrap(), None);
    for (n, serial) in [(1, 4), (2, 4), (10, u64::MAX)] {
        assert!(db.store.add_state_version(&id, &version(n, serial)).await.unwrap());
        assert_eq!(db.store.state_head(&id).await.unwrap(), Some(version(n, serial)));
    }
    assert!(!db.store.add_state_version(&id, &version(10, 7)).await.unwrap(), "somebody else was first");
    assert_eq!(db.store.state_head(&id).await.unwrap(), Some(version(10, u64::MAX)));
    let unknown = StateId(Uuid::from_u128(1));
    assert!(db.store.add_state_version(&unknown, &version(1, 1)).await.is_err());
    assert_eq!(db.store.state_head(&unknown).await.unwrap(), None);
}

async fn a_state_is_locked_by_one_at_a_time(db: Fresh) {
    let id = db.store.state_id(&repo(), &project_key("prod")).await.unwrap();
    let (ours, theirs) = (r#"{"ID":"one","Who":"ana"}"#, r#"{"ID":"two","Who":"sam"}"#);
    assert_eq!(db.store.state_lock_info(&id).await.unwrap(), None);
    assert_eq!(db.store.state_lock(&id, ours).await.unwrap(), Ok(()));
    assert_eq!(db.store.state_lock(&id, ours).await.unwrap(), Ok(()), "asked again after a lost answer");
    assert_eq!(db.store.state_lock(&id, theirs).await.unwrap(), Err(ours.into()));
    assert_eq!(db.store.state_lock_info(&id).await.unwrap().as_deref(), Some(ours));
    assert!(!db.store.state_unlock(&id, "two").await.unwrap());
    assert!(db.store.state_unlock(&id, "one").await.unwrap());
    assert!(!db.store.state_unlock(&id, "one").await.unwrap());
    assert_eq!(db.store.state_lock(&id, theirs).await.unwrap(), Ok(()));
    for bad in ["", "{}", r#"{"ID":7}"#, "[]"] {
        assert!(matches!(db.store.state_lock(&id, bad).await, Err(StoreError::Unreadable { .. })), "{bad}");
    }
    assert!(db.store.state_lock(&StateId(Uuid::from_u128(1)), ours).await.is_err());
}

async fn the_audit_trail_tells_who_did_what(db: Fresh) {
    let prod = project_key("prod@blue");
    let mut tx = db.store.write(&repo()).await.unwrap();
    tx.audit(at(5), "ana", "approve", &pull_id(1), Some(&prod), &json!({"fingerprint": "p_1"})).await.unwrap();
    tx.audit(at(5), "ana", "apply", &pull_id(1), None, &json!(null)).await.unwrap();
    tx.audit(at(4), "sam", "plan", &pull_id(2), None, &json!([])).await.unwrap();
    tx.commit().await.unwrap();
    let trail = db.store.audit_trail(&pull_id(1)).await.unwrap();
    let first = AuditEntry {
        at: at(5),
        actor: "ana".into(),
        action: "approve".into(),
        pull: pull_id(1),
        project: Some(prod),
        data: json!({"fingerprint": "p_1"}),
    };
    assert_eq!(trail[0], first);
    assert_eq!((trail.len(), trail[1].action.as_str()), (2, "apply"));
}

async fn facts_about_the_store_are_kept(db: Fresh) {
    assert_eq!(db.store.meta_get("archive_key").await.unwrap(), None);
    db.store.meta_set("archive_key", "one").await.unwrap();
    db.store.meta_set("archive_key", "two").await.unwrap();
    assert_eq!(db.store.meta_get("archive_key").await.unwrap().as_deref(), Some("two"));
}

async fn a_store_can_be_opened_again_and_again(db: Fresh) {
    db.store.meta_set("k", "v").await.unwrap();
    for _ in 0..2 {
        let store = Store::open(&db.url).await.unwrap();
        store.ready().await.unwrap();
        assert_eq!(store.meta_get("k").await.unwrap().as_deref(), Some("v"));
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_file_is_its_owners_alone_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd name? 100%#é.db");
    let store = Store::open(&format!("sqlite:{}", path.display())).await.unwrap();
    store.meta_set("k", "v").await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert!(entry.file_name().to_string_lossy().starts_with("odd name? 100%#é.db"), "{:?}", entry.file_name());
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0);
    }
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_no_database_is_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let open = async |url: &str| Store::open(url).await.unwrap_err().to_string();
    insta::assert_snapshot!(open("mysql://root@localhost/x").await, @"`database` is neither `sqlite:PATH` nor `postgres://…`");
    insta::assert_snapshot!(open("sqlite::memory:").await, @"can't open the database file :memory:: a database in memory would lose everything with the process");
    insta::assert_snapshot!(open("sqlite:").await, @"can't open the database file : it is not the path of a file");
    let missing = open(&format!("sqlite:{}/no/store.db", dir.path().display())).await;
    assert!(missing.ends_with("No such file or directory (os error 2)"), "{missing}");
    std::fs::write(dir.path().join("text"), "this is not a database, but some text".repeat(100)).unwrap();
    let text = open(&format!("sqlite:{}/text", dir.path().display())).await;
    assert!(text.contains("file is not a database"), "{text}");
    let unreachable = open("postgres://ana:hunter2@localhost/x?host=/nowhere").await;
    assert!(unreachable.starts_with("can't connect to the database"), "{unreachable}");
    assert!(!unreachable.contains("hunter2"), "{unreachable}");
}
