//! The JSON that GitHub has for things: the same shapes in answers of the API and in webhooks.
//! Source: the documented REST API and the payloads that GitHub sends; fields nobody reads (avatars, `*_url`
//! templates) are left out.

use crate::demo::state::{Comment, Phase, Pull, Reaction, Repo, Review, State, Status, User};
use crate::domain::id::Timestamp;
use crate::domain::pull::Role;
use serde_json::{Value, json};

/// Builds JSON with the addresses of one forge.
#[derive(Debug, Clone)]
pub(in crate::demo) struct Shapes {
    /// The forge's address without a `/` at the end.
    pub(in crate::demo) url: String,
}

/// GitHub's times: whole seconds, UTC.
pub(in crate::demo) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).map(|t| t.to_string()).unwrap_or_default()
}

/// The old, coarse word for a role that is still in `permission`.
pub(in crate::demo) const fn permission(role: Role) -> &'static str {
    match role {
        Role::None => "none",
        Role::Read | Role::Triage => "read",
        Role::Write | Role::Maintain => "write",
        Role::Admin => "admin",
    }
}

impl Shapes {
    fn api(&self, path: &str) -> String {
        format!("{}/api/v3{path}", self.url)
    }

    pub(in crate::demo) fn user(&self, user: &User) -> Value {
        json!({
            "login": user.login,
            "id": user.id,
            "node_id": format!("U_{}", user.id),
            "avatar_url": "",
            "gravatar_id": "",
            "url": self.api(&format!("/users/{}", user.login)),
            "html_url": format!("{}/{}", self.url, user.login),
            "type": if user.bot { "Bot" } else { "User" },
            "site_admin": false,
        })
    }

    /// An account by its login, or GitHub's `null` for one that is gone.
    pub(in crate::demo) fn login(&self, state: &State, login: &str) -> Value {
        state.user(login).map_or(Value::Null, |user| self.user(user))
    }

    pub(in crate::demo) fn repo(&self, repo: &Repo) -> Value {
        json!({
            "id": repo.id,
            "node_id": format!("R_{}", repo.id),
            "name": repo.name(),
            "full_name": repo.path,
            "private": true,
            "owner": { "login": repo.owner(), "id": 1, "node_id": "O_1", "type": "Organization", "site_admin": false },
            "html_url": format!("{}/{}", self.url, repo.path),
            "url": self.api(&format!("/repos/{}", repo.path)),
            "clone_url": format!("{}/{}.git", self.url, repo.path),
            "description": null,
            "fork": repo.fork_of.is_some(),
            "default_branch": repo.default_branch,
            "visibility": "private",
            "archived": false,
            "disabled": false,
        })
    }

    /// A pull request as `GET /repos/{owner}/{repo}/pulls/{number}` and webhooks have it.
    pub(in crate::demo) fn pull(&self, state: &State, repo: &Repo, pull: &Pull) -> Value {
        let head_repo = pull.head_repo.as_ref().and_then(|path| state.repo(path));
        let (merged_at, closed_at, merged_by) = match &pull.phase {
            Phase::Open => (None, None, Value::Null),
            Phase::Closed { at } => (None, Some(time(*at)), Value::Null),
            Phase::Merged { by, at, .. } => (Some(time(*at)), Some(time(*at)), self.login(state, by)),
        };
        let known = pull.is_open() && pull.mergeable_unknown == 0;
        let path = format!("/repos/{}/pulls/{}", repo.path, pull.number);
        json!({
            "id": pull.id,
            "node_id": format!("PR_{}", pull.id),
            "number": pull.number,
            "url": self.api(&path),
            "html_url": self.pull_page(repo, pull.number),
            "issue_url": self.api(&format!("/repos/{}/issues/{}", repo.path, pull.number)),
            "state": if pull.is_open() { "open" } else { "closed" },
            "locked": pull.locked,
            "title": pull.title,
            "body": if pull.body.is_empty() { Value::Null } else { Value::from(pull.body.as_str()) },
            "user": self.login(state, &pull.author),
            "created_at": time(pull.created_at),
            "updated_at": time(pull.updated_at),
            "closed_at": closed_at,
            "merged_at": merged_at,
            "merged": pull.merge_commit().is_some(),
            "merged_by": merged_by,
            "merge_commit_sha": pull.merge_commit(),
            "mergeable": known.then_some(pull.mergeable),
            "rebaseable": known.then_some(pull.mergeable),
            "mergeable_state": if known { repo.mergeable_state(pull) } else { "unknown" },
            "draft": pull.draft,
            "head": {
                "label": format!("{}:{}", head_repo.map_or("unknown", Repo::owner), pull.head_branch),
                "ref": pull.head_branch,
                "sha": pull.head,
                "user": self.login(state, &pull.author),
                "repo": head_repo.map(|r| self.repo(r)),
            },
            "base": {
                "label": format!("{}:{}", repo.owner(), pull.base_branch),
                "ref": pull.base_branch,
                "sha": pull.base,
                "repo": self.repo(repo),
            },
            "author_association": association(repo.role(&pull.author)),
            "assignees": [],
            "requested_reviewers": [],
            "requested_teams": [],
            "labels": self.labels(repo, &pull.labels),
            "milestone": null,
            "comments": pull.comments.len(),
            "review_comments": 0,
        })
    }

    /// A pull request as lists and webhooks about reviews have it: without what GitHub computes for each.
    pub(in crate::demo) fn short_pull(&self, state: &State, repo: &Repo, pull: &Pull) -> Value {
        let mut shape = self.pull(state, repo, pull);
        if let Some(fields) = shape.as_object_mut() {
            for field in
                ["merged", "merged_by", "mergeable", "rebaseable", "mergeable_state", "comments", "review_comments"]
            {
                fields.remove(field);
            }
        }
        shape
    }

    pub(in crate::demo) fn labels(&self, repo: &Repo, labels: &[String]) -> Value {
        labels.iter().map(|label| self.label(repo, label)).collect()
    }

    pub(in crate::demo) fn label(&self, repo: &Repo, name: &str) -> Value {
        json!({
            "id": repo.labels.iter().position(|label| label == name).map(|at| at + 1),
            "node_id": "",
            "url": self.api(&format!("/repos/{}/labels/{name}", repo.path)),
            "name": name,
            "color": "ededed",
            "default": false,
            "description": null,
        })
    }

    /// The issue that is the other half of a pull request, as webhooks about comments have it.
    pub(in crate::demo) fn issue(&self, state: &State, repo: &Repo, pull: &Pull) -> Value {
        json!({
            "id": pull.id,
            "number": pull.number,
            "title": pull.title,
            "html_url": self.pull_page(repo, pull.number),
            "url": self.api(&format!("/repos/{}/issues/{}", repo.path, pull.number)),
            "state": if pull.is_open() { "open" } else { "closed" },
            "user": self.login(state, &pull.author),
            "labels": self.labels(repo, &pull.labels),
            "locked": pull.locked,
            "comments": pull.comments.len(),
            "created_at": time(pull.created_at),
            "updated_at": time(pull.updated_at),
            "draft": pull.draft,
            "pull_request": {
                "url": self.api(&format!("/repos/{}/pulls/{}", repo.path, pull.number)),
                "html_url": self.pull_page(repo, pull.number),
                "merged_at": match &pull.phase { Phase::Merged { at, .. } => Some(time(*at)), _ => None },
            },
            "body": pull.body,
        })
    }

    pub(in crate::demo) fn comment(&self, state: &State, repo: &Repo, number: u64, comment: &Comment) -> Value {
        json!({
            "id": comment.id,
            "node_id": format!("IC_{}", comment.id),
            "url": self.api(&format!("/repos/{}/issues/comments/{}", repo.path, comment.id)),
            "html_url": format!("{}#issuecomment-{}", self.pull_page(repo, number), comment.id),
            "issue_url": self.api(&format!("/repos/{}/issues/{number}", repo.path)),
            "user": self.login(state, &comment.author),
            "created_at": time(comment.created_at),
            "updated_at": time(comment.updated_at),
            "author_association": association(repo.role(&comment.author)),
            "body": comment.body,
            "performed_via_github_app": null,
        })
    }

    pub(in crate::demo) fn review(&self, state: &State, repo: &Repo, number: u64, review: &Review) -> Value {
        json!({
            "id": review.id,
            "node_id": format!("PRR_{}", review.id),
            "user": self.login(state, &review.author),
            "body": review.body,
            "state": review.state.as_str(),
            "html_url": format!("{}#pullrequestreview-{}", self.pull_page(repo, number), review.id),
            "pull_request_url": self.api(&format!("/repos/{}/pulls/{number}", repo.path)),
            "author_association": association(repo.role(&review.author)),
            "submitted_at": time(review.at),
            "commit_id": review.commit,
        })
    }

    pub(in crate::demo) fn status(&self, state: &State, status: &Status) -> Value {
        json!({
            "id": status.id,
            "node_id": format!("SC_{}", status.id),
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": time(status.at),
            "updated_at": time(status.at),
            "creator": self.login(state, &status.creator),
        })
    }

    pub(in crate::demo) fn reaction(&self, state: &State, reaction: &Reaction) -> Value {
        json!({ "id": reaction.id, "user": self.login(state, &reaction.by), "content": reaction.content })
    }

    /// The page of a pull request, for people.
    pub(in crate::demo) fn pull_page(&self, repo: &Repo, number: u64) -> String {
        format!("{}/{}/pull/{number}", self.url, repo.path)
    }
}

const fn association(role: Role) -> &'static str {
    match role {
        Role::None => "NONE",
        Role::Read => "CONTRIBUTOR",
        Role::Triage | Role::Write | Role::Maintain => "COLLABORATOR",
        Role::Admin => "OWNER",
    }
}
