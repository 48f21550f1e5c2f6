//! The JSON of Gitea and Forgejo, as lean as what we read of it. Versions differ in fields and words: unknown fields are
//! skipped, every word from a fixed set is kept as text or has an `Other`, and what older versions lack is an `Option`.
//!
//! Field names: the API's own description, `swagger.v1.json`, of both.

use crate::domain::event::Comment;
use crate::domain::id::{Branch, CommentId, InvalidId, Login, PullId, PullNumber, RepoName, Sha, Timestamp};
use crate::domain::missed::{Glimpse, Stage};
use crate::domain::pull::{Phase, Pull, Role};
use serde::Deserialize;

/// Why a payload does not make sense. A sentence's end: "… is not as documented: " comes before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Odd {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("`{0}` is not a time")]
    Time(String),
    #[error("{0}")]
    Other(&'static str),
}

/// RFC 3339, with the server's offset.
pub(super) fn time(text: &str) -> Result<Timestamp, Odd> {
    text.parse::<jiff::Timestamp>()
        .map(|at| Timestamp(at.as_millisecond()))
        .map_err(|_| Odd::Time(text.chars().take(80).collect()))
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    /// Below 0 for accounts that are none: that of deleted people, and that of the forge's own actions.
    #[serde(default)]
    pub id: i64,
    pub login: String,
}

/// The account that stands for everybody who deleted theirs.
const GHOST: &str = "Ghost";

fn login(user: Option<&User>) -> Result<Login, InvalidId> {
    user.map_or(GHOST, |user| user.login.as_str()).parse()
}

#[derive(Debug, Deserialize)]
pub(super) struct PullRequest {
    number: PullNumber,
    title: String,
    html_url: String,
    user: Option<User>,
    state: PullRequestState,
    /// Older versions say it by the title only.
    draft: Option<bool>,
    head: Side,
    base: Side,
    merge_base: Option<String>,
    merged: Option<bool>,
    merged_at: Option<String>,
    merged_by: Option<User>,
    merge_commit_sha: Option<String>,
    mergeable: Option<bool>,
    updated_at: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PullRequestState {
    Open,
    Closed,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Side {
    /// Empty when the branch is gone.
    sha: String,
    #[serde(rename = "ref")]
    branch: String,
    /// -1 when the repository has been deleted.
    repo_id: i64,
}

/// Whether a title says that the work goes on, by the prefixes that a forge has unless it is told otherwise.
pub(super) fn is_draft_title(title: &str) -> bool {
    let title = title.trim_start().to_ascii_lowercase();
    title.starts_with("wip:") || title.starts_with("[wip]")
}

/// After a change the forge looks for conflicts, and says "not mergeable" until it knows.
const STILL_LOOKING_MS: i64 = 20_000;

impl PullRequest {
    fn is_draft(&self) -> bool {
        self.draft.unwrap_or_else(|| is_draft_title(&self.title))
    }

    /// `None` while the forge may still be looking, which it does not say: it says no.
    pub(super) fn mergeable(&self, now: Timestamp) -> Option<bool> {
        if self.is_draft() {
            return Some(false);
        }
        let changed = time(&self.updated_at).ok();
        match self.mergeable {
            Some(true) => Some(true),
            Some(false) if changed.is_some_and(|at| now.since(at) < STILL_LOOKING_MS) => None,
            other => other,
        }
    }

    /// Whether the base branch has commits that the head has not.
    pub(super) fn is_behind(&self) -> bool {
        self.merge_base.as_ref().is_some_and(|base| !base.is_empty() && *base != self.base.sha)
    }

    pub(super) fn into_pull(self, id: PullId) -> Result<Pull, Odd> {
        let phase = self.phase()?;
        let draft = self.is_draft();
        let base = match (self.base.sha.as_str(), &self.merge_base) {
            // The base branch is gone: where the pull request begins is the last that is known of it.
            ("", Some(merge_base)) => merge_base.parse()?,
            (sha, _) => sha.parse()?,
        };
        Ok(Pull {
            id,
            author: login(self.user.as_ref())?,
            head: self.head.sha.parse()?,
            head_branch: self.head.branch,
            fork: self.head.repo_id != self.base.repo_id,
            base_branch: self.base.branch.parse()?,
            base,
            draft,
            phase,
            updated_at: time(&self.updated_at)?,
            title: self.title,
            html_url: self.html_url,
        })
    }

    /// What a list tells of it; `None` if its head is gone, from which nothing can follow any more.
    pub(super) fn into_glimpse(self, repo: &RepoName) -> Result<(Option<Glimpse>, Timestamp), Odd> {
        let updated_at = time(&self.updated_at)?;
        if self.head.sha.is_empty() {
            return Ok((None, updated_at));
        }
        let stage = match self.state {
            _ if self.merged == Some(true) => {
                Stage::Merged { at: self.merged_at.as_deref().map_or(Ok(updated_at), time)? }
            }
            PullRequestState::Open => Stage::Open,
            PullRequestState::Closed => Stage::Closed,
            PullRequestState::Other => return Err(Odd::Other("a pull request that is neither open nor closed")),
        };
        let glimpse = Glimpse {
            pull: PullId { repo: repo.clone(), number: self.number },
            head: self.head.sha.parse()?,
            base_branch: self.base.branch.parse()?,
            draft: self.is_draft(),
            stage,
            updated_at,
        };
        Ok((Some(glimpse), updated_at))
    }

    fn phase(&self) -> Result<Phase, Odd> {
        match self.state {
            _ if self.merged == Some(true) => {
                let commit = self.merge_commit_sha.as_deref().ok_or(Odd::Other("a merge without its commit"))?;
                let at = self.merged_at.as_deref().ok_or(Odd::Other("a merge without its time"))?;
                let by = self.merged_by.as_ref().map(|user| user.login.parse()).transpose()?;
                Ok(Phase::Merged { commit: commit.parse()?, by, at: time(at)? })
            }
            PullRequestState::Open => Ok(Phase::Open),
            PullRequestState::Closed => Ok(Phase::Closed),
            PullRequestState::Other => Err(Odd::Other("a pull request that is neither open nor closed")),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct IssueComment {
    pub id: CommentId,
    pub user: Option<User>,
    body: Option<String>,
    created_at: String,
}

impl IssueComment {
    pub(super) fn first_line(&self) -> &str {
        self.body.as_deref().unwrap_or_default().lines().next().unwrap_or_default()
    }

    pub(super) fn author(&self) -> Result<Login, InvalidId> {
        login(self.user.as_ref())
    }

    pub(super) fn into_comment(self) -> Result<Comment, Odd> {
        Ok(Comment {
            id: self.id,
            author: self.author()?,
            by_bot: self.user.as_ref().is_some_and(|user| user.id < 0),
            body: self.body.unwrap_or_default(),
            created_at: time(&self.created_at)?,
        })
    }
}

/// A comment in the list of a whole repository.
#[derive(Debug, Deserialize)]
pub(super) struct ListedComment {
    #[serde(flatten)]
    comment: IssueComment,
    updated_at: String,
    /// The pull request's page, `…/pulls/7`; empty if it is about an issue.
    pull_request_url: Option<String>,
}

#[derive(Debug)]
pub(super) struct ReadComment {
    /// `None`: it is about an issue.
    pub pull: Option<PullNumber>,
    pub comment: Comment,
    pub edited: bool,
    pub updated_at: Timestamp,
}

impl ListedComment {
    pub(super) fn read(self) -> Result<ReadComment, Odd> {
        let page = self.pull_request_url.as_deref().unwrap_or_default();
        let pull = page.rsplit_once("/pulls/").and_then(|(_, number)| number.parse().ok()).map(PullNumber);
        let (updated_at, comment) = (time(&self.updated_at)?, self.comment.into_comment()?);
        Ok(ReadComment { pull, edited: updated_at != comment.created_at, comment, updated_at })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Review {
    user: Option<User>,
    state: ReviewState,
    commit_id: Option<String>,
    #[serde(default)]
    dismissed: bool,
    /// Whether the branch's rules count it.
    #[serde(default)]
    official: bool,
    /// Whether there was a push after it.
    #[serde(default)]
    stale: bool,
    submitted_at: Option<String>,
}

/// A review that the rules of a branch count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Official {
    pub verdict: Word,
    pub stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Approved,
    Rejected,
    /// Somebody is asked for one, and has not given it.
    Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ReviewState {
    Approved,
    RequestChanges,
    RequestReview,
    /// `COMMENT`, `PENDING`: says nothing for or against.
    #[serde(other)]
    Other,
}

/// A person's verdict: the head that it is about, if it is an approval.
#[derive(Debug)]
pub(super) struct Verdict {
    pub by: Login,
    pub approves: Option<Sha>,
    pub at: Timestamp,
}

impl Review {
    /// `None` for a review that is no verdict, and for one by a deleted account, which has no rights any more.
    pub(super) fn verdict(self) -> Result<Option<Verdict>, Odd> {
        let is_verdict = matches!(self.state, ReviewState::Approved | ReviewState::RequestChanges);
        let (Some(user), Some(at), true) = (self.user, self.submitted_at, is_verdict) else {
            return Ok(None);
        };
        let stands = self.state == ReviewState::Approved && !self.dismissed;
        let approved = stands.then_some(self.commit_id).flatten().filter(|sha| !sha.is_empty());
        let approves = approved.map(|sha| sha.parse()).transpose()?;
        Ok(Some(Verdict { by: user.login.parse()?, approves, at: time(&at)? }))
    }

    pub(super) fn official(&self) -> Option<Official> {
        let verdict = match self.state {
            ReviewState::Approved => Word::Approved,
            ReviewState::RequestChanges => Word::Rejected,
            ReviewState::RequestReview => Word::Asked,
            ReviewState::Other => return None,
        };
        (self.official && !self.dismissed).then_some(Official { verdict, stale: self.stale })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Permission {
    /// `none`, `read`, `write`, `admin` or `owner`.
    permission: String,
}

impl Permission {
    pub(super) fn role(&self) -> Role {
        match self.permission.as_str() {
            "read" => Role::Read,
            "write" => Role::Write,
            "admin" | "owner" => Role::Admin,
            _ => Role::None,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    default_branch: String,
    pub permissions: Option<RepositoryPermissions>,
}

impl Repository {
    pub(super) fn default_branch(&self) -> Result<Branch, InvalidId> {
        self.default_branch.parse()
    }
}

/// What the token's owner may do in a repository.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct RepositoryPermissions {
    #[serde(default)]
    pub push: bool,
    #[serde(default)]
    pub admin: bool,
}

/// What `teams/search` finds.
#[derive(Debug, Deserialize)]
pub(super) struct Teams {
    pub data: Option<Vec<Team>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Team {
    pub id: u64,
    pub name: String,
}

/// The answer to everything that creates something.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub id: u64,
}
