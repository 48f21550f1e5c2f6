//! Terraform and OpenTofu: finding the binary, reading what the code says without running it, running the steps.
//!
//! Both tools are one here: they take the same arguments and speak the same formats. What happened is read from exit
//! codes and JSON, never from text that is meant for people.
//!
//! ```text
//! source ──▶ domain::impact        which projects a change concerns
//! install (version) ──▶ Tool ─┐
//! managed, private_modules ───┴──▶ steps ──▶ sandbox::process ──▶ events, words, plan_file
//!                             init ─┴─▶ snapshot ──▶ integrity ◀── plan ┘
//! providers: what `init` installs ──┘   supervisor: an apply that outlives the server
//! ```

pub mod environment;
mod events;
mod failure;
pub mod install;
pub mod integrity;
pub mod managed;
mod plan_backend;
pub mod plan_file;
pub mod plan_state;
mod plan_zip;
pub mod private_modules;
pub mod providers;
pub mod snapshot;
pub mod source;
pub mod steps;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod untrusted;
pub mod version;
mod words;
