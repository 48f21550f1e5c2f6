//! GitHub: github.com, GitHub Enterprise Cloud with its own host, and GitHub Enterprise Server.

mod auth;
mod changes;
mod checks;
mod client;
mod doctor;
pub(super) mod event;
mod failure;
mod hook;
mod judgement;
mod labels;
mod payload;

pub use auth::GithubAuth;
pub use checks::Checks;

use super::failure::Pauses;
use super::retry::Patience;
use super::{CloneAccess, ForgeError, SetupError, Status, address};
use crate::domain::event::{Comment, Reaction};
use crate::domain::id::{Branch, CommentId, Login, PullId, RepoName, Sha, TeamName};
use crate::domain::pull::{Approval, Pull, Role};
use auth::{Acting, Auth};
use client::{Client, Request};
use serde::Deserialize;
use serde_json::json;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::OnceCell;
use url::{Host, Url};

/// Characters in a comment, as GitHub counts them.
pub(super) const COMMENT_MAX: usize = 65_536;
/// Characters in a status' description.
const DESCRIPTION_MAX: usize = 140;

/// How GitHub is reached.
#[derive(Debug, Clone)]
pub struct GithubSettings {
    /// `https://api.github.com`, or `https://HOST/api/v3` for GitHub Enterprise Server. Plain http for loopback only.
    pub api_url: Url,
    pub auth: GithubAuth,
}

/// A connection to one GitHub. Cheap to clone.
#[derive(Clone)]
pub struct Github(Arc<Inner>);

struct Inner {
    client: Client,
    /// Where the pages and repositories are: `https://github.com/`.
    web: Url,
    host: String,
    me: OnceCell<Login>,
}

impl fmt::Debug for Github {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Github").field("host", &self.0.host).field("auth", &self.0.client.auth).finish()
    }
}

impl Github {
    /// Sends nothing yet. Must be called inside a Tokio runtime.
    ///
    /// # Errors
    /// When the address, the token or the key can't be one, or when the host has no root certificates.
    pub fn new(settings: &GithubSettings) -> Result<Self, SetupError> {
        Self::with_patience(settings, Patience::default())
    }

    fn with_patience(settings: &GithubSettings, patience: Patience) -> Result<Self, SetupError> {
        let base = settings.api_url.clone();
        let web = web_address(&base)?;
        let auth = Auth::new(&settings.auth, &base)?;
        let host = address::host(&web);
        let client = Client { base, auth, patience, pauses: Pauses::default() };
        Ok(Self(Arc::new(Inner { client, web, host, me: OnceCell::new() })))
    }

    pub(super) fn host(&self) -> &str {
        &self.0.host
    }

    pub(super) async fn me(&self) -> Result<Login, ForgeError> {
        #[derive(Deserialize)]
        struct App {
            slug: String,
        }

        let client = &self.0.client;
        let ask = || async {
            let (request, login) = match client.auth {
                Auth::App { .. } => {
                    let request = Request::get("asking which App this is", client.path(&["app"]));
                    let app: App = client.json(Acting::Ourselves, &request).await?;
                    // The account by which an App comments.
                    (request, format!("{}[bot]", app.slug))
                }
                Auth::Token(_) => {
                    let request = Request::get("asking whose token this is", client.path(&["user"]));
                    let user: payload::User = client.json(Acting::Ourselves, &request).await?;
                    (request, user.login)
                }
            };
            login.parse().map_err(|error| failure::unreadable(&request, &error))
        };
        self.0.me.get_or_try_init(ask).await.cloned()
    }

    pub(super) async fn pull(&self, pull: &PullId) -> Result<Pull, ForgeError> {
        let doing = format!("reading {}", short(pull));
        let request = self.pull_request(&doing, pull)?;
        let payload: payload::PullRequest = self.0.client.json(Acting::In(&pull.repo), &request).await?;
        payload.into_pull(pull.clone()).map_err(|odd| failure::unreadable(&request, &odd))
    }

    pub(super) async fn mergeable(&self, pull: &PullId) -> Result<Option<bool>, ForgeError> {
        let doing = format!("asking whether {} can be merged", short(pull));
        let request = self.pull_request(&doing, pull)?;
        let payload: payload::PullRequest = self.0.client.json(Acting::In(&pull.repo), &request).await?;
        Ok(payload.mergeable())
    }

    pub(super) async fn approvals(&self, pull: &PullId) -> Result<Vec<Approval>, ForgeError> {
        let doing = format!("reading the reviews of {}", short(pull));
        let path = self.path(&pull.repo, &["pulls", &pull.number.to_string(), "reviews"])?;
        let mut reviews: Vec<payload::Review> = Vec::new();
        let keep = |review| {
            reviews.push(review);
            ControlFlow::Continue(())
        };
        self.0.client.pages(Acting::In(&pull.repo), &doing, &path, keep).await?;

        let mut verdicts: Vec<payload::Verdict> = Vec::new();
        for review in reviews {
            let request = Request::get(&doing, path.clone());
            let verdict = review.verdict().map_err(|odd| failure::unreadable(&request, &odd))?;
            verdicts.extend(verdict);
        }
        // GitHub lists them in the order of their making; the sort is stable, so of two in one second the later counts.
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
        let request = Request::get(&doing, self.path(repo, &[])?);
        let payload: payload::Repository = self.0.client.json(Acting::In(repo), &request).await?;
        payload.default_branch.parse().map_err(|error| failure::unreadable(&request, &error))
    }

    pub(super) async fn role(&self, repo: &RepoName, who: &Login) -> Result<Role, ForgeError> {
        let doing = format!("asking for {who}'s role in {}", repo.path());
        let path = self.path(repo, &["collaborators", who.as_str(), "permission"])?;
        let request = Request::get(&doing, path);
        match self.0.client.json::<payload::Permission>(Acting::In(repo), &request).await {
            Ok(permission) => Ok(permission.role()),
            Err(error) if error.status == Some(404) => Ok(Role::None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn create_comment(&self, pull: &PullId, body: &str) -> Result<CommentId, ForgeError> {
        let doing = format!("commenting on {}", short(pull));
        fits(&doing, "comment", body, COMMENT_MAX)?;
        let path = self.path(&pull.repo, &["issues", &pull.number.to_string(), "comments"])?;
        let request = Request::post(&doing, path, json!({ "body": body }));
        let created: payload::Created = self.0.client.create(Acting::In(&pull.repo), &request).await?;
        Ok(CommentId(created.id))
    }

    pub(super) async fn edit_comment(&self, pull: &PullId, id: CommentId, body: &str) -> Result<(), ForgeError> {
        let doing = format!("editing comment {id} on {}", short(pull));
        fits(&doing, "comment", body, COMMENT_MAX)?;
        let request = Request::patch(&doing, self.comment_path(&pull.repo, id)?, json!({ "body": body }));
        self.0.client.send(Acting::In(&pull.repo), &request).await.map(drop)
    }

    pub(super) async fn find_comment(&self, pull: &PullId, marker: &str) -> Result<Option<CommentId>, ForgeError> {
        let me = self.me().await?;
        let doing = format!("looking for our comment on {}", short(pull));
        let path = self.path(&pull.repo, &["issues", &pull.number.to_string(), "comments"])?;
        let mut found = None;
        let ours = |comment: payload::IssueComment| {
            let author = comment.user.as_ref().and_then(|user| user.login.parse::<Login>().ok());
            if comment.first_line() == marker && author.is_some_and(|author| author.same_as(&me)) {
                found = Some(comment.id);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(Acting::In(&pull.repo), &doing, &path, ours).await?;
        Ok(found)
    }

    pub(super) async fn comment(&self, pull: &PullId, id: CommentId) -> Result<Option<Comment>, ForgeError> {
        let doing = format!("reading comment {id} on {}", short(pull));
        let request = Request::get(&doing, self.comment_path(&pull.repo, id)?);
        match self.0.client.json::<payload::IssueComment>(Acting::In(&pull.repo), &request).await {
            Ok(comment) => comment.into_comment().map(Some).map_err(|odd| failure::unreadable(&request, &odd)),
            Err(error) if matches!(error.status, Some(404 | 410)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn react(&self, pull: &PullId, id: CommentId, reaction: Reaction) -> Result<(), ForgeError> {
        let doing = format!("reacting to comment {id} on {}", short(pull));
        let content = match reaction {
            Reaction::Seen => "eyes",
            Reaction::Done => "+1",
            Reaction::Failed => "confused",
        };
        let path = self.path(&pull.repo, &["issues", "comments", &id.to_string(), "reactions"])?;
        // The same reaction again is the one that is there.
        let request = Request::post(&doing, path, json!({ "content": content })).harmless();
        self.0.client.send(Acting::In(&pull.repo), &request).await.map(drop)
    }

    pub(super) async fn in_team(&self, repo: &RepoName, team: &TeamName, who: &Login) -> Result<bool, ForgeError> {
        #[derive(Deserialize)]
        struct Membership {
            state: String,
        }

        self.is_ours(repo)?;
        let (organisation, slug) = team.within(repo.owner());
        let doing = format!("asking whether {who} is in the team {organisation}/{slug}");
        let path = self.0.client.path(&["orgs", organisation, "teams", slug, "memberships", who.as_str()]);
        let request = Request::get(&doing, path);
        match self.0.client.json::<Membership>(Acting::In(repo), &request).await {
            // The other one is `pending`: invited.
            Ok(membership) => Ok(membership.state == "active"),
            Err(error) if error.status == Some(404) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn set_status(&self, pull: &PullId, sha: &Sha, status: &Status) -> Result<(), ForgeError> {
        let repo = &pull.repo;
        let doing = format!("setting the status `{}` on {} in {}", status.context, sha.short(), repo.path());
        fits(&doing, "description", &status.description, DESCRIPTION_MAX)?;
        let mut body = json!({
            "context": status.context,
            "description": status.description,
            "state": status.state.as_str(),
        });
        if let Some(url) = &status.url {
            body["target_url"] = json!(url);
        }
        let request = Request::post(&doing, self.path(repo, &["statuses", sha.as_str()])?, body);
        self.0.client.create::<payload::Created>(Acting::In(repo), &request).await.map(drop)
    }

    pub(super) async fn clone_access(&self, repo: &RepoName) -> Result<CloneAccess, ForgeError> {
        self.is_ours(repo)?;
        let client = &self.0.client;
        let session = client.auth.session(Acting::GitIn(repo), &client.base, &client.patience).await?;
        let token = session.token.clone().expect("git's session has a token");
        let mut url = self.0.web.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .extend([repo.owner(), &format!("{}.git", repo.name())]);
        // With a token as password GitHub takes any name; this is the one that its documentation has for Apps.
        Ok(CloneAccess { url, username: "x-access-token".into(), token })
    }

    pub(super) async fn clone_refused(&self, repo: &RepoName) {
        self.0.client.auth.forget_git(repo).await;
    }

    fn pull_request<'a>(&self, doing: &'a str, pull: &PullId) -> Result<Request<'a>, ForgeError> {
        Ok(Request::get(doing, self.path(&pull.repo, &["pulls", &pull.number.to_string()])?))
    }

    fn comment_path(&self, repo: &RepoName, id: CommentId) -> Result<String, ForgeError> {
        self.path(repo, &["issues", "comments", &id.to_string()])
    }

    fn path(&self, repo: &RepoName, rest: &[&str]) -> Result<String, ForgeError> {
        self.is_ours(repo)?;
        let mut segments = vec!["repos", repo.owner(), repo.name()];
        segments.extend(rest);
        Ok(self.0.client.path(&segments))
    }

    /// A repository of another forge with the same `owner/name` is another repository.
    fn is_ours(&self, repo: &RepoName) -> Result<(), ForgeError> {
        if repo.host() == self.0.host {
            Ok(())
        } else {
            Err(ForgeError::invalid(format!("{repo} is not on {}, the GitHub that is configured", self.0.host)))
        }
    }
}

/// `acme/infra#7`, as people on one forge write it.
fn short(pull: &PullId) -> String {
    format!("{}#{}", pull.repo.path(), pull.number)
}

/// Too long is our own mistake: it is found here, and not by trying.
fn fits(doing: &str, what: &str, text: &str, max: usize) -> Result<(), ForgeError> {
    match text.chars().count() {
        long if long > max => {
            Err(ForgeError::invalid(format!("{doing}: the {what} has {long} characters, and GitHub takes {max}")))
        }
        _ => Ok(()),
    }
}

/// Where people and git find what the API at `base` is about: `api.github.com` serves `github.com`, `api.NAME.ghe.com`
/// serves `NAME.ghe.com`, and every other host serves itself.
fn web_address(base: &Url) -> Result<Url, SetupError> {
    address::check(base, "`token`, or in `app_id` and `private_key`")?;
    let mut web = base.clone();
    web.set_path("");
    if let Some(Host::Domain(name)) = base.host()
        && let Some(rest) = name.strip_prefix("api.")
        && (rest == "github.com" || rest.ends_with(".ghe.com"))
    {
        web.set_host(Some(rest)).expect("a part of a host's name is one");
    }
    Ok(web)
}

#[cfg(test)]
mod tests;
