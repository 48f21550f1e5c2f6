//! Labels, which on Gitea belong to the issue that every pull request is, and are given by their number.

use super::error::{ApiError, object, required};
use super::{Paging, shapes, visible, writable};
use crate::demo::state::Repo;
use crate::demo::world::{World, accounts::Caller};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use serde_json::Value;

/// `GET /repos/{owner}/{repo}/labels`
pub(super) async fn of_repo(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        Ok::<_, ApiError>(repo.labels.iter().map(|label| shapes(&world).label(repo, label)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /repos/{owner}/{repo}/labels`
pub(super) async fn create(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(writable(state, &caller, &owner, &name)?.path.clone()))?;
    let body = object(&body)?;
    let (label, colour) = (required(&body, "name")?.to_owned(), required(&body, "color")?);
    let digits = colour.strip_prefix('#').unwrap_or(colour);
    if !matches!(digits.len(), 3 | 6) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ApiError::unprocessable(format!("[Color]: {colour} is not a colour")));
    }
    world.make_label(&path, &label);
    let shape = shape_of(&world, &path, |repo| Some(shapes(&world).label(repo, &label)))?;
    Ok((StatusCode::CREATED, Json(shape)))
}

/// `GET /repos/{owner}/{repo}/issues/{index}/labels`
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        Ok(Json(pull.labels.iter().map(|label| shapes(&world).label(repo, label)).collect()))
    })
}

/// `POST /repos/{owner}/{repo}/issues/{index}/labels`: adds to those that are there.
pub(super) async fn add(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (path, mut labels, known) = world.read(|state| {
        let repo = writable(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        Ok::<_, ApiError>((repo.path.clone(), pull.labels.clone(), repo.labels.clone()))
    })?;
    let body = object(&body)?;
    let invalid = || ApiError::unprocessable("[Labels]: not a list of numbers");
    for id in body.get("labels").and_then(Value::as_array).ok_or_else(invalid)? {
        let id = id.as_u64().and_then(|id| usize::try_from(id).ok()).ok_or_else(invalid)?;
        // A number that nobody knows is passed over, as on Gitea.
        let label = id.checked_sub(1).and_then(|at| known.get(at));
        labels.extend(label.filter(|label| !labels.contains(label)).cloned());
    }
    world.set_labels(&path, number, labels.clone(), caller.login())?;
    let all = |repo: &Repo| Some(labels.iter().map(|label| shapes(&world).label(repo, label)).collect());
    shape_of(&world, &path, all).map(Json)
}

/// `DELETE /repos/{owner}/{repo}/issues/{index}/labels/{id}`
pub(super) async fn remove(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number, id)): Path<(String, String, u64, usize)>,
) -> Result<StatusCode, ApiError> {
    let (path, labels) = world.read(|state| {
        let repo = writable(state, &caller, &owner, &name)?;
        let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
        let label = id.checked_sub(1).and_then(|at| repo.labels.get(at));
        let label = label.ok_or_else(|| ApiError::unprocessable("label does not exist"))?;
        let left = pull.labels.iter().filter(|there| *there != label).cloned().collect();
        Ok::<_, ApiError>((repo.path.clone(), left))
    })?;
    world.set_labels(&path, number, labels, caller.login())?;
    Ok(StatusCode::NO_CONTENT)
}

fn shape_of(world: &World, path: &str, shape: impl FnOnce(&Repo) -> Option<Value>) -> Result<Value, ApiError> {
    world.read(|state| state.repo(path).and_then(shape)).ok_or_else(ApiError::not_found)
}
