//! Notes and award emoji. A line of a note that begins with `/` is a quick action: it is carried out and not kept.

use super::error::{ApiError, object, required};
use super::merge_requests::the_pull;
use super::{LONGEST_COMMENT, Login, Paging, shapes};
use crate::demo::state::Comment;
use crate::demo::world::World;
use crate::domain::pull::Role;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

/// Those of GitLab's quick actions that would do the most harm.
const QUICK_ACTIONS: [&str; 10] =
    ["approve", "assign", "close", "draft", "label", "merge", "rebase", "reopen", "title", "unapprove"];

#[derive(Deserialize)]
pub(super) struct Order {
    sort: Option<String>,
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/notes`: newest first, if nothing else is asked for. GitLab's own
/// notes are among them.
pub(super) async fn list(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
    Query(order): Query<Order>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let (_, pull) = the_pull(state, &login, &id, iid)?;
        let notes = pull.comments.iter().map(|comment| (comment.created_at, shapes(&world).note(state, pull, comment)));
        let system = pull.reviews.iter();
        let system = system.filter_map(|review| Some((review.at, shapes(&world).system_note(state, pull, review)?)));
        let mut all: Vec<_> = notes.chain(system).collect();
        all.sort_by_key(|(at, note)| (*at, note["id"].as_u64()));
        if order.sort.as_deref() != Some("asc") {
            all.reverse();
        }
        Ok::<_, ApiError>(all.into_iter().map(|(_, note)| note).collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /projects/:id/merge_requests/:merge_request_iid/notes`
pub(super) async fn create(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid)): Path<(String, u64)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| the_pull(state, &login, &id, iid).map(|(repo, _)| repo.path.clone()))?;
    let text = text(&body)?;
    let Some(text) = without_quick_actions(&text) else {
        let answer = json!({ "commands_changes": {}, "summary": ["Applied the commands."] });
        return Ok((StatusCode::ACCEPTED, Json(answer)).into_response());
    };
    let note = world.comment(&path, iid, &login.0, &text)?;
    Ok((StatusCode::CREATED, Json(shape(&world, &login, &id, iid, note)?)).into_response())
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/notes/:note_id`
pub(super) async fn single(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid, note)): Path<(String, u64, u64)>,
) -> Result<Json<Value>, ApiError> {
    shape(&world, &login, &id, iid, note).map(Json)
}

/// `PUT /projects/:id/merge_requests/:merge_request_iid/notes/:note_id`
pub(super) async fn edit(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid, note)): Path<(String, u64, u64)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let path = world.read(|state| {
        let (repo, pull) = the_pull(state, &login, &id, iid)?;
        let comment = pull.comments.iter().find(|comment| comment.id == note).ok_or_else(|| ApiError::not_found(""))?;
        if comment.author != login.0 && repo.role(&login.0) < Role::Maintain {
            return Err(ApiError::forbidden());
        }
        Ok(repo.path.clone())
    })?;
    let text = text(&body)?;
    let text = without_quick_actions(&text).ok_or_else(|| ApiError::invalid("note", "can't be blank"))?;
    world.edit_comment(&path, note, &login.0, &text)?;
    shape(&world, &login, &id, iid, note).map(Json)
}

/// `GET /projects/:id/merge_requests/:merge_request_iid/notes/:note_id/award_emoji`
pub(super) async fn awards(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid, note)): Path<(String, u64, u64)>,
    Query(paging): Query<Paging>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let all = world.read(|state| {
        let (_, pull) = the_pull(state, &login, &id, iid)?;
        let comment = pull.comments.iter().find(|comment| comment.id == note).ok_or_else(|| ApiError::not_found(""))?;
        let awards = comment.reactions.iter().map(|reaction| shapes(&world).award(state, note, reaction));
        Ok::<_, ApiError>(awards.collect())
    })?;
    Ok(paging.page(&world, &uri, all))
}

/// `POST /projects/:id/merge_requests/:merge_request_iid/notes/:note_id/award_emoji`
pub(super) async fn award(
    State(world): State<World>,
    Extension(login): Extension<Login>,
    Path((id, iid, note)): Path<(String, u64, u64)>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let path = world.read(|state| the_pull(state, &login, &id, iid).map(|(repo, _)| repo.path.clone()))?;
    shape(&world, &login, &id, iid, note)?;
    let body = object(&body)?;
    let name = required(&body, "name")?;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+-".contains(c)) {
        return Err(ApiError::bad_request("400 Bad request - Name is not a valid emoji name"));
    }
    let (reaction, new) = world.react(&path, note, &login.0, name)?;
    if !new {
        // Its own word for it.
        return Err(ApiError::not_found("Award Emoji Name has already been taken"));
    }
    let shape = world.read(|state| shapes(&world).award(state, note, &reaction));
    Ok((StatusCode::CREATED, Json(shape)).into_response())
}

fn text(body: &[u8]) -> Result<String, ApiError> {
    let body = object(body)?;
    let text = required(&body, "body")?;
    if text.trim().is_empty() {
        return Err(ApiError::invalid("note", "can't be blank"));
    }
    if text.chars().count() > LONGEST_COMMENT {
        return Err(ApiError::invalid("note", &format!("is too long (maximum is {LONGEST_COMMENT} characters)")));
    }
    Ok(text.to_owned())
}

/// What remains to be kept; `None` if nothing does.
fn without_quick_actions(text: &str) -> Option<String> {
    let is_action = |line: &str| {
        let word = line.strip_prefix('/').and_then(|line| line.split_whitespace().next());
        word.is_some_and(|word| QUICK_ACTIONS.contains(&word))
    };
    let kept: Vec<&str> = text.split('\n').filter(|line| !is_action(line)).collect();
    let kept = kept.join("\n");
    (!kept.trim().is_empty()).then_some(kept)
}

fn shape(world: &World, login: &Login, id: &str, iid: u64, note: u64) -> Result<Value, ApiError> {
    world.read(|state| {
        let (_, pull) = the_pull(state, login, id, iid)?;
        let with_number = |comment: &&Comment| comment.id == note;
        let comment = pull.comments.iter().find(with_number).ok_or_else(|| ApiError::not_found(""))?;
        Ok(shapes(world).note(state, pull, comment))
    })
}
