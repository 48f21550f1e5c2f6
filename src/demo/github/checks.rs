//! Check runs, which only an App may make. Source: "REST API endpoints for check runs".

use super::error::{ApiError, object, optional, required};
use super::payload::time;
use super::statuses::whole_commit;
use super::{shapes, visible};
use crate::demo::state::{Action, CheckRun, Note, Status};
use crate::demo::world::{
    World,
    accounts::{APP_ID, Caller},
    now,
};
use crate::domain::id::Sha;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// GitHub's limits: characters of a summary, annotations in one request, and buttons.
const LONGEST_SUMMARY: usize = 65_535;
const MOST_ANNOTATIONS: usize = 50;
const MOST_ACTIONS: usize = 3;

fn allowed(world: &World, caller: &Caller, owner: &str, name: &str) -> Result<String, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(visible(state, caller, owner, name)?.path.clone()))?;
    match caller {
        Caller::Installation { .. } => Ok(path),
        _ => Err(ApiError::forbidden("You must authenticate via a GitHub App.")),
    }
}

/// `POST /repos/{owner}/{repo}/check-runs`
pub(super) async fn create(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = allowed(&world, &caller, &owner, &name)?;
    let body = object(&body)?;
    let context = required(&body, "name")?.to_owned();
    let commit = whole_commit(&world, &path, required(&body, "head_sha")?).await?;
    let mut status = Status {
        id: world.change(|state| state.next_id()),
        sha: commit,
        context,
        state: "pending".to_owned(),
        description: None,
        target_url: None,
        creator: caller.login().to_owned(),
        at: now(),
        pipeline: None,
        running: false,
        check: Some(CheckRun {
            external_id: optional(&body, "external_id")?.map(str::to_owned),
            ..CheckRun::default()
        }),
    };
    apply(&mut status, &body)?;
    let shape = shape(&world, &path, &status);
    world.change(|state| state.repo_mut(&path).map(|repo| repo.statuses.push(status)));
    Ok((StatusCode::CREATED, Json(shape)).into_response())
}

/// `PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}`
pub(super) async fn edit(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, id)): Path<(String, String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let path = allowed(&world, &caller, &owner, &name)?;
    let body = object(&body)?;
    let found =
        world.read(|state| state.repo(&path)?.statuses.iter().find(|s| s.id == id && s.check.is_some()).cloned());
    let mut status = found.ok_or_else(ApiError::not_found)?;
    apply(&mut status, &body)?;
    let answer = shape(&world, &path, &status);
    world.change(|state| {
        let known = state.repo_mut(&path)?.statuses.iter_mut().find(|s| s.id == id)?;
        *known = status;
        Some(())
    });
    Ok(Json(answer))
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    check_name: Option<String>,
    app_id: Option<u64>,
    filter: Option<String>,
}

/// `GET /repos/{owner}/{repo}/commits/{ref}/check-runs`
pub(super) async fn list(
    State(world): State<World>,
    Extension(caller): Extension<Caller>,
    Path((owner, name, reference)): Path<(String, String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, ApiError> {
    let path = world.read(|state| Ok::<_, ApiError>(visible(state, &caller, &owner, &name)?.path.clone()))?;
    let found = world.git().resolve(&path, &reference).await.ok().flatten();
    let sha: Sha = found.ok_or_else(|| ApiError::unprocessable(format!("No commit found for SHA: {reference}")))?;
    let mut runs: Vec<Status> = world.read(|state| {
        let all = state.repo(&path).into_iter().flat_map(|repo| &repo.statuses);
        all.filter(|s| s.sha == sha && s.check.is_some()).cloned().collect()
    });
    runs.retain(|s| wanted.check_name.as_ref().is_none_or(|name| *name == s.context));
    runs.retain(|_| wanted.app_id.is_none_or(|app| app == APP_ID));
    if wanted.filter.as_deref() != Some("all") {
        let newest = |one: &Status| runs.iter().all(|other| other.context != one.context || other.id <= one.id);
        runs = runs.iter().filter(|one| newest(one)).cloned().collect();
    }
    let shapes: Vec<Value> = runs.iter().map(|run| shape(&world, &path, run)).collect();
    Ok(Json(json!({ "total_count": shapes.len(), "check_runs": shapes })))
}

/// Annotations are added; everything else takes the place of what was there.
fn apply(status: &mut Status, body: &Map<String, Value>) -> Result<(), ApiError> {
    let conclusion = optional(body, "conclusion")?;
    let word = optional(body, "status")?;
    status.state = match (word, conclusion) {
        (_, Some(conclusion @ ("success" | "failure"))) => conclusion.to_owned(),
        (_, Some("neutral" | "skipped")) => "success".to_owned(),
        (_, Some("action_required" | "cancelled" | "timed_out")) => "failure".to_owned(),
        (Some("completed"), None) => {
            return Err(invalid("conclusion", "conclusion is required when status is completed"));
        }
        (Some("queued" | "in_progress"), None) => "pending".to_owned(),
        (None, None) => status.state.clone(),
        _ => return Err(invalid("status", "status is not included in the list")),
    };
    status.target_url = optional(body, "details_url")?.map(str::to_owned).or_else(|| status.target_url.take());
    status.at = now();
    let check = status.check.get_or_insert_default();
    if let Some(output) = body.get("output") {
        let output = output.as_object().ok_or_else(|| invalid("output", "output is not an object"))?;
        status.description = Some(required(output, "title")?.to_owned());
        required(output, "summary")?.clone_into(&mut check.summary);
        if check.summary.chars().count() > LONGEST_SUMMARY {
            return Err(invalid("summary", "summary exceeds a maximum of 65535 characters"));
        }
        let notes = output.get("annotations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if notes.len() > MOST_ANNOTATIONS {
            return Err(invalid("annotations", "annotations exceeds a maximum of 50"));
        }
        for note in notes {
            check.notes.push(read_note(note)?);
        }
    }
    if let Some(actions) = body.get("actions").and_then(Value::as_array) {
        if actions.len() > MOST_ACTIONS {
            return Err(invalid("actions", "actions exceeds a maximum of 3"));
        }
        check.actions = actions.iter().map(read_action).collect::<Result<_, _>>()?;
    }
    Ok(())
}

fn read_note(note: &Value) -> Result<Note, ApiError> {
    let note = note.as_object().ok_or_else(|| invalid("annotations", "an annotation is not an object"))?;
    let line = |key: &str| note.get(key).and_then(Value::as_u64).filter(|line| *line > 0);
    let (Some(line), Some(_)) = (line("start_line"), line("end_line")) else {
        return Err(invalid("annotations", "start_line and end_line are required"));
    };
    if !matches!(required(note, "annotation_level")?, "notice" | "warning" | "failure") {
        return Err(invalid("annotations", "annotation_level is not included in the list"));
    }
    let path = required(note, "path")?;
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(invalid("annotations", "path is not relative to the root of the repository"));
    }
    let title = optional(note, "title")?.unwrap_or_default();
    if title.chars().count() > 255 {
        return Err(invalid("annotations", "title exceeds a maximum of 255 characters"));
    }
    Ok(Note { path: path.to_owned(), line, title: title.to_owned(), message: required(note, "message")?.to_owned() })
}

fn read_action(action: &Value) -> Result<Action, ApiError> {
    let action = action.as_object().ok_or_else(|| invalid("actions", "an action is not an object"))?;
    let within = |key: &str, most: usize| {
        let text = required(action, key)?;
        if text.chars().count() > most {
            return Err(invalid("actions", &format!("{key} exceeds a maximum of {most} characters")));
        }
        Ok(text.to_owned())
    };
    Ok(Action {
        label: within("label", 20)?,
        description: within("description", 40)?,
        identifier: within("identifier", 20)?,
    })
}

fn invalid(field: &str, words: &str) -> ApiError {
    ApiError::invalid("CheckRun", field, "custom", words)
}

fn shape(world: &World, path: &str, status: &Status) -> Value {
    world.read(|state| state.repo(path).map_or(Value::Null, |repo| shapes(world).check_run(repo, status)))
}

impl super::payload::Shapes {
    /// A check run as the API and webhooks have it.
    pub(in crate::demo) fn check_run(&self, repo: &crate::demo::state::Repo, status: &Status) -> Value {
        let check = status.check.clone().unwrap_or_default();
        let over = status.state != "pending";
        json!({
            "id": status.id,
            "node_id": format!("CR_{}", status.id),
            "head_sha": status.sha,
            "external_id": check.external_id.unwrap_or_default(),
            "url": format!("{}/api/v3/repos/{}/check-runs/{}", self.url, repo.path, status.id),
            "html_url": format!("{}/{}/runs/{}", self.url, repo.path, status.id),
            "details_url": status.target_url,
            "status": if over { "completed" } else { "in_progress" },
            "conclusion": over.then_some(status.state.as_str()),
            "started_at": time(status.at),
            "completed_at": over.then(|| time(status.at)),
            "output": {
                "title": status.description,
                "summary": check.summary,
                "text": null,
                "annotations_count": check.notes.len(),
                "annotations_url": "",
            },
            "name": status.context,
            "check_suite": { "id": 1 },
            "app": { "id": APP_ID },
            // None are named where the head is in a fork.
            "pull_requests": [],
        })
    }
}
