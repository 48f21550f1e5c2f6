//! What the page's buttons do. Everybody who can reach the page acts as the one viewer.

use super::message;
use crate::demo::state::{MergeMethod, ReviewState};
use crate::demo::world::{World, WorldError};
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    text: String,
    /// Whose button was pressed.
    #[serde(default)]
    check: String,
}

/// `POST /{owner}/{repo}/pull/{number}/{action}`
pub(super) async fn act(
    State(world): State<World>,
    Path((owner, repo, number, action)): Path<(String, String, u64, String)>,
    Form(fields): Form<Fields>,
) -> Response {
    let repo = format!("{owner}/{repo}");
    let viewer = world.settings().viewer.clone();
    let done = match action.as_str() {
        // Browsers send a text area's lines with CR LF.
        "comment" => world.comment(&repo, number, &viewer, &fields.text.replace("\r\n", "\n")).map(drop),
        "press" => world.press(&repo, number, &fields.check, Some(&fields.text), &viewer),
        "approve" => world.review(&repo, number, &viewer, ReviewState::Approved).map(drop),
        "request-changes" => world.review(&repo, number, &viewer, ReviewState::ChangesRequested).map(drop),
        "push" => world.push_ready_commit(&repo, number).await.map(drop),
        "merge" => world.merge(&repo, number, &viewer, MergeMethod::Merge).await.map(drop),
        "squash" => world.merge(&repo, number, &viewer, MergeMethod::Squash).await.map(drop),
        "rebase" => world.merge(&repo, number, &viewer, MergeMethod::Rebase).await.map(drop),
        "close" => world.close(&repo, number, &viewer),
        "reopen" => world.reopen(&repo, number, &viewer).await,
        _ => Err(WorldError::NoSuch(format!("action `{action}`"))),
    };
    match done {
        Ok(()) => Redirect::to(&format!("{}#talk", world.pull_path(&repo, number))).into_response(),
        Err(WorldError::Refused(why)) => message(StatusCode::UNPROCESSABLE_ENTITY, &why),
        Err(error @ WorldError::NoSuch(_)) => message(StatusCode::NOT_FOUND, &error.to_string()),
        Err(error) => {
            tracing::error!(%error, "the forge failed");
            message(StatusCode::INTERNAL_SERVER_ERROR, "That did not work. The server's log says why.")
        }
    }
}
