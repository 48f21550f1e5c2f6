//! Gitea's errors, and the validation of bodies that gives them.

use crate::demo::world::WorldError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Also what a caller gets who may not see the thing.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "The target couldn't be found.")
    }

    pub(super) fn unauthorized(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({ "message": self.message, "url": "/api/swagger" });
        if self.status == StatusCode::NOT_FOUND {
            body["errors"] = json!([]);
        }
        (self.status, Json(body)).into_response()
    }
}

impl From<WorldError> for ApiError {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::NoSuch(_) => Self::not_found(),
            WorldError::Refused(why) => Self::unprocessable(why),
            WorldError::Git(_) | WorldError::Io(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

/// A JSON object from a request's body.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(ApiError::unprocessable("Deserialization: the body is not a JSON object")),
    }
}

/// A text that may be missing or `null`.
pub(super) fn optional<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ApiError> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::unprocessable(format!("Deserialization: cannot unmarshal {name} into a string"))),
    }
}

/// A text that must be there and not empty.
pub(super) fn required<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, ApiError> {
    optional(object, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| ApiError::unprocessable(format!("[{name}]: Required")))
}
