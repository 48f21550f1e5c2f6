//! The webhooks of a project, which only its Maintainers see. What they are set to is kept; the world's webhooks go where
//! the world was told.

use super::error::{ApiError, object, optional, required};
use super::{Login, Paging, with_role};
use crate::demo::state::ProjectHook;
use crate::demo::world::World;
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

/// `GET /projects/:id/hooks`
pub(super) async fn list(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = with_role(state, &login, &id, Role::Maintain)?;
        Ok::<_, ApiError>(repo.project_hooks.iter().map(shape).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /projects/:id/hooks`
pub(super) async fn create(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| with_role(state, &login, &id, Role::Maintain).map(|repo| repo.path.clone()))?;
    let settings = settings(&body)?;
    let shape = world.change(|state| {
        let hook = ProjectHook { id: state.next_id(), settings };
        let shape = shape(&hook);
        state.repo_mut(&path)?.project_hooks.push(hook);
        Some(shape)
    });
    Ok((StatusCode::CREATED, Json(shape)).into_response())
}

/// `PUT /projects/:id/hooks/:hook_id`
pub(super) async fn edit(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, hook)): Path<(String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let path = world.read(|state| with_role(state, &login, &id, Role::Maintain).map(|repo| repo.path.clone()))?;
    let settings = settings(&body)?;
    world.change(|state| {
        let repo = state.repo_mut(&path).ok_or_else(|| ApiError::not_found("Project"))?;
        let hook =
            repo.project_hooks.iter_mut().find(|found| found.id == hook).ok_or_else(|| ApiError::not_found(""))?;
        hook.settings.extend(settings);
        Ok(Json(shape(hook)))
    })
}

fn settings(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let body = object(body)?;
    let url = required(&body, "url")?;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid url given"));
    }
    if optional(&body, "signing_token")?.is_some_and(|token| !token.starts_with("whsec_")) {
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid signing_token given"));
    }
    Ok(body)
}

/// The secrets are never shown, only that they are there.
fn shape(hook: &ProjectHook) -> Value {
    let on = |name: &str, usual: bool| hook.settings.get(name).and_then(Value::as_bool).unwrap_or(usual);
    json!({
        "id": hook.id,
        "url": hook.settings.get("url"),
        "push_events": on("push_events", true),
        "merge_requests_events": on("merge_requests_events", false),
        "note_events": on("note_events", false),
        "enable_ssl_verification": on("enable_ssl_verification", true),
        "alert_status": "executable",
        "disabled_until": null,
        "token_present": hook.settings.contains_key("token"),
        "signing_token_present": hook.settings.contains_key("signing_token"),
    })
}
