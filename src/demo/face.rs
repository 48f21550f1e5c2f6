//! Which forge the world looks like. A face has the addresses, the API, the webhooks and the words of one forge; the
//! world behind it is the same.

use super::news::News;
use super::state::How;
use super::world::World;
use super::{gitea, github, gitlab, webhook::Outgoing};
use crate::domain::id::{ForgeKind, Timestamp};
use crate::domain::pull::Role;
use axum::Router;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Face {
    #[default]
    Github,
    Gitlab,
    Gitea,
}

impl Face {
    pub const ALL: [Self; 3] = [Self::Github, Self::Gitlab, Self::Gitea];

    #[must_use]
    pub const fn kind(self) -> ForgeKind {
        match self {
            Self::Github => ForgeKind::Github,
            Self::Gitlab => ForgeKind::Gitlab,
            Self::Gitea => ForgeKind::Gitea,
        }
    }

    /// The name, as `--forge` and the server's configuration have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    /// The key of the server's configuration that says where the forge is, and the path below the world's address.
    pub(super) const fn address(self) -> (&'static str, &'static str) {
        match self {
            Self::Github => ("api_url", github::API),
            Self::Gitlab => ("url", gitlab::API),
            Self::Gitea => ("url", gitea::API),
        }
    }

    /// What stands between a repository and a number in the address of a pull request's page.
    pub(super) const fn pull_segment(self) -> &'static str {
        match self {
            Self::Github => "pull",
            Self::Gitlab => "-/merge_requests",
            Self::Gitea => "pulls",
        }
    }

    /// The refs by which a pull request's head, and its merge with the base branch, can be fetched.
    pub(super) fn refs(self, number: u64) -> (String, String) {
        match self {
            Self::Github | Self::Gitea => (format!("refs/pull/{number}/head"), format!("refs/pull/{number}/merge")),
            Self::Gitlab => {
                (format!("refs/merge-requests/{number}/head"), format!("refs/merge-requests/{number}/merge"))
            }
        }
    }

    /// The name of the realm that git is told when it must log in.
    pub(super) const fn realm(self) -> &'static str {
        self.kind().name()
    }

    /// Whether a comment moves the moment of its pull request's last change. GitLab moves it once a minute at most.
    pub(super) fn is_moved_by_comment(self, last: Timestamp, now: Timestamp) -> bool {
        self != Self::Gitlab || now.since(last) > 60_000
    }

    /// How many characters a comment may have.
    pub(super) const fn longest_comment(self) -> usize {
        match self {
            Self::Github => github::LONGEST_COMMENT,
            Self::Gitlab => gitlab::LONGEST_COMMENT,
            Self::Gitea => gitea::LONGEST_COMMENT,
        }
    }

    /// The prefix of personal tokens.
    pub(super) const fn token_prefix(self) -> &'static str {
        match self {
            Self::Github => "ghp_",
            Self::Gitlab => "glpat-",
            // Forty digits, and nothing before them.
            Self::Gitea => "",
        }
    }

    /// The API, with every path below the world's address.
    pub(super) fn router(self, world: &World) -> Router<World> {
        match self {
            Self::Github => Router::new().nest(github::API, github::router(world)).merge(github::graphql(world)),
            Self::Gitlab => Router::new().nest(gitlab::API, gitlab::router(world)),
            Self::Gitea => Router::new().nest(gitea::API, gitea::router(world)),
        }
    }

    /// How a request is refused that a trouble is about.
    pub(super) fn refusal(self, how: How) -> Response {
        match self {
            Self::Github => github::troubles::refusal(how),
            Self::Gitlab => gitlab::refusal(how),
            Self::Gitea => gitea::refusal(how),
        }
    }

    /// What the server's account may do in a repository: what its documentation asks for.
    pub(super) const fn server_role(self) -> Role {
        match self {
            Self::Github | Self::Gitlab => Role::Write,
            // Only administrators are told what others may do.
            Self::Gitea => Role::Admin,
        }
    }

    /// The webhooks that follow: the name of the event, and the payload.
    pub(super) fn webhooks(self, world: &World, news: News<'_>) -> Vec<(&'static str, Value)> {
        match self {
            Self::Github => github::news::webhooks(world, news),
            Self::Gitlab => gitlab::news::webhooks(world, news),
            Self::Gitea => gitea::news::webhooks(world, news),
        }
    }

    /// The headers of a webhook.
    pub(super) fn headers(self, delivery: &Outgoing) -> HeaderMap {
        match self {
            Self::Github => github::news::headers(delivery),
            Self::Gitlab => gitlab::news::headers(delivery),
            Self::Gitea => gitea::news::headers(delivery),
        }
    }
}

impl fmt::Display for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Face {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = || Self::ALL.map(Self::as_str).join("`, `");
        Self::ALL.into_iter().find(|face| face.as_str() == text).ok_or_else(|| format!("the demo has `{}`", all()))
    }
}
