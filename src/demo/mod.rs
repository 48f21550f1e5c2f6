//! A small forge on this machine, so that Terraplane can be tried and tested without an account anywhere.
//!
//! 1. [`state`] is the world as plain data: people, repositories, pull requests, comments, reviews, statuses, and the
//!    troubles that a test wants ([`state::Trouble`]).
//! 2. [`world`] holds it, together with real bare git repositories, and has the verbs: open, push, comment, review,
//!    merge, close. Every verb sends the webhook that the forge would send.
//! 3. A [`Face`] makes it look like one forge: `github` and `gitea` are HTTP as strict as theirs. The server works
//!    against it through the very same adapter. `git_http` serves the repositories.
//! 4. `pages` are for people. [`scenario`] fills the world with the sample repository; [`script`] plays the story.
//!
//! The tests of the whole server use the same world: nothing here knows the server, only the address of its webhook.

mod face;
mod git;
mod git_http;
mod gitea;
mod github;
mod gitlab;
mod markdown;
mod news;
mod pages;
mod record;
pub mod scenario;
pub mod script;
mod serve;
pub mod state;
mod troubles;
mod wait;
mod webhook;
pub mod world;

pub use face::Face;
pub use wait::NotReached;
pub use world::{Settings, World, WorldError};
