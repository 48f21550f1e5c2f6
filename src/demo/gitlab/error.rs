//! GitLab's errors, and the validation of bodies that gives them.

use crate::demo::world::WorldError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// `{"message": …}` is what the API says, `{"error": …}` what the layer before it says of parameters.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: Value,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<Value>) -> Self {
        Self { status, body: json!({ "message": message.into() }) }
    }

    /// Also what a caller gets who may not see the thing. `what`: its kind, or nothing.
    pub(super) fn not_found(what: &str) -> Self {
        let between = if what.is_empty() { "" } else { " " };
        Self::new(StatusCode::NOT_FOUND, format!("404{between}{what} Not Found"))
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "401 Unauthorized")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "403 Forbidden")
    }

    pub(super) fn bad_request(message: impl Into<Value>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What is wrong with one field of what was to be saved.
    pub(super) fn invalid(field: &str, why: &str) -> Self {
        Self::bad_request(json!({ field: [why] }))
    }

    /// What is wrong with the parameters, before anything was done.
    pub(super) fn parameter(why: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: json!({ "error": why.into() }) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

impl From<WorldError> for ApiError {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::NoSuch(_) => Self::not_found(""),
            WorldError::Refused(why) => Self::bad_request(why),
            WorldError::Git(_) | WorldError::Io(_) => {
                tracing::error!(%error, "the forge cannot read its repository");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error")
            }
        }
    }
}

/// A JSON object from a request's body.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(ApiError::parameter("The provided content-type 'application/json' does not match the body")),
    }
}

/// A text that may be missing or `null`.
pub(super) fn optional<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ApiError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::parameter(format!("{name} is invalid"))),
    }
}

/// A text that must be there.
pub(super) fn required<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, ApiError> {
    optional(object, name)?.ok_or_else(|| ApiError::parameter(format!("{name} is missing")))
}
