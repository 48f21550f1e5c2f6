//! The App and its installations. Only a JWT opens these.

use super::Paging;
use super::error::{ApiError, object};
use super::payload::time;
use crate::demo::state::{Answer, Delivery, Repo};
use crate::demo::world::{
    World,
    accounts::{APP_ID, Caller},
};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

fn must_be_app(caller: &Caller) -> Result<(), ApiError> {
    if *caller == Caller::App { Ok(()) } else { Err(ApiError::unauthorized("A JSON web token could not be decoded")) }
}

fn permissions() -> Value {
    json!({
        "checks": "write",
        "contents": "read",
        "issues": "write",
        "merge_queues": "read",
        "metadata": "read",
        "pull_requests": "write",
        "statuses": "write",
    })
}

/// `GET /app`
pub(super) async fn app(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    must_be_app(&caller)?;
    let slug = &world.settings().bot;
    Ok(Json(json!({
        "id": APP_ID,
        "node_id": "A_1",
        "slug": slug,
        "name": slug,
        "owner": { "login": "acme", "id": 1, "node_id": "O_1", "type": "Organization", "site_admin": false },
        "description": null,
        "external_url": world.url(),
        "html_url": format!("{}apps/{slug}", world.url()),
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "permissions": permissions(),
        "events": ["check_run", "issue_comment", "merge_group", "pull_request", "pull_request_review", "push"],
    })))
}

/// `GET /repos/{owner}/{repo}/installation`
pub(super) async fn installation(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    must_be_app(&caller)?;
    world.read(|state| {
        let repo = state.repo(&format!("{owner}/{name}")).ok_or_else(ApiError::not_found)?;
        let id = state.installation(repo).ok_or_else(ApiError::not_found)?;
        Ok(Json(json!({
            "id": id,
            "account": { "login": repo.owner(), "id": 1, "node_id": "O_1", "type": "Organization", "site_admin": false },
            "repository_selection": "all",
            "access_tokens_url": format!("{}/app/installations/{id}/access_tokens", world.api_url()),
            "repositories_url": format!("{}/installation/repositories", world.api_url()),
            "html_url": format!("{}settings/installations/{id}", world.url()),
            "app_id": APP_ID,
            "app_slug": world.settings().bot,
            "target_id": 1,
            "target_type": "Organization",
            "permissions": permissions(),
            "events": ["check_run", "issue_comment", "merge_group", "pull_request", "pull_request_review", "push"],
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "single_file_name": null,
            "suspended_at": null,
            "suspended_by": null,
        })))
    })
}

/// `POST /app/installations/{installation_id}/access_tokens`
pub(super) async fn access_token(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<Response, ApiError> {
    must_be_app(&caller)?;
    let wanted = if body.is_empty() { serde_json::Map::new() } else { object(&body)? };
    let (known, names) = world.read(|state| {
        let repos = state.repos.values().filter(|r| state.installation(r) == Some(id));
        (state.installations.values().any(|i| *i == id), repos.map(Repo::name).map(str::to_owned).collect::<Vec<_>>())
    });
    if !known {
        return Err(ApiError::not_found());
    }
    let asked = wanted.get("repositories").and_then(Value::as_array).cloned().unwrap_or_default();
    if asked.iter().any(|name| !names.iter().any(|n| Some(n.as_str()) == name.as_str())) {
        return Err(ApiError::unprocessable(
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        ));
    }
    let (token, expires) = world.installation_token(id);
    let answer = json!({
        "token": token.expose_secret(),
        "expires_at": time(expires),
        "permissions": permissions(),
        "repository_selection": if asked.is_empty() { "all" } else { "selected" },
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// `GET /app/hook/deliveries`: newest first. The number of an attempt is its place in the world's list.
pub(super) async fn deliveries(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    must_be_app(&caller)?;
    let all = world.read(|state| {
        let tried = state.deliveries.iter().enumerate().filter(|(_, delivery)| delivery.answer != Answer::None);
        tried.rev().map(|(index, delivery)| attempt(index, delivery)).collect()
    });
    Ok(paging.page(&world, &uri, all))
}

fn attempt(index: usize, delivery: &Delivery) -> Value {
    let (code, status) = match &delivery.answer {
        Answer::Status(code @ 200..300) => (*code, "OK"),
        Answer::Status(code) => (*code, "Invalid HTTP Response"),
        Answer::None | Answer::Failed(_) | Answer::Lost => (0, "failed to connect to host"),
    };
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    json!({
        "id": index + 1,
        "guid": delivery.id,
        "delivered_at": time(delivery.at),
        "redelivery": false,
        "duration": 0.1,
        "status": status,
        "status_code": code,
        "event": delivery.event,
        "action": body["action"],
        "installation_id": null,
        "repository_id": null,
        "throttled_at": null,
    })
}

/// `POST /app/hook/deliveries/{delivery_id}/attempts`
pub(super) async fn redeliver(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<usize>,
) -> Result<Response, ApiError> {
    must_be_app(&caller)?;
    let guid = world.read(|state| state.deliveries.get(id.checked_sub(1)?).map(|delivery| delivery.id.clone()));
    world.redeliver(&guid.ok_or_else(ApiError::not_found)?);
    Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response())
}
