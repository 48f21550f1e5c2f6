//! Teams of organisations. Their members are told to owners and to those who are members themselves.

use super::error::ApiError;
use super::shapes;
use crate::demo::world::{World, accounts::Caller};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /orgs/{org}/teams/search`: those whose name contains `q`.
pub(super) async fn search(
    State(world): State<World>,
    Extension(_caller): Extension<Caller>,
    Path(org): Path<String>,
    Query(Search { q }): Query<Search>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        if !state.repos.values().any(|repo| repo.owner() == org) {
            return Err(ApiError::not_found());
        }
        let within = state.teams.values().filter(|team| team.org == org && team.name.contains(&q));
        let shape = |team: &crate::demo::state::Team| {
            json!({ "id": team.id, "name": team.name, "description": "", "permission": "write", "organization": null })
        };
        Ok(Json(json!({ "ok": true, "data": within.map(shape).collect::<Vec<_>>() })))
    })
}

/// `GET /teams/{id}/members/{username}`
pub(super) async fn member(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((id, login)): Path<(u64, String)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let team = state.teams.values().find(|team| team.id == id).ok_or_else(ApiError::not_found)?;
        if !team.members.contains(caller.login()) {
            return Err(ApiError::forbidden("Must be a team member"));
        }
        let user = state.user(&login).filter(|user| team.members.contains(&user.login));
        user.map(|user| Json(shapes(&world).user(user))).ok_or_else(ApiError::not_found)
    })
}
