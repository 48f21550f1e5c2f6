//! The world's GitHub face: the REST API below `/api/v3`, as GitHub Enterprise Server has it.
//!
//! It is strict, because a forgiving fake hides faults: every request needs valid credentials and a user agent, what
//! the caller may not see does not exist, bodies are validated, lists come in pages, and errors have GitHub's words.
//! Source: the documented REST API, version 2022-11-28.

mod apps;
mod checks;
mod comments;
mod error;
mod hooks;
mod labels;
pub(super) mod news;
mod payload;
mod pulls;
mod repos;
mod rights;
mod statuses;
pub(super) mod troubles;

use super::state::{Repo, State as WorldState};
use super::troubles::meet;
use super::world::{World, accounts::Caller};
use crate::domain::pull::Role;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post, put};
use error::ApiError;
use payload::Shapes;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Where the API is, as on GitHub Enterprise Server.
pub(super) const API: &str = "/api/v3";

/// GitHub's limit for the text of a comment, in characters.
pub(super) const LONGEST_COMMENT: usize = 65_536;

fn shapes(world: &World) -> Shapes {
    Shapes { url: world.origin().to_owned() }
}

pub(super) fn router(world: &World) -> Router<World> {
    Router::new()
        .route("/user", get(repos::user))
        .route("/app", get(apps::app))
        .route("/app/hook/config", patch(hooks::edit_app))
        .route("/orgs/{org}/teams/{team}/memberships/{login}", get(hooks::membership))
        .route("/repos/{owner}/{repo}/hooks", get(hooks::list).post(hooks::create))
        .route("/repos/{owner}/{repo}/hooks/{id}", patch(hooks::edit))
        .route("/app/hook/deliveries", get(apps::deliveries))
        .route("/app/hook/deliveries/{id}/attempts", post(apps::redeliver))
        .route("/app/installations/{id}/access_tokens", post(apps::access_token))
        .route("/repos/{owner}/{repo}", get(repos::repo))
        .route("/repos/{owner}/{repo}/installation", get(apps::installation))
        .route("/repos/{owner}/{repo}/collaborators/{login}/permission", get(repos::permission))
        .route("/repos/{owner}/{repo}/pulls", get(pulls::list))
        .route("/repos/{owner}/{repo}/pulls/{number}", get(pulls::pull))
        .route("/repos/{owner}/{repo}/pulls/{number}/reviews", get(pulls::reviews))
        .route("/repos/{owner}/{repo}/pulls/{number}/merge", put(rights::merge))
        .route("/repos/{owner}/{repo}/issues/{number}/comments", get(comments::list).post(comments::create))
        .route("/repos/{owner}/{repo}/issues/{number}/labels", get(labels::list).post(labels::add))
        .route("/repos/{owner}/{repo}/issues/{number}/labels/{name}", delete(labels::remove))
        .route("/repos/{owner}/{repo}/issues/comments", get(comments::of_repo))
        .route("/repos/{owner}/{repo}/issues/comments/{id}", patch(comments::edit).get(comments::comment))
        .route("/repos/{owner}/{repo}/issues/comments/{id}/reactions", post(comments::react))
        .route("/repos/{owner}/{repo}/statuses/{sha}", post(statuses::create))
        .route("/repos/{owner}/{repo}/commits/{reference}/status", get(statuses::combined))
        .route("/repos/{owner}/{repo}/commits/{reference}/check-runs", get(checks::list))
        .route("/repos/{owner}/{repo}/check-runs", post(checks::create))
        .route("/repos/{owner}/{repo}/check-runs/{id}", patch(checks::edit))
        .fallback(async || ApiError::not_found())
        .method_not_allowed_fallback(async || ApiError::not_found())
        .layer(middleware::from_fn(conditional))
        .layer(middleware::from_fn_with_state(world.own(), authenticate))
        .layer(middleware::from_fn_with_state(world.own(), meet))
}

/// GraphQL, which GitHub Enterprise Server has beside `/api/v3`.
pub(super) fn graphql(world: &World) -> Router<World> {
    Router::new()
        .route("/api/graphql", post(rights::graphql))
        .layer(middleware::from_fn_with_state(world.own(), authenticate))
        .layer(middleware::from_fn_with_state(world.own(), meet))
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

/// What is read has an `ETag`, and who has that already gets 304 and nothing else.
async fn conditional(request: Request, next: Next) -> Response {
    let asked = request.headers().get(header::IF_NONE_MATCH).cloned();
    let reads = request.method() == Method::GET;
    let (mut parts, body) = next.run(request).await.into_parts();
    if !reads || parts.status != StatusCode::OK {
        return Response::from_parts(parts, body);
    }
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("W/\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
    if asked.is_some_and(|asked| asked.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    Response::from_parts(parts, bytes.into())
}

fn caller(world: &World, headers: &HeaderMap) -> Result<Caller, ApiError> {
    if !headers.contains_key(header::USER_AGENT) {
        return Err(ApiError::forbidden("Request forbidden by administrative rules: a User-Agent header is required"));
    }
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| ApiError::unauthorized("Requires authentication"))?;
    let value = value.to_str().map_err(|_| ApiError::unauthorized("Bad credentials"))?;
    let (scheme, token) = value.split_once(' ').ok_or_else(|| ApiError::unauthorized("Bad credentials"))?;
    if !scheme.eq_ignore_ascii_case("bearer") && !scheme.eq_ignore_ascii_case("token") {
        return Err(ApiError::unauthorized("Bad credentials"));
    }
    world.accounts().caller(token.trim()).map_err(ApiError::unauthorized)
}

/// The repository, if the caller may see it; otherwise it does not exist.
fn visible<'a>(state: &'a WorldState, caller: &Caller, owner: &str, name: &str) -> Result<&'a Repo, ApiError> {
    let repo = state.repo(&format!("{owner}/{name}")).ok_or_else(ApiError::not_found)?;
    let seen = match caller {
        Caller::App => return Err(ApiError::forbidden("Resource not accessible by integration")),
        Caller::User { login } => repo.role(login) >= Role::Read,
        Caller::Installation { id, .. } => state.installation(repo) == Some(*id),
    };
    if seen { Ok(repo) } else { Err(ApiError::not_found()) }
}

/// The repository, if the caller may write to it.
fn writable<'a>(state: &'a WorldState, caller: &Caller, owner: &str, name: &str) -> Result<&'a Repo, ApiError> {
    let repo = visible(state, caller, owner, name)?;
    match caller {
        _ if repo.role(caller.login()) >= Role::Write => Ok(repo),
        Caller::User { .. } => Err(ApiError::not_found()),
        _ => Err(ApiError::forbidden("Resource not accessible by integration")),
    }
}

/// `?per_page=&page=`
#[derive(Deserialize)]
struct Paging {
    per_page: Option<usize>,
    page: Option<usize>,
}

impl Paging {
    /// One page, with the `Link` header that leads to the others.
    fn page(&self, world: &World, uri: &Uri, all: Vec<Value>) -> Response {
        let size = self.per_page.unwrap_or(30).clamp(1, 100);
        let (page, last) = (self.page.unwrap_or(1).max(1), all.len().div_ceil(size).max(1));
        let address = |page: usize| {
            let base = world.api_url();
            let others = form_pairs(uri).filter(|(key, _)| key != "page").collect::<Vec<_>>();
            let mut url = base.clone();
            url.set_path(&format!("{}{}", base.path(), uri.path()));
            url.query_pairs_mut().extend_pairs(others).append_pair("page", &page.to_string());
            url
        };
        let mut links = Vec::new();
        if page > 1 {
            links.push(format!("<{}>; rel=\"prev\"", address(page - 1)));
        }
        if page < last {
            links.push(format!("<{}>; rel=\"next\"", address(page + 1)));
            links.push(format!("<{}>; rel=\"last\"", address(last)));
        }
        if page > 1 {
            links.push(format!("<{}>; rel=\"first\"", address(1)));
        }
        let items: Vec<Value> = all.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
        let mut response = axum::Json(items).into_response();
        if let Ok(value) = HeaderValue::try_from(links.join(", "))
            && !links.is_empty()
        {
            response.headers_mut().insert(header::LINK, value);
        }
        response
    }
}

fn form_pairs(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    let query = uri.query().unwrap_or_default().as_bytes();
    url::form_urlencoded::parse(query).into_owned().collect::<Vec<_>>().into_iter()
}
