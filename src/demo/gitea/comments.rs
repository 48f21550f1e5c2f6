//! Comments and reactions. On Gitea they belong to the issue that every pull request is.

use super::error::{ApiError, object, required};
use super::{Paging, TOTAL, shapes, visible};
use crate::demo::state::Comment;
use crate::demo::world::{World, accounts::Caller, now};
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

const REACTIONS: [&str; 8] = ["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"];

/// `GET /repos/{owner}/{repo}/issues/{index}/comments`: oldest first, and all of them at once.
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
) -> Result<Response, ApiError> {
    let all: Vec<Value> = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        Ok::<_, ApiError>(pull.comments.iter().map(|c| shapes(&world).comment(state, repo, number, c)).collect())
    })?;
    let total = all.len();
    let mut response = Json(all).into_response();
    response.headers_mut().insert(TOTAL, HeaderValue::from(total));
    Ok(response)
}

#[derive(Deserialize)]
pub(super) struct Since {
    since: Option<jiff::Timestamp>,
}

/// `GET /repos/{owner}/{repo}/issues/comments`
pub(super) async fn all(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    Query(wanted): Query<Since>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let since = wanted.since.map_or(i64::MIN, jiff::Timestamp::as_millisecond);
    let all = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let mut comments: Vec<(u64, &Comment)> =
            repo.pulls.values().flat_map(|pull| pull.comments.iter().map(|c| (pull.number, c))).collect();
        comments.retain(|(_, comment)| comment.updated_at.0 >= since);
        comments.sort_by_key(|(_, comment)| comment.id);
        let shape = |(number, comment)| shapes(&world).comment(state, repo, number, comment);
        Ok::<_, ApiError>(comments.into_iter().map(shape).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /repos/{owner}/{repo}/issues/{index}/comments`
pub(super) async fn create(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(visible(state, &caller, &owner, &name)?.path.clone()))?;
    world.read(|state| state.pull(&path, number).map(drop)).ok_or_else(ApiError::not_found)?;
    let body = object(&body)?;
    let id = world.comment(&path, number, caller.login(), required(&body, "body")?)?;
    Ok((StatusCode::CREATED, Json(shape(&world, &path, id)?)).into_response())
}

/// `GET /repos/{owner}/{repo}/issues/comments/{id}`
pub(super) async fn comment(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Json<Value>, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(visible(state, &caller, &owner, &name)?.path.clone()))?;
    shape(&world, &path, id).map(Json)
}

/// `PATCH /repos/{owner}/{repo}/issues/comments/{id}`
pub(super) async fn edit(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let allowed = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let (_, comment) = repo.comment(id).ok_or_else(ApiError::not_found)?;
        let may = comment.author == caller.login() || repo.role(caller.login()) >= Role::Write;
        Ok::<_, ApiError>(may.then(|| repo.path.clone()))
    })?;
    // Gitea says no more than that.
    let Some(path) = allowed else { return Ok(StatusCode::FORBIDDEN.into_response()) };
    let body = object(&body)?;
    world.edit_comment(&path, id, caller.login(), required(&body, "body")?)?;
    Ok(Json(shape(&world, &path, id)?).into_response())
}

/// `POST /repos/{owner}/{repo}/issues/comments/{id}/reactions`
pub(super) async fn react(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(visible(state, &caller, &owner, &name)?.path.clone()))?;
    let body = object(&body)?;
    let content = required(&body, "content")?;
    if !REACTIONS.contains(&content) {
        return Err(ApiError::forbidden(&format!("'{content}' is not an allowed reaction")));
    }
    let (reaction, new) = world.react(&path, id, caller.login(), content)?;
    let shape = world.read(|state| shapes(&world).reaction(state, &reaction, now()));
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(shape)).into_response())
}

fn shape(world: &World, path: &str, id: u64) -> Result<Value, ApiError> {
    world.read(|state| {
        let repo = state.repo(path).ok_or_else(ApiError::not_found)?;
        let (number, comment) = repo.comment(id).ok_or_else(ApiError::not_found)?;
        Ok(shapes(world).comment(state, repo, number, comment))
    })
}
