//! Comments and reactions. On GitHub they belong to the issue that every pull request is.

use super::error::{ApiError, object, required};
use super::{LONGEST_COMMENT, Paging, shapes, visible};
use crate::demo::world::{World, accounts::Caller};
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

const REACTIONS: [&str; 8] = ["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"];

/// `GET /repos/{owner}/{repo}/issues/{issue_number}/comments`: oldest first.
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        Ok::<_, ApiError>(pull.comments.iter().map(|c| shapes(&world).comment(state, repo, number, c)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

#[derive(Deserialize)]
pub(super) struct Since {
    sort: Option<String>,
    direction: Option<String>,
    since: Option<jiff::Timestamp>,
}

/// `GET /repos/{owner}/{repo}/issues/comments`: by their numbers, unless it is sorted. `direction` counts only beside
/// `sort`.
pub(super) async fn of_repo(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    Query(wanted): Query<Since>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let comments = repo.pulls.values().flat_map(|pull| pull.comments.iter().map(|c| (pull.number, c)));
        // GitHub compares whole seconds.
        let since = wanted.since.map(|at| at.as_second() * 1000);
        let mut comments: Vec<_> = comments.filter(|(_, c)| since.is_none_or(|at| c.updated_at.0 >= at)).collect();
        match wanted.sort.as_deref() {
            None => comments.sort_by_key(|(_, c)| c.id),
            Some("created") => comments.sort_by_key(|(_, c)| c.created_at),
            Some("updated") => comments.sort_by_key(|(_, c)| c.updated_at),
            Some(other) => return Err(ApiError::unprocessable(format!("{other} is not a way to sort"))),
        }
        if wanted.sort.is_some() && wanted.direction.as_deref() != Some("asc") {
            comments.reverse();
        }
        Ok(comments.into_iter().map(|(number, c)| shapes(&world).comment(state, repo, number, c)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /repos/{owner}/{repo}/issues/{issue_number}/comments`
pub(super) async fn create(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(visible(state, &caller, &owner, &name)?.path.clone()))?;
    world.read(|state| {
        let pull = state.pull(&path, number).ok_or_else(ApiError::not_found)?;
        let writes = state.repo(&path).is_some_and(|repo| repo.role(caller.login()) >= Role::Write);
        let locked = pull.locked && !writes;
        let why = "Unable to create comment because issue is locked.";
        if locked { Err(ApiError::forbidden(why)) } else { Ok(()) }
    })?;
    let text = text(&body)?;
    let id = world.comment(&path, number, caller.login(), &text)?;
    let shape = shape(&world, &path, id)?;
    let location = shape["url"].as_str().unwrap_or_default().to_owned();
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(shape)).into_response())
}

/// `GET /repos/{owner}/{repo}/issues/comments/{comment_id}`
pub(super) async fn comment(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Json<Value>, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(visible(state, &caller, &owner, &name)?.path.clone()))?;
    shape(&world, &path, id).map(Json)
}

/// `PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}`
pub(super) async fn edit(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let path = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let (_, comment) = repo.comment(id).ok_or_else(ApiError::not_found)?;
        if comment.author != caller.login() && repo.role(caller.login()) < Role::Write {
            return Err(ApiError::forbidden("Must have admin rights to Repository."));
        }
        Ok(repo.path.clone())
    })?;
    let text = text(&body)?;
    world.edit_comment(&path, id, caller.login(), &text)?;
    shape(&world, &path, id).map(Json)
}

/// `POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions`
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
        return Err(ApiError::invalid("Reaction", "content", "invalid", "content is not a reaction"));
    }
    let (reaction, new) = world.react(&path, id, caller.login(), content)?;
    let shape = world.read(|state| shapes(&world).reaction(state, &reaction));
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(shape)).into_response())
}

fn text(body: &[u8]) -> Result<String, ApiError> {
    let body = object(body)?;
    let text = required(&body, "body")?;
    let unprocessable = |why: &str| Err(ApiError::invalid("IssueComment", "data", "unprocessable", why));
    if text.trim().is_empty() {
        return unprocessable("Body can not be blank");
    }
    if text.chars().count() > LONGEST_COMMENT {
        return unprocessable(&format!("Body is too long (maximum is {LONGEST_COMMENT} characters)"));
    }
    Ok(text.to_owned())
}

fn shape(world: &World, path: &str, id: u64) -> Result<Value, ApiError> {
    world.read(|state| {
        let repo = state.repo(path).ok_or_else(ApiError::not_found)?;
        let (number, comment) = repo.comment(id).ok_or_else(ApiError::not_found)?;
        Ok(shapes(world).comment(state, repo, number, comment))
    })
}
