//! Accounts, projects, what is in their repositories, and who may do what in them.

use super::error::ApiError;
use super::shapes::{access_level, time};
use super::{Login, Paging, shapes, visible};
use crate::demo::state::ReviewState;
use crate::demo::world::World;
use crate::domain::pull::Role;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

/// `GET /user`
pub(super) async fn user(State(world): State<World>, Extension(login): Extension<Login>) -> Json<Value> {
    Json(world.read(|state| shapes(&world).login(state, &login.0)))
}

/// `GET /personal_access_tokens/self`
pub(super) async fn token(State(world): State<World>, Extension(login): Extension<Login>) -> Json<Value> {
    let user = world.read(|state| state.user(&login.0).map(|user| user.id));
    Json(json!({
        "id": 1,
        "name": format!("{}'s token", login.0),
        "revoked": false,
        "active": true,
        "scopes": ["api"],
        "user_id": user,
        "created_at": "2026-01-01T00:00:00.000Z",
        "expires_at": "2027-01-01",
    }))
}

/// `GET /projects/:id`
pub(super) async fn project(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let repo = visible(state, &login, &id)?;
        Ok(Json(shapes(&world).project(state, repo, &login.0)))
    })
}

#[derive(Deserialize)]
pub(super) struct Search {
    query: Option<String>,
}

/// `GET /projects/:id/members/all`: everybody whose name contains what is asked for.
pub(super) async fn members(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    Query(search): Query<Search>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &login, &id)?;
        let wanted = search.query.as_deref().unwrap_or_default().to_lowercase();
        let members =
            repo.roles.iter().filter(|(name, role)| **role > Role::None && name.to_lowercase().contains(&wanted));
        let shape = |(name, role): (&String, &Role)| {
            let mut shape = shapes(&world).login(state, name);
            shape["access_level"] = access_level(*role).into();
            shape["expires_at"] = Value::Null;
            shape["membership_state"] = "active".into();
            shape
        };
        Ok::<_, ApiError>(members.map(shape).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `GET /groups/:id/members`: those of the group itself.
pub(super) async fn group_members(
    State(world): State<World>,
    Path(id): Path<String>,
    Query(search): Query<Search>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let group = state.teams.get(&id).ok_or_else(|| ApiError::not_found("Group"))?;
        let wanted = search.query.as_deref().unwrap_or_default().to_lowercase();
        let members = group.members.iter().filter(|name| name.to_lowercase().contains(&wanted));
        let shape = |name: &String| {
            let mut shape = shapes(&world).login(state, name);
            shape["access_level"] = access_level(Role::Write).into();
            shape
        };
        Ok::<_, ApiError>(members.map(shape).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

#[derive(Deserialize)]
pub(super) struct Kind {
    action: Option<String>,
    target_type: Option<String>,
}

/// `GET /projects/:id/events`: of all that happens in a project, the approvals; newest first.
pub(super) async fn events(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    Query(kind): Query<Kind>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    if kind.action.as_deref() != Some("approved") || kind.target_type.as_deref() != Some("merge_request") {
        return Err(ApiError::parameter("only approvals of merge requests are kept here"));
    }
    let all = world.read(|state| {
        let repo = visible(state, &login, &id)?;
        let pulls = repo.pulls.values();
        let reviews = pulls.flat_map(|pull| pull.reviews.iter().map(move |review| (pull, review)));
        let mut approvals: Vec<_> = reviews.filter(|(_, review)| review.state == ReviewState::Approved).collect();
        approvals.sort_by_key(|(_, review)| std::cmp::Reverse(review.at));
        let shape = |(pull, review): (&crate::demo::state::Pull, &crate::demo::state::Review)| {
            json!({
                "id": review.id,
                "project_id": repo.id,
                "action_name": "approved",
                "target_id": pull.id,
                "target_iid": pull.number,
                "target_type": "MergeRequest",
                "author": shapes(&world).login(state, &review.author),
                "author_username": review.author,
                "created_at": time(review.at),
            })
        };
        Ok::<_, ApiError>(approvals.into_iter().map(shape).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `GET /projects/:id/repository/branches/:branch`
pub(super) async fn branch(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, branch)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let repo = visible(state, &login, &id)?;
        let tip = repo.branches.get(&branch).ok_or_else(|| ApiError::not_found("Branch"))?;
        let default = branch == repo.default_branch;
        Ok(Json(json!({ "name": branch, "commit": { "id": tip }, "default": default, "protected": default })))
    })
}

#[derive(Deserialize)]
pub(super) struct At {
    #[serde(rename = "ref")]
    reference: Option<String>,
}

/// `GET` and `HEAD /projects/:id/repository/files/:file_path`: whether it is there.
pub(super) async fn file(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, path)): Path<(String, String)>,
    Query(at): Query<At>,
) -> Result<Response, ApiError> {
    let repo = world.read(|state| visible(state, &login, &id).map(|repo| repo.path.clone()))?;
    let reference = at.reference.ok_or_else(|| ApiError::parameter("ref is missing"))?;
    let commit = world.git().resolve(&repo, &reference).await.ok().flatten();
    let commit = commit.ok_or_else(|| ApiError::not_found("Commit"))?;
    match world.file(&repo, &commit, &path).await? {
        Some(text) => {
            let name = path.rsplit('/').next().unwrap_or_default();
            let shape = json!({ "file_name": name, "file_path": path, "size": text.len(), "ref": reference });
            Ok((StatusCode::OK, Json(shape)).into_response())
        }
        None => Err(ApiError::not_found("File")),
    }
}

/// `GET /projects/:id/repository/commits/:sha`
pub(super) async fn commit(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, sha)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let repo = world.read(|state| visible(state, &login, &id).map(|repo| repo.path.clone()))?;
    let commit = world.git().resolve(&repo, &sha).await.ok().flatten().ok_or_else(|| ApiError::not_found("Commit"))?;
    let mut parents = Vec::new();
    for number in 1..=8 {
        match world.git().resolve(&repo, &format!("{commit}^{number}")).await.ok().flatten() {
            Some(parent) => parents.push(parent),
            None => break,
        }
    }
    Ok(Json(json!({ "id": commit, "short_id": commit.short(), "parent_ids": parents })))
}
