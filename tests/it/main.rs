//! The tests of the whole: one binary, real git, real terraform, real databases, loopback only.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub, reason = "tests may fail where they stand")]

mod architecture;
mod attacks;
mod calls;
mod container;
mod crash;
mod demo_story;
mod faces;
mod fingerprints;
mod forge_face;
mod fuzzed;
mod github_app;
mod gitlab;
mod passable;
mod plans;
mod postgres;
mod sandbox;
mod scenario;
mod several_forges;
mod stage;
mod store;
#[allow(dead_code, reason = "a vocabulary: not every scenario needs every word")]
mod world;
