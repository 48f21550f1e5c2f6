//! The forge's pages for people: the list, and the pull request, whose live comment is the centre.
//!
//! Plain HTML made here, one style sheet, and a script that asks whether something changed; nothing is loaded from
//! anywhere else. Everything works without the script too, by loading the page again.

mod actions;
mod changes;
mod pull;

use super::face::Face;
use super::world::World;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use minijinja::{Environment, Value, context};
use std::sync::LazyLock;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    for (name, source) in [
        ("base.html", include_str!("../../../templates/demo/base.html")),
        ("list.html", include_str!("../../../templates/demo/list.html")),
        ("pull.html", include_str!("../../../templates/demo/pull.html")),
        ("pull_now.html", include_str!("../../../templates/demo/pull_now.html")),
        ("message.html", include_str!("../../../templates/demo/message.html")),
    ] {
        engine.add_template(name, source).expect("the demo's templates are correct");
    }
    engine
});

pub(super) fn router(face: Face) -> Router<World> {
    let pull = format!("/{{owner}}/{{repo}}/{}/{{number}}", face.pull_segment());
    Router::new()
        .route("/", get(list))
        .route("/{owner}/{repo}", get(list))
        .route(&pull, get(pull::whole))
        .route(&format!("{pull}/now"), get(pull::now))
        .route(&format!("{pull}/{{action}}"), post(actions::act))
        .route("/-/demo.css", get(async || asset("text/css", include_str!("../../../templates/demo/demo.css"))))
        .route("/-/demo.js", get(async || asset("text/javascript", include_str!("../../../templates/demo/demo.js"))))
        .fallback(async || message(StatusCode::NOT_FOUND, "There is nothing here."))
        .layer(middleware::from_fn(guard))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Keeps other sites of the person's browser from acting here, and tells the browser to load nothing else.
async fn guard(request: Request, next: Next) -> Response {
    let foreign = is_foreign(request.headers());
    let mut response = if request.method() == Method::POST && foreign {
        message(StatusCode::FORBIDDEN, "Another site tried to act here in your name.")
    } else {
        next.run(request).await
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a request was made by a page of another site.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    text(header::ORIGIN).is_some_and(|origin| origin.split_once("://").map_or("", |(_, from)| from) != host)
}

/// A page from a template.
fn page(template: &str, values: Value) -> Response {
    let rendered = TEMPLATES.get_template(template).and_then(|template| template.render(values));
    match rendered {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "a page of the forge cannot be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "This page cannot be made.").into_response()
        }
    }
}

fn message(status: StatusCode, text: &str) -> Response {
    let mut response = page("message.html", context! { text });
    *response.status_mut() = status;
    response
}

/// All pull requests, newest first.
async fn list(State(world): State<World>) -> Response {
    let repos = world.read(|state| {
        let repos = state.repos.values().filter(|r| r.fork_of.is_none());
        repos
            .map(|repo| {
                let pulls = repo.pulls.values().rev().map(|p| {
                    context! {
                        number => p.number,
                        title => p.title.clone(),
                        author => p.author.clone(),
                        phase => pull::phase(p),
                        address => world.pull_page(&repo.path, p.number),
                        comments => p.comments.len(),
                        checks => pull::worst(&repo.latest_statuses(p.merge_commit().unwrap_or(&p.head))),
                    }
                });
                context! { path => repo.path.clone(), pulls => pulls.collect::<Vec<_>>() }
            })
            .collect::<Vec<_>>()
    });
    page("list.html", context! { repos, viewer => world.settings().viewer.clone() })
}
