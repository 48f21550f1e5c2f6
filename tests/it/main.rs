//! The tests of the whole: one binary, real git, real terraform, real databases, loopback only.

mod architecture;
mod forge_face;
mod postgres;
mod scenario;
mod stage;
mod store;
#[allow(dead_code, reason = "a vocabulary: not every scenario needs every word")]
mod world;
