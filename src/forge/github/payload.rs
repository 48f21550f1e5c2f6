//! GitHub's JSON, as lean as what we read of it. GitHub adds fields and enum values whenever it likes, and does not
//! send a webhook again that we refused: so unknown fields are skipped, every word from a fixed set is kept as text or
//! has an `Other`, and what may be null for a deleted account or repository is an `Option`.
//!
//! Field names: <https://docs.github.com/en/rest/pulls/pulls>, <https://docs.github.com/en/rest/issues/comments>,
//! <https://docs.github.com/en/rest/pulls/reviews>, <https://docs.github.com/en/webhooks/webhook-events-and-payloads>.

use crate::domain::event::Comment;
use crate::domain::id::{CommentId, InvalidId, Login, PullId, PullNumber, RepoName, Sha, Timestamp};
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

/// GitHub writes times as RFC 3339.
pub(super) fn time(text: &str) -> Result<Timestamp, Odd> {
    text.parse::<jiff::Timestamp>()
        .map(|at| Timestamp(at.as_millisecond()))
        .map_err(|_| Odd::Time(text.chars().take(80).collect()))
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub login: String,
    /// `User`, `Bot`, `Organization`, `Mannequin`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// The account that stands for everybody who deleted theirs.
const GHOST: &str = "ghost";

fn login(user: Option<&User>) -> Result<Login, InvalidId> {
    user.map_or(GHOST, |user| user.login.as_str()).parse()
}

#[derive(Debug, Deserialize)]
pub(super) struct PullRequest {
    title: String,
    html_url: String,
    user: Option<User>,
    state: PullRequestState,
    draft: Option<bool>,
    head: Side,
    base: Side,
    merged: Option<bool>,
    merged_at: Option<String>,
    merged_by: Option<User>,
    merge_commit_sha: Option<String>,
    /// Null while GitHub is computing it.
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
    sha: String,
    #[serde(rename = "ref")]
    branch: String,
    /// Null when the repository has been deleted.
    repo: Option<SideRepo>,
}

#[derive(Debug, Deserialize)]
struct SideRepo {
    id: u64,
}

impl PullRequest {
    pub(super) fn mergeable(&self) -> Option<bool> {
        if self.draft == Some(true) { Some(false) } else { self.mergeable }
    }

    pub(super) fn into_pull(self, id: PullId) -> Result<Pull, Odd> {
        let phase = self.phase()?;
        let fork = match (&self.head.repo, &self.base.repo) {
            (Some(head), Some(base)) => head.id != base.id,
            _ => true,
        };
        Ok(Pull {
            id,
            author: login(self.user.as_ref())?,
            head: self.head.sha.parse()?,
            head_branch: self.head.branch,
            fork,
            base_branch: self.base.branch.parse()?,
            base: self.base.sha.parse()?,
            draft: self.draft == Some(true),
            phase,
            updated_at: time(&self.updated_at)?,
            title: self.title,
            html_url: self.html_url,
        })
    }

    fn phase(&self) -> Result<Phase, Odd> {
        match self.state {
            PullRequestState::Open => Ok(Phase::Open),
            PullRequestState::Closed if self.merged == Some(true) => {
                let commit = self.merge_commit_sha.as_deref().ok_or(Odd::Other("a merge without its commit"))?;
                let at = self.merged_at.as_deref().ok_or(Odd::Other("a merge without its time"))?;
                let by = self.merged_by.as_ref().map(|user| user.login.parse()).transpose()?;
                Ok(Phase::Merged { commit: commit.parse()?, by, at: time(at)? })
            }
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
    /// Set on what an App wrote for a person, who did not type it.
    performed_via_github_app: Option<serde::de::IgnoredAny>,
}

impl IssueComment {
    pub(super) fn first_line(&self) -> &str {
        self.body.as_deref().unwrap_or_default().lines().next().unwrap_or_default()
    }

    pub(super) fn into_comment(self) -> Result<Comment, Odd> {
        let bot = self.user.as_ref().is_some_and(|user| user.kind.as_deref() == Some("Bot"));
        Ok(Comment {
            id: self.id,
            author: login(self.user.as_ref())?,
            by_bot: bot || self.performed_via_github_app.is_some(),
            body: self.body.unwrap_or_default(),
            created_at: time(&self.created_at)?,
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Review {
    user: Option<User>,
    state: ReviewState,
    commit_id: Option<String>,
    submitted_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum ReviewState {
    Approved,
    ChangesRequested,
    Dismissed,
    /// `COMMENTED`, `PENDING`: says nothing for or against, so it does not replace what was said before.
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
        let (Some(user), Some(at), false) = (self.user, self.submitted_at, self.state == ReviewState::Other) else {
            return Ok(None);
        };
        // A commit that is gone from the repository can't be the head.
        let approved = (self.state == ReviewState::Approved).then_some(self.commit_id).flatten();
        let approves = approved.map(|sha| sha.parse()).transpose()?;
        Ok(Some(Verdict { by: user.login.parse()?, approves, at: time(&at)? }))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Permission {
    /// `admin`, `write`, `read` or `none`: maintainers have `write` here, triagers `read`.
    permission: String,
    /// The role itself, which may be one that the organisation made up.
    role_name: Option<String>,
}

impl Permission {
    pub(super) fn role(&self) -> Role {
        self.role_name.as_deref().and_then(role).or_else(|| role(&self.permission)).unwrap_or(Role::None)
    }
}

fn role(word: &str) -> Option<Role> {
    [Role::None, Role::Read, Role::Triage, Role::Write, Role::Maintain, Role::Admin]
        .into_iter()
        .find(|role| role.as_str() == word)
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    pub default_branch: String,
    pub permissions: Option<RepositoryPermissions>,
}

/// What the token's owner may do in a repository.
#[derive(Debug, Deserialize)]
pub(super) struct RepositoryPermissions {
    #[serde(default)]
    pub push: bool,
}

/// A pull request in a list, which lacks what GitHub computes for each.
#[derive(Debug, Deserialize)]
pub(super) struct ListedPull {
    number: PullNumber,
    state: PullRequestState,
    draft: Option<bool>,
    head: Side,
    base: Side,
    merged_at: Option<String>,
    updated_at: String,
}

impl ListedPull {
    pub(super) fn into_glimpse(self, repo: &RepoName) -> Result<Glimpse, Odd> {
        let stage = match (self.state, &self.merged_at) {
            (PullRequestState::Open, _) => Stage::Open,
            (PullRequestState::Closed, Some(at)) => Stage::Merged { at: time(at)? },
            (PullRequestState::Closed, None) => Stage::Closed,
            (PullRequestState::Other, _) => {
                return Err(Odd::Other("a pull request that is neither open nor closed"));
            }
        };
        Ok(Glimpse {
            pull: PullId { repo: repo.clone(), number: self.number },
            head: self.head.sha.parse()?,
            base_branch: self.base.branch.parse()?,
            draft: self.draft == Some(true),
            stage,
            updated_at: time(&self.updated_at)?,
        })
    }
}

/// A comment in the list of a whole repository.
#[derive(Debug, Deserialize)]
pub(super) struct ListedComment {
    #[serde(flatten)]
    comment: IssueComment,
    updated_at: String,
    /// The one place that tells a pull request from an issue: `…/pull/7#issuecomment-1`.
    html_url: String,
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
        let page = self.html_url.split('#').next().unwrap_or_default();
        let pull = page.rsplit_once("/pull/").and_then(|(_, number)| number.parse().ok());
        let (updated_at, edited) = (time(&self.updated_at)?, self.updated_at != self.comment.created_at);
        Ok(ReadComment { pull: pull.map(PullNumber), comment: self.comment.into_comment()?, edited, updated_at })
    }
}

/// A moment as GitHub's parameters have it. It counts whole seconds: what is told again does no harm.
pub(super) fn written(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).map(|at| at.to_string()).unwrap_or_default()
}

/// The answer to everything that creates something.
#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub id: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(permission: &str, role_name: Option<&str>) -> Role {
        Permission { permission: permission.into(), role_name: role_name.map(Into::into) }.role()
    }

    #[test]
    fn a_role_is_the_named_one_and_otherwise_the_permission_behind_it() {
        assert_eq!(permission("write", Some("maintain")), Role::Maintain);
        assert_eq!(permission("read", Some("triage")), Role::Triage);
        assert_eq!(permission("write", Some("platform-engineer")), Role::Write, "a role that the organisation made");
        assert_eq!(permission("admin", None), Role::Admin, "an older GHES has no role names");
        assert_eq!(permission("none", Some("none")), Role::None);
        assert_eq!(permission("superpower", Some("superhero")), Role::None, "what nobody knows gives no right");
    }

    #[test]
    fn times_are_read_with_every_offset_and_nothing_else_is() {
        assert_eq!(time("2026-11-24T01:02:03Z"), Ok(Timestamp(1_795_482_123_000)));
        assert_eq!(time("2026-11-24T03:02:03+02:00"), Ok(Timestamp(1_795_482_123_000)));
        assert_eq!(time("1795482123"), Err(Odd::Time("1795482123".into())));
    }
}
