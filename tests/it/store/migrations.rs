//! The tables are changed in steps. Each step is applied to a database that has data in it, as it is at people's sites.

use super::sample::at;
use super::{Fresh, on_both};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use std::path::PathBuf;
use terraplane::domain::id::ForgeKind::Github;
use terraplane::domain::run::RunState;
use terraplane::store::{DeliveryEnd, Job, JobKind, Store};

on_both!(every_step_is_applied_over_data, tables_of_a_newer_version_are_refused);

fn folder(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

async fn every_step_is_applied_over_data(db: Fresh) {
    db.store.close().await;
    empty(&db.url).await;
    let migrator = Migrator::new(folder("src/store/migrations")).await.unwrap();
    let mut connection = AnyConnection::connect(&db.url).await.unwrap();
    for step in migrator.iter() {
        migrator.run_to(step.version, &mut connection).await.unwrap();
        let sample = folder(&format!("tests/data/migrations/{:04}.sql", step.version));
        let sample = std::fs::read_to_string(&sample)
            .unwrap_or_else(|error| panic!("each step needs data for the next one: {}: {error}", sample.display()));
        sqlx::raw_sql(AssertSqlSafe(sample)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    // This refuses a database whose steps are not exactly those that the program has in it.
    let store = Store::open(&db.url).await.unwrap();
    let delivery =
        store.delivery(Github, &"72d3162e-cc78-11e3-81ab-4c9367dc0958".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(delivery.end, Some(DeliveryEnd::Done));
    let pull = "github.com/acme/infra#7".parse().unwrap();
    let state = store.pull_state(&pull).await.unwrap().unwrap();
    let [prod] = &state.projects[..] else { panic!("{:?}", state.projects) };
    assert_eq!(prod.plan_state(), Some(RunState::Succeeded));
    assert_eq!(prod.apply_state(), Some(RunState::Waiting));
    assert_eq!(prod.queue_position, 1);
    assert!(prod.lock.as_ref().is_some_and(|lock| lock.applied && lock.held_by.number.0 == 6));
    assert_eq!(store.label(&pull).await.unwrap().as_deref(), Some("terraplane: changes"));
    assert_eq!(prod.approved().map(|(_, by)| by.as_str()), Some("kim"));
    assert_eq!(state.queued.iter().map(|queued| queued.commit.ended).collect::<Vec<_>>(), [true, false]);
    let comments = store.comments(&pull).await.unwrap();
    assert_eq!(comments.iter().map(|comment| comment.key.as_str()).collect::<Vec<_>>(), ["live", "reply:1"]);
    let statuses = store.statuses(&pull).await.unwrap();
    assert_eq!(statuses.iter().filter_map(|status| Some(status.check.as_ref()?.id)).collect::<Vec<_>>(), [42]);
    assert_eq!(statuses.len(), 2);
    assert_eq!(store.audit_trail(&pull).await.unwrap().len(), 1);
    let managed = store.state_id(&pull.repo, &prod.project.key).await.unwrap();
    assert_eq!(store.state_head(&managed).await.unwrap().unwrap().serial, 3);
    let lease = store.claim(&JobKind::ALL, at(i64::MAX / 2), 1).await.unwrap().unwrap();
    assert_eq!((lease.job, lease.attempts), (Job::Tell { pull }, 3));
}

async fn tables_of_a_newer_version_are_refused(db: Fresh) {
    let mut connection = AnyConnection::connect(&db.url).await.unwrap();
    sqlx::query(
        "UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let refused = Store::open(&db.url).await.unwrap_err().to_string();
    assert_eq!(
        refused,
        "can't bring the database's tables up to date (was it made by a newer version?): migration 9999 was previously applied but is missing in the resolved migrations"
    );
}

/// Takes away the tables that opening the store has made.
async fn empty(url: &str) {
    if let Some(path) = url.strip_prefix("sqlite:") {
        std::fs::write(path, "").unwrap();
    } else {
        let mut connection = AnyConnection::connect(url).await.unwrap();
        sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").execute(&mut connection).await.unwrap();
    }
}
