//! The pure core: what things mean and what follows from them.
//!
//! Functions of data, without I/O, clock, randomness or async, so that every rule can be checked by a table or a
//! property in microseconds. What may be used here: std, serde, serde_json, sha2/hmac (the fingerprint), semver,
//! globset, pulldown-cmark (finding commands), jiff (calendar and time zones, without its clock), regex (the shapes of
//! tokens), thiserror.
//!
//! Nothing here imports any other module of the crate.

pub mod command;
pub mod decide;
pub mod egress;
pub mod event;
pub mod fingerprint;
pub mod freeze;
pub mod grant;
pub mod id;
pub mod impact;
pub mod lock;
pub mod missed;
pub mod permission;
pub mod plan;
pub mod project;
pub mod pull;
pub mod report;
pub mod requirement;
pub mod run;
pub mod sandbox;
pub mod secret;
