//! Commit statuses.

use super::error::{ApiError, object, optional, required};
use super::{Paging, shapes, visible, writable};
use crate::demo::world::{World, accounts::Caller};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

const STATES: [&str; 6] = ["error", "failure", "pending", "skipped", "success", "warning"];

/// `POST /repos/{owner}/{repo}/statuses/{sha}`
pub(super) async fn create(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, sha)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(writable(state, &caller, &owner, &name)?.path.clone()))?;
    let body = object(&body)?;
    let state = required(&body, "state")?;
    if !STATES.contains(&state) {
        return Err(ApiError::unprocessable(format!("unknown CommitStatusState: {state}")));
    }
    let (description, target_url) = (optional(&body, "description")?, optional(&body, "target_url")?);
    let context = optional(&body, "context")?.unwrap_or("default");
    let commit = world.git().resolve(&path, &sha).await.ok().flatten().filter(|commit| commit.as_str() == sha);
    let commit =
        commit.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, format!("object does not exist [id: {sha}]")))?;
    let new = (context.to_owned(), state.to_owned(), description.map(str::to_owned), target_url.map(str::to_owned));
    let status = world.put_status(&path, &commit, new, caller.login()).ok_or_else(ApiError::not_found)?;
    let shape = world.read(|state| state.repo(&path).map(|repo| shapes(&world).status(state, repo, &status)));
    Ok((StatusCode::CREATED, Json(shape)).into_response())
}

/// `GET /repos/{owner}/{repo}/statuses/{sha}`: newest first.
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, sha)): Path<(String, String, String)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let statuses = repo.statuses.iter().rev().filter(|status| status.sha.as_str() == sha);
        Ok::<_, ApiError>(statuses.map(|status| shapes(&world).status(state, repo, status)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}
