//! What the rules of a repository have against a merge, in words that several faces share.

use super::{Pull, Repo, Review, ReviewState};

impl Repo {
    /// GitHub's word for whether it would merge now: `dirty`, `draft`, `blocked`, `unstable` or `clean`.
    pub(in crate::demo) fn mergeable_state(&self, pull: &Pull) -> &'static str {
        let state_of = |context: &str| self.status(&pull.head, context).map_or("pending", |s| s.state.as_str());
        if !pull.mergeable {
            "dirty"
        } else if pull.draft {
            "draft"
        } else if self.required_statuses.iter().any(|context| state_of(context) != "success") {
            "blocked"
        } else if self.latest_statuses(&pull.head).iter().any(|s| s.state != "success") {
            "unstable"
        } else {
            "clean"
        }
    }
}

impl Pull {
    /// The newest verdict of each person, the oldest first.
    pub(in crate::demo) fn verdicts(&self) -> Vec<&Review> {
        let mut newest: Vec<&Review> = Vec::new();
        for review in self.reviews.iter().filter(|review| review.state != ReviewState::Commented) {
            newest.retain(|older| older.author != review.author);
            newest.push(review);
        }
        newest
    }
}
