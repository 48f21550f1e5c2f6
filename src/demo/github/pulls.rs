//! Pull requests and their reviews.

use super::error::ApiError;
use super::{Paging, shapes, visible};
use crate::demo::world::{World, accounts::Caller};
use axum::extract::{Path, Query, State};
use axum::http::Uri;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Filter {
    state: Option<String>,
    base: Option<String>,
    sort: Option<String>,
    direction: Option<String>,
}

/// `GET /repos/{owner}/{repo}/pulls`: newest first, unless it is sorted otherwise.
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
        let pulls = repo.pulls.values().rev();
        let pulls = pulls.filter(|p| wanted == "all" || p.is_open() == (wanted == "open"));
        let pulls = pulls.filter(|p| filter.base.as_ref().is_none_or(|base| base == &p.base_branch));
        let mut pulls: Vec<_> = pulls.collect();
        match filter.sort.as_deref().unwrap_or("created") {
            "created" => {}
            "updated" => pulls.sort_by_key(|pull| std::cmp::Reverse(pull.updated_at)),
            other => return Err(ApiError::unprocessable(format!("{other} is not a way to sort"))),
        }
        if filter.direction.as_deref() == Some("asc") {
            pulls.reverse();
        }
        let shapes = pulls.into_iter().map(|pull| shapes(&world).short_pull(state, repo, pull));
        Ok::<_, ApiError>(shapes.collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `GET /repos/{owner}/{repo}/pulls/{pull_number}`
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
        // Asking is what makes GitHub compute it.
        if let Some(pull) = state.pull_mut(&path, number) {
            pull.mergeable_unknown = pull.mergeable_unknown.saturating_sub(1);
        }
        Ok(Json(shape))
    })
}

/// `GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews`: oldest first.
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
        Ok::<_, ApiError>(pull.reviews.iter().map(|r| shapes(&world).review(state, repo, number, r)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}
