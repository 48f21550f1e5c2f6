//! What a forge should show, and what it was last told.

use super::sample::{at, project_key, pull_id, record, repo, run_id, sha, tell};
use super::{Fresh, on_both};
use terraplane::domain::id::{CommentId, Login};
use terraplane::store::{JobKind, Lease, OutComment, SentCheck, SentStatus, Store, StoreError};

on_both!(
    a_comment_is_wanted_once_and_then_sent,
    the_live_comment_has_a_row_as_soon_as_it_is_sent,
    the_live_comment_is_created_again_if_it_vanished_and_no_other_is,
    a_comment_that_the_forge_refuses_is_given_up_until_it_is_sent_after_all,
    an_ingest_job_has_no_comments,
    the_last_status_of_each_context_is_known,
    a_command_is_seen_for_the_first_time_once,
    who_approved_a_plan_first_is_kept,
    the_last_label_is_known_and_outlives_a_push,
);

/// The right to write about pull request 1.
async fn lease(store: &Store) -> Lease {
    let mut tx = store.write(&repo()).await.unwrap();
    tx.enqueue(&tell(1), at(0)).await.unwrap();
    tx.commit().await.unwrap();
    store.claim(&[JobKind::Tell], at(0), 1_000).await.unwrap().unwrap()
}

async fn want(store: &Store, key: &str, body: &str, now: i64) -> bool {
    let mut tx = store.write(&repo()).await.unwrap();
    let added = tx.add_comment(&pull_id(1), key, body, at(now)).await.unwrap();
    tx.commit().await.unwrap();
    added
}

fn wanted(key: &str, body: &str, now: i64) -> OutComment {
    OutComment {
        key: key.into(),
        body: Some(body.into()),
        wanted_at: at(now),
        comment: None,
        sent_hash: None,
        given_up: None,
    }
}

async fn a_comment_is_wanted_once_and_then_sent(db: Fresh) {
    let lease = lease(&db.store).await;
    assert!(want(&db.store, "z", "first", 10).await);
    assert!(want(&db.store, "b", "second", 20).await);
    assert!(want(&db.store, "a", "third", 20).await);
    assert!(!want(&db.store, "z", "changed", 30).await);
    let comments = db.store.comments(&pull_id(1)).await.unwrap();
    assert_eq!(comments, [wanted("z", "first", 10), wanted("b", "second", 20), wanted("a", "third", 20)]);
    // Forges' numbers may be larger than what a signed column holds.
    db.store.comment_sent(&lease, "b", CommentId(u64::MAX - 1), "hash").await.unwrap();
    let sent = OutComment {
        comment: Some(CommentId(u64::MAX - 1)),
        sent_hash: Some("hash".into()),
        ..wanted("b", "second", 20)
    };
    assert_eq!(db.store.comments(&pull_id(1)).await.unwrap()[1], sent);
    assert!(!want(&db.store, "b", "again", 40).await);
    assert_eq!(db.store.comments(&pull_id(2)).await.unwrap(), []);
}

async fn the_live_comment_has_a_row_as_soon_as_it_is_sent(db: Fresh) {
    let lease = lease(&db.store).await;
    want(&db.store, "reply", "text", 10).await;
    db.store.comment_sent(&lease, "live", CommentId(5), "one").await.unwrap();
    db.store.comment_sent(&lease, "live", CommentId(5), "two").await.unwrap();
    let live =
        OutComment { body: None, comment: Some(CommentId(5)), sent_hash: Some("two".into()), ..wanted("live", "", 0) };
    assert_eq!(db.store.comments(&pull_id(1)).await.unwrap(), [live, wanted("reply", "text", 10)]);
}

async fn the_live_comment_is_created_again_if_it_vanished_and_no_other_is(db: Fresh) {
    let lease = lease(&db.store).await;
    want(&db.store, "reply", "text", 10).await;
    db.store.comment_sent(&lease, "live", CommentId(4), "hash").await.unwrap();
    db.store.comment_sent(&lease, "reply", CommentId(5), "hash").await.unwrap();
    let mut tx = db.store.write(&repo()).await.unwrap();
    assert!(!tx.forget_live_comment(&pull_id(1), CommentId(5)).await.unwrap());
    assert!(!tx.forget_live_comment(&pull_id(2), CommentId(4)).await.unwrap());
    assert!(tx.forget_live_comment(&pull_id(1), CommentId(4)).await.unwrap());
    tx.commit().await.unwrap();
    let comments = db.store.comments(&pull_id(1)).await.unwrap();
    assert_eq!(comments.iter().map(|comment| comment.comment).collect::<Vec<_>>(), [None, Some(CommentId(5))]);
}

async fn a_comment_that_the_forge_refuses_is_given_up_until_it_is_sent_after_all(db: Fresh) {
    let lease = lease(&db.store).await;
    want(&db.store, "reply", "text", 10).await;
    db.store.comment_given_up(&lease, "reply", "the conversation is locked").await.unwrap();
    db.store.comment_given_up(&lease, "live", "the conversation is locked").await.unwrap();
    let given_up = Some("the conversation is locked".to_owned());
    let live = OutComment { body: None, given_up: given_up.clone(), ..wanted("live", "", 0) };
    let reply = OutComment { given_up, ..wanted("reply", "text", 10) };
    assert_eq!(db.store.comments(&pull_id(1)).await.unwrap(), [live, reply]);
    db.store.comment_sent(&lease, "live", CommentId(5), "hash").await.unwrap();
    assert_eq!(db.store.comments(&pull_id(1)).await.unwrap()[0].given_up, None);
}

async fn an_ingest_job_has_no_comments(db: Fresh) {
    db.store.record_delivery(super::sample::delivery("d1", "acme", 0)).await.unwrap();
    let lease = db.store.claim(&[JobKind::Ingest], at(0), 1_000).await.unwrap().unwrap();
    let refused = db.store.comment_sent(&lease, "live", CommentId(5), "hash").await;
    assert!(matches!(refused, Err(StoreError::NoPull)));
}

async fn the_last_status_of_each_context_is_known(db: Fresh) {
    let lease = lease(&db.store).await;
    let status = |commit, context: &str, state: &str| SentStatus {
        sha: sha(commit),
        context: context.into(),
        state: state.into(),
        description: format!("it is {state}"),
        // Some are checks.
        check: (state == "failure").then(|| SentCheck { id: 42, hash: "0a".into(), notes: Some("0b".into()) }),
    };
    let told = [
        status('a', "terraplane/plan", "pending"),
        status('a', "terraplane/plan", "success"),
        status('a', "terraplane/apply", "pending"),
        status('b', "terraplane/plan", "failure"),
    ];
    for status in &told {
        db.store.status_sent(&lease, &pull_id(1), status, None).await.unwrap();
    }
    let mut known = db.store.statuses(&pull_id(1)).await.unwrap();
    known.sort_by_key(|status| told.iter().position(|told| told == status));
    assert_eq!(known, told[1..]);
    assert_eq!(db.store.statuses(&pull_id(2)).await.unwrap(), []);
}

async fn a_command_is_seen_for_the_first_time_once(db: Fresh) {
    let mut tx = db.store.write(&repo()).await.unwrap();
    let other = "github.com/acme/other".parse().unwrap();
    assert!(tx.first_time(&repo(), CommentId(1), 0, at(5)).await.unwrap());
    assert!(!tx.first_time(&repo(), CommentId(1), 0, at(6)).await.unwrap());
    assert!(tx.first_time(&repo(), CommentId(1), 1, at(6)).await.unwrap());
    assert!(tx.first_time(&repo(), CommentId(2), 0, at(6)).await.unwrap());
    assert!(tx.first_time(&other, CommentId(1), 0, at(6)).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = db.store.write(&repo()).await.unwrap();
    assert!(!tx.first_time(&repo(), CommentId(1), 1, at(7)).await.unwrap());
}

async fn who_approved_a_plan_first_is_kept(db: Fresh) {
    let mut tx = db.store.write(&repo()).await.unwrap();
    tx.save_pull(&record(1, 'a', 'b', &["prod"]), at(1)).await.unwrap();
    tx.commit().await.unwrap();
    let lease = lease(&db.store).await;
    let shown = [1, 2].map(|run| (project_key("prod"), run_id(run), format!("{run:064}").parse().unwrap()));
    db.store.plans_shown(&lease, &sha('a'), &shown, at(3)).await.unwrap();
    for (run, by) in [(1, "kim"), (1, "lee"), (9, "lee")] {
        let mut tx = db.store.write(&repo()).await.unwrap();
        tx.plan_approved(&pull_id(1), run_id(run), &by.parse().unwrap()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let state = db.store.pull_state(&pull_id(1)).await.unwrap().unwrap();
    let by: Vec<_> =
        state.projects[0].shown.iter().map(|shown| shown.approved_by.as_ref().map(Login::as_str)).collect();
    assert_eq!(by, [Some("kim"), None]);
}

async fn the_last_label_is_known_and_outlives_a_push(db: Fresh) {
    let push = async |head| {
        let mut tx = db.store.write(&repo()).await.unwrap();
        tx.save_pull(&record(1, head, 'b', &["prod"]), at(1)).await.unwrap();
        tx.commit().await.unwrap();
    };
    assert_eq!(db.store.label(&pull_id(1)).await.unwrap(), None, "of a pull request that nobody knows");
    push('a').await;
    let lease = lease(&db.store).await;
    for wanted in [Some("terraplane: changes"), None, Some("terraplane: destroy")] {
        db.store.labelled(&lease, &pull_id(1), wanted).await.unwrap();
        assert_eq!(db.store.label(&pull_id(1)).await.unwrap().as_deref(), wanted);
    }
    push('c').await;
    assert_eq!(db.store.label(&pull_id(1)).await.unwrap().as_deref(), Some("terraplane: destroy"));
}
