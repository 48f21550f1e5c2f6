//! Commit statuses: each stands in a pipeline, which is made where there is none, and goes from state to state only as
//! GitLab's jobs do.

use super::error::{ApiError, object, optional, required};
use super::{Login, Paging, pipelines, shapes, visible, with_role};
use crate::demo::state::{Pipeline, Status};
use crate::demo::world::World;
use crate::domain::id::Sha;
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

const STATES: [&str; 6] = ["pending", "running", "success", "failed", "canceled", "skipped"];

/// GitLab's limit for names, descriptions and links, in characters.
const LONGEST_TEXT: usize = 255;

#[derive(Deserialize)]
pub(super) struct Filter {
    pipeline_id: Option<u64>,
    name: Option<String>,
}

/// `GET /projects/:id/repository/commits/:sha/statuses`: the newest of each name in each pipeline.
pub(super) async fn list(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, sha)): Path<(String, String)>,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &login, &id)?;
        let of_commit = repo.pipelines.iter().filter(|found| found.sha.as_str() == sha);
        let wanted = of_commit.filter(|found| filter.pipeline_id.is_none_or(|id| id == found.id));
        let statuses = wanted.flat_map(|found| pipelines::statuses(repo, found));
        let named = statuses.filter(|status| filter.name.as_ref().is_none_or(|name| *name == status.context));
        Ok::<_, ApiError>(named.map(|status| shapes(&world).status(state, status)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /projects/:id/statuses/:sha`
pub(super) async fn create(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, sha)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| with_role(state, &login, &id, Role::Write).map(|repo| repo.path.clone()))?;
    let body = object(&body)?;
    let word = required(&body, "state")?;
    if !STATES.contains(&word) {
        return Err(ApiError::parameter("state does not have a valid value"));
    }
    let name = optional(&body, "name")?.or(optional(&body, "context")?).unwrap_or("default");
    let (description, target_url) = (optional(&body, "description")?, optional(&body, "target_url")?);
    for (field, text) in [("name", Some(name)), ("description", description), ("target_url", target_url)] {
        if text.is_some_and(|text| text.chars().count() > LONGEST_TEXT) {
            return Err(ApiError::invalid(field, &format!("is too long (maximum is {LONGEST_TEXT} characters)")));
        }
    }
    if target_url.is_some_and(|text| !text.starts_with("http://") && !text.starts_with("https://")) {
        return Err(ApiError::invalid("target_url", "is blocked: Only allowed schemes are http, https"));
    }
    let pipeline_id = match body.get("pipeline_id") {
        None | Some(Value::Null) => None,
        Some(number) => Some(number.as_u64().ok_or_else(|| ApiError::parameter("pipeline_id is invalid"))?),
    };
    let commit = world.git().resolve(&path, &sha).await.ok().flatten();
    // Only a whole commit id is one.
    let commit = commit.filter(|commit| commit.as_str() == sha).ok_or_else(|| ApiError::not_found("Commit"))?;
    let pipeline = pipeline(&world, &path, &commit, optional(&body, "ref")?, pipeline_id)?;
    transition(&world, &path, &pipeline, name, word, &login)?;
    let neutral = match word {
        "running" => "pending",
        "failed" | "canceled" => "failure",
        "skipped" => "success",
        other => other,
    };
    let new = (name.to_owned(), neutral.to_owned(), description.map(str::to_owned), target_url.map(str::to_owned));
    let put = world.put_status(&path, &commit, new, &login.0).ok_or_else(|| ApiError::not_found("Project"))?;
    let shape = world.change(|state| {
        let repo = state.repo_mut(&path)?;
        let status = repo.statuses.iter_mut().find(|status| status.id == put.id)?;
        status.pipeline = Some(pipeline.id);
        status.running = word == "running";
        let status = status.clone();
        Some(shapes(&world).status(state, &status))
    });
    Ok((StatusCode::CREATED, Json(shape)).into_response())
}

/// The newest pipeline of the commit that fits, or a new one.
fn pipeline(
    world: &World,
    path: &str,
    commit: &Sha,
    reference: Option<&str>,
    wanted: Option<u64>,
) -> Result<Pipeline, ApiError> {
    world.change(|state| {
        let id = state.next_id();
        let repo = state.repo_mut(path).ok_or_else(|| ApiError::not_found("Project"))?;
        let fits = |found: &&Pipeline| {
            found.sha == *commit
                && reference.is_none_or(|reference| reference == found.reference)
                && wanted.is_none_or(|id| id == found.id)
        };
        if let Some(found) = repo.pipelines.iter().rev().find(fits) {
            return Ok(found.clone());
        }
        if wanted.is_some() {
            return Err(ApiError::not_found("Pipeline for pipeline_id, sha and ref"));
        }
        let branch = || repo.branches.iter().find(|(_, tip)| *tip == commit).map(|(name, _)| name.clone());
        let reference = reference.map(str::to_owned).or_else(branch);
        let reference = reference.ok_or_else(|| ApiError::not_found("References for commit"))?;
        let new = Pipeline { id, sha: commit.clone(), reference, source: "external", of_head: None };
        repo.pipelines.push(new.clone());
        Ok(new)
    })
}

/// Refuses what the state machine of jobs does not have. A status that is over is not continued but begun anew.
fn transition(
    world: &World,
    path: &str,
    pipeline: &Pipeline,
    name: &str,
    word: &str,
    login: &Login,
) -> Result<(), ApiError> {
    let unfinished = world.read(|state| {
        let repo = state.repo(path)?;
        let same = |status: &&Status| {
            status.pipeline == Some(pipeline.id) && status.context == name && status.creator == login.0
        };
        let newest = repo.statuses.iter().rev().find(same)?;
        (newest.state == "pending").then_some(if newest.running { "running" } else { "pending" })
    });
    let event = match (unfinished, word) {
        (Some(_), "pending") => "enqueue",
        (Some("running"), "running") => "run",
        _ => return Ok(()),
    };
    let from = unfinished.unwrap_or_default();
    Err(ApiError::bad_request(format!(
        "Cannot transition status via :{event} from :{from} (Reason(s): Status cannot transition via \"{event}\")"
    )))
}
