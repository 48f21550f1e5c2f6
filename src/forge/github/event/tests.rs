use super::*;
use crate::domain::event::Comment;
use crate::domain::id::{CommentId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

fn meaning(name: &str, payload: &Value) -> Result<Event, Malformed> {
    event(name, &payload.to_string(), "ghe.example.com")
}

fn pull_id() -> PullId {
    "ghe.example.com/acme/infra#7".parse().unwrap()
}

fn payload(action: &str, more: &Value) -> Value {
    let mut payload = json!({
        "action": action,
        "repository": { "full_name": "acme/infra", "visibility": "a value of tomorrow" },
        "sender": { "login": "ana", "avatar_url": "" },
    });
    for (key, value) in more.as_object().unwrap() {
        payload[key] = value.clone();
    }
    payload
}

fn pull_request(action: &str) -> Value {
    payload(action, &json!({ "pull_request": { "number": 7, "state": "a value of tomorrow" } }))
}

fn comment(action: &str, more: &Value) -> Value {
    let mut comment = json!({
        "id": 41, "user": { "login": "ana", "type": "User" }, "body": "terraplane plan",
        "created_at": "2026-11-24T01:02:03Z", "performed_via_github_app": null,
    });
    for (key, value) in more.as_object().unwrap() {
        comment[key] = value.clone();
    }
    payload(action, &json!({ "issue": { "number": 7, "pull_request": { "url": "…" } }, "comment": comment }))
}

fn ignored(name: &str, payload: &Value) -> String {
    match meaning(name, payload) {
        Ok(Event::Ignored { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_happens_to_a_pull_request_is_told_by_its_action() {
    for (action, change) in [
        ("opened", PullChange::Opened),
        ("reopened", PullChange::Reopened),
        ("synchronize", PullChange::Pushed),
        ("ready_for_review", PullChange::MadeReady),
        ("converted_to_draft", PullChange::MadeDraft),
        ("closed", PullChange::Closed),
    ] {
        let told = meaning("pull_request", &pull_request(action));
        assert_eq!(told, Ok(Event::PullChanged { pull: pull_id(), change }), "{action}");
    }
}

#[test]
fn an_edit_matters_only_when_it_changes_the_base_branch() {
    let mut edited = pull_request("edited");
    let nothing = "an edit that leaves the base branch as it is";
    assert_eq!(ignored("pull_request", &edited), nothing);
    edited["changes"] = json!({ "title": { "from": "Wider" }, "body": { "from": "" } });
    assert_eq!(ignored("pull_request", &edited), nothing);
    edited["changes"] = json!({ "base": { "ref": { "from": "main" }, "sha": { "from": "…" } } });
    let told = meaning("pull_request", &edited);
    assert_eq!(told, Ok(Event::PullChanged { pull: pull_id(), change: PullChange::Retargeted }));
}

#[test]
fn a_new_comment_on_a_pull_request_is_told_in_full() {
    let told = meaning("issue_comment", &comment("created", &json!({})));
    let comment = Comment {
        id: CommentId(41),
        author: "ana".parse().unwrap(),
        by_bot: false,
        body: "terraplane plan".into(),
        created_at: Timestamp(1_795_482_123_000),
    };
    assert_eq!(told, Ok(Event::Commented { pull: pull_id(), comment }));
}

#[test]
fn what_a_bot_or_an_app_wrote_is_marked() {
    for (more, by_bot) in [
        (json!({}), false),
        (json!({ "user": { "login": "renovate[bot]", "type": "Bot" } }), true),
        (json!({ "performed_via_github_app": { "id": 1 } }), true),
        (json!({ "user": { "login": "old-ghes" } }), false),
        (json!({ "user": { "login": "ana", "type": "a type of tomorrow" } }), false),
    ] {
        match meaning("issue_comment", &comment("created", &more)) {
            Ok(Event::Commented { comment, .. }) => assert_eq!(comment.by_bot, by_bot, "{more}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn edited_comments_and_comments_on_issues_are_ignored() {
    assert_eq!(
        ignored("issue_comment", &comment("edited", &json!({}))),
        "nothing follows from the action `edited` of `issue_comment` events"
    );
    let mut on_issue = comment("created", &json!({}));
    on_issue["issue"]["pull_request"] = Value::Null;
    assert_eq!(ignored("issue_comment", &on_issue), "a comment on an issue, not on a pull request");
}

#[test]
fn a_review_that_is_given_changed_or_dismissed_is_told() {
    for action in ["submitted", "edited", "dismissed"] {
        let told = meaning("pull_request_review", &pull_request(action));
        assert_eq!(told, Ok(Event::Reviewed { pull: pull_id() }), "{action}");
    }
}

/// As GitHub's documentation has it.
fn merge_group(action: &str, head_ref: &str) -> Value {
    let group = json!({
        "head_sha": "2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d", "head_ref": head_ref,
        "base_sha": "380387fbc80638b734a49e1be1c4dfec1c01b33c", "base_ref": "refs/heads/main",
        "head_commit": { "id": "ec26c3e57ca3a959ca5aad62de7213c562f8c821" },
    });
    payload(action, &json!({ "merge_group": group, "reason": "dequeued" }))
}

#[test]
fn what_a_merge_queue_asks_and_lets_go_of_is_told_by_its_branch() {
    let group = MergeGroup {
        head: "2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d".parse().unwrap(),
        base: "380387fbc80638b734a49e1be1c4dfec1c01b33c".parse().unwrap(),
    };
    let queued = Event::Queued { pull: pull_id(), group: group.clone() };
    let at = |branch: &str| format!("refs/heads/gh-readonly-queue/{branch}-929f8209d40f77f4abc622a499c93a83babdbe64");
    for (action, head_ref, expected) in [
        ("checks_requested", at("main/pr-7"), queued.clone()),
        ("checks_requested", at("release/pr-1-a/v2/pr-7"), queued),
        ("destroyed", at("main/pr-7"), Event::Unqueued { pull: pull_id(), group }),
    ] {
        assert_eq!(meaning("merge_group", &merge_group(action, &head_ref)), Ok(expected), "{action} {head_ref}");
    }
    for head_ref in
        ["refs/heads/main", "refs/heads/gh-readonly-queue/main", &at("main/pull-7"), &at("main/pr-x"), &at("pr-7")]
    {
        let reason = format!("a merge queue's branch that names no pull request: `{head_ref}`");
        assert_eq!(ignored("merge_group", &merge_group("checks_requested", head_ref)), reason);
    }
    let reason = "nothing follows from the action `sealed` of `merge_group` events";
    assert_eq!(ignored("merge_group", &merge_group("sealed", &at("main/pr-7"))), reason);
    let mut odd = merge_group("destroyed", &at("main/pr-7"));
    odd["merge_group"]["head_sha"] = json!("main");
    assert!(meaning("merge_group", &odd).is_err());
}

#[test]
fn what_nobody_heard_of_is_ignored_with_a_reason_and_never_an_error() {
    let repo = Some(pull_id().repo);
    for (name, payload, repo) in [
        ("ping", json!({ "zen": "Design for failure." }), None),
        ("installation", json!({ "action": "created", "repositories": [] }), None),
        ("push", json!({ "repository": { "full_name": "acme/infra", "pushed_at": 1 } }), repo.clone()),
        ("an_event_of_tomorrow", json!({ "repository": 7 }), None),
        ("pull_request", payload("enqueued", &json!({})), repo.clone()),
        ("pull_request_review", payload("an action of tomorrow", &json!({})), repo),
    ] {
        match meaning(name, &payload) {
            Ok(Event::Ignored { repo: told, reason }) => {
                assert_eq!(told, repo, "{name}");
                assert!(reason.contains(name), "{reason}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_lacks_what_its_documentation_promises_is_named() {
    let mut no_repo = pull_request("opened");
    no_repo["repository"] = Value::Null;
    let mut odd_repo = pull_request("opened");
    odd_repo["repository"]["full_name"] = json!("acme/../infra");
    for (name, payload, what) in [
        ("pull_request", no_repo, "it names no repository"),
        ("pull_request", odd_repo, "`ghe.example.com/acme/../infra` is not a repository name (host/owner/name)"),
        ("pull_request", payload("opened", &json!({})), "missing field `pull_request`"),
        ("issue_comment", comment("created", &json!({ "created_at": "now" })), "`now` is not a time"),
        ("issue_comment", comment("created", &json!({ "id": "41" })), "invalid type: string \"41\", expected u64"),
    ] {
        let malformed = meaning(name, &payload).unwrap_err();
        assert!(malformed.what.starts_with(what), "{malformed}");
        assert!(malformed.to_string().starts_with(&format!("the `{name}` webhook is not as documented: ")));
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_stumble(name in "pull_request|issue_comment|merge_group|pull_request_review|push", body in ".{0,200}") {
        let _ = event(&name, &body, "github.com");
    }

    #[test]
    fn any_action_of_a_whole_payload_is_accepted(name in "pull_request|pull_request_review|x", action in "[a-z_]{0,120}") {
        prop_assert!(meaning(&name, &pull_request(&action)).is_ok());
    }
}
