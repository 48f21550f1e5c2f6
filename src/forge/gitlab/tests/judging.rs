//! What GitLab asks for before it merges, and what it answers when it is to merge.

use super::*;
use crate::domain::project::MergeHow;
use crate::domain::pull::{CheckState, Judgement, ReviewsAsked};
use crate::forge::Forge;

const STATUSES: &str = "/projects/5/repository/commits/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/statuses";

fn rules(rules: Value) -> Reply {
    says(200, json!({ "approval_rules_overwritten": false, "rules": rules }))
}

fn rule(kind: &str, required: u64, approved: bool) -> Value {
    json!({ "id": 1, "name": "x", "rule_type": kind, "approvals_required": required, "approved": approved })
}

fn with_pipeline(word: &str) -> Value {
    json!({ "detailed_merge_status": word, "head_pipeline": pipeline(31, &sha('a'), "topic") })
}

fn check(name: &str, status: &str, by: &str) -> Value {
    json!({ "id": 1, "name": name, "status": status, "allow_failure": false, "author": { "username": by } })
}

async fn hub(more: &Value, statuses: Value, approval_state: Reply) -> Hub {
    let hub = Hub::start().await;
    hub.on(&format!("GET {MR}"), says(200, merge_request(more)));
    hub.on("GET /user", says(200, json!({ "username": "terraplane" })));
    hub.on(&format!("GET {STATUSES}"), says(200, statuses));
    hub.on(&format!("GET {MR}/approval_state"), approval_state);
    hub
}

async fn judged(more: &Value, statuses: Value) -> (Option<bool>, Judgement) {
    let hub = hub(more, statuses, rules(json!([]))).await;
    let (gitlab, pull) = (hub.gitlab(), hub.pull_id());
    (gitlab.mergeable(&pull).await.unwrap(), gitlab.judgement(&pull).await.unwrap())
}

/// What has to be green and is not.
fn missing(judgement: &Judgement) -> Vec<&str> {
    let missing = judgement.checks.iter().filter(|check| check.required && check.state != CheckState::Green);
    missing.map(|check| check.name.as_str()).collect()
}

#[tokio::test]
async fn conflicts_reviews_and_everything_else_are_told_apart() {
    use ReviewsAsked::{ChangesRequested, Missing, None as Nobody};
    let word = |word: &str| json!({ "detailed_merge_status": word });
    let both = |word: &str, coarse: &str| json!({ "detailed_merge_status": word, "merge_status": coarse });
    for (more, mergeable, reviews, blocked) in [
        (json!({}), Some(true), Nobody, None),
        (both("checking", "checking"), None, Nobody, None),
        (word("approvals_syncing"), None, Nobody, None),
        (word("unchecked"), None, Nobody, None),
        (both("conflict", "cannot_be_merged"), Some(false), Nobody, None),
        (word("not_approved"), Some(true), Missing, None),
        // GitLab names the first thing only, and this is not the conflict.
        (both("not_approved", "cannot_be_merged"), Some(false), Missing, None),
        (both("not_approved", "checking"), None, Missing, None),
        (word("requested_changes"), Some(true), ChangesRequested, None),
        (word("discussions_not_resolved"), Some(true), Nobody, Some("discussions in it are not resolved")),
        (word("need_rebase"), Some(true), Nobody, Some("it has to be rebased onto its target branch")),
        (word("a_word_of_tomorrow"), Some(true), Nobody, Some("GitLab says `a_word_of_tomorrow`")),
        (json!({ "draft": true }), Some(false), Nobody, None),
        (json!({ "draft": null, "work_in_progress": true }), Some(false), Nobody, None),
        (json!({ "state": "locked" }), Some(false), Nobody, None),
        (json!({ "detailed_merge_status": null }), Some(true), Nobody, None),
        (both_coarse("cannot_be_merged"), Some(false), Nobody, None),
        (both_coarse("cannot_be_merged_recheck"), None, Nobody, None),
    ] {
        let (can, judgement) = judged(&more, json!([])).await;
        assert_eq!(can, mergeable, "{more}");
        assert_eq!((judgement.reviews, judgement.blocked.as_deref()), (reviews, blocked), "{more}");
        assert_eq!(judgement.unknown, None);
    }
}

/// Before 15.6.
fn both_coarse(coarse: &str) -> Value {
    json!({ "detailed_merge_status": null, "merge_status": coarse })
}

#[tokio::test]
async fn a_pipeline_that_waits_for_nothing_but_our_own_statuses_is_no_obstacle() {
    let ours = check("terraplane/apply", "pending", "Terraplane");
    for (more, statuses) in [
        (with_pipeline("ci_still_running"), json!([ours, check("lint", "success", "sam")])),
        (with_pipeline("ci_still_running"), json!([ours])),
        (with_pipeline("ci_must_pass"), json!([check("terraplane/plan", "failed", "terraplane")])),
        // Ours will be the only ones.
        (json!({ "detailed_merge_status": "ci_must_pass" }), json!([])),
    ] {
        let (can, judgement) = judged(&more, statuses).await;
        assert_eq!((can, judgement.blocked.clone()), (Some(true), None), "{more}");
        assert_eq!(missing(&judgement), [""; 0], "{more}");
    }
}

#[tokio::test]
async fn every_other_check_of_it_that_has_not_passed_is_one() {
    let ours = check("terraplane/apply", "pending", "terraplane");
    for (other, name) in [
        (check("lint", "failed", "sam"), "lint"),
        (check("lint", "running", "sam"), "lint"),
        (check("lint", "manual", "sam"), "lint"),
        (check("lint", "canceled", "sam"), "lint"),
        (check("lint", "a word of tomorrow", "sam"), "lint"),
        // Somebody else sets a status with our name; a job runs under our account.
        (check("terraplane/plan", "failed", "sam"), "terraplane/plan of somebody else"),
        (check("lint", "failed", "terraplane"), "lint"),
    ] {
        let statuses = json!([ours, other]);
        let (can, judgement) = judged(&with_pipeline("ci_still_running"), statuses.clone()).await;
        assert_eq!((can, missing(&judgement)), (Some(true), vec![name]), "{other}");
        // Where GitLab merges without it, it is told and not required.
        let (_, judgement) = judged(&with_pipeline("mergeable"), statuses).await;
        assert_eq!((missing(&judgement), judgement.checks.len()), (vec![], 2), "{other}");
    }
    let mut may_fail = check("lint", "failed", "sam");
    may_fail["allow_failure"] = json!(true);
    let (_, judgement) = judged(&with_pipeline("ci_must_pass"), json!([may_fail])).await;
    assert_eq!(missing(&judgement), [""; 0]);
}

#[tokio::test]
async fn a_pipeline_of_an_older_head_says_nothing_of_this_one() {
    let older = json!({ "detailed_merge_status": "ci_must_pass", "head_pipeline": pipeline(31, &sha('b'), "topic") });
    let (_, judgement) = judged(&older, json!([])).await;
    assert_eq!(judgement.blocked.as_deref(), Some("its newest commit has no pipeline yet"));
    assert!(judgement.checks.is_empty());
}

#[tokio::test]
async fn approval_rules_say_what_is_missing_and_whether_code_owners_approved() {
    use ReviewsAsked::{Given, Missing, None as Nobody};
    for (answer, wanted) in [
        (rules(json!([])), Nobody),
        (rules(json!([rule("any_approver", 0, true)])), Nobody),
        (rules(json!([rule("any_approver", 2, false)])), Missing),
        (rules(json!([rule("regular", 1, true)])), Nobody),
        (rules(json!([rule("code_owner", 1, true)])), Given),
        (rules(json!([rule("code_owner", 0, true)])), Nobody),
        (rules(json!([rule("code_owner", 1, true), rule("report_approver", 1, false)])), Missing),
        (rules(json!([rule("code_owner", 1, false), rule("any_approver", 1, true)])), Missing),
        (rules(json!([rule("a_kind_of_tomorrow", 1, false)])), Missing),
        // Without a licence there are none.
        (says(404, json!({ "error": "404 Not Found" })), Nobody),
        (says(403, json!({ "message": "403 Forbidden" })), Nobody),
    ] {
        let hub = hub(&json!({}), json!([]), answer).await;
        assert_eq!(hub.gitlab().judgement(&hub.pull_id()).await.unwrap().reviews, wanted);
    }
    let hub = hub(&json!({}), json!([]), says(500, json!({}))).await;
    assert!(hub.gitlab().judgement(&hub.pull_id()).await.unwrap_err().is_transient());
}

mod merging {
    use super::*;

    const PUT: &str = "PUT /projects/acme%2Feu%2Finfra/merge_requests/7/merge";

    /// One that refuses to merge with this status, and why.
    async fn refusing(status: u16, more: &Value, statuses: Value) -> Hub {
        let hub = hub(more, statuses, rules(json!([]))).await;
        hub.on(&format!("GET {PROJECT}"), says(200, json!({ "merge_trains_enabled": false })));
        hub.on(PUT, says(status, json!({ "message": format!("{status} no") })));
        hub
    }

    #[tokio::test]
    async fn it_is_asked_for_as_the_rules_want_it_and_for_this_head_only() {
        for (how, squash) in [
            (MergeHow::Merge, Some(false)),
            (MergeHow::Squash, Some(true)),
            // The project's setting.
            (MergeHow::Rebase, None),
            (MergeHow::Enqueue, None),
        ] {
            let hub = Hub::start().await;
            hub.on(&format!("GET {PROJECT}"), says(200, json!({})));
            hub.on(PUT, says(200, json!({ "state": "merged" })));
            hub.gitlab().merge(&hub.pull_id(), &sha('a'), how).await.unwrap();
            let body = hub.seen(PUT)[0].body.clone();
            assert_eq!((&body["sha"], body["squash"].as_bool()), (&json!(sha('a')), squash), "{how:?}");
        }
    }

    #[tokio::test]
    async fn what_waits_for_its_pipeline_is_not_merged_yet() {
        for (state, wanted) in [("merged", Merge::Done), ("opened", Merge::Queued), ("locked", Merge::Queued)] {
            let hub = Hub::start().await;
            hub.on(&format!("GET {PROJECT}"), says(200, json!({})));
            hub.on(PUT, says(200, json!({ "state": state, "merge_when_pipeline_succeeds": state == "opened" })));
            assert_eq!(hub.gitlab().merge_now(&hub.pull_id(), &sha('a'), None).await, Ok(wanted));
        }
    }

    #[tokio::test]
    async fn it_goes_over_the_train_where_there_is_one() {
        let hub = Hub::start().await;
        hub.on(&format!("GET {PROJECT}"), says(200, json!({ "merge_trains_enabled": true })));
        let train = format!("POST {PROJECT}/merge_trains/merge_requests/7");
        for status in [201, 202] {
            hub.instead(&train, says(status, json!([])));
            let merged = hub.gitlab().merge_now(&hub.pull_id(), &sha('a'), Some(true)).await;
            assert_eq!(merged, Ok(Merge::Queued));
        }
        let wanted = json!({ "sha": sha('a'), "squash": true, "auto_merge": true });
        assert_eq!(hub.seen(&train)[0].body, wanted, "it boards when its checks have passed");
        for (status, kind) in
            [(400, ForgeErrorKind::Conflict), (403, ForgeErrorKind::Forbidden), (409, ForgeErrorKind::Conflict)]
        {
            hub.instead(&train, says(status, json!({ "message": "no" })));
            let error = hub.gitlab().merge_now(&hub.pull_id(), &sha('a'), None).await.unwrap_err();
            assert_eq!(error.kind, kind, "{status}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_sorted_and_told() {
        for (status, kind) in [
            (401, ForgeErrorKind::Forbidden),
            (403, ForgeErrorKind::Forbidden),
            (404, ForgeErrorKind::NotFound),
            // Conflicts, on older ones.
            (406, ForgeErrorKind::Conflict),
            // The head has moved.
            (409, ForgeErrorKind::Conflict),
            (422, ForgeErrorKind::Conflict),
        ] {
            let hub = refusing(status, &json!({}), json!([])).await;
            let error = hub.gitlab().merge(&hub.pull_id(), &sha('a'), MergeHow::Merge).await.unwrap_err();
            assert_eq!((error.kind, error.is_transient()), (kind, false), "{status}: {error}");
            assert!(error.message.contains("no"), "{error}");
        }
    }

    /// 405 is all that GitLab says of every check of its own.
    #[tokio::test]
    async fn why_it_does_not_merge_is_looked_up_and_what_passes_is_tried_again() {
        let passed = json!([check("lint", "success", "sam"), check("terraplane/apply", "success", "terraplane")]);
        let failed = json!([check("lint", "failed", "sam"), check("terraplane/apply", "success", "terraplane")]);
        let word = |word: &str| json!({ "detailed_merge_status": word });
        for (more, statuses, why) in [
            (word("checking"), json!([]), None),
            (word("mergeable"), json!([]), None),
            // It has not yet looked at the last status that we set.
            (with_pipeline("ci_still_running"), passed, None),
            (with_pipeline("ci_must_pass"), failed, Some("its pipeline has not succeeded (`lint`)")),
            (word("ci_must_pass"), json!([]), Some("it has no pipeline, and the project wants one that succeeds")),
            (word("not_approved"), json!([]), Some("an approval is missing")),
            (word("requested_changes"), json!([]), Some("somebody has asked for changes")),
            (word("conflict"), json!([]), Some("it has conflicts with its target branch")),
            (word("discussions_not_resolved"), json!([]), Some("discussions in it are not resolved")),
            (word("tomorrow"), json!([]), Some("GitLab says `tomorrow`")),
        ] {
            let hub = refusing(405, &more, statuses).await;
            let error = hub.gitlab().merge(&hub.pull_id(), &sha('a'), MergeHow::Merge).await.unwrap_err();
            assert_eq!(error.is_transient(), why.is_none(), "{more}: {error}");
            if let Some(why) = why {
                let wanted = format!("merging acme/eu/infra!7: GitLab does not merge it: {why}");
                assert_eq!((error.kind, error.message), (ForgeErrorKind::Conflict, wanted));
            }
        }
    }

    /// The answer to the first try was lost.
    #[tokio::test]
    async fn what_is_merged_already_needs_no_other_merge() {
        let merged = json!({ "state": "merged", "merge_commit_sha": sha('d'), "detailed_merge_status": "not_open" });
        let hub = refusing(405, &merged, json!([])).await;
        let forge = Forge::Gitlab(hub.gitlab());
        assert_eq!(forge.merge(&hub.pull_id(), &sha('a'), MergeHow::Merge).await, Ok(()));
        // Of another head, it was somebody else's.
        let error = forge.merge(&hub.pull_id(), &sha('b'), MergeHow::Merge).await.unwrap_err();
        assert_eq!(error.kind, ForgeErrorKind::Conflict);
    }
}
