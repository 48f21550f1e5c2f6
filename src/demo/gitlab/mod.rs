//! The world's GitLab face: the REST API below `/api/v4`.
//!
//! It is strict, because a forgiving fake hides faults: every request needs a token and a user agent, what the caller
//! may not see does not exist, bodies are validated, lists come in pages, statuses live in pipelines and obey their
//! state machine, lines of notes that begin with `/` are carried out, and errors have GitLab's words.
//! Source: the documented REST API, version 4, and GitLab's own implementation of it where the documents are silent.

mod error;
mod hooks;
mod merge_requests;
pub(super) mod news;
mod notes;
pub(super) mod pipelines;
mod projects;
mod shapes;
mod statuses;
mod trains;
mod troubles;

use super::state::{Repo, State as WorldState};
use super::troubles::meet;
use super::world::{World, accounts::Caller};
use crate::domain::pull::Role;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use error::ApiError;
use serde::Deserialize;
use serde_json::Value;
use shapes::Shapes;
pub(super) use troubles::refusal;

/// Where the API is, below the forge's address.
pub(super) const API: &str = "/api/v4";

/// GitLab's limit for the text of a note, in characters.
pub(super) const LONGEST_COMMENT: usize = 1_000_000;

/// Who makes a request.
#[derive(Clone)]
struct Login(String);

fn shapes(world: &World) -> Shapes {
    Shapes { url: world.origin().to_owned() }
}

pub(super) fn router(world: &World) -> Router<World> {
    let merge_request = "/projects/{id}/merge_requests/{iid}";
    let below = |path: &str| format!("{merge_request}{path}");
    Router::new()
        .route("/user", get(projects::user))
        .route("/personal_access_tokens/self", get(projects::token))
        .route("/projects/{id}", get(projects::project))
        .route("/projects/{id}/members/all", get(projects::members))
        .route("/groups/{id}/members", get(projects::group_members))
        .route("/projects/{id}/events", get(projects::events))
        .route("/projects/{id}/hooks", get(hooks::list).post(hooks::create))
        .route("/projects/{id}/hooks/{hook}", put(hooks::edit))
        .route("/projects/{id}/repository/branches/{branch}", get(projects::branch))
        .route("/projects/{id}/repository/files/{path}", get(projects::file))
        .route("/projects/{id}/repository/commits/{sha}", get(projects::commit))
        .route("/projects/{id}/repository/commits/{sha}/statuses", get(statuses::list))
        .route("/projects/{id}/statuses/{sha}", post(statuses::create))
        .route("/projects/{id}/merge_requests", get(merge_requests::list))
        .route(merge_request, get(merge_requests::single).put(merge_requests::edit))
        .route(&below("/approvals"), get(merge_requests::approvals))
        .route(&below("/approval_state"), get(merge_requests::approval_state))
        .route(&below("/versions"), get(merge_requests::versions))
        .route(&below("/pipelines"), get(merge_requests::pipelines))
        .route(&below("/merge"), put(merge_requests::merge))
        .route(&below("/notes"), get(notes::list).post(notes::create))
        .route(&below("/notes/{note}"), get(notes::single).put(notes::edit))
        .route(&below("/notes/{note}/award_emoji"), get(notes::awards).post(notes::award))
        .route("/projects/{id}/merge_trains/merge_requests/{iid}", post(trains::board))
        .fallback(async || ApiError::not_found(""))
        .method_not_allowed_fallback(async || ApiError::not_found(""))
        .layer(middleware::from_fn_with_state(world.own(), authenticate))
        .layer(middleware::from_fn_with_state(world.own(), meet))
}

/// Finds out who calls, or refuses.
async fn authenticate(State(world): State<World>, mut request: Request, next: Next) -> Response {
    match caller(&world, request.headers()) {
        Ok(login) => {
            request.extensions_mut().insert(Login(login));
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

/// A token comes as `PRIVATE-TOKEN` or as a bearer's; in the address it would stand in logs, so there it is none.
fn caller(world: &World, headers: &HeaderMap) -> Result<String, ApiError> {
    if !headers.contains_key(header::USER_AGENT) {
        return Err(ApiError::forbidden());
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = headers.get("private-token").and_then(|value| value.to_str().ok()).or(bearer);
    match world.accounts().caller(token.ok_or_else(ApiError::unauthorized)?.trim()) {
        Ok(Caller::User { login }) => Ok(login),
        _ => Err(ApiError::unauthorized()),
    }
}

/// The project, by its number or its whole path, if the caller may see it; otherwise it does not exist.
fn visible<'a>(state: &'a WorldState, login: &Login, id: &str) -> Result<&'a Repo, ApiError> {
    let found = match id.parse::<u64>() {
        Ok(number) => state.repos.values().find(|repo| repo.id == number),
        Err(_) => state.repo(id),
    };
    found.filter(|repo| repo.role(&login.0) >= Role::Read).ok_or_else(|| ApiError::not_found("Project"))
}

/// The project, if the caller has at least this role in it.
fn with_role<'a>(state: &'a WorldState, login: &Login, id: &str, least: Role) -> Result<&'a Repo, ApiError> {
    let repo = visible(state, login, id)?;
    if repo.role(&login.0) >= least { Ok(repo) } else { Err(ApiError::forbidden()) }
}

/// `?per_page=&page=`
#[derive(Deserialize)]
struct Paging {
    per_page: Option<usize>,
    page: Option<usize>,
}

impl Paging {
    /// One page, with the headers that lead to the others.
    fn page(&self, world: &World, uri: &Uri, all: Vec<Value>) -> Response {
        let size = self.per_page.unwrap_or(20).clamp(1, 100);
        let total = all.len();
        let (page, last) = (self.page.unwrap_or(1).max(1), total.div_ceil(size).max(1));
        let link = |page: usize, relation: &str| {
            let mut url = world.url().clone();
            url.set_path(&format!("{API}{}", uri.path()));
            let query = uri.query().unwrap_or_default().as_bytes();
            let others = url::form_urlencoded::parse(query).filter(|(key, _)| key != "page" && key != "per_page");
            let paging = [("page", page.to_string()), ("per_page", size.to_string())];
            url.query_pairs_mut().extend_pairs(others).extend_pairs(paging);
            format!("<{url}>; rel=\"{relation}\"")
        };
        let mut links = Vec::new();
        if page > 1 {
            links.push(link(page - 1, "prev"));
        }
        if page < last {
            links.push(link(page + 1, "next"));
        }
        links.push(link(1, "first"));
        links.push(link(last, "last"));
        let items: Vec<Value> = all.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
        let mut response = axum::Json(items).into_response();
        let next = if page < last { (page + 1).to_string() } else { String::new() };
        let previous = if page > 1 { (page - 1).to_string() } else { String::new() };
        for (name, value) in [
            ("link", links.join(", ")),
            ("x-page", page.to_string()),
            ("x-per-page", size.to_string()),
            ("x-next-page", next),
            ("x-prev-page", previous),
            ("x-total", total.to_string()),
            ("x-total-pages", last.to_string()),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
