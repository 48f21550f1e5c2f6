use super::*;
use crate::domain::id::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn meaning(name: &str, payload: &Value) -> Result<Event, Malformed> {
    event(name, &payload.to_string(), "git.example.com")
}

fn pull_id() -> PullId {
    "git.example.com/acme/eu/infra#7".parse().unwrap()
}

fn payload(kind: &str, more: &Value) -> Value {
    let mut payload = json!({
        "object_kind": kind,
        "event_type": kind,
        "user": { "id": 1, "name": "Ana", "username": "ana" },
        "project": { "id": 5, "path_with_namespace": "acme/eu/infra", "visibility_level": 4711 },
    });
    for (key, value) in more.as_object().unwrap() {
        payload[key] = value.clone();
    }
    payload
}

fn merge_request(action: &str, attributes: &Value, changes: &Value) -> Value {
    let mut all = json!({ "id": 99, "iid": 7, "state": "a value of tomorrow", "action": action });
    for (key, value) in attributes.as_object().unwrap() {
        all[key] = value.clone();
    }
    payload("merge_request", &json!({ "object_attributes": all, "changes": changes }))
}

fn note(more: &Value) -> Value {
    let mut note = json!({
        "id": 1244, "note": "terraplane plan", "noteable_type": "MergeRequest", "noteable_id": 99, "system": false,
        "action": "create", "created_at": "2026-11-24T01:02:03.000Z", "type": null,
    });
    for (key, value) in more.as_object().unwrap() {
        note[key] = value.clone();
    }
    payload("note", &json!({ "object_attributes": note, "merge_request": { "id": 99, "iid": 7 } }))
}

fn ignored(payload: &Value) -> String {
    match meaning("Some Hook", payload) {
        Ok(Event::Ignored { repo, reason }) => {
            assert_eq!(repo, Some(pull_id().repo));
            reason
        }
        other => panic!("{other:?}"),
    }
}

fn changed(payload: &Value) -> PullChange {
    match meaning("Merge Request Hook", payload) {
        Ok(Event::PullChanged { pull, change }) => {
            assert_eq!(pull, pull_id());
            change
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_happens_to_a_merge_request_is_told_by_its_action() {
    for (action, change) in [
        ("open", PullChange::Opened),
        ("reopen", PullChange::Reopened),
        ("close", PullChange::Closed),
        ("merge", PullChange::Closed),
    ] {
        assert_eq!(changed(&merge_request(action, &json!({}), &json!({}))), change, "{action}");
    }
    for action in ["approved", "approval", "unapproved", "unapproval"] {
        let told = meaning("Merge Request Hook", &merge_request(action, &json!({}), &json!({})));
        assert_eq!(told, Ok(Event::Reviewed { pull: pull_id() }), "{action}");
    }
}

#[test]
fn an_update_is_a_push_a_retarget_a_change_of_draft_or_nothing() {
    let update = |attributes: Value, changes: Value| merge_request("update", &attributes, &changes);
    let push = update(json!({ "oldrev": "e59094b8de0f2f91abbe4760a52d9137260252d8" }), json!({ "updated_at": {} }));
    assert_eq!(changed(&push), PullChange::Pushed);
    let retarget = json!({ "target_branch": { "previous": "main", "current": "release" } });
    assert_eq!(changed(&update(json!({}), retarget.clone())), PullChange::Retargeted);
    assert_eq!(changed(&update(json!({ "oldrev": "e59" }), retarget)), PullChange::Pushed, "with commits it is a push");
    let draft = |previous, current| json!({ "draft": { "previous": previous, "current": current } });
    assert_eq!(changed(&update(json!({}), draft(false, true))), PullChange::MadeDraft);
    assert_eq!(changed(&update(json!({}), draft(true, false))), PullChange::MadeReady);
    let title = |previous, current| json!({ "title": { "previous": previous, "current": current } });
    assert_eq!(changed(&update(json!({}), title("A change", "Draft: A change"))), PullChange::MadeDraft, "before 16");
    assert_eq!(changed(&update(json!({}), title("WIP: A change", "A change"))), PullChange::MadeReady);
    for changes in [title("One", "Two"), title("Draft: One", "[Draft] Two"), json!({ "labels": {} }), json!({})] {
        let reason = ignored(&update(json!({}), changes.clone()));
        assert_eq!(reason, "an update that brings no commits and leaves the base branch as it is", "{changes}");
    }
    let bare = payload("merge_request", &json!({ "object_attributes": { "iid": 7, "action": "update" } }));
    assert_eq!(ignored(&bare), "an update that brings no commits and leaves the base branch as it is");
}

#[test]
fn a_new_note_on_a_merge_request_is_a_comment() {
    let comment = Comment {
        id: CommentId(1244),
        author: "ana".parse().unwrap(),
        by_bot: false,
        body: "terraplane plan".into(),
        created_at: Timestamp(1_795_482_123_000),
    };
    let told = Ok(Event::Commented { pull: pull_id(), comment: comment.clone() });
    assert_eq!(meaning("Note Hook", &note(&json!({}))), told);
    assert_eq!(meaning("Note Hook", &note(&json!({ "action": null }))), told, "older ones have no word for it");
    assert_eq!(meaning("Note Hook", &note(&json!({ "created_at": "2026-11-24 01:02:03 UTC" }))), told);
    assert_eq!(meaning("Note Hook", &note(&json!({ "type": "DiffNote" }))), told, "also in a discussion of a line");
    let mut by_token = note(&json!({}));
    by_token["user"]["username"] = json!("project_5_bot_3f0c4a8b");
    let Ok(Event::Commented { comment, .. }) = meaning("Note Hook", &by_token) else { panic!() };
    assert!(comment.by_bot);
}

#[test]
fn every_other_note_is_ignored_with_a_reason() {
    assert_eq!(ignored(&note(&json!({ "action": "update" }))), "nothing follows from a comment that was edited");
    assert_eq!(ignored(&note(&json!({ "system": true }))), "a note that GitLab itself wrote");
    for kind in ["Commit", "Issue", "Snippet", "A value of tomorrow"] {
        assert_eq!(ignored(&note(&json!({ "noteable_type": kind }))), "a comment that is not on a merge request");
    }
}

#[test]
fn what_we_know_nothing_of_is_no_error() {
    assert_eq!(ignored(&payload("push", &json!({}))), "nothing follows from `push` events");
    assert_eq!(
        ignored(&payload("an event of tomorrow", &json!({}))),
        "nothing follows from `an event of tomorrow` events"
    );
    let action = merge_request("an action of tomorrow", &json!({}), &json!({}));
    assert_eq!(ignored(&action), "nothing follows from the action `an action of tomorrow` of merge request events");
    let odd = meaning("Emoji Hook", &json!({ "object_kind": 7, "project": "odd" }));
    assert_eq!(odd, Ok(Event::Ignored { repo: None, reason: "nothing follows from `Emoji Hook` events".into() }));
}

#[test]
fn an_event_of_ours_that_lacks_what_is_documented_says_so() {
    let what = |payload: Value| meaning("Note Hook", &payload).unwrap_err().to_string();
    assert_eq!(
        what(json!({ "object_kind": "note" })),
        "the `Note Hook` webhook is not as documented: it names no project"
    );
    let mut nowhere = note(&json!({}));
    nowhere["merge_request"] = Value::Null;
    assert_eq!(what(nowhere), "the `Note Hook` webhook is not as documented: it names no merge request");
    assert!(what(note(&json!({ "created_at": "yesterday" }))).ends_with("`yesterday` is not a time"));
    assert!(what(payload("merge_request", &json!({}))).contains("missing field `object_attributes`"));
    let mut elsewhere = note(&json!({}));
    elsewhere["project"]["path_with_namespace"] = json!("nonsense");
    assert!(what(elsewhere).ends_with("the project's path is not `group/name`"));
}

/// Real webhooks, when they are beside the checkout.
#[test]
fn every_recorded_webhook_means_what_its_name_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/gitlab");
    let files: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path()).collect();
    for path in &files {
        let body = std::fs::read_to_string(path).unwrap();
        let shown = match event("Some Hook", &body, "gitlab.com") {
            Ok(Event::PullChanged { pull, change }) => format!("{pull} {change:?}"),
            Ok(Event::Commented { pull, comment }) => format!("{pull} {}: {}", comment.author, comment.body),
            Ok(Event::CommentGone { comment, .. }) => format!("{comment} gone"),
            Ok(Event::Called { pull, .. }) => format!("{pull} called"),
            Ok(Event::Queued { pull, .. } | Event::Unqueued { pull, .. }) => format!("{pull} queued"),
            Ok(Event::Reviewed { pull }) => format!("{pull} reviewed"),
            Ok(Event::Ignored { repo, reason }) => format!("{}: {reason}", repo.unwrap()),
            Err(malformed) => malformed.what,
        };
        let wanted = match path.file_stem().unwrap().to_str().unwrap() {
            "merge_request" => "gitlab.com/gitlabhq/gitlab-test#1 Opened",
            // Copied from a page that put a blank at the end of every name.
            "group_merge_request" => "missing field `iid` at line 103 column 3",
            "service_merge_request" => "gitlab.com/test/woodpecker#2 Pushed",
            "note_merge_request" => "gitlab.com/gitlab-org/gitlab-test#1 root: This MR needs work.",
            "note_issue" => "gitlab.com/gitlab-org/gitlab-test: a comment that is not on a merge request",
            "pipeline" => "gitlab.com/gitlab-org/gitlab-test: nothing follows from `pipeline` events",
            "push" => "gitlab.com/mike/diaspora: nothing follows from `push` events",
            "tag_push" => "gitlab.com/jsmith/example: nothing follows from `tag_push` events",
            other => panic!("a recorded webhook of which this test knows nothing: {other}"),
        };
        assert_eq!(shown, wanted, "{path:?}");
    }
}

proptest! {
    #[test]
    fn no_text_is_a_panic(name in "(Note Hook|Merge Request Hook|[a-z]{0,9})", body in "\\PC{0,60}") {
        let _ = event(&name, &body, "git.example.com");
    }

    #[test]
    fn no_value_in_a_field_is_a_panic(field in 0..6_usize, value in prop_oneof![
        Just(Value::Null), Just(json!(-1)), Just(json!([])), Just(json!({})), Just(json!("\u{0}")), Just(json!(1e300))
    ]) {
        let pointers = [
            "/object_attributes", "/object_attributes/id", "/object_attributes/note", "/user/username",
            "/project/path_with_namespace", "/merge_request/iid",
        ];
        let mut payload = note(&json!({}));
        *payload.pointer_mut(pointers[field]).unwrap() = value;
        let _ = meaning("Note Hook", &payload);
    }
}
