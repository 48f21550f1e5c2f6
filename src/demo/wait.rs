//! Waiting for the world to look as expected, bounded in time and without polling.

use super::state::State;
use super::world::World;
use std::time::Duration;
use tokio::time::Instant;

/// What was awaited did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("after {seconds} s still no {wanted}\n{there}", seconds = .within.as_secs_f32())]
pub struct NotReached {
    pub wanted: String,
    pub within: Duration,
    /// What was there instead, for people.
    pub there: String,
}

impl World {
    /// Waits until `look` finds something. It is asked again after every change of the world.
    ///
    /// # Errors
    /// When nothing was found `within` this time; the error says what the pull requests looked like.
    pub async fn wait_until<T>(
        &self,
        wanted: &str,
        within: Duration,
        mut look: impl FnMut(&State) -> Option<T>,
    ) -> Result<T, NotReached> {
        let end = Instant::now() + within;
        let mut changes = self.changes();
        loop {
            // Marked as seen before looking, so that a change during the look wakes us.
            changes.borrow_and_update();
            if let Some(found) = self.read(&mut look) {
                return Ok(found);
            }
            if tokio::time::timeout_at(end, changes.changed()).await.is_err() {
                let there = self.read(describe);
                return Err(NotReached { wanted: wanted.into(), within, there });
            }
        }
    }
}

/// The world as a person would tell it: what an error shows of it.
fn describe(state: &State) -> String {
    let mut text = String::from("There is:\n");
    for repo in state.repos.values() {
        for pull in repo.pulls.values() {
            text += &format!("{}#{} “{}” {:?}, head {}\n", repo.path, pull.number, pull.title, pull.phase, pull.head);
            let merged = pull.merge_commit().map(|sha| ("merge commit", sha));
            for (what, sha) in [("head", &pull.head)].into_iter().chain(merged) {
                for status in repo.latest_statuses(sha) {
                    let description = status.description.as_deref().unwrap_or_default();
                    text += &format!("  {what}: {} is {} “{description}”\n", status.context, status.state);
                }
            }
            for comment in &pull.comments {
                text += &format!("  {} wrote:\n", comment.author);
                for line in comment.body.lines() {
                    text += &format!("  | {line}\n");
                }
            }
        }
    }
    for delivery in state.deliveries.iter().rev().take(5) {
        text += &format!("webhook {} {}: {:?}\n", delivery.event, delivery.id, delivery.answer);
    }
    for request in state.requests.iter().rev().take(5) {
        text += &format!("request {} {}: {:?}\n", request.method, request.path, request.status);
    }
    text
}
