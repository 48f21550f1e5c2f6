//! The webhooks of a project, which only its Maintainers see. One that is made here is where the world sends its own from
//! then on.

use super::error::{ApiError, object, optional, required};
use super::shapes::time;
use super::{Login, Paging, with_role};
use crate::demo::state::InstalledHook;
use crate::demo::world::{World, now};
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

/// How every signing token begins.
const SIGNING: &str = "whsec_";

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
        Ok::<_, ApiError>(repo.hooks.iter().map(shape).collect())
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
    let mut hook = InstalledHook {
        id: world.change(|state| state.next_id()),
        url: String::new(),
        content_type: "json".into(),
        secret: String::new(),
        // On unless somebody says otherwise.
        events: vec!["push_events".into()],
        active: true,
        at: now(),
    };
    apply(&mut hook, &object(&body)?)?;
    world.put_hook(&path, hook.clone());
    Ok((StatusCode::CREATED, Json(shape(&hook))).into_response())
}

/// `PUT /projects/:id/hooks/:hook_id`
pub(super) async fn edit(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, hook)): Path<(String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let (path, mut hook) = world.read(|state| {
        let repo = with_role(state, &login, &id, Role::Maintain)?;
        let found = repo.hooks.iter().find(|found| found.id == hook).cloned();
        Ok::<_, ApiError>((repo.path.clone(), found.ok_or_else(|| ApiError::not_found(""))?))
    })?;
    apply(&mut hook, &object(&body)?)?;
    world.put_hook(&path, hook.clone());
    Ok(Json(shape(&hook)))
}

fn apply(hook: &mut InstalledHook, body: &Map<String, Value>) -> Result<(), ApiError> {
    let refused = |what: &str| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("Invalid {what} given"));
    let url = required(body, "url")?;
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(refused("url"));
    }
    hook.url = url.to_owned();
    if let Some(token) = optional(body, "token")? {
        hook.secret = token.to_owned();
    }
    if let Some(token) = optional(body, "signing_token")? {
        if !token.starts_with(SIGNING) {
            return Err(refused("signing_token"));
        }
        hook.secret = token.to_owned();
    }
    for (name, value) in body.iter().filter(|(name, _)| name.ends_with("_events")) {
        hook.events.retain(|event| event != name);
        if value.as_bool().ok_or_else(|| ApiError::parameter(format!("{name} is invalid")))? {
            hook.events.push(name.clone());
        }
    }
    Ok(())
}

/// The secrets are never shown, only that they are there.
fn shape(hook: &InstalledHook) -> Value {
    let on = |name: &str| hook.events.iter().any(|event| event == name);
    json!({
        "id": hook.id,
        "url": hook.url,
        "push_events": on("push_events"),
        "merge_requests_events": on("merge_requests_events"),
        "note_events": on("note_events"),
        "enable_ssl_verification": true,
        "created_at": time(hook.at),
        "alert_status": "executable",
        "disabled_until": null,
        "token_present": !hook.secret.is_empty() && !hook.secret.starts_with(SIGNING),
        "signing_token_present": hook.secret.starts_with(SIGNING),
    })
}
