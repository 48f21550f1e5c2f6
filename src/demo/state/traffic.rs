//! What went between the forge and the server: requests in, webhooks out.

use crate::domain::id::Timestamp;

/// A request that the server made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// `None` while it is being answered, or if the answer was lost.
    pub status: Option<u16>,
}

/// A webhook: what was sent, and what the server answered.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The forge's id of it.
    pub id: String,
    /// `push`, `pull_request`, `comment` or `review`: on every forge the same words.
    pub kind: &'static str,
    /// The forge's own name of the event.
    pub event: String,
    pub body: String,
    /// When it was due first.
    pub at: Timestamp,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Not sent yet.
    None,
    Status(u16),
    /// Nobody answered.
    Failed(String),
    /// Lost on purpose ([`How::LoseWebhook`](super::How::LoseWebhook)), or nobody listens yet.
    Lost,
}
