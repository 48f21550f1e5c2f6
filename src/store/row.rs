//! From rows to our types and back.

use super::error::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use std::fmt::Display;
use std::str::FromStr;

/// A text column that is an id.
pub(super) fn id<T: FromStr<Err: Display>>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    row.try_get::<String, _>(column)?.parse().map_err(|error| StoreError::unreadable(column, error))
}

/// A text column that holds JSON; `column` also names the thing in the error.
pub(super) fn json<T: DeserializeOwned>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(&row.try_get::<String, _>(column)?).map_err(|error| StoreError::unreadable(column, error))
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("stored types have no maps with keys other than text")
}

/// Free text, made fit for PostgreSQL, whose TEXT can't hold a NUL.
pub(super) fn free_text(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
