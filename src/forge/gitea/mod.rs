//! Gitea and Forgejo, which share an API.

mod changes;
mod doctor;
pub(super) mod event;
mod failure;
mod hook;
mod judgement;
mod labels;
mod payload;

use super::failure::now;
use super::rest::{Client, Dialect, Request};
use super::retry::Patience;
use super::{CloneAccess, ForgeError, ForgeErrorKind, SetupError, Status, address};
use crate::domain::event::{Comment, Reaction};
use crate::domain::id::{Branch, CommentId, ForgeKind, Login, PullId, RepoName, Sha, TeamName};
use crate::domain::pull::{Approval, Pull, Role};
use secrecy::SecretString;
use serde_json::json;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::OnceCell;
use url::Url;

/// Characters in a comment. The forge has no limit of its own; this fits into every database that it is kept in.
pub(super) const COMMENT_MAX: usize = 65_536;

/// A page has what Gitea gives at most unless it is told otherwise.
pub(super) static DIALECT: Dialect =
    Dialect { api: ["api", "v1"], scheme: "token", page: ("limit", "50"), refused: failure::refused };

/// How a Gitea or Forgejo is reached.
#[derive(Debug, Clone)]
pub struct GiteaSettings {
    /// Where its pages are. Plain http for loopback only.
    pub url: Url,
    /// An access token.
    pub token: SecretString,
}

/// A connection to one Gitea or Forgejo. Cheap to clone.
#[derive(Clone)]
pub struct Gitea(Arc<Inner>);

struct Inner {
    client: Client,
    /// Where the pages and repositories are.
    web: Url,
    host: String,
    token: SecretString,
    me: OnceCell<Login>,
}

impl fmt::Debug for Gitea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gitea").field("host", &self.0.host).finish_non_exhaustive()
    }
}

impl Gitea {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// When the address or the token can't be one, or when the host has no root certificates.
    pub fn new(settings: &GiteaSettings) -> Result<Self, SetupError> {
        Self::with_patience(settings, Patience::default())
    }

    fn with_patience(settings: &GiteaSettings, patience: Patience) -> Result<Self, SetupError> {
        let web = settings.url.clone();
        address::check(&web, "`token`")?;
        address::check_token(ForgeKind::Gitea, &settings.token)?;
        let client = Client::new(&web, &settings.token, &DIALECT, patience)?;
        let host = address::host(&web);
        Ok(Self(Arc::new(Inner { client, web, host, token: settings.token.clone(), me: OnceCell::new() })))
    }

    pub(super) fn host(&self) -> &str {
        &self.0.host
    }

    pub(super) async fn me(&self) -> Result<Login, ForgeError> {
        let ask = || async {
            let request = Request::get("asking whose token this is", self.0.client.url(&["user"]));
            let user: payload::User = self.0.client.json(&request).await?;
            user.login.parse().map_err(|error| request.unreadable(&error))
        };
        self.0.me.get_or_try_init(ask).await.cloned()
    }

    pub(super) async fn pull(&self, pull: &PullId) -> Result<Pull, ForgeError> {
        let doing = format!("reading {}", short(pull));
        let request = Request::get(&doing, self.pull_url(pull, &[])?);
        let payload: payload::PullRequest = self.0.client.json(&request).await?;
        payload.into_pull(pull.clone()).map_err(|odd| request.unreadable(&odd))
    }

    pub(super) async fn mergeable(&self, pull: &PullId) -> Result<Option<bool>, ForgeError> {
        let doing = format!("asking whether {} can be merged", short(pull));
        let request = Request::get(&doing, self.pull_url(pull, &[])?);
        let payload: payload::PullRequest = self.0.client.json(&request).await?;
        Ok(payload.mergeable(now()))
    }

    pub(super) async fn approvals(&self, pull: &PullId) -> Result<Vec<Approval>, ForgeError> {
        let doing = format!("reading the reviews of {}", short(pull));
        let url = self.pull_url(pull, &["reviews"])?;
        let mut reviews: Vec<payload::Review> = Vec::new();
        let keep = |review| {
            reviews.push(review);
            ControlFlow::Continue(())
        };
        self.0.client.pages(&doing, url.clone(), keep).await?;

        let mut verdicts: Vec<payload::Verdict> = Vec::new();
        for review in reviews {
            let request = Request::get(&doing, url.clone());
            verdicts.extend(review.verdict().map_err(|odd| request.unreadable(&odd))?);
        }
        // The sort is stable, so of two in one second the later counts.
        verdicts.sort_by_key(|verdict| verdict.at);
        let mut newest: Vec<payload::Verdict> = Vec::new();
        for verdict in verdicts {
            newest.retain(|older| !older.by.same_as(&verdict.by));
            newest.push(verdict);
        }

        let mut approvals = Vec::new();
        for payload::Verdict { by, approves, at } in newest {
            if let Some(head) = approves {
                let by_writer = self.role(&pull.repo, &by).await? >= Role::Write;
                approvals.push(Approval { by, head, by_writer, at });
            }
        }
        Ok(approvals)
    }

    pub(super) async fn default_branch(&self, repo: &RepoName) -> Result<Branch, ForgeError> {
        let doing = format!("reading {}", repo.path());
        let request = Request::get(&doing, self.url(repo, &[])?);
        let payload: payload::Repository = self.0.client.json(&request).await?;
        payload.default_branch().map_err(|error| request.unreadable(&error))
    }

    pub(super) async fn role(&self, repo: &RepoName, who: &Login) -> Result<Role, ForgeError> {
        let doing = format!("asking for {who}'s role in {}", repo.path());
        let url = self.url(repo, &["collaborators", who.as_str(), "permission"])?;
        let permission: Result<Option<payload::Permission>, _> =
            self.0.client.json_if_there(&Request::get(&doing, url)).await;
        match permission {
            Ok(permission) => Ok(permission.map_or(Role::None, |permission| permission.role())),
            // Only administrators of a repository may ask.
            Err(error) if error.kind == ForgeErrorKind::Forbidden => self.role_of_assignee(repo, who).await,
            Err(error) => Err(error),
        }
    }

    /// Whoever may be assigned may write; of others nothing is known, which is no right.
    async fn role_of_assignee(&self, repo: &RepoName, who: &Login) -> Result<Role, ForgeError> {
        let doing = format!("asking who may write to {}", repo.path());
        let request = Request::get(&doing, self.url(repo, &["assignees"])?);
        let writers: Vec<payload::User> = self.0.client.json(&request).await?;
        let writes = writers.iter().any(|user| user.login.eq_ignore_ascii_case(who.as_str()));
        Ok(if writes { Role::Write } else { Role::None })
    }

    pub(super) async fn in_team(&self, repo: &RepoName, team: &TeamName, who: &Login) -> Result<bool, ForgeError> {
        self.is_ours(repo)?;
        let (organisation, name) = team.within(repo.owner());
        let doing = format!("asking whether {who} is in the team {organisation}/{name}");
        let client = &self.0.client;
        let mut search = client.url(&["orgs", organisation, "teams", "search"]);
        search.query_pairs_mut().append_pair("q", name).append_pair("limit", "50");
        let unseen = |error: ForgeError| match error.kind {
            ForgeErrorKind::NotFound | ForgeErrorKind::Forbidden => Ok(None),
            _ => Err(error),
        };
        let found: Option<payload::Teams> =
            client.json_if_there(&Request::get(&doing, search)).await.or_else(unseen)?;
        let teams = found.and_then(|found| found.data).unwrap_or_default();
        let Some(team) = teams.into_iter().find(|team| team.name.eq_ignore_ascii_case(name)) else {
            return Ok(false);
        };
        let member = client.url(&["teams", &team.id.to_string(), "members", who.as_str()]);
        let member: Option<payload::User> =
            client.json_if_there(&Request::get(&doing, member)).await.or_else(|error| match error.kind {
                ForgeErrorKind::NotFound | ForgeErrorKind::Forbidden => Ok(None),
                _ => Err(error),
            })?;
        Ok(member.is_some())
    }

    pub(super) async fn create_comment(&self, pull: &PullId, body: &str) -> Result<CommentId, ForgeError> {
        let doing = format!("commenting on {}", short(pull));
        fits(&doing, body)?;
        let url = self.url(&pull.repo, &["issues", &pull.number.to_string(), "comments"])?;
        let created: payload::Created =
            self.0.client.create(&Request::post(&doing, url, json!({ "body": body }))).await?;
        Ok(CommentId(created.id))
    }

    pub(super) async fn edit_comment(&self, pull: &PullId, id: CommentId, body: &str) -> Result<(), ForgeError> {
        let doing = format!("editing comment {id} on {}", short(pull));
        fits(&doing, body)?;
        let request = Request::patch(&doing, self.comment_url(&pull.repo, id, &[])?, json!({ "body": body }));
        self.0.client.send(&request).await.map(drop)
    }

    pub(super) async fn find_comment(&self, pull: &PullId, marker: &str) -> Result<Option<CommentId>, ForgeError> {
        let me = self.me().await?;
        let doing = format!("looking for our comment on {}", short(pull));
        let url = self.url(&pull.repo, &["issues", &pull.number.to_string(), "comments"])?;
        // One of the few lists that come whole.
        let comments: Vec<payload::IssueComment> = self.0.client.json(&Request::get(&doing, url)).await?;
        let ours = |comment: &&payload::IssueComment| {
            comment.first_line() == marker && comment.author().is_ok_and(|author| author.same_as(&me))
        };
        Ok(comments.iter().find(ours).map(|comment| comment.id))
    }

    pub(super) async fn comment(&self, pull: &PullId, id: CommentId) -> Result<Option<Comment>, ForgeError> {
        let doing = format!("reading comment {id} on {}", short(pull));
        let request = Request::get(&doing, self.comment_url(&pull.repo, id, &[])?);
        let comment: Option<payload::IssueComment> = self.0.client.json_if_there(&request).await?;
        comment.map(|comment| comment.into_comment().map_err(|odd| request.unreadable(&odd))).transpose()
    }

    pub(super) async fn react(&self, pull: &PullId, id: CommentId, reaction: Reaction) -> Result<(), ForgeError> {
        let doing = format!("reacting to comment {id} on {}", short(pull));
        let content = match reaction {
            Reaction::Seen => "eyes",
            Reaction::Done => "+1",
            Reaction::Failed => "confused",
        };
        let url = self.comment_url(&pull.repo, id, &["reactions"])?;
        // The same reaction again is the one that is there.
        let request = Request::post(&doing, url, json!({ "content": content })).harmless();
        self.0.client.send(&request).await.map(drop)
    }

    pub(super) async fn set_status(&self, pull: &PullId, sha: &Sha, status: &Status) -> Result<(), ForgeError> {
        let path = pull.repo.path();
        let doing = format!("setting the status `{}` on {} in {path}", status.context, sha.short());
        let mut body = json!({
            "context": status.context,
            "description": status.description,
            "state": status.state.as_str(),
        });
        if let Some(url) = &status.url {
            body["target_url"] = json!(url);
        }
        let request = Request::post(&doing, self.url(&pull.repo, &["statuses", sha.as_str()])?, body);
        self.0.client.create::<payload::Created>(&request).await.map(drop)
    }

    pub(super) async fn clone_access(&self, repo: &RepoName) -> Result<CloneAccess, ForgeError> {
        self.is_ours(repo)?;
        let mut url = self.0.web.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .extend([repo.owner(), &format!("{}.git", repo.name())]);
        // With a token as password any name is taken.
        Ok(CloneAccess { url, username: "terraplane".into(), token: self.0.token.clone() })
    }

    /// There is one token, so nothing can be had in its place.
    #[allow(clippy::unused_async, reason = "as the other forges have it")]
    pub(super) async fn clone_refused(&self, _: &RepoName) {}

    fn pull_url(&self, pull: &PullId, rest: &[&str]) -> Result<Url, ForgeError> {
        let number = pull.number.to_string();
        let mut segments = vec!["pulls", number.as_str()];
        segments.extend(rest);
        self.url(&pull.repo, &segments)
    }

    fn comment_url(&self, repo: &RepoName, id: CommentId, rest: &[&str]) -> Result<Url, ForgeError> {
        let id = id.to_string();
        let mut segments = vec!["issues", "comments", id.as_str()];
        segments.extend(rest);
        self.url(repo, &segments)
    }

    fn url(&self, repo: &RepoName, rest: &[&str]) -> Result<Url, ForgeError> {
        self.is_ours(repo)?;
        let mut segments = vec!["repos", repo.owner(), repo.name()];
        segments.extend(rest);
        Ok(self.0.client.url(&segments))
    }

    /// A repository of another forge with the same `owner/name` is another repository.
    fn is_ours(&self, repo: &RepoName) -> Result<(), ForgeError> {
        if repo.host() == self.0.host {
            Ok(())
        } else {
            Err(ForgeError::invalid(format!("{repo} is not on {}, the Gitea that is configured", self.0.host)))
        }
    }
}

/// `acme/infra#7`, as people on one forge write it.
fn short(pull: &PullId) -> String {
    format!("{}#{}", pull.repo.path(), pull.number)
}

/// Too long is our own mistake: it is found here, and not by trying.
fn fits(doing: &str, text: &str) -> Result<(), ForgeError> {
    match text.chars().count() {
        long if long > COMMENT_MAX => Err(ForgeError::invalid(format!(
            "{doing}: the comment has {long} characters, and no more than {COMMENT_MAX} are sent"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
