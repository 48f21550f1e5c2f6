//! Merges, and the part of GraphQL that tells what a pull request needs to be merged.

use super::error::{ApiError, object, optional};
use super::{visible, writable};
use crate::demo::state::{MergeMethod, Repo, ReviewState, State as WorldState};
use crate::demo::world::{World, WorldError, accounts::Caller};
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::{Value, json};

/// `PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge`
pub(super) async fn merge(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (path, head) = world.read(|state| {
        let repo = writable(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        Ok::<_, ApiError>((repo.path.clone(), pull.head.clone()))
    })?;
    let body = object(&body)?;
    if optional(&body, "sha")?.is_some_and(|sha| sha != head.as_str()) {
        return Err(ApiError::new(StatusCode::CONFLICT, "Head branch was modified. Review and try the merge again."));
    }
    let method = match optional(&body, "merge_method")? {
        None | Some("merge") => MergeMethod::Merge,
        Some("squash") => MergeMethod::Squash,
        Some("rebase") => MergeMethod::Rebase,
        Some(_) => return Err(ApiError::unprocessable("Invalid request.\n\nmerge_method is not one of its values.")),
    };
    match world.merge(&path, number, caller.login(), method).await {
        Ok(sha) => Ok(Json(json!({ "sha": sha, "merged": true, "message": "Pull Request successfully merged" }))),
        Err(WorldError::Refused(why)) => Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, why)),
        Err(error) => Err(error.into()),
    }
}

/// `POST /graphql`: the operations that are asked for, by their names.
pub(super) async fn graphql(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let body = object(&body)?;
    let query = optional(&body, "query")?.ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, "A query attribute must be specified and must be a string.")
    })?;
    let variables = &body["variables"];
    let refused = |message: &str| Json(json!({ "data": null, "errors": [{ "message": message }] }));
    if query.starts_with("query PullRequestJudgement(") {
        let text = |name: &str| variables[name].as_str().unwrap_or_default().to_owned();
        let number = variables["number"].as_u64().unwrap_or_default();
        return Ok(world.read(|state| match visible(state, &caller, &text("owner"), &text("name")) {
            Ok(repo) => Json(json!({ "data": { "repository": { "pullRequest": judgement(state, repo, number) } } })),
            Err(_) => refused("Could not resolve to a Repository"),
        }));
    }
    if query.starts_with("mutation Enqueue(") {
        let (id, head) = (variables["pull"].as_str(), variables["head"].as_str());
        let found = world.read(|state| {
            let queues = state.repos.values().filter(|repo| repo.merge_queue);
            let mut repos = queues.filter(|repo| {
                let name = (repo.owner(), repo.name());
                writable(state, &caller, name.0, name.1).is_ok()
            });
            repos.find_map(|repo| {
                let pull = repo.pulls.values().find(|pull| Some(format!("PR_{}", pull.id).as_str()) == id)?;
                (Some(pull.head.as_str()) == head).then(|| (repo.path.clone(), pull.number))
            })
        });
        let Some((path, number)) = found else {
            return Ok(refused("Could not resolve to a pull request with this head"));
        };
        return Ok(match world.enqueue(&path, number, caller.login()).await {
            Ok(()) => Json(json!({ "data": { "enqueuePullRequest": { "clientMutationId": null } } })),
            Err(error) => refused(&error.to_string()),
        });
    }
    Ok(refused("the forge does not know this operation"))
}

fn judgement(state: &WorldState, repo: &Repo, number: u64) -> Value {
    let Some(pull) = repo.pulls.get(&number) else { return Value::Null };
    let standing = |login: &str| {
        let mut verdicts = pull.reviews.iter().filter(|review| review.author.eq_ignore_ascii_case(login));
        verdicts.rfind(|review| review.state != ReviewState::Commented).map(|review| review.state)
    };
    let writers = state.users.keys().filter(|login| repo.role(login) >= Role::Write);
    let verdicts: Vec<_> = writers.filter_map(|login| Some((login.as_str(), standing(login)?))).collect();
    let approved = |login: &str| verdicts.iter().any(|(by, state)| *by == login && *state == ReviewState::Approved);
    let owners_there = repo.code_owners.is_empty() || repo.code_owners.iter().any(|owner| approved(owner));
    let enough = verdicts.iter().filter(|(_, state)| *state == ReviewState::Approved).count() >= repo.required_reviews;
    let decision = if repo.required_reviews == 0 && repo.code_owners.is_empty() {
        Value::Null
    } else if verdicts.iter().any(|(_, state)| *state == ReviewState::ChangesRequested) {
        json!("CHANGES_REQUESTED")
    } else if enough && owners_there {
        json!("APPROVED")
    } else {
        json!("REVIEW_REQUIRED")
    };
    let contexts: Vec<Value> = repo
        .latest_statuses(&pull.head)
        .into_iter()
        .map(|status| {
            let required = repo.required_statuses.contains(&status.context);
            if status.check.is_some() {
                let over = status.state != "pending";
                return json!({
                    "__typename": "CheckRun",
                    "name": status.context,
                    "status": if over { "COMPLETED" } else { "IN_PROGRESS" },
                    "conclusion": over.then(|| status.state.to_uppercase()),
                    "isRequired": required,
                });
            }
            json!({
                "__typename": "StatusContext",
                "context": status.context,
                "state": status.state.to_uppercase(),
                "isRequired": required,
            })
        })
        .collect();
    let rollup = if contexts.is_empty() {
        Value::Null
    } else {
        json!({ "contexts": { "pageInfo": { "hasNextPage": false, "endCursor": null }, "nodes": contexts } })
    };
    let base = json!({
        "refUpdateRule": {
            "requiresCodeOwnerReviews": !repo.code_owners.is_empty(),
            "requiredStatusCheckContexts": repo.required_statuses,
        },
        "rules": { "nodes": [] },
    });
    let commits = json!({ "nodes": [{ "commit": { "statusCheckRollup": rollup } }] });
    json!({ "reviewDecision": decision, "baseRef": base, "commits": commits })
}
