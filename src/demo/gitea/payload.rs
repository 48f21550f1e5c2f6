//! The JSON that Gitea has for things: the same shapes in answers of the API and in webhooks. Fields nobody reads are
//! left out, those that differ from GitHub's are not.

use crate::demo::state::{
    Comment, InstalledHook, Phase, Pull, Reaction, Repo, Review, ReviewState, State, Status, User,
};
use crate::domain::id::Timestamp;
use crate::domain::pull::Role;
use serde_json::{Value, json};

/// Builds JSON with the addresses of one forge.
#[derive(Debug, Clone)]
pub(super) struct Shapes {
    /// The forge's address without a `/` at the end.
    pub(super) url: String,
}

/// Gitea's times: whole seconds, with an offset.
pub(super) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).map(|t| t.to_string()).unwrap_or_default()
}

/// Gitea's word for a role: it knows no maintainers and no triage.
pub(super) const fn permission(role: Role) -> &'static str {
    match role {
        Role::None => "none",
        Role::Read | Role::Triage => "read",
        Role::Write => "write",
        Role::Maintain | Role::Admin => "admin",
    }
}

/// The title as people see it: a draft is one by its title.
pub(super) fn title(pull: &Pull) -> String {
    if pull.draft { format!("WIP: {}", pull.title) } else { pull.title.clone() }
}

impl Shapes {
    pub(super) fn user(&self, user: &User) -> Value {
        // Accounts that nobody has, such as that of the forge's own actions, are below 0.
        let id = i64::try_from(user.id).unwrap_or_default();
        json!({
            "id": if user.bot { -id } else { id },
            "login": user.login,
            "login_name": "",
            "full_name": "",
            "email": format!("{}@noreply.localhost", user.login),
            "avatar_url": format!("{}/avatars/{}", self.url, user.id),
            "html_url": format!("{}/{}", self.url, user.login),
            "language": "",
            "is_admin": false,
            "active": true,
            "prohibit_login": false,
        })
    }

    /// An account by its login, or the one that stands for all that are gone.
    pub(super) fn login(&self, state: &State, login: &str) -> Value {
        let ghost = json!({ "id": -1, "login": "Ghost", "full_name": "", "email": "" });
        state.user(login).map_or(ghost, |user| self.user(user))
    }

    pub(super) fn repo(&self, repo: &Repo) -> Value {
        json!({
            "id": repo.id,
            "owner": { "id": 1, "login": repo.owner(), "full_name": "", "email": "" },
            "name": repo.name(),
            "full_name": repo.path,
            "description": "",
            "empty": false,
            "private": true,
            "fork": repo.fork_of.is_some(),
            "html_url": format!("{}/{}", self.url, repo.path),
            "url": format!("{}/api/v1/repos/{}", self.url, repo.path),
            "clone_url": format!("{}/{}.git", self.url, repo.path),
            "default_branch": repo.default_branch,
            "archived": false,
        })
    }

    pub(super) fn pull(&self, state: &State, repo: &Repo, pull: &Pull) -> Value {
        let head_repo = pull.head_repo.as_ref().and_then(|path| state.repo(path));
        let (merged_at, closed_at, merged_by) = match &pull.phase {
            Phase::Open => (None, None, Value::Null),
            Phase::Closed { at } => (None, Some(time(*at)), Value::Null),
            Phase::Merged { by, at, .. } => (Some(time(*at)), Some(time(*at)), self.login(state, by)),
        };
        let own_ref = format!("refs/pull/{}/head", pull.number);
        let head_is_there = head_repo.is_some_and(|repo| repo.branches.contains_key(&pull.head_branch));
        let base_tip = repo.branches.get(&pull.base_branch);
        let page = self.pull_page(repo, pull.number);
        json!({
            "id": pull.id,
            "url": page,
            "number": pull.number,
            "user": self.login(state, &pull.author),
            "title": title(pull),
            "body": pull.body,
            "labels": pull.labels.iter().map(|label| self.label(repo, label)).collect::<Vec<_>>(),
            "milestone": null,
            "assignee": null,
            "assignees": null,
            "requested_reviewers": [],
            "state": if pull.is_open() { "open" } else { "closed" },
            "draft": pull.draft,
            "is_locked": false,
            "comments": pull.comments.len(),
            "html_url": page,
            "diff_url": format!("{page}.diff"),
            "patch_url": format!("{page}.patch"),
            // It says no as well while it still looks.
            "mergeable": pull.is_open() && pull.mergeable && pull.mergeable_unknown == 0 && !pull.draft,
            "merged": pull.merge_commit().is_some(),
            "merged_at": merged_at,
            "merge_commit_sha": pull.merge_commit(),
            "merged_by": merged_by,
            "allow_maintainer_edit": false,
            "base": {
                "label": pull.base_branch,
                "ref": pull.base_branch,
                "sha": base_tip.map_or("", |sha| sha.as_str()),
                "repo_id": repo.id,
                "repo": self.repo(repo),
            },
            "head": {
                "label": pull.head_branch,
                "ref": if head_is_there { &pull.head_branch } else { &own_ref },
                "sha": pull.head,
                "repo_id": head_repo.map_or(-1, |repo| i64::try_from(repo.id).unwrap_or(-1)),
                "repo": head_repo.map(|repo| self.repo(repo)),
            },
            "merge_base": pull.base,
            "due_date": null,
            "created_at": time(pull.created_at),
            "updated_at": time(pull.updated_at),
            "closed_at": closed_at,
            "pin_order": 0,
        })
    }

    pub(super) fn label(&self, repo: &Repo, name: &str) -> Value {
        let id = repo.labels.iter().position(|label| label == name).map(|at| at + 1);
        json!({
            "id": id,
            "name": name,
            "exclusive": false,
            "is_archived": false,
            "color": "ededed",
            "description": "",
            "url": format!("{}/api/v1/repos/{}/labels/{}", self.url, repo.path, id.unwrap_or_default()),
        })
    }

    /// The issue that is the other half of a pull request, as webhooks about comments have it.
    pub(super) fn issue(&self, state: &State, repo: &Repo, pull: &Pull) -> Value {
        let merged_at = match &pull.phase {
            Phase::Merged { at, .. } => Some(time(*at)),
            _ => None,
        };
        json!({
            "id": pull.id,
            "url": format!("{}/api/v1/repos/{}/issues/{}", self.url, repo.path, pull.number),
            "html_url": self.pull_page(repo, pull.number),
            "number": pull.number,
            "user": self.login(state, &pull.author),
            "title": title(pull),
            "body": pull.body,
            "labels": pull.labels.iter().map(|label| self.label(repo, label)).collect::<Vec<_>>(),
            "milestone": null,
            "assignee": null,
            "assignees": null,
            "state": if pull.is_open() { "open" } else { "closed" },
            "is_locked": false,
            "comments": pull.comments.len(),
            "created_at": time(pull.created_at),
            "updated_at": time(pull.updated_at),
            "closed_at": null,
            "due_date": null,
            "pull_request": {
                "merged": pull.merge_commit().is_some(),
                "merged_at": merged_at,
                "draft": pull.draft,
                "html_url": self.pull_page(repo, pull.number),
            },
            "repository": { "id": repo.id, "name": repo.name(), "owner": repo.owner(), "full_name": repo.path },
            "pin_order": 0,
        })
    }

    pub(super) fn comment(&self, state: &State, repo: &Repo, number: u64, comment: &Comment) -> Value {
        let page = self.pull_page(repo, number);
        json!({
            "id": comment.id,
            "html_url": format!("{page}#issuecomment-{}", comment.id),
            "pull_request_url": page,
            "issue_url": "",
            "user": self.login(state, &comment.author),
            "original_author": "",
            "original_author_id": 0,
            "body": comment.body,
            "assets": [],
            "created_at": time(comment.created_at),
            "updated_at": time(comment.updated_at),
        })
    }

    pub(super) fn review(&self, state: &State, repo: &Repo, pull: &Pull, review: &Review) -> Value {
        let page = self.pull_page(repo, pull.number);
        let word = match review.state {
            // A dismissed review keeps its word.
            ReviewState::Approved | ReviewState::Dismissed => "APPROVED",
            ReviewState::ChangesRequested => "REQUEST_CHANGES",
            ReviewState::Commented => "COMMENT",
        };
        json!({
            "id": review.id,
            "user": self.login(state, &review.author),
            "team": null,
            "state": word,
            "body": review.body,
            "commit_id": review.commit,
            "stale": review.commit != pull.head,
            "official": repo.role(&review.author) >= Role::Write && pull.verdicts().iter().any(|newest| newest.id == review.id),
            "dismissed": review.state == ReviewState::Dismissed,
            "comments_count": 0,
            "submitted_at": time(review.at),
            "updated_at": time(review.at),
            "html_url": format!("{page}#issuecomment-{}", review.id),
            "pull_request_url": page,
        })
    }

    pub(super) fn status(&self, state: &State, repo: &Repo, status: &Status) -> Value {
        json!({
            "id": status.id,
            "status": status.state,
            "target_url": status.target_url.as_deref().unwrap_or_default(),
            "description": status.description.as_deref().unwrap_or_default(),
            "url": format!("{}/api/v1/repos/{}/statuses/{}", self.url, repo.path, status.sha),
            "context": status.context,
            "creator": self.login(state, &status.creator),
            "created_at": time(status.at),
            "updated_at": time(status.at),
        })
    }

    pub(super) fn reaction(&self, state: &State, reaction: &Reaction, at: Timestamp) -> Value {
        json!({ "user": self.login(state, &reaction.by), "content": reaction.content, "created_at": time(at) })
    }

    /// Its secret is never told.
    pub(super) fn hook(hook: &InstalledHook) -> Value {
        json!({
            "id": hook.id,
            "type": "gitea",
            "config": { "url": hook.url, "content_type": hook.content_type },
            "events": hook.events,
            "authorization_header": "",
            "active": hook.active,
            "branch_filter": "*",
            "created_at": time(hook.at),
            "updated_at": time(hook.at),
        })
    }

    /// The page of a pull request, for people.
    fn pull_page(&self, repo: &Repo, number: u64) -> String {
        format!("{}/{}/pulls/{number}", self.url, repo.path)
    }
}
