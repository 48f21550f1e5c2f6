//! Labels, which on GitHub belong to the issue that every pull request is. Source: "REST API endpoints for labels".

use super::error::{ApiError, object};
use super::{shapes, visible};
use crate::demo::state::State as WorldState;
use crate::demo::world::{World, accounts::Caller};
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::Value;

/// Owner and name of the repository, and the number.
type Place<'p> = (&'p str, &'p str, u64);

/// `GET /repos/{owner}/{repo}/issues/{issue_number}/labels`
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
) -> Result<Json<Value>, ApiError> {
    let (path, labels) = world.read(|state| there(state, &caller, (&owner, &name, number)))?;
    Ok(Json(shape(&world, &path, &labels)))
}

/// `POST /repos/{owner}/{repo}/issues/{issue_number}/labels`: adds to those that are there.
pub(super) async fn add(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (path, mut labels) = world.read(|state| writable(state, &caller, (&owner, &name, number)))?;
    let body = object(&body)?;
    let wanted = body.get("labels").and_then(Value::as_array).filter(|labels| !labels.is_empty());
    let invalid = || ApiError::invalid("Label", "labels", "invalid", "labels is not a list of names");
    for label in wanted.ok_or_else(invalid)? {
        let label = label.as_str().filter(|name| !name.is_empty() && name.chars().count() <= 50).ok_or_else(invalid)?;
        if !labels.iter().any(|there| there.eq_ignore_ascii_case(label)) {
            labels.push(label.to_owned());
        }
    }
    world.set_labels(&path, number, labels.clone(), caller.login())?;
    Ok(Json(shape(&world, &path, &labels)))
}

/// `DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}`
pub(super) async fn remove(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, number, label)): Path<(String, String, u64, String)>,
) -> Result<Json<Value>, ApiError> {
    let (path, mut labels) = world.read(|state| writable(state, &caller, (&owner, &name, number)))?;
    let at = labels.iter().position(|there| there.eq_ignore_ascii_case(&label)).ok_or_else(ApiError::not_found)?;
    labels.remove(at);
    world.set_labels(&path, number, labels.clone(), caller.login())?;
    Ok(Json(shape(&world, &path, &labels)))
}

fn there(state: &WorldState, caller: &Caller, place: Place<'_>) -> Result<(String, Vec<String>), ApiError> {
    let (owner, name, number) = place;
    let repo = visible(state, caller, owner, name)?;
    let pull = repo.pulls.get(&number).ok_or_else(ApiError::not_found)?;
    Ok((repo.path.clone(), pull.labels.clone()))
}

/// An App with write access to pull requests may, and people who may triage.
fn writable(state: &WorldState, caller: &Caller, place: Place<'_>) -> Result<(String, Vec<String>), ApiError> {
    let found = there(state, caller, place)?;
    let allowed = match caller {
        Caller::User { login } => state.repo(&found.0).is_some_and(|repo| repo.role(login) >= Role::Triage),
        _ => true,
    };
    allowed.then_some(found).ok_or_else(|| ApiError::forbidden("Must have admin rights to Repository."))
}

fn shape(world: &World, path: &str, labels: &[String]) -> Value {
    world.read(|state| state.repo(path).map(|repo| shapes(world).labels(repo, labels))).unwrap_or_default()
}
