//! Managed state: Terraform's `http` backend, for runs that are running and for nobody else.
//!
//! The protocol (<https://developer.hashicorp.com/terraform/language/backend/http>): `GET` reads, `POST` writes, with
//! the lock's id as `?ID=…`; `LOCK` and `UNLOCK` carry the lock's info as JSON; 423 and 409 answer with the holder's.
//! Terraform sends a request again when its answer was lost, so each may come twice and must then be answered alike.
//!
//! Bytes are in the archive, encrypted; versions and the lock are in the store. A version counts once the store has it,
//! and of two that were written at once the store takes one.

mod access;
mod file;
mod lock;

use super::upload::{Upload, UploadRefused};
use super::{STATE_LIMIT, Shared, Web};
use crate::archive::{ArchiveError, ArchiveName};
use crate::flow::now;
use crate::flow::tokens::Right;
use crate::store::{StateId, StateVersion, StoreError};
use access::Access;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use file::StateFile;
use std::sync::Arc;
use uuid::Uuid;

/// RFC 1864; Terraform sends it and checks ours.
const CONTENT_MD5: &str = "content-md5";

/// Why a request for state is not carried out. The text reaches people through terraform's error message.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the user name must be the run's id, and the password its token")]
    Unauthorized,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Conflict(String),
    /// The holder's lock info, as JSON.
    #[error("{0}")]
    Locked(String),
    #[error("GET, POST, LOCK and UNLOCK are understood")]
    Method,
    #[error(transparent)]
    Upload(#[from] UploadRefused),
    #[error("the state can't be reached: {0}")]
    Store(#[from] StoreError),
    #[error("the state can't be reached: {0}")]
    Archive(#[from] ArchiveError),
    /// The store knows of bytes that the archive doesn't have.
    #[error("the state's bytes are missing from the archive: restore `{0}` from a backup")]
    Missing(String),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let text = format!("{self}\n");
        match self {
            Self::Unauthorized => {
                let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"terraplane state\"")];
                (StatusCode::UNAUTHORIZED, challenge, text).into_response()
            }
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, text).into_response(),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, text).into_response(),
            Self::Conflict(_) => (StatusCode::CONFLICT, text).into_response(),
            Self::Locked(info) => (StatusCode::LOCKED, json(), info).into_response(),
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST, LOCK, UNLOCK")], text).into_response()
            }
            Self::Upload(refused) => refused.into_response(),
            Self::Store(_) | Self::Archive(_) => {
                tracing::error!(error = %text.trim_end(), "managed state can't be served");
                (StatusCode::SERVICE_UNAVAILABLE, "the state can't be reached: see the server's log\n").into_response()
            }
            Self::Missing(_) => {
                tracing::error!(error = %text.trim_end(), "managed state is damaged");
                (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
            }
        }
    }
}

const fn json() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/json")]
}

/// `/state/{id}`, all methods.
pub(super) async fn serve(
    State(web): Shared,
    method: Method,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let access = match Access::check(&web, &id, &headers).await {
        Ok(access) => access,
        Err(refused) => {
            web.state_uploads.discard(body).await;
            return refused.into_response();
        }
    };
    let answer = match method.as_str() {
        "GET" => read(&web, access.state).await,
        _ if access.right < Right::Write => {
            web.state_uploads.discard(body).await;
            Err(Refused::Forbidden("this run may read the state, not write it"))
        }
        "POST" => write(web, access, query.as_deref(), &headers, body).await,
        "LOCK" => lock::lock(&web, access, body).await,
        "UNLOCK" => lock::unlock(&web, access, body).await,
        _ => Err(Refused::Method),
    };
    answer.unwrap_or_else(IntoResponse::into_response)
}

async fn read(web: &Web, state: StateId) -> Result<Response, Refused> {
    let Some(head) = web.given.store.state_head(&state).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let bytes = bytes_of(web, &head).await?;
    let headers = [(header::CONTENT_TYPE.as_str(), "application/json".to_owned()), (CONTENT_MD5, file::md5(&bytes))];
    Ok((headers, bytes).into_response())
}

async fn bytes_of(web: &Web, version: &StateVersion) -> Result<Vec<u8>, Refused> {
    let missing = || Refused::Missing(version.archive_name.clone());
    let name: ArchiveName = version.archive_name.parse().map_err(|_| missing())?;
    web.given.archive.get(&name, STATE_LIMIT).await?.ok_or_else(missing)
}

async fn write(
    web: Arc<Web>,
    access: Access,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let claimed = query.and_then(lock::claimed);
    let content_md5 = headers.get(CONTENT_MD5).map(|value| value.as_bytes().to_vec());
    let upload = web.state_uploads.read(body).await?;
    // A task of its own: a request ends with its connection, and a terraform that dies once it has sent its state must
    // not take the state with it.
    let kept = tokio::spawn(async move { keep(&web, access, claimed, content_md5, upload).await });
    kept.await.expect("keeping a state doesn't panic")
}

async fn keep(
    web: &Web,
    access: Access,
    claimed: Option<String>,
    content_md5: Option<Vec<u8>>,
    upload: Upload,
) -> Result<Response, Refused> {
    let read = tokio::task::spawn_blocking(move || {
        StateFile::read(&upload.bytes, content_md5.as_deref()).map(|file| (file, upload))
    });
    let (file, upload) = read.await.expect("reading a state doesn't panic")?;
    lock::must_fit(web, access, claimed.as_deref()).await?;
    let store = &web.given.store;
    let head = store.state_head(&access.state).await?;
    if let Some(head) = &head
        && !goes_on_from(web, head, &file).await?
    {
        return Ok(StatusCode::OK.into_response());
    }
    let number = head.map_or(1, |head| head.version + 1);
    let name = ArchiveName::state(access.state.0, number, Uuid::now_v7());
    let version = StateVersion {
        version: number,
        serial: file.serial,
        lineage: file.lineage.clone(),
        archive_name: name.to_string(),
        run: Some(access.run),
        at: now(),
    };
    web.given.archive.put(&name, upload.bytes).await?;
    if store.add_state_version(&access.state, &version).await? {
        tracing::info!(run = %access.run, state = %access.state, serial = file.serial, "state written");
        return Ok(StatusCode::OK.into_response());
    }
    web.given.archive.delete(&name).await?;
    match store.state_head(&access.state).await? {
        // The same request, sent twice.
        Some(head) if !goes_on_from(web, &head, &file).await? => Ok(StatusCode::OK.into_response()),
        _ => Err(Refused::Conflict("somebody else has written this state at the same moment".into())),
    }
}

/// Whether the new state follows the newest one. False: it *is* the newest one, and its writer has lost our answer.
async fn goes_on_from(web: &Web, head: &StateVersion, new: &StateFile) -> Result<bool, Refused> {
    if new.lineage != head.lineage {
        return Err(Refused::Conflict(format!(
            "the new state has the lineage `{}`, the one that is kept has `{}`: it belongs to something else",
            new.lineage, head.lineage
        )));
    }
    if new.serial > head.serial {
        return Ok(true);
    }
    if new.serial == head.serial && file::hash(&bytes_of(web, head).await?) == new.hash {
        return Ok(false);
    }
    Err(Refused::Conflict(format!(
        "the new state has the serial {}, the one that is kept has {} already: somebody else has written it since",
        new.serial, head.serial
    )))
}
