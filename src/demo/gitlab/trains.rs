//! Merge trains, as far as a merge request boards one. It is the forge's to let it arrive.

use super::error::{ApiError, object, optional};
use super::merge_requests::the_pull;
use super::shapes::{detailed_merge_status, time};
use super::{Login, shapes};
use crate::demo::world::World;
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::{Value, json};

/// `POST /projects/:id/merge_trains/merge_requests/:merge_request_iid`
pub(super) async fn board(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let body = object(&body)?;
    let sha = optional(&body, "sha")?;
    world.change(|state| {
        let (repo, pull) = the_pull(state, &login, &id, iid)?;
        if repo.role(&login.0) < Role::Write {
            return Err(ApiError::forbidden());
        }
        if !repo.merge_queue {
            return Err(ApiError::not_found(""));
        }
        if sha.is_some_and(|sha| sha != pull.head.as_str()) {
            let words = format!("SHA does not match HEAD of source branch: {}", pull.head);
            return Err(ApiError::new(StatusCode::CONFLICT, words));
        }
        let later = body.get("auto_merge").and_then(Value::as_bool) == Some(true);
        let status = match detailed_merge_status(state, repo, pull) {
            "mergeable" => StatusCode::CREATED,
            word if later && word != "not_open" => StatusCode::ACCEPTED,
            _ => return Err(ApiError::bad_request("Merge request is not mergeable".to_owned())),
        };
        let car = json!({
            "id": pull.id,
            "merge_request": { "id": pull.id, "iid": iid, "project_id": repo.id, "title": pull.title, "state": "opened" },
            "user": shapes(&world).login(state, &login.0),
            "pipeline": null,
            "created_at": time(pull.updated_at),
            "updated_at": time(pull.updated_at),
            "target_branch": pull.base_branch,
            "status": "idle",
            "merged_at": null,
            "duration": null,
        });
        let path = repo.path.clone();
        if let Some(pull) = state.pull_mut(&path, iid) {
            pull.queued = true;
        }
        Ok((status, Json(json!([car]))))
    })
}
