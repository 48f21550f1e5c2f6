//! .
use super::world::World;
pub(super) fn router(_: &World) -> axum::Router<World> {
    axum::Router::new()
}
