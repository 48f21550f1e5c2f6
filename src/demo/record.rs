//! Writes down what the API is asked and what it answers, one line of JSON for each, so that it can be held against the
//! forges' published descriptions (`make contract`).

use super::serve::Wire;
use super::world::World;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::io::Write as _;

/// Larger bodies than this are none of the API's.
const LARGEST: usize = 32 << 20;

pub(super) async fn exchange(
    State(world): State<World>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(asked) = to_bytes(body, LARGEST).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let (method, uri) = (parts.method.to_string(), parts.uri.clone());
    let answer = next.run(Request::from_parts(parts, Body::from(asked.clone()))).await;
    let (parts, body) = answer.into_parts();
    let Ok(answered) = to_bytes(body, LARGEST).await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (_, api) = world.face().address();
    // What is not sent is no answer.
    if let Some(path) = uri.path().strip_prefix(api).filter(|_| !wire.is_cut()) {
        let line = json!({
            "forge": world.face().as_str(),
            "method": method,
            "path": path,
            "query": uri.query(),
            "body": read(&asked),
            "status": parts.status.as_u16(),
            "answer": read(&answered),
        });
        write(&world, &line);
    }
    Response::from_parts(parts, Body::from(answered))
}

/// A body as JSON; null if there is none.
fn read(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

fn write(world: &World, line: &Value) {
    let Some(file) = &world.settings().record else { return };
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
    // One write for each line: several worlds may share the file.
    if let Err(error) = opened.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())) {
        tracing::error!(%error, "a request can't be written down");
    }
}
