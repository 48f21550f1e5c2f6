//! Terraform's lock on a state.
//!
//! A terraform that was killed leaves its lock behind, and nobody would be there to free it. So the lock carries the id
//! of its run, and once that run is over the next one that wants the lock takes it.

use super::{Access, Refused, Web, json};
use crate::domain::id::RunId;
use crate::store::StateId;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};

/// Beside Terraform's own fields; Terraform skips what it doesn't know.
const RUN: &str = "TerraplaneRun";

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

    fn is_of(&self, run: RunId) -> bool {
        self.run() == Some(run)
    }
}

/// `LOCK`
pub(super) async fn lock(web: &Web, access: Access, body: Body) -> Result<Response, Refused> {
    let mut info = requested(web, body).await?;
    info.0.insert(RUN.to_owned(), access.run.to_string().into());
    let store = &web.given.store;
    if let Some(held) = store.state_lock_info(&access.state).await?
        && !may_take(web, access, &held).await?
    {
        return Err(Refused::Locked(held));
    }
    match store.state_lock(&access.state, &Value::Object(info.0).to_string()).await? {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(holder) => Err(Refused::Locked(holder)),
    }
}

/// Whether the lock that is held stands in nobody's way: it is this run's own, or was left behind and is freed here.
async fn may_take(web: &Web, access: Access, held: &str) -> Result<bool, Refused> {
    let Some((held, holder)) = Info::read(held.as_bytes()).and_then(|held| held.run().map(|run| (held, run))) else {
        return Ok(false);
    };
    if holder == access.run {
        return Ok(true);
    }
    let store = &web.given.store;
    // A run that is not there any more is over as well.
    if store.run(holder).await?.is_some_and(|run| !run.state.is_over()) {
        return Ok(false);
    }
    tracing::warn!(state = %access.state, left_by = %holder, taken_by = %access.run, "a state lock was left behind");
    store.state_unlock(&access.state, held.id()).await?;
    Ok(true)
}

/// Whether the state's lock is this run's.
pub(super) async fn is_held_by(web: &Web, state: StateId, run: RunId) -> Result<bool, Refused> {
    let held = web.given.store.state_lock_info(&state).await?;
    Ok(held.and_then(|held| Info::read(held.as_bytes())).is_some_and(|held| held.is_of(run)))
}

/// `UNLOCK`
pub(super) async fn unlock(web: &Web, access: Access, body: Body) -> Result<Response, Refused> {
    let info = requested(web, body).await?;
    let store = &web.given.store;
    // No lock: it was freed by this request's first sending.
    if let Some(held) = store.state_lock_info(&access.state).await? {
        let own = Info::read(held.as_bytes()).is_some_and(|held| held.is_of(access.run) && held.id() == info.id());
        if !own {
            return Ok((StatusCode::CONFLICT, json(), held).into_response());
        }
        store.state_unlock(&access.state, info.id()).await?;
    }
    Ok(StatusCode::OK.into_response())
}

async fn requested(web: &Web, body: Body) -> Result<Info, Refused> {
    let upload = web.lock_uploads.read(body).await?;
    Info::read(&upload.bytes)
        .ok_or_else(|| Refused::Malformed("the body is not a lock's info: JSON with an `ID`".into()))
}

/// The id of the lock that a write says it holds.
pub(super) fn claimed(query: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ID").map(|(_, id)| id.into_owned())
}

/// A write has to come from the lock's holder, if there is one, and must not believe that it holds a lock that it has
/// lost. Knowing the lock's id is not enough: whoever is refused learns it.
pub(super) async fn must_fit(web: &Web, access: Access, claimed: Option<&str>) -> Result<(), Refused> {
    match web.given.store.state_lock_info(&access.state).await? {
        None if claimed.is_none() => Ok(()),
        None => Err(Refused::Conflict("the lock that this was written under is gone".into())),
        Some(held) => {
            let holder = Info::read(held.as_bytes());
            let own = holder.is_some_and(|holder| holder.is_of(access.run) && claimed == Some(holder.id()));
            if own { Ok(()) } else { Err(Refused::Locked(held)) }
        }
    }
}
