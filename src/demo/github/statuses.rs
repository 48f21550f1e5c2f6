//! Commit statuses.

use super::error::{ApiError, object, optional, required};
use super::{shapes, visible, writable};
use crate::demo::world::{World, accounts::Caller};
use crate::domain::id::Sha;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

const STATES: [&str; 4] = ["error", "failure", "pending", "success"];

/// GitHub's limit, in characters.
const LONGEST_DESCRIPTION: usize = 140;

/// GitHub's limit for one commit and context.
const MOST_STATUSES: usize = 1000;

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
        return Err(ApiError::invalid("Status", "state", "custom", "state is not included in the list"));
    }
    let description = optional(&body, "description")?;
    if description.is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
        let words = "description is too long (maximum is 140 characters)";
        return Err(ApiError::invalid("Status", "description", "custom", words));
    }
    let target_url = optional(&body, "target_url")?;
    if target_url.is_some_and(|text| !text.starts_with("http://") && !text.starts_with("https://")) {
        return Err(ApiError::invalid("Status", "target_url", "custom", "target_url must use http(s) scheme"));
    }
    let context = optional(&body, "context")?.unwrap_or("default");
    let commit = whole_commit(&world, &path, &sha).await?;
    let count = |repo: &crate::demo::state::Repo| {
        repo.statuses.iter().filter(|s| s.sha == commit && s.context == context).count()
    };
    if world.read(|state| state.repo(&path).map_or(0, count)) >= MOST_STATUSES {
        let words = "This SHA and context has reached the maximum number of statuses.";
        return Err(ApiError::invalid("Status", "context", "custom", words));
    }
    let new = (context.to_owned(), state.to_owned(), description.map(str::to_owned), target_url.map(str::to_owned));
    let status = world.put_status(&path, &commit, new, caller.login()).ok_or_else(ApiError::not_found)?;
    let shape = world.read(|state| shapes(&world).status(state, &status));
    Ok((StatusCode::CREATED, Json(shape)).into_response())
}

/// Only a whole commit id is one.
pub(super) async fn whole_commit(world: &World, path: &str, sha: &str) -> Result<Sha, ApiError> {
    let commit = world.git().resolve(path, sha).await.map_err(|error| {
        tracing::error!(%error, "the forge cannot read its repository");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "Server Error")
    })?;
    commit
        .filter(|commit| commit.as_str() == sha)
        .ok_or_else(|| ApiError::unprocessable(format!("No commit found for SHA: {sha}")))
}

/// `GET /repos/{owner}/{repo}/commits/{ref}/status`: the newest of each context.
pub(super) async fn combined(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, reference)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(visible(state, &caller, &owner, &name)?.path.clone()))?;
    let found = world.git().resolve(&path, &reference).await.ok().flatten();
    let sha: Sha = found.ok_or_else(|| ApiError::unprocessable(format!("No commit found for SHA: {reference}")))?;
    world.read(|state| {
        let repo = state.repo(&path).ok_or_else(ApiError::not_found)?;
        let mut statuses = repo.latest_statuses(&sha);
        statuses.retain(|status| status.check.is_none());
        let any = |wanted: &[&str]| statuses.iter().any(|s| wanted.contains(&s.state.as_str()));
        let whole = if any(&["error", "failure"]) {
            "failure"
        } else if statuses.is_empty() || any(&["pending"]) {
            "pending"
        } else {
            "success"
        };
        Ok(Json(json!({
            "state": whole,
            "sha": sha,
            "total_count": statuses.len(),
            "statuses": statuses.iter().map(|s| shapes(&world).status(state, s)).collect::<Vec<_>>(),
            "repository": shapes(&world).repo(repo),
        })))
    })
}
