//! Webhooks of a repository: for those who administer it.

use super::error::{ApiError, object, required};
use super::payload::Shapes;
use super::{Paging, administered};
use crate::demo::state::InstalledHook;
use crate::demo::world::{World, accounts::Caller, now};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Map, Value};

/// `GET /repos/{owner}/{repo}/hooks`
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = administered(state, &caller, &owner, &name)?;
        Ok::<_, ApiError>(repo.hooks.iter().map(Shapes::hook).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /repos/{owner}/{repo}/hooks`
pub(super) async fn create(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(administered(state, &caller, &owner, &name)?.path.clone()))?;
    let body = object(&body)?;
    if !matches!(required(&body, "type")?, "gitea" | "gogs" | "forgejo") {
        return Err(ApiError::unprocessable("Invalid hook type"));
    }
    let mut hook = InstalledHook {
        id: world.change(|state| state.next_id()),
        url: String::new(),
        content_type: String::new(),
        secret: String::new(),
        events: vec!["push".to_owned()],
        active: false,
        at: now(),
    };
    for name in ["url", "content_type"] {
        if config(&body, name).is_none() {
            return Err(ApiError::unprocessable(format!("Missing config option: {name}")));
        }
    }
    apply(&mut hook, &body)?;
    world.put_hook(&path, hook.clone());
    Ok((StatusCode::CREATED, Json(Shapes::hook(&hook))).into_response())
}

/// `PATCH /repos/{owner}/{repo}/hooks/{id}`
pub(super) async fn edit(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (path, mut hook) = world.read(|state| {
        let repo = administered(state, &caller, &owner, &name)?;
        let hook = repo.hooks.iter().find(|hook| hook.id == id).cloned().ok_or_else(ApiError::not_found)?;
        Ok::<_, ApiError>((repo.path.clone(), hook))
    })?;
    apply(&mut hook, &object(&body)?)?;
    world.put_hook(&path, hook.clone());
    Ok(Json(Shapes::hook(&hook)))
}

fn config<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    body.get("config")?.get(name)?.as_str()
}

fn apply(hook: &mut InstalledHook, body: &Map<String, Value>) -> Result<(), ApiError> {
    if let Some(content_type) = config(body, "content_type") {
        if !matches!(content_type, "json" | "form") {
            return Err(ApiError::unprocessable("Invalid content type"));
        }
        hook.content_type = content_type.to_owned();
    }
    if let Some(url) = config(body, "url") {
        hook.url = url.to_owned();
    }
    if let Some(secret) = config(body, "secret") {
        hook.secret = secret.to_owned();
    }
    if let Some(events) = body.get("events").and_then(Value::as_array) {
        hook.events = events.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    if let Some(active) = body.get("active").and_then(Value::as_bool) {
        hook.active = active;
    }
    Ok(())
}
