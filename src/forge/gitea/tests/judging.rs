//! What Gitea asks for before it merges, and what it answers when it is to merge.

use super::*;
use crate::domain::project::MergeHow;
use crate::domain::pull::{CheckState, Judgement, ReviewsAsked};
use crate::forge::Forge;

const BRANCH: &str = "GET /repos/acme/infra/branches/main";
const RULES: &str = "GET /repos/acme/infra/branch_protections/main";
const REVIEWS: &str = "GET /repos/acme/infra/pulls/7/reviews?limit=50";
const STATUSES: &str = "GET /repos/acme/infra/statuses/0123456789abcdef0123456789abcdef01234567?limit=50";
const MERGE: &str = "POST /repos/acme/infra/pulls/7/merge";

fn branch(more: &Value) -> Value {
    let mut branch = json!({
        "name": "main", "commit": { "id": OTHER }, "protected": true, "required_approvals": 0,
        "enable_status_check": false, "status_check_contexts": [], "effective_branch_protection_name": "",
    });
    branch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    branch
}

fn review(id: u64, state: &str, more: &Value) -> Value {
    let mut review = json!({
        "id": id, "user": { "id": id, "login": format!("user{id}") }, "state": state, "commit_id": HEAD,
        "official": true, "stale": false, "dismissed": false, "submitted_at": "2026-11-24T01:00:00Z",
    });
    review.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    review
}

async fn judged(of_branch: &Value, rules: Option<Value>, reviews: Value, statuses: Value) -> Judgement {
    let hub = Hub::start().await;
    let mut of_branch = branch(of_branch);
    if let Some(rules) = rules {
        of_branch["effective_branch_protection_name"] = json!("main");
        hub.on(RULES, says(200, rules));
    }
    hub.on(PULL, says(200, pull(&json!({}))))
        .on(BRANCH, says(200, of_branch))
        .on(REVIEWS, says(200, reviews))
        .on(STATUSES, says(200, statuses));
    hub.gitea().judgement(&pull_id(&hub)).await.unwrap()
}

#[tokio::test]
async fn only_official_reviews_count_and_of_them_only_what_stands() {
    let nothing = json!({});
    let approved = |more: &Value| review(1, "APPROVED", more);
    let ignoring_stale = Some(json!({ "ignore_stale_approvals": true }));
    let rejecting = Some(json!({ "block_on_rejected_reviews": true }));
    let asking = Some(json!({ "block_on_official_review_requests": true }));
    let request = json!([review(3, "REQUEST_REVIEW", &nothing)]);
    use ReviewsAsked::{ChangesRequested, Missing, None as Nobody};
    for (required, rules, reviews, wanted) in [
        (0, None, json!([]), Nobody),
        (1, None, json!([]), Missing),
        (1, None, json!([approved(&nothing)]), Nobody),
        (2, None, json!([approved(&nothing)]), Missing),
        (2, None, json!([approved(&nothing), review(2, "APPROVED", &nothing)]), Nobody),
        (1, None, json!([approved(&json!({ "official": false }))]), Missing),
        (1, None, json!([approved(&json!({ "dismissed": true }))]), Missing),
        (1, None, json!([review(1, "COMMENT", &nothing), review(2, "PENDING", &nothing)]), Missing),
        // Whether one of an older commit counts is a rule that only administrators are told.
        (1, None, json!([approved(&json!({ "stale": true }))]), Nobody),
        (1, ignoring_stale, json!([approved(&json!({ "stale": true }))]), Missing),
        (0, None, json!([review(2, "REQUEST_CHANGES", &nothing)]), Nobody),
        (0, rejecting.clone(), json!([review(2, "REQUEST_CHANGES", &nothing)]), ChangesRequested),
        (0, rejecting.clone(), json!([review(2, "REQUEST_CHANGES", &json!({ "dismissed": true }))]), Nobody),
        (1, rejecting, json!([approved(&nothing), review(2, "REQUEST_CHANGES", &nothing)]), ChangesRequested),
        (0, None, request.clone(), Nobody),
        (0, asking, request, Missing),
    ] {
        let judgement =
            judged(&json!({ "required_approvals": required }), rules.clone(), reviews.clone(), json!([])).await;
        assert_eq!(judgement.reviews, wanted, "{required} {rules:?} {reviews}");
    }
}

#[tokio::test]
async fn statuses_are_required_by_names_or_patterns_and_the_newest_of_each_counts() {
    let status = |id: i64, context: &str, word: &str| json!({ "id": id, "context": context, "status": word });
    let said = json!([
        status(4, "ci/lint", "pending"),
        status(3, "ci/lint", "success"),
        status(2, "terraplane/apply", "pending"),
        status(1, "docs", "failure"),
        status(5, "ci/test", "success"),
        status(6, "old", "error"),
        status(7, "warned", "warning"),
        status(8, "left-out", "skipped"),
    ]);
    let told = |judgement: &Judgement| -> Vec<(String, CheckState, bool)> {
        let all = judgement.checks.iter().map(|check| (check.name.clone(), check.state, check.required));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    use CheckState::{Failed, Green, Pending};
    let rules =
        json!({ "enable_status_check": true, "status_check_contexts": ["ci/*", "terraplane/apply", "never/*"] });
    let judgement = judged(&rules, None, json!([]), said.clone()).await;
    let named = |name: &str, state, required| (name.to_owned(), state, required);
    let wanted = [
        named("ci/lint", Pending, true),
        named("ci/test", Green, true),
        named("docs", Failed, false),
        named("left-out", Green, false),
        named("never/*", Pending, true),
        named("old", Failed, false),
        named("terraplane/apply", Pending, true),
        named("warned", Failed, false),
    ];
    assert_eq!(told(&judgement), wanted);
    let off = json!({ "enable_status_check": false, "status_check_contexts": ["ci/*"] });
    let judgement = judged(&off, None, json!([]), said).await;
    assert!(judgement.checks.iter().all(|check| !check.required));
}

#[tokio::test]
async fn a_branch_that_is_behind_is_blocked_where_the_rules_want_it_up_to_date() {
    let rules = || Some(json!({ "block_on_outdated_branch": true }));
    let judgement = judged(&json!({}), rules(), json!([]), json!([])).await;
    assert_eq!(judgement.blocked, None, "it begins at the tip of its base branch");
    let hub = Hub::start().await;
    hub.on(PULL, says(200, pull(&json!({ "merge_base": HEAD }))))
        .on(BRANCH, says(200, branch(&json!({ "effective_branch_protection_name": "main" }))))
        .on(RULES, says(200, rules().unwrap()))
        .on(STATUSES, says(200, json!([])));
    let judgement = hub.gitea().judgement(&pull_id(&hub)).await.unwrap();
    assert_eq!(judgement.blocked.as_deref(), Some("it has to be brought up to date with `main`"));
    // Who is told the name and may not see the rules knows no more than others.
    hub.instead(RULES, says(403, json!({ "message": "no" })));
    assert_eq!(hub.gitea().judgement(&pull_id(&hub)).await.unwrap().blocked, None);
}

#[tokio::test]
async fn of_a_branch_that_is_gone_nothing_is_known() {
    let hub = Hub::start().await;
    hub.on(PULL, says(200, pull(&json!({})))).on(BRANCH, says(404, json!({ "message": "gone" })));
    let judgement = hub.gitea().judgement(&pull_id(&hub)).await.unwrap();
    assert_eq!(judgement.unknown.as_deref(), Some("`main` is gone, so that its rules are not known"));
}

#[tokio::test]
async fn a_merge_is_asked_for_as_the_rules_want_it_and_for_this_head_only() {
    for (how, method) in [(MergeHow::Merge, "merge"), (MergeHow::Squash, "squash"), (MergeHow::Rebase, "rebase")] {
        let hub = Hub::start().await;
        hub.on(MERGE, Reply::Status(200));
        hub.gitea().merge(&pull_id(&hub), &HEAD.parse().unwrap(), how).await.unwrap();
        assert_eq!(hub.bodies(MERGE), [json!({ "Do": method, "head_commit_id": HEAD })]);
    }
    let hub = Hub::start().await;
    let error = hub.gitea().merge(&pull_id(&hub), &HEAD.parse().unwrap(), MergeHow::Enqueue).await.unwrap_err();
    assert_eq!(error.message, "merging acme/infra#7: this forge has no merge queue");
}

#[tokio::test]
async fn a_refusal_is_told_and_is_none_while_it_looks_for_conflicts() {
    let now = jiff::Timestamp::now().to_string();
    let looking = json!({ "mergeable": false, "updated_at": now });
    for (status, more, kind) in [
        (403, json!({}), ForgeErrorKind::Forbidden),
        (404, json!({}), ForgeErrorKind::NotFound),
        // Not enough approvals, a status that is missing, a style that is not allowed, somebody who may not merge.
        (405, json!({}), ForgeErrorKind::Conflict),
        (405, json!({ "mergeable": false }), ForgeErrorKind::Conflict),
        (405, looking, ForgeErrorKind::Unavailable),
        // Conflicts, or the head has moved.
        (409, json!({}), ForgeErrorKind::Conflict),
        // Archived.
        (423, json!({}), ForgeErrorKind::Conflict),
        (422, json!({}), ForgeErrorKind::Invalid),
    ] {
        let hub = Hub::start().await;
        hub.on(PULL, says(200, pull(&more)))
            .on(MERGE, says(status, json!({ "message": "Does not have enough approvals" })));
        let merged = Forge::Gitea(hub.gitea()).merge(&pull_id(&hub), &HEAD.parse().unwrap(), MergeHow::Merge).await;
        let error = merged.unwrap_err();
        assert_eq!(error.kind, kind, "{status} {more}");
        assert!(error.message.contains("Does not have enough approvals"), "{error}");
    }
}

/// The answer to the first try was lost.
#[tokio::test]
async fn what_is_merged_already_needs_no_other_merge() {
    let merged = json!({ "state": "closed", "merged": true, "merged_at": "2026-11-24T01:02:03Z",
        "merged_by": { "id": 2, "login": "ana" }, "merge_commit_sha": OTHER });
    let hub = Hub::start().await;
    hub.on(PULL, says(200, pull(&merged))).on(MERGE, says(405, json!({ "message": "The PR is already merged" })));
    let forge = Forge::Gitea(hub.gitea());
    assert_eq!(forge.merge(&pull_id(&hub), &HEAD.parse().unwrap(), MergeHow::Merge).await, Ok(()));
    let error = forge.merge(&pull_id(&hub), &OTHER.parse().unwrap(), MergeHow::Merge).await.unwrap_err();
    assert_eq!(error.kind, ForgeErrorKind::Conflict);
}
