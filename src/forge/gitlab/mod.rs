//! GitLab: gitlab.com and self-managed instances, from 15.0 on. A pull request is a merge request here, a repository a
//! project, and owners nest: `group/subgroup/project`.

mod changes;
mod doctor;
pub(super) mod event;
mod failure;
mod hook;
mod judgement;
mod labels;
mod merging;
mod notes;
mod obstacle;
mod payload;
mod review;
mod statuses;

pub use merging::Merge;
pub(super) use notes::COMMENT_MAX;

use super::rest::{Client, Dialect, Request};
use super::retry::Patience;
use super::{CloneAccess, ForgeError, ForgeErrorKind, SetupError, address};
use crate::domain::id::{Branch, ForgeKind, Login, PullId, RepoName, Sha, TeamName};
use crate::domain::pull::{Pull, Role};
use payload::{MergeRequest, State};
use secrecy::SecretString;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use tokio::sync::OnceCell;
use url::Url;

/// Its token is a bearer token whatever kind it is (<https://docs.gitlab.com/api/rest/authentication/>); pages:
/// <https://docs.gitlab.com/api/rest/#pagination>.
pub(super) static DIALECT: Dialect =
    Dialect { api: ["api", "v4"], scheme: "Bearer", page: ("per_page", "100"), refused: failure::refused };

/// How GitLab is reached.
#[derive(Debug, Clone)]
pub struct GitlabSettings {
    /// Where its pages are: `https://gitlab.com`, or a self-managed instance, which may be below a path. Plain http for
    /// loopback only.
    pub url: Url,
    /// A personal, group or project access token with the scope `api`.
    pub token: SecretString,
}

/// A connection to one GitLab. Cheap to clone.
#[derive(Clone)]
pub struct Gitlab(Arc<Inner>);

struct Inner {
    client: Client,
    web: Url,
    host: String,
    token: SecretString,
    me: OnceCell<Login>,
}

impl fmt::Debug for Gitlab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gitlab").field("host", &self.0.host).finish_non_exhaustive()
    }
}

impl Gitlab {
    /// Sends nothing yet.
    ///
    /// # Errors
    /// When the address or the token can't be one, or when the host has no root certificates.
    pub fn new(settings: &GitlabSettings) -> Result<Self, SetupError> {
        Self::with_patience(settings, Patience::default())
    }

    fn with_patience(settings: &GitlabSettings, patience: Patience) -> Result<Self, SetupError> {
        let web = settings.url.clone();
        address::check(&web, "`token`")?;
        address::check_token(ForgeKind::Gitlab, &settings.token)?;
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
            user.login().map_err(|error| request.unreadable(&error))
        };
        self.0.me.get_or_try_init(ask).await.cloned()
    }

    pub(super) async fn pull(&self, pull: &PullId) -> Result<Pull, ForgeError> {
        let doing = format!("reading {}", short(pull));
        let request = Request::get(&doing, self.merge_request_url(pull, &[])?);
        let payload: MergeRequest = self.0.client.json(&request).await?;
        if payload.sha.is_none() && payload.state == State::Opened {
            return Err(failure::too_early(&doing, "GitLab has not found its head yet"));
        }
        let base = match payload.base().map_err(|error| request.unreadable(&error))? {
            Some(base) => base,
            // GitLab prepares merge requests in the background.
            None => self.tip(&pull.repo, &payload.target_branch).await?,
        };
        payload.into_pull(pull.clone(), base).map_err(|odd| request.unreadable(&odd))
    }

    async fn tip(&self, repo: &RepoName, branch: &str) -> Result<Sha, ForgeError> {
        let doing = format!("reading the branch `{branch}` of {}", repo.path());
        let request = Request::get(&doing, self.project_url(repo, &["repository", "branches", branch])?);
        let found: payload::Branch = self.0.client.json(&request).await?;
        found.commit.id.parse().map_err(|error| request.unreadable(&error))
    }

    pub(super) async fn default_branch(&self, repo: &RepoName) -> Result<Branch, ForgeError> {
        let doing = format!("reading {}", repo.path());
        let request = Request::get(&doing, self.project_url(repo, &[])?);
        let project: payload::Project = self.0.client.json(&request).await?;
        let Some(branch) = project.default_branch else {
            return Err(ForgeError::invalid(format!("{doing}: the repository is empty, so it has no default branch")));
        };
        branch.parse().map_err(|error| request.unreadable(&error))
    }

    /// Direct members and those of the groups above, and of groups that the project was shared with.
    pub(super) async fn role(&self, repo: &RepoName, who: &Login) -> Result<Role, ForgeError> {
        let doing = format!("asking for {who}'s role in {}", repo.path());
        let url = self.project_url(repo, &["members", "all"])?;
        Ok(self.member(&doing, url, who).await?.map_or(Role::None, |member| member.role()))
    }

    /// A team is a group, and its direct members are in it, as where GitLab asks a group for approvals. A name without a
    /// path is looked for in the repository's own group and the groups above it, nearest first: never among the groups
    /// that anybody may make.
    pub(super) async fn in_team(&self, repo: &RepoName, team: &TeamName, who: &Login) -> Result<bool, ForgeError> {
        self.is_ours(repo)?;
        let mut groups = Vec::new();
        if team.as_str().contains('/') {
            groups.push(team.as_str().to_owned());
        } else {
            let mut above = Some(repo.owner());
            while let Some(group) = above {
                groups.push(format!("{group}/{team}"));
                above = group.rsplit_once('/').map(|(above, _)| above);
            }
        }
        for group in groups {
            let doing = format!("asking whether {who} is a member of {group}");
            let url = self.0.client.url(&["groups", &group, "members"]);
            match self.member(&doing, url, who).await {
                Ok(member) => return Ok(member.is_some_and(|member| member.role() >= Role::Read)),
                Err(error) if error.kind == ForgeErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The list is filtered by GitLab, which also finds those whose name only contains what is asked for.
    async fn member(&self, doing: &str, mut url: Url, who: &Login) -> Result<Option<payload::Member>, ForgeError> {
        url.query_pairs_mut().append_pair("query", who.as_str());
        let mut found = None;
        let exactly = |member: payload::Member| {
            if member.username.eq_ignore_ascii_case(who.as_str()) {
                found = Some(member);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(doing, url, exactly).await?;
        Ok(found)
    }

    /// The token is the same for every repository, and there is no other.
    pub(super) async fn clone_access(&self, repo: &RepoName) -> Result<CloneAccess, ForgeError> {
        std::future::ready(self.git_address(repo)).await
    }

    pub(super) async fn clone_refused(&self, repo: &RepoName) {
        tracing::warn!(%repo, "GitLab's git does not take the token");
    }

    fn git_address(&self, repo: &RepoName) -> Result<CloneAccess, ForgeError> {
        self.is_ours(repo)?;
        let mut url = self.0.web.clone();
        url.path_segments_mut()
            .expect("an http address has a path")
            .pop_if_empty()
            .extend(repo.owner().split('/'))
            .push(&format!("{}.git", repo.name()));
        // With an access token as password GitLab takes any name but an empty one.
        Ok(CloneAccess { url, username: "oauth2".into(), token: self.0.token.clone() })
    }

    fn project_url(&self, repo: &RepoName, rest: &[&str]) -> Result<Url, ForgeError> {
        self.is_ours(repo)?;
        let path = repo.path();
        let mut segments = vec!["projects", path.as_str()];
        segments.extend(rest);
        Ok(self.0.client.url(&segments))
    }

    fn merge_request_url(&self, pull: &PullId, rest: &[&str]) -> Result<Url, ForgeError> {
        let number = pull.number.to_string();
        let mut segments = vec!["merge_requests", number.as_str()];
        segments.extend(rest);
        self.project_url(&pull.repo, &segments)
    }

    async fn merge_request(&self, doing: &str, pull: &PullId) -> Result<MergeRequest, ForgeError> {
        let request = Request::get(doing, self.merge_request_url(pull, &[])?);
        self.0.client.json(&request).await
    }

    /// A repository of another forge with the same `owner/name` is another repository.
    fn is_ours(&self, repo: &RepoName) -> Result<(), ForgeError> {
        if repo.host() == self.0.host {
            Ok(())
        } else {
            Err(ForgeError::invalid(format!("{repo} is not on {}, the GitLab that is configured", self.0.host)))
        }
    }
}

/// `acme/infra!7`, as people on GitLab write it.
fn short(pull: &PullId) -> String {
    format!("{}!{}", pull.repo.path(), pull.number)
}

#[cfg(test)]
mod tests;
