//! Terraform's lock on a state.
//!
//! A terraform that was killed leaves its lock behind, and nobody would be there to free it. So the lock carries the id
//! of its run, and once that run is over the next one that wants the lock takes it.

use super::{Access, Refused, Uploads, Web, access, json};
use crate::domain::id::RunId;
use crate::flow::tokens::Right;
use crate::store::StateId;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};

/// Beside Terraform's own fields; Terraform skips what it doesn't know.
const RUN: &str = "TerraplaneRun";
/// A lock's info is some hundred bytes.
const INFO_LIMIT: usize = 64 * 1024;

/// What Terraform says of a lock: a JSON object with an `ID`.
struct Info(Map<String, Value>);

impl Info {
    fn read(bytes: &[u8]) -> Option<Self> {
        let info = Self(serde_json::from_slice(bytes).ok()?);
        (!info.id().is_empty()).then_some(info)
    }

    fn id(&self) -> &str {
        self.text("ID")
    }

    fn run(&self) -> Option<RunId> {
        self.text(RUN).parse().ok()
    }

    fn text(&self, field: &str) -> &str {
        self.0.get(field).and_then(Value::as_str).unwrap_or_default()
    }
}

/// `LOCK`
pub(super) async fn lock(web: &Web, access: &Access, body: Body) -> Result<Response, Refused> {
    let mut info = requested(access, body).await?;
    info.0.insert(RUN.to_owned(), access.run.to_string().into());
    let text = Value::Object(info.0).to_string();
    let store = &web.given.store;
    let mut held = store.state_lock(&access.state, &text).await?;
    if let Err(holder) = &held
        && free_if_left_behind(web, access, holder).await?
    {
        held = store.state_lock(&access.state, &text).await?;
    }
    match held {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(holder) => Err(Refused::Locked(holder)),
    }
}

/// Whether the holder's run was over, so that its lock is free now.
async fn free_if_left_behind(web: &Web, access: &Access, holder: &str) -> Result<bool, Refused> {
    let Some(holder) = Info::read(holder.as_bytes()) else { return Ok(false) };
    let Some(run) = holder.run() else { return Ok(false) };
    // A run that is not there any more is over as well.
    if web.given.store.run(run).await?.is_some_and(|run| !run.state.is_over()) {
        return Ok(false);
    }
    tracing::warn!(state = %access.state, left_by = %run, taken_by = %access.run, "a state lock was left behind");
    web.given.store.state_unlock(&access.state, holder.id()).await?;
    Ok(true)
}

/// `UNLOCK`
pub(super) async fn unlock(web: &Web, access: &Access, body: Body) -> Result<Response, Refused> {
    let info = requested(access, body).await?;
    if web.given.store.state_unlock(&access.state, info.id()).await? {
        return Ok(StatusCode::OK.into_response());
    }
    match web.given.store.state_lock_info(&access.state).await? {
        // Freed by this request's first sending.
        None => Ok(StatusCode::OK.into_response()),
        Some(holder) => Ok((StatusCode::CONFLICT, json(), holder).into_response()),
    }
}

async fn requested(access: &Access, body: Body) -> Result<Info, Refused> {
    if access.right < Right::Write {
        Uploads::discard(body).await;
        return Err(access::ONLY_READS);
    }
    let upload = Uploads::new(INFO_LIMIT, 1).read(body).await?;
    Info::read(&upload.bytes)
        .ok_or_else(|| Refused::Malformed("the body is not a lock's info: JSON with an `ID`".into()))
}

/// A write has to come from the lock's holder, if there is one, and must not believe that it holds a lock that it has
/// lost.
pub(super) async fn must_fit(web: &Web, state: StateId, query: Option<&str>) -> Result<(), Refused> {
    let held = web.given.store.state_lock_info(&state).await?;
    let claimed = query.and_then(|query| {
        url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ID").map(|(_, id)| id.into_owned())
    });
    match (held, claimed) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Refused::Conflict("the lock that this was written under is gone".into())),
        (Some(held), claimed) => {
            let holder = Info::read(held.as_bytes());
            let same = holder.is_some_and(|holder| claimed.is_some_and(|claimed| holder.id() == claimed));
            if same { Ok(()) } else { Err(Refused::Locked(held)) }
        }
    }
}
