//! .
use super::world::World;
pub(super) fn router() -> axum::Router<World> {
    axum::Router::new()
}
