//! The tests of the whole: one binary, real git, real terraform, loopback only.

mod forge_face;
#[allow(dead_code, reason = "a vocabulary: not every scenario needs every word")]
mod world;
