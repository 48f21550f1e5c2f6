//! The pages that people see. A run's page opens by the signed link in its pull request's comments, and by nothing else.

use super::log::RunLog;
use super::{Shared, Web};
use crate::domain::id::RunId;
use crate::domain::run::Run;
use crate::flow::now;
use crate::render::page::{PageError, RunFacts};
use crate::store::StoreError;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// Why a page can't be shown; the log says more than the page.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPage {
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Render(#[from] PageError),
    #[error("the run's log can't be read: {0}")]
    Log(#[from] std::io::Error),
}

impl IntoResponse for NoPage {
    fn into_response(self) -> Response {
        tracing::error!(error = %self, "a page can't be shown");
        let why = "This page can't be shown right now. The server's log says why; try again in a minute.\n";
        (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
    }
}

/// `GET /`: says what this is, and nothing else.
pub(super) async fn home(State(web): Shared) -> Result<Html<String>, NoPage> {
    Ok(Html(web.pages.home()?))
}

/// Whatever has no route.
pub(super) async fn nothing_here(State(web): Shared) -> Result<Response, NoPage> {
    Ok((StatusCode::NOT_FOUND, Html(web.pages.nothing_here()?)).into_response())
}

/// `GET /assets/{file}`: the name of a file changes with its content, so it may be kept for ever.
pub(super) async fn asset(State(web): Shared, Path(file): Path<String>) -> Result<Response, NoPage> {
    let Some(content) = web.pages.style_sheet(&file) else { return nothing_here(State(web)).await };
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, content).into_response())
}

/// `GET /runs/{id}?key=…`: the facts of a run and its log.
pub(super) async fn run(
    State(web): Shared,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, NoPage> {
    let run = match invited(&web, &id, query.as_deref()) {
        Some(id) => web.given.store.run(id).await?,
        None => None,
    };
    // A wrong key, a run that never was and one that was cleaned away look the same.
    let Some(run) = run else {
        return Ok((StatusCode::NOT_FOUND, Html(web.pages.no_such_run()?)).into_response());
    };
    let log = RunLog::open(&web.given.archive.log_path(run.id)).await?;
    let page = show(&web, &run, &log).await?;
    let body = Body::from_stream(log.between(page.before_log, page.after_log));
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response())
}

/// The run that the key in the query string opens.
fn invited(web: &Web, id: &str, query: Option<&str>) -> Option<RunId> {
    let id = id.parse().ok()?;
    let (_, key) = url::form_urlencoded::parse(query?.as_bytes()).find(|(name, _)| name == "key")?;
    web.given.links.verify(id, &key).then_some(id)
}

async fn show(web: &Web, run: &Run, log: &RunLog) -> Result<crate::render::page::RunPage, NoPage> {
    let store = &web.given.store;
    let pull = store.pull_state(&run.pull).await?.map(|state| state.record.pull);
    let reviewed = match run.apply_order().and_then(|order| order.plan) {
        Some(plan) => store.run(plan).await?,
        None => None,
    };
    let not_told = store.not_told(&run.pull).await?;
    Ok(web.pages.run(&RunFacts {
        run,
        not_told: &not_told,
        pull: pull.as_ref(),
        reviewed: reviewed.as_ref(),
        now: now(),
        log_bytes: log.length(),
        log_left_out: log.left_out(),
    })?)
}
