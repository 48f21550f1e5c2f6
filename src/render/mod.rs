//! .
pub mod ansi;
pub mod page;
