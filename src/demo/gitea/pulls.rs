//! Pull requests and their reviews.

use super::error::{ApiError, object, optional, required};
use super::{Paging, seconds, shapes, visible, writable};
use crate::demo::state::{MergeMethod, Pull, Repo, ReviewState};
use crate::demo::world::{World, WorldError, accounts::Caller};
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Filter {
    state: Option<String>,
    sort: Option<String>,
}

/// `GET /repos/{owner}/{repo}/pulls`: newest first, unless it is sorted otherwise. A word that nobody knows changes
/// nothing, as on Gitea.
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let wanted = filter.state.as_deref().unwrap_or("open");
        let pulls = repo.pulls.values().rev().filter(|p| wanted == "all" || p.is_open() == (wanted == "open"));
        let mut pulls: Vec<_> = pulls.collect();
        match filter.sort.as_deref() {
            Some("oldest") => pulls.reverse(),
            Some("recentupdate") => pulls.sort_by_key(|pull| std::cmp::Reverse(seconds(pull.updated_at))),
            Some("leastupdate") => pulls.sort_by_key(|pull| seconds(pull.updated_at)),
            _ => {}
        }
        Ok::<_, ApiError>(pulls.into_iter().map(|pull| shapes(&world).pull(state, repo, pull)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `GET /repos/{owner}/{repo}/pulls/{index}`
pub(super) async fn pull(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
) -> Result<Json<Value>, ApiError> {
    world.change(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        let shape = shapes(&world).pull(state, repo, pull);
        let path = repo.path.clone();
        // Meanwhile it looks.
        if let Some(pull) = state.pull_mut(&path, number) {
            pull.mergeable_unknown = pull.mergeable_unknown.saturating_sub(1);
        }
        Ok(Json(shape))
    })
}

/// `GET /repos/{owner}/{repo}/pulls/{index}/reviews`: oldest first.
pub(super) async fn reviews(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        Ok::<_, ApiError>(pull.reviews.iter().map(|r| shapes(&world).review(state, repo, pull, r)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /repos/{owner}/{repo}/pulls/{index}/merge`
pub(super) async fn merge(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    let (path, head) = world.read(|state| {
        let repo = writable(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        if is_approved_by(repo, pull) < repo.required_reviews && pull.base_branch == repo.default_branch {
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Does not have enough approvals"));
        }
        Ok::<_, ApiError>((repo.path.clone(), pull.head.clone()))
    })?;
    let body = object(&body)?;
    let method = match required(&body, "Do")? {
        "merge" => MergeMethod::Merge,
        "squash" => MergeMethod::Squash,
        "rebase" => MergeMethod::Rebase,
        other => return Err(ApiError::unprocessable(format!("[Do]: {other} is not in the list"))),
    };
    if optional(&body, "head_commit_id")?.is_some_and(|wanted| wanted != head.as_str()) {
        return Err(ApiError::new(StatusCode::CONFLICT, "head out of date"));
    }
    match world.merge(&path, number, caller.login(), method).await {
        Ok(_) => Ok(StatusCode::OK),
        Err(WorldError::Refused(why)) => Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, why)),
        Err(error) => Err(error.into()),
    }
}

/// How many of those who may write approve it by their newest verdict, which alone is official.
fn is_approved_by(repo: &Repo, pull: &Pull) -> usize {
    let official = pull.verdicts().into_iter().filter(|review| repo.role(&review.author) >= Role::Write);
    official.filter(|review| review.state == ReviewState::Approved).count()
}
