//! The tests of the whole: one binary, real git, real terraform, loopback only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(unreachable_pub, reason = "nobody is outside of a test binary")]

mod forge_face;
#[allow(dead_code, reason = "a vocabulary: not every scenario needs every word")]
mod world;
