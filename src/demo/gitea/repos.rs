//! Accounts, repositories, and what somebody may do in them.

use super::error::ApiError;
use super::payload::permission as word;
use super::{administered, shapes, visible};
use crate::demo::world::{World, accounts::Caller};
use crate::domain::pull::Role;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Value, json};

/// `GET /version`
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": "1.25.0" }))
}

/// `GET /user`
pub(super) async fn user(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let user = state.user(caller.login()).ok_or_else(ApiError::not_found)?;
        Ok(Json(shapes(&world).user(user)))
    })
}

/// `GET /repos/{owner}/{repo}`
pub(super) async fn repo(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let mut shape = shapes(&world).repo(repo);
        let role = repo.role(caller.login());
        shape["permissions"] =
            json!({ "admin": role >= Role::Maintain, "push": role >= Role::Write, "pull": role >= Role::Read });
        Ok(Json(shape))
    })
}

/// `GET /repos/{owner}/{repo}/collaborators/{collaborator}/permission`
pub(super) async fn permission(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, login)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        if !caller.login().eq_ignore_ascii_case(&login) && administered(state, &caller, &owner, &name).is_err() {
            return Err(ApiError::forbidden(
                "Only admins can query all permissions, repo admins can query all repo permissions, \
                 collaborators can query only their own",
            ));
        }
        let user = state.user(&login).ok_or_else(ApiError::not_found)?;
        let role = word(repo.role(&user.login));
        Ok(Json(json!({ "permission": role, "role_name": role, "user": shapes(&world).user(user) })))
    })
}

/// `GET /repos/{owner}/{repo}/assignees`: everybody who may write. It comes whole.
pub(super) async fn assignees(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let writers = state.users.values().filter(|user| repo.role(&user.login) >= Role::Write);
        Ok(Json(writers.map(|user| shapes(&world).user(user)).collect()))
    })
}

/// `GET /repos/{owner}/{repo}/branches/{branch}`: with as much of its rules as readers are told.
pub(super) async fn branch(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let repo = visible(state, &caller, &owner, &name)?;
        let tip = repo.branches.get(&branch).ok_or_else(ApiError::not_found)?;
        let asks = repo.required_reviews > 0 || !repo.required_statuses.is_empty();
        let guarded = asks && branch == repo.default_branch;
        Ok(Json(json!({
            "name": branch,
            "commit": { "id": tip },
            "protected": guarded,
            "required_approvals": if guarded { repo.required_reviews } else { 0 },
            "enable_status_check": guarded && !repo.required_statuses.is_empty(),
            "status_check_contexts": if guarded { repo.required_statuses.clone() } else { Vec::new() },
        })))
    })
}
