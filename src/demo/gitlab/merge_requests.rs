//! Merge requests, their approvals, versions and pipelines, and the merge itself.

use super::error::{ApiError, object, optional};
use super::{Login, Paging, pipelines, shapes, visible};
use crate::demo::state::{MergeMethod, Pull, Repo, State as WorldState};
use crate::demo::world::{World, WorldError};
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
pub(super) struct Filter {
    state: Option<String>,
    scope: Option<String>,
    target_branch: Option<String>,
    updated_after: Option<jiff::Timestamp>,
    order_by: Option<String>,
    sort: Option<String>,
}

impl Filter {
    /// Every word comes from a fixed set, and GitLab refuses all others.
    fn checked(&self) -> Result<(), ApiError> {
        let words: [(&str, &Option<String>, &[&str]); 4] = [
            ("state", &self.state, &["all", "opened", "closed", "locked", "merged"]),
            ("scope", &self.scope, &["all"]),
            ("order_by", &self.order_by, &["created_at", "updated_at"]),
            ("sort", &self.sort, &["asc", "desc"]),
        ];
        for (name, word, known) in words {
            if word.as_deref().is_some_and(|word| !known.contains(&word)) {
                return Err(ApiError::parameter(format!("{name} does not have a valid value")));
            }
        }
        Ok(())
    }
}

pub(super) fn the_pull<'a>(
    state: &'a WorldState,
    login: &Login,
    id: &str,
    iid: u64,
) -> Result<(&'a Repo, &'a Pull), ApiError> {
    let repo = visible(state, login, id)?;
    let pull = repo.pulls.get(&iid).ok_or_else(|| ApiError::not_found(""))?;
    Ok((repo, pull))
}

/// `GET /projects/:id/merge_requests`: newest first, unless it is sorted otherwise. `updated_after` includes the moment.
pub(super) async fn list(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path(id): Path<String>,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let repo = visible(state, &login, &id)?;
        let shape = |pull: &Pull| shapes(&world).merge_request_in_list(state, repo, pull);
        let wanted = filter.state.as_deref().unwrap_or("all");
        filter.checked()?;
        let mut pulls: Vec<&Pull> = repo.pulls.values().collect();
        if filter.order_by.as_deref() == Some("updated_at") {
            pulls.sort_by_key(|pull| pull.updated_at);
        }
        if filter.sort.as_deref() != Some("asc") {
            pulls.reverse();
        }
        if let Some(after) = filter.updated_after {
            pulls.retain(|pull| pull.updated_at.0 >= after.as_millisecond());
        }
        let shapes = pulls.into_iter().map(|pull| (pull, shape(pull)));
        let shapes = shapes.filter(|(_, shape)| wanted == "all" || shape["state"] == wanted);
        let base = filter.target_branch.as_ref();
        let shapes = shapes.filter(|(pull, _)| base.is_none_or(|base| *base == pull.base_branch));
        Ok::<_, ApiError>(shapes.map(|(_, shape)| shape).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `GET /projects/:id/merge_requests/:merge_request_iid`
pub(super) async fn single(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
) -> Result<Json<Value>, ApiError> {
    world.change(|state| {
        let (repo, pull) = the_pull(state, &login, &id, iid)?;
        let shape = shapes(&world).merge_request(state, repo, pull);
        let path = repo.path.clone();
        // Asking is what makes GitLab compute it.
        if let Some(pull) = state.pull_mut(&path, iid) {
            pull.mergeable_unknown = pull.mergeable_unknown.saturating_sub(1);
        }
        Ok(Json(shape))
    })
}

/// `PUT /projects/:id/merge_requests/:merge_request_iid`, of which only labels are there.
pub(super) async fn edit(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let body = object(&body)?;
    let names = |key: &str| {
        let names = optional(&body, key)?.unwrap_or_default();
        Ok::<_, ApiError>(names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    };
    let (added, removed): (Vec<String>, Vec<String>) = (names("add_labels")?, names("remove_labels")?);
    if added.is_empty() && removed.is_empty() {
        return Err(ApiError::parameter("at least one parameter must be provided"));
    }
    let (path, mut labels) = world.read(|state| {
        let (repo, pull) = the_pull(state, &login, &id, iid)?;
        // A Developer.
        if repo.role(&login.0) < Role::Write {
            return Err(ApiError::forbidden());
        }
        Ok((repo.path.clone(), pull.labels.clone()))
    })?;
    labels.retain(|label| !removed.contains(label));
    for label in added {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    world.set_labels(&path, iid, labels, &login.0)?;
    shape(&world, &login, &id, iid)
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/approvals`
pub(super) async fn approvals(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let (_, pull) = the_pull(state, &login, &id, iid)?;
        let approved_by: Vec<Value> = super::shapes::approvals(pull)
            .into_iter()
            .map(|review| {
                let user = shapes(&world).login(state, &review.author);
                json!({ "user": user, "approved_at": super::shapes::time(review.at) })
            })
            .collect();
        let mine = |review: &Value| review["user"]["username"] == login.0;
        Ok(Json(json!({
            "approved": !approved_by.is_empty(),
            "user_has_approved": approved_by.iter().any(mine),
            "user_can_approve": pull.author != login.0,
            "approved_by": approved_by,
        })))
    })
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/approval_state`
pub(super) async fn approval_state(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let (repo, pull) = the_pull(state, &login, &id, iid)?;
        let rules: Vec<Value> = super::shapes::approval_rules(repo, pull)
            .into_iter()
            .enumerate()
            .map(|(number, rule)| {
                let users = rule.approved_by.iter().map(|login| shapes(&world).login(state, login));
                json!({
                    "id": number + 1,
                    "name": rule.name,
                    "rule_type": rule.kind,
                    "approvals_required": rule.required,
                    "approved_by": users.collect::<Vec<_>>(),
                    "approved": rule.is_satisfied(),
                })
            })
            .collect();
        Ok(Json(json!({ "approval_rules_overwritten": false, "rules": rules })))
    })
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/versions`: newest first.
pub(super) async fn versions(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let (_, pull) = the_pull(state, &login, &id, iid)?;
        let shape = |(number, (at, head)): (usize, &(_, _))| {
            json!({
                "id": number + 1,
                "head_commit_sha": head,
                "base_commit_sha": pull.base,
                "start_commit_sha": pull.base,
                "created_at": super::shapes::time(*at),
                "merge_request_id": pull.id,
                "state": "collected",
                "real_size": "1",
            })
        };
        Ok::<_, ApiError>(pull.heads.iter().enumerate().map(shape).rev().collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/pipelines`: newest first.
pub(super) async fn pipelines(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let (repo, pull) = the_pull(state, &login, &id, iid)?;
        let found = pipelines::of_merge_request(state, repo, pull);
        Ok::<_, ApiError>(found.into_iter().map(|(of, found)| shapes(&world).pipeline(of, found)).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `PUT /projects/:id/merge_requests/:merge_request_iid/merge`
pub(super) async fn merge(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let body = object(&body)?;
    let sha = optional(&body, "sha")?;
    let path = world.read(|state| {
        let (repo, pull) = the_pull(state, &login, &id, iid)?;
        if repo.role(&login.0) < Role::Write {
            return Err(ApiError::unauthorized());
        }
        if super::shapes::detailed_merge_status(state, repo, pull) != "mergeable" {
            return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "405 Method Not Allowed"));
        }
        if sha.is_some_and(|sha| sha != pull.head.as_str()) {
            let words = format!("SHA does not match HEAD of source branch: {}", pull.head);
            return Err(ApiError::new(StatusCode::CONFLICT, words));
        }
        Ok(repo.path.clone())
    })?;
    let squash = body.get("squash").and_then(Value::as_bool) == Some(true);
    let method = if squash { MergeMethod::Squash } else { MergeMethod::Merge };
    match world.merge(&path, iid, &login.0, method).await {
        Ok(_) => {}
        Err(WorldError::Refused(_)) => {
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "Branch cannot be merged"));
        }
        Err(error) => return Err(error.into()),
    }
    shape(&world, &login, &id, iid)
}

fn shape(world: &World, login: &Login, id: &str, iid: u64) -> Result<Json<Value>, ApiError> {
    world.read(|state| {
        let (repo, pull) = the_pull(state, login, id, iid)?;
        Ok(Json(shapes(world).merge_request(state, repo, pull)))
    })
}
