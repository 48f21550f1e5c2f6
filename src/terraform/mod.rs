//! Terraform and OpenTofu: finding the binary, reading what the code says without running it, running the steps.
//!
//! Both tools are one here: they take the same arguments and speak the same formats. What happened is read from exit
//! codes and JSON, never from text that is meant for people.
//!
//! ```text
//! source ──▶ domain::impact        which projects a change concerns
//! install (version) ──▶ Tool ─┐
//! managed, environment ───────┴──▶ steps ──▶ sandbox::process ──▶ events, words, plan_file
//! providers: what `init` installs ──┘
//! ```

pub mod environment;
mod events;
pub mod install;
pub mod managed;
pub mod plan_file;
pub mod providers;
pub mod source;
pub mod steps;
#[cfg(test)]
mod testing;
pub mod untrusted;
pub mod version;
mod words;
