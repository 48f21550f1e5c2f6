//! The world's Gitea face: the API below `/api/v1`, as Gitea and Forgejo have it.
//!
//! It is strict, because a forgiving fake hides faults: every request needs a valid token, what the caller may not see does
//! not exist, bodies are validated, lists come in pages with `Link` and `X-Total-Count`, and errors have Gitea's words.
//! Source: the API's own description (`swagger.v1.json`).

mod comments;
mod error;
mod hooks;
mod labels;
pub(super) mod news;
mod payload;
mod pulls;
mod repos;
mod statuses;
mod teams;

use super::state::{How, Repo, State as WorldState};
use super::troubles;
use super::world::{World, accounts::Caller};
use crate::domain::id::Timestamp;
use crate::domain::pull::Role;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post};
use error::ApiError;
use payload::Shapes;
use serde::Deserialize;
use serde_json::Value;

/// Where the API is.
pub(super) const API: &str = "/api/v1";

/// As much as is sent; Gitea has no limit of its own.
pub(super) const LONGEST_COMMENT: usize = 1 << 20;

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// A moment as Gitea keeps it.
const fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1000)
}

fn shapes(world: &World) -> Shapes {
    Shapes { url: world.origin().to_owned() }
}

pub(super) fn router(world: &World) -> Router<World> {
    Router::new()
        .route("/version", get(repos::version))
        .route("/user", get(repos::user))
        .route("/orgs/{org}/teams/search", get(teams::search))
        .route("/teams/{id}/members/{username}", get(teams::member))
        .route("/repos/{owner}/{repo}", get(repos::repo))
        .route("/repos/{owner}/{repo}/branches/{branch}", get(repos::branch))
        .route("/repos/{owner}/{repo}/assignees", get(repos::assignees))
        .route("/repos/{owner}/{repo}/collaborators/{login}/permission", get(repos::permission))
        .route("/repos/{owner}/{repo}/hooks", get(hooks::list).post(hooks::create))
        .route("/repos/{owner}/{repo}/hooks/{id}", patch(hooks::edit))
        .route("/repos/{owner}/{repo}/pulls", get(pulls::list))
        .route("/repos/{owner}/{repo}/pulls/{index}", get(pulls::pull))
        .route("/repos/{owner}/{repo}/pulls/{index}/reviews", get(pulls::reviews))
        .route("/repos/{owner}/{repo}/pulls/{index}/merge", post(pulls::merge))
        .route("/repos/{owner}/{repo}/issues/{index}/comments", get(comments::list).post(comments::create))
        .route("/repos/{owner}/{repo}/labels", get(labels::of_repo).post(labels::create))
        .route("/repos/{owner}/{repo}/issues/{index}/labels", get(labels::list).post(labels::add))
        .route("/repos/{owner}/{repo}/issues/{index}/labels/{id}", delete(labels::remove))
        .route("/repos/{owner}/{repo}/issues/comments", get(comments::all))
        .route("/repos/{owner}/{repo}/issues/comments/{id}", patch(comments::edit).get(comments::comment))
        .route("/repos/{owner}/{repo}/issues/comments/{id}/reactions", post(comments::react))
        .route("/repos/{owner}/{repo}/statuses/{sha}", get(statuses::list).post(statuses::create))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"))
        .layer(middleware::from_fn_with_state(world.own(), authenticate))
        .layer(middleware::from_fn_with_state(world.own(), troubles::meet))
}

/// How a proxy in front of Gitea refuses, which has no limits of its own.
pub(super) fn refusal(how: How) -> Response {
    let (code, wait) = match how {
        How::RetryAfter(time) | How::RateLimited { reset_in: time } => (StatusCode::TOO_MANY_REQUESTS, Some(time)),
        other => (other.status().unwrap_or(StatusCode::BAD_GATEWAY), None),
    };
    let response = ApiError::new(code, code.canonical_reason().unwrap_or_default()).into_response();
    let wait = wait.map(|time| (header::RETRY_AFTER, time.as_secs().to_string()));
    troubles::with_headers(response, wait.as_slice())
}

/// Finds out who calls, or refuses.
async fn authenticate(State(world): State<World>, mut request: Request, next: Next) -> Response {
    match caller(&world, request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

fn caller(world: &World, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| ApiError::unauthorized("token is required"))?;
    let unknown = || ApiError::unauthorized("invalid username, password or token");
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("token") {
        return Err(unknown());
    }
    world.accounts().caller(token.trim()).map_err(|_| unknown())
}

/// The repository, if the caller may see it; otherwise it does not exist.
fn visible<'a>(state: &'a WorldState, caller: &Caller, owner: &str, name: &str) -> Result<&'a Repo, ApiError> {
    let repo = state.repo(&format!("{owner}/{name}")).ok_or_else(ApiError::not_found)?;
    if repo.role(caller.login()) >= Role::Read { Ok(repo) } else { Err(ApiError::not_found()) }
}

/// The repository, if the caller may write to it.
fn writable<'a>(state: &'a WorldState, caller: &Caller, owner: &str, name: &str) -> Result<&'a Repo, ApiError> {
    let repo = visible(state, caller, owner, name)?;
    let words = "user should have a permission to write to a repo";
    if repo.role(caller.login()) >= Role::Write { Ok(repo) } else { Err(ApiError::forbidden(words)) }
}

/// The repository, if the caller administers it. Whom Gitea knows as an administrator is a maintainer elsewhere.
fn administered<'a>(state: &'a WorldState, caller: &Caller, owner: &str, name: &str) -> Result<&'a Repo, ApiError> {
    let repo = visible(state, caller, owner, name)?;
    let words = "user should be an owner or a collaborator with admin write of a repository";
    if repo.role(caller.login()) >= Role::Maintain { Ok(repo) } else { Err(ApiError::forbidden(words)) }
}

/// `?limit=&page=`
#[derive(Deserialize)]
struct Paging {
    limit: Option<usize>,
    page: Option<usize>,
}

impl Paging {
    /// One page, with the headers that lead to the others.
    fn page(&self, world: &World, uri: &Uri, all: Vec<Value>) -> Response {
        // What Gitea has unless it is told otherwise: 30 without a wish, 50 at the most.
        let size = self.limit.unwrap_or(30).clamp(1, 50);
        let (page, last) = (self.page.unwrap_or(1).max(1), all.len().div_ceil(size).max(1));
        let address = |page: usize| {
            let query = uri.query().unwrap_or_default().as_bytes();
            let others = url::form_urlencoded::parse(query).into_owned().filter(|(key, _)| key != "page");
            let mut url = world.api_url();
            url.set_path(&format!("{API}{}", uri.path()));
            url.query_pairs_mut().extend_pairs(others).append_pair("page", &page.to_string());
            url
        };
        let mut links = Vec::new();
        if page < last {
            links.push(format!("<{}>; rel=\"next\"", address(page + 1)));
            links.push(format!("<{}>; rel=\"last\"", address(last)));
        }
        if page > 1 {
            links.push(format!("<{}>; rel=\"first\"", address(1)));
            links.push(format!("<{}>; rel=\"prev\"", address(page - 1)));
        }
        let total = all.len();
        let items: Vec<Value> = all.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
        let mut response = axum::Json(items).into_response();
        response.headers_mut().insert(TOTAL, HeaderValue::from(total));
        match HeaderValue::try_from(links.join(",")) {
            Ok(value) if !links.is_empty() => drop(response.headers_mut().insert(header::LINK, value)),
            _ => {}
        }
        response
    }
}
