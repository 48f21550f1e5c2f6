//! Webhooks of a repository, that of the App, and teams: what is set up once.
//! Source: "REST API endpoints for repository webhooks", "… for GitHub App webhooks", "… for team members".

use super::error::{ApiError, object, required};
use super::{Paging, visible};
use crate::demo::state::InstalledHook;
use crate::demo::world::{World, accounts::Caller, now};
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

/// The path of the repository, if the caller administers it; a maintainer may make webhooks too.
fn administered(world: &World, caller: &Caller, owner: &str, name: &str) -> Result<String, ApiError> {
    world.read(|state| {
        let repo = visible(state, caller, owner, name)?;
        let may = repo.role(caller.login()) >= Role::Maintain;
        may.then(|| repo.path.clone()).ok_or_else(ApiError::not_found)
    })
}

/// `GET /repos/{owner}/{repo}/hooks`
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let path = administered(&world, &caller, &owner, &name)?;
    let all = world.read(|state| state.repo(&path).map(|repo| repo.hooks.iter().map(shape).collect()));
    Ok(paging.page(&world, &uri, all.unwrap_or_default()))
}

/// `POST /repos/{owner}/{repo}/hooks`
pub(super) async fn create(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = administered(&world, &caller, &owner, &name)?;
    let body = object(&body)?;
    let mut hook = InstalledHook {
        id: world.change(|state| state.next_id()),
        url: String::new(),
        content_type: "form".to_owned(),
        secret: String::new(),
        events: vec!["push".to_owned()],
        active: true,
        at: now(),
    };
    apply(&mut hook, &body);
    if hook.url.is_empty() {
        return Err(ApiError::invalid("Hook", "url", "missing_field", "url can't be blank"));
    }
    if world.read(|state| state.repo(&path).is_some_and(|repo| repo.hooks.iter().any(|there| there.url == hook.url))) {
        return Err(ApiError::invalid("Hook", "url", "custom", "Hook already exists on this repository"));
    }
    world.put_hook(&path, hook.clone());
    Ok((StatusCode::CREATED, Json(shape(&hook))).into_response())
}

/// `PATCH /repos/{owner}/{repo}/hooks/{hook_id}`
pub(super) async fn edit(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let path = administered(&world, &caller, &owner, &name)?;
    let found = world.read(|state| state.repo(&path)?.hooks.iter().find(|hook| hook.id == id).cloned());
    let mut hook = found.ok_or_else(ApiError::not_found)?;
    apply(&mut hook, &object(&body)?);
    world.put_hook(&path, hook.clone());
    Ok(Json(shape(&hook)))
}

fn apply(hook: &mut InstalledHook, body: &Map<String, Value>) {
    let config = |name: &str| body.get("config")?.get(name)?.as_str().map(str::to_owned);
    hook.url = config("url").unwrap_or_else(|| hook.url.clone());
    hook.content_type = config("content_type").unwrap_or_else(|| hook.content_type.clone());
    hook.secret = config("secret").unwrap_or_else(|| hook.secret.clone());
    if let Some(events) = body.get("events").and_then(Value::as_array) {
        hook.events = events.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    hook.active = body.get("active").and_then(Value::as_bool).unwrap_or(hook.active);
}

/// Its secret is never told.
fn shape(hook: &InstalledHook) -> Value {
    json!({
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": { "url": hook.url, "content_type": hook.content_type, "insecure_ssl": "0", "secret": "********" },
        "created_at": super::payload::time(hook.at),
        "updated_at": super::payload::time(hook.at),
    })
}

/// `PATCH /app/hook/config`
pub(super) async fn edit_app(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    if caller != Caller::App {
        return Err(ApiError::unauthorized("A JSON web token could not be decoded"));
    }
    let body = object(&body)?;
    let url = required(&body, "url")?.to_owned();
    let parsed = url.parse().map_err(|_| ApiError::invalid("Hook", "url", "custom", "url is malformed"))?;
    let secret = required(&body, "secret")?.to_owned().into();
    world.set_hook(crate::demo::world::Hook { url: parsed, secret });
    Ok(Json(json!({ "content_type": "json", "insecure_ssl": "0", "secret": "********", "url": url })))
}

/// `GET /orgs/{org}/teams/{team_slug}/memberships/{username}`
pub(super) async fn membership(
    State(world): State<World>,
    Extension(_caller): Extension<Caller>,
    Path((org, slug, login)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let team = state.teams.get(&format!("{org}/{slug}")).ok_or_else(ApiError::not_found)?;
        let user = state.user(&login).ok_or_else(ApiError::not_found)?;
        if !team.members.contains(&user.login) {
            return Err(ApiError::not_found());
        }
        let url = format!("{}/teams/{}/memberships/{}", world.api_url(), team.id, user.login);
        Ok(Json(json!({ "url": url, "role": "member", "state": "active" })))
    })
}
