//! The world as plain data. Tests read it to see what people would see, and change it to cause trouble.

mod around;
mod commit;
mod merging;
mod traffic;

pub use around::{InQueue, InstalledHook, Pipeline, Team};
pub use commit::{Change, Content, MergeMethod, ReadyCommit};
pub use traffic::{Answer, Delivery, Request};

use crate::domain::id::{Sha, Timestamp};
use crate::domain::pull::Role;
use axum::http::StatusCode;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[derive(Debug, Default)]
pub struct State {
    /// By login.
    pub users: BTreeMap<String, User>,
    /// By `owner/name`.
    pub repos: BTreeMap<String, Repo>,
    /// Where the App is installed: the number of the installation by owner.
    pub installations: BTreeMap<String, u64>,
    /// By `organisation/name`.
    pub teams: BTreeMap<String, Team>,
    /// What goes wrong, oldest first. One that was used up is gone.
    pub troubles: Vec<Trouble>,
    /// Every webhook that was due, in order.
    pub deliveries: Vec<Delivery>,
    /// Every request to the API, in order.
    pub requests: Vec<Request>,
    pub(super) last_id: u64,
}

#[derive(Debug, Clone)]
pub struct User {
    pub id: u64,
    pub login: String,
    /// An app's account.
    pub bot: bool,
}

#[derive(Debug, Clone)]
pub struct Repo {
    pub id: u64,
    /// `owner/name`, the owner of several levels where groups nest.
    pub path: String,
    pub default_branch: String,
    /// `owner/name` of the repository that this is a fork of.
    pub fork_of: Option<String>,
    pub roles: BTreeMap<String, Role>,
    /// The tips, by name without `refs/heads/`.
    pub branches: BTreeMap<String, Sha>,
    pub pulls: BTreeMap<u64, Pull>,
    /// Every status that was ever set, oldest first: the newest of a context counts.
    pub statuses: Vec<Status>,
    /// Contexts that must be a success before GitHub allows the merge.
    pub required_statuses: Vec<String>,
    /// Reviews that the base branch's rules ask for.
    pub required_reviews: usize,
    /// Whose review they ask for besides: one of these.
    pub code_owners: Vec<String>,
    /// Whether there is GitHub's merge queue, or GitLab's merge train.
    pub merge_queue: bool,
    /// GitLab's, oldest first: every status of its stands in one.
    pub pipelines: Vec<Pipeline>,
    pub hooks: Vec<InstalledHook>,
    /// Every label that there is, by number from 1.
    pub labels: Vec<String>,
    /// GitHub's merge queue, first one first.
    pub queue: Vec<InQueue>,
}

#[derive(Debug, Clone)]
pub struct Pull {
    pub id: u64,
    pub number: u64,
    pub title: String,
    pub body: String,
    pub author: String,
    /// `owner/name`; `None` if the fork was deleted.
    pub head_repo: Option<String>,
    pub head_branch: String,
    pub head: Sha,
    /// Every head that it has had, with the moment from which on; oldest first.
    pub heads: Vec<(Timestamp, Sha)>,
    pub base_branch: String,
    /// The base branch's tip when the pull request was last opened, pushed to or retargeted. Like GitHub's, it does not
    /// follow the base branch.
    pub base: Sha,
    pub draft: bool,
    pub labels: Vec<String>,
    /// It waits in the merge queue.
    pub queued: bool,
    /// Only those who may write can comment.
    pub locked: bool,
    pub phase: Phase,
    /// How it was merged, if it was.
    pub merged_with: Option<MergeMethod>,
    /// Whether head and the base branch's present tip merge without a conflict.
    pub mergeable: bool,
    /// How many reads are still answered "not computed yet" (`mergeable: null`), as GitHub does after a push.
    pub mergeable_unknown: u32,
    pub comments: Vec<Comment>,
    pub reviews: Vec<Review>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Commits that the demo page offers to push, next one first.
    pub ready: VecDeque<ReadyCommit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    Open,
    Closed { at: Timestamp },
    Merged { commit: Sha, by: String, at: Timestamp },
}

#[derive(Debug, Clone)]
pub struct Comment {
    pub id: u64,
    pub author: String,
    pub body: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What it said before each edit, oldest first.
    pub earlier: Vec<String>,
    /// Who reacted with what (`eyes`, `+1`, …).
    pub reactions: Vec<Reaction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    pub id: u64,
    pub by: String,
    pub content: String,
}

#[derive(Debug, Clone)]
pub struct Review {
    pub id: u64,
    pub author: String,
    pub state: ReviewState,
    pub body: String,
    pub commit: Sha,
    pub at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewState {
    Approved,
    ChangesRequested,
    Commented,
    Dismissed,
}

impl ReviewState {
    /// GitHub's word in the REST API; webhooks have it in small letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::ChangesRequested => "CHANGES_REQUESTED",
            Self::Commented => "COMMENTED",
            Self::Dismissed => "DISMISSED",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub id: u64,
    pub sha: Sha,
    pub context: String,
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
    pub creator: String,
    pub at: Timestamp,
    /// GitLab's pipeline that it stands in.
    pub pipeline: Option<u64>,
    /// GitLab tells what is pending from what is running.
    pub running: bool,
    /// What GitHub's check runs have besides; `None`: a plain status.
    pub check: Option<CheckRun>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckRun {
    pub external_id: Option<String>,
    /// Markdown.
    pub summary: String,
    pub notes: Vec<Note>,
    pub actions: Vec<Action>,
}

/// A remark at a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub path: String,
    pub line: u64,
    pub title: String,
    pub message: String,
}

/// A button beside a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub label: String,
    pub description: String,
    pub identifier: String,
}

/// Something that goes wrong for requests that it matches.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// `GET`, `POST`, …; `None`: any.
    pub method: Option<&'static str>,
    /// Matches every path that contains it: `/comments`, `.git/`, `` (everything). With `$` at its end: that ends with it.
    pub path: String,
    pub how: How,
    /// How many requests it still meets.
    pub times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Answers this status (`502`, `500`, `401`, …) and does nothing.
    Answer(u16),
    /// Too many requests, with `Retry-After`: on GitHub the secondary rate limit (403), elsewhere 429.
    RetryAfter(Duration),
    /// GitHub's primary rate limit: 403 with `x-ratelimit-remaining: 0` and the moment of its reset; elsewhere 429.
    RateLimited { reset_in: Duration },
    /// Drops the connection and does nothing.
    Reset,
    /// Performs the request, then drops the connection without an answer.
    LoseAnswer,
    /// Performs and answers the request after this time.
    Slow(Duration),
    /// Never asks the server's webhook, as if the delivery was lost. The path is its kind (`pull_request`).
    LoseWebhook,
    /// Sends the webhook twice, with the same delivery id. The path is its kind.
    RepeatWebhook,
}

impl How {
    pub(super) const fn is_about_webhooks(self) -> bool {
        matches!(self, Self::LoseWebhook | Self::RepeatWebhook)
    }

    /// What it answers instead, if no more than a status.
    pub(super) fn status(self) -> Option<StatusCode> {
        if let Self::Answer(code) = self { StatusCode::from_u16(code).ok() } else { None }
    }
}

impl State {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn add_user(&mut self, login: &str, bot: bool) {
        if self.user(login).is_none() {
            let id = self.next_id();
            self.users.insert(login.into(), User { id, login: login.into(), bot });
        }
    }

    #[must_use]
    pub fn repo(&self, path: &str) -> Option<&Repo> {
        // GitHub finds repositories whatever the case of the letters.
        self.repos.get(path).or_else(|| self.repos.values().find(|r| r.path.eq_ignore_ascii_case(path)))
    }

    pub fn repo_mut(&mut self, path: &str) -> Option<&mut Repo> {
        let path = self.repo(path)?.path.clone();
        self.repos.get_mut(&path)
    }

    /// The installation that a repository belongs to; forks belong to people, who have not installed the App.
    #[must_use]
    pub fn installation(&self, repo: &Repo) -> Option<u64> {
        self.installations.get(repo.owner()).copied()
    }

    #[must_use]
    pub fn user(&self, login: &str) -> Option<&User> {
        self.users.get(login).or_else(|| self.users.values().find(|u| u.login.eq_ignore_ascii_case(login)))
    }

    #[must_use]
    pub fn pull(&self, repo: &str, number: u64) -> Option<&Pull> {
        self.repo(repo)?.pulls.get(&number)
    }

    pub fn pull_mut(&mut self, repo: &str, number: u64) -> Option<&mut Pull> {
        self.repo_mut(repo)?.pulls.get_mut(&number)
    }

    /// Takes one use of the first trouble that `wanted` and the request match.
    pub(super) fn trouble(&mut self, method: &str, path: &str, wanted: impl Fn(How) -> bool) -> Option<How> {
        let meets = |part: &str| match part.strip_suffix('$') {
            Some(end) => path.ends_with(end),
            None => path.contains(part),
        };
        let index = self
            .troubles
            .iter()
            .position(|t| t.times > 0 && wanted(t.how) && t.method.is_none_or(|m| m == method) && meets(&t.path))?;
        let how = self.troubles[index].how;
        self.troubles[index].times -= 1;
        self.troubles.retain(|t| t.times > 0);
        Some(how)
    }
}

impl Repo {
    #[must_use]
    pub fn owner(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(owner, _)| owner)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(_, name)| name)
    }

    #[must_use]
    pub fn role(&self, login: &str) -> Role {
        self.roles.iter().find(|(l, _)| l.eq_ignore_ascii_case(login)).map_or(Role::None, |(_, role)| *role)
    }

    /// The newest status of a context on a commit.
    #[must_use]
    pub fn status(&self, sha: &Sha, context: &str) -> Option<&Status> {
        self.statuses.iter().rev().find(|s| &s.sha == sha && s.context == context)
    }

    /// The newest status of every context on a commit, in the order in which the contexts first appeared.
    #[must_use]
    pub fn latest_statuses(&self, sha: &Sha) -> Vec<&Status> {
        let mut contexts: Vec<&str> = Vec::new();
        for status in self.statuses.iter().filter(|s| &s.sha == sha) {
            if !contexts.contains(&status.context.as_str()) {
                contexts.push(&status.context);
            }
        }
        contexts.into_iter().filter_map(|context| self.status(sha, context)).collect()
    }

    pub(super) fn comment(&self, id: u64) -> Option<(u64, &Comment)> {
        self.pulls.values().find_map(|p| p.comments.iter().find(|c| c.id == id).map(|c| (p.number, c)))
    }
}

impl Pull {
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    #[must_use]
    pub const fn merge_commit(&self) -> Option<&Sha> {
        match &self.phase {
            Phase::Merged { commit, .. } => Some(commit),
            _ => None,
        }
    }

    /// The one comment whose first line is this marker.
    #[must_use]
    pub fn comment_marked(&self, marker: &str) -> Option<&Comment> {
        self.comments.iter().find(|c| c.body.lines().next() == Some(marker))
    }
}
