//! Smart HTTP for the repositories: git's own CGI program behind this forge's accounts.
//! Source: git-http-backend(1); RFC 3875 for the variables.

use super::serve::Wire;
use super::state::How;
use super::world::World;
use crate::domain::pull::Role;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, OriginalUri, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The largest pack that somebody may push.
const LARGEST_PUSH: usize = 64 << 20;

pub(super) fn router() -> Router<World> {
    Router::new()
        .route("/{owner}/{repo}/info/refs", get(answer))
        .route("/{owner}/{repo}/git-upload-pack", post(answer))
        .route("/{owner}/{repo}/git-receive-pack", post(answer))
        // A group below a group.
        .route("/{owner}/{repo}/{nested}/info/refs", get(answer))
        .route("/{owner}/{repo}/{nested}/git-upload-pack", post(answer))
        .route("/{owner}/{repo}/{nested}/git-receive-pack", post(answer))
        .layer(DefaultBodyLimit::max(LARGEST_PUSH))
}

/// What goes wrong, as git sees it.
enum Refusal {
    Unauthorized,
    NotFound,
    Failed(String),
}

async fn answer(
    State(world): State<World>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let service = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let query = uri.query().unwrap_or_default().to_owned();
    let trouble = world.change(|state| state.trouble(method.as_str(), uri.path(), |how| !how.is_about_webhooks()));
    match trouble {
        Some(How::Answer(code)) => {
            return (StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY), "trouble").into_response();
        }
        Some(How::RetryAfter(_) | How::RateLimited { .. }) => {
            return (StatusCode::TOO_MANY_REQUESTS, "trouble").into_response();
        }
        Some(How::Slow(time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    let path = repository(uri.path());
    let realm = world.face().realm();
    let answered = serve(&world, &path, &service, &query, &method, &headers, body).await;
    if trouble == Some(How::LoseAnswer) {
        wire.cut();
    }
    answered.unwrap_or_else(|refusal| refusal.into_response(realm))
}

/// The `owner/name` in a path of the protocol, with or without `.git` at its end.
fn repository(path: &str) -> String {
    let ends = ["/info/refs", "/git-upload-pack", "/git-receive-pack"];
    let path = ends.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path).trim_start_matches('/');
    path.strip_suffix(".git").unwrap_or(path).to_owned()
}

async fn serve(
    world: &World,
    path: &str,
    service: &str,
    query: &str,
    method: &Method,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let writes = service == "git-receive-pack" || query.contains("git-receive-pack");
    let login = caller(world, headers).ok_or(Refusal::Unauthorized)?;
    // What somebody may not see does not exist, as on every forge.
    let path = world.read(|state| state.repo(path).map(|r| r.path.clone())).ok_or(Refusal::NotFound)?;
    if !world.may(&path, &login, if writes { Role::Write } else { Role::Read }) {
        return Err(Refusal::NotFound);
    }
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (root, path_info, length) =
        (world.git().root().display().to_string(), format!("/{path}.git/{service}"), body.len().to_string());
    let path_info = if service == "refs" { format!("/{path}.git/info/refs") } else { path_info };
    let env = [
        ("GIT_PROJECT_ROOT", root.as_str()),
        ("GIT_HTTP_EXPORT_ALL", "1"),
        ("GIT_PROTOCOL", header("git-protocol")),
        ("PATH_INFO", &path_info),
        ("QUERY_STRING", query),
        ("REQUEST_METHOD", method.as_str()),
        ("CONTENT_TYPE", header("content-type")),
        ("CONTENT_LENGTH", &length),
        ("HTTP_CONTENT_ENCODING", header("content-encoding")),
        ("REMOTE_USER", &login),
        ("REMOTE_ADDR", "127.0.0.1"),
    ];
    let said = world.git().start(world.git().root(), &["http-backend"], &env, Some(body.to_vec())).await;
    let said = said.map_err(|error| Refusal::Failed(error.to_string()))?;
    let response = cgi(&said.stdout).ok_or(Refusal::Failed(said.stderr))?;
    if service == "git-receive-pack" {
        world.notice_pushes(&path, &login).await.map_err(|error| Refusal::Failed(error.to_string()))?;
    }
    Ok(response)
}

/// The account of the token in `Authorization: Basic`; the user name may be anything, as on every forge.
fn caller(world: &World, headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (_, token) = text.split_once(':')?;
    let caller = world.accounts().caller(token).ok()?;
    (!caller.login().is_empty()).then(|| caller.login().to_owned())
}

/// An HTTP response from what a CGI program wrote; `None` if it is none.
fn cgi(output: &[u8]) -> Option<Response> {
    let (end, gap) = [(b"\r\n\r\n".as_slice(), 4), (b"\n\n", 2)]
        .iter()
        .filter_map(|(mark, len)| Some((output.windows(*len).position(|w| w == *mark)?, *len)))
        .min()?;
    let head = String::from_utf8(output[..end].to_vec()).ok()?;
    let mut response = Response::new(output[end + gap..].to_vec().into());
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            *response.status_mut() = value.split(' ').next()?.parse().ok()?;
        } else {
            let (name, value) = (name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?);
            response.headers_mut().append(name, value);
        }
    }
    Some(response)
}

impl Refusal {
    fn into_response(self, realm: &str) -> Response {
        match self {
            Self::Unauthorized => {
                let ask = [(header::WWW_AUTHENTICATE, format!("Basic realm=\"{realm}\""))];
                (StatusCode::UNAUTHORIZED, ask, "Authentication required.").into_response()
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "Repository not found.").into_response(),
            Self::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
        }
    }
}
