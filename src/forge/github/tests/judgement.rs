//! What GitHub asks for before it merges.

use super::*;
use crate::domain::pull::{Check, CheckState, Judgement, ReviewsAsked};

/// The verdict of a GitHub that answers so: `decision` on reviews, `rules` of the base branch, what has reported.
async fn judged(decision: &str, base: Value, reported: &[(&str, &str)]) -> Judgement {
    let hub = Hub::start().await;
    let contexts: Vec<Value> = reported
        .iter()
        .map(|(context, state)| json!({ "__typename": "StatusContext", "context": context, "state": state, "isRequired": false }))
        .collect();
    let page = json!({ "contexts": { "pageInfo": { "hasNextPage": false, "endCursor": null }, "nodes": contexts } });
    let rollup = if reported.is_empty() { Value::Null } else { page };
    let pull = json!({
        "reviewDecision": decision, "baseRef": base,
        "commits": { "nodes": [{ "commit": { "statusCheckRollup": rollup } }] },
    });
    hub.on_graphql(json!({ "data": { "repository": { "pullRequest": pull } } }));
    hub.with_token().judgement(&pull_id(&hub)).await.unwrap()
}

fn by_protection(code_owners: bool, contexts: &[&str]) -> Value {
    json!({
        "refUpdateRule": { "requiresCodeOwnerReviews": code_owners, "requiredStatusCheckContexts": contexts },
        "rules": { "nodes": [] },
    })
}

#[tokio::test]
async fn an_approval_is_one_of_code_owners_only_where_a_rule_asks_for_them() {
    let by_ruleset = json!({
        "refUpdateRule": null,
        "rules": { "nodes": [{ "parameters": { "requireCodeOwnerReview": true } }, { "parameters": null }] },
    });
    for (base, expected) in [
        (by_protection(true, &[]), ReviewsAsked::Given),
        (by_ruleset, ReviewsAsked::Given),
        (by_protection(false, &[]), ReviewsAsked::None),
        (Value::Null, ReviewsAsked::None),
    ] {
        assert_eq!(judged("APPROVED", base.clone(), &[]).await.reviews, expected, "{base}");
        assert_eq!(judged("REVIEW_REQUIRED", base, &[]).await.reviews, ReviewsAsked::Missing);
    }
}

#[tokio::test]
async fn a_required_check_that_has_not_reported_is_waited_for() {
    let by_ruleset = json!({
        "rules": { "nodes": [{ "parameters": { "requiredStatusChecks": [{ "context": "ci" }] } }] },
    });
    let check = |name: &str, state, required| Check { name: name.into(), state, required };
    for base in [by_protection(false, &["ci"]), by_ruleset] {
        let waits = check("ci", CheckState::Pending, true);
        assert_eq!(judged("APPROVED", base.clone(), &[]).await.checks, std::slice::from_ref(&waits));
        let lint = check("lint", CheckState::Green, false);
        assert_eq!(judged("APPROVED", base.clone(), &[("lint", "SUCCESS")]).await.checks, [lint, waits]);
        let done = check("ci", CheckState::Green, true);
        assert_eq!(judged("APPROVED", base, &[("ci", "SUCCESS")]).await.checks, [done]);
    }
}
