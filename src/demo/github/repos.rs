//! Accounts, repositories, and what somebody may do in them.

use super::error::ApiError;
use super::payload::permission as coarse;
use super::{shapes, visible, writable};
use crate::demo::world::{World, accounts::Caller};
use crate::domain::pull::Role;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde_json::{Value, json};

/// `GET /user`
pub(super) async fn user(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    let Caller::User { login } = caller else {
        return Err(ApiError::forbidden("Resource not accessible by integration"));
    };
    Ok(Json(world.read(|state| shapes(&world).login(state, &login))))
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
        shape["permissions"] = json!({
            "admin": role >= Role::Admin,
            "maintain": role >= Role::Maintain,
            "push": role >= Role::Write,
            "triage": role >= Role::Triage,
            "pull": role >= Role::Read,
        });
        Ok(Json(shape))
    })
}

/// `GET /repos/{owner}/{repo}/collaborators/{username}/permission`
pub(super) async fn permission(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, login)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        visible(state, &caller, &owner, &name)?;
        let repo = writable(state, &caller, &owner, &name)
            .map_err(|_| ApiError::forbidden("Must have push access to view collaborator permission."))?;
        let user = state.user(&login).ok_or_else(ApiError::not_found)?;
        let role = repo.role(&user.login);
        Ok(Json(json!({
            "permission": coarse(role),
            "role_name": role.as_str(),
            "user": shapes(&world).user(user),
        })))
    })
}
