//! The JSON that GitLab has for things: the same shapes in all answers of the API. Fields nobody reads are left out.

use super::pipelines;
use crate::demo::state::{
    Comment, MergeMethod, Phase, Pipeline, Pull, Reaction, Repo, Review, ReviewState, State, Status, User,
};
use crate::domain::id::Timestamp;
use crate::domain::pull::Role;
use serde_json::{Value, json};

/// Builds JSON with the addresses of one forge.
pub(super) struct Shapes {
    /// The forge's address without a `/` at the end.
    pub(super) url: String,
}

/// GitLab's times: milliseconds, UTC.
pub(super) fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or_default();
    format!("{at:.3}")
}

/// GitLab's number for a role.
pub(super) const fn access_level(role: Role) -> u32 {
    match role {
        Role::None => 0,
        Role::Read => 10,
        Role::Triage => 20,
        Role::Write => 30,
        Role::Maintain => 40,
        Role::Admin => 50,
    }
}

/// A program's account has a name that GitLab makes.
pub(super) fn username(user: &User) -> String {
    if user.bot { format!("project_1_bot_{:08x}", user.id) } else { user.login.clone() }
}

impl Shapes {
    pub(super) fn user(&self, user: &User) -> Value {
        let username = username(user);
        json!({
            "id": user.id,
            "name": user.login,
            "state": "active",
            "locked": false,
            "avatar_url": null,
            "web_url": format!("{}/{username}", self.url),
            "username": username,
        })
    }

    /// An account by its login, or `null` for one that is gone.
    pub(super) fn login(&self, state: &State, login: &str) -> Value {
        state.user(login).map_or(Value::Null, |user| self.user(user))
    }

    pub(super) fn project(&self, state: &State, repo: &Repo, login: &str) -> Value {
        let direct = json!({ "access_level": access_level(repo.role(login)), "notification_level": 3 });
        let forked = repo.fork_of.as_ref().and_then(|path| state.repo(path));
        json!({
            "id": repo.id,
            "name": repo.name(),
            "path": repo.name(),
            "path_with_namespace": repo.path,
            "description": null,
            "default_branch": repo.default_branch,
            "visibility": "private",
            "web_url": format!("{}/{}", self.url, repo.path),
            "http_url_to_repo": format!("{}/{}.git", self.url, repo.path),
            "namespace": { "id": 1, "full_path": repo.owner(), "kind": "group" },
            "forked_from_project": forked.map(|of| json!({ "id": of.id, "path_with_namespace": of.path })),
            "archived": false,
            "jobs_enabled": true,
            "builds_access_level": "enabled",
            "ci_config_path": "",
            "merge_method": "merge",
            "squash_option": "default_off",
            "merge_trains_enabled": repo.merge_queue,
            "only_allow_merge_if_pipeline_succeeds": !repo.required_statuses.is_empty(),
            "permissions": { "project_access": direct, "group_access": null },
        })
    }

    pub(super) fn merge_request(&self, state: &State, repo: &Repo, pull: &Pull) -> Value {
        let source = pull.head_repo.as_ref().and_then(|path| state.repo(path));
        let (word, merged_at, closed_at, merge_user) = match &pull.phase {
            Phase::Open => ("opened", None, None, Value::Null),
            Phase::Closed { at } => ("closed", None, Some(time(*at)), Value::Null),
            Phase::Merged { by, at, .. } => ("merged", Some(time(*at)), None, self.login(state, by)),
        };
        // A squashed commit that lies on the target branch itself has no merge commit besides.
        let squashed = pull.merged_with == Some(MergeMethod::Squash);
        let landed = pull.merge_commit();
        let known = pull.mergeable_unknown == 0;
        let coarse = match (known, pull.mergeable) {
            (false, _) => "checking",
            (true, true) => "can_be_merged",
            (true, false) => "cannot_be_merged",
        };
        let title = if pull.draft { format!("Draft: {}", pull.title) } else { pull.title.clone() };
        json!({
            "id": pull.id,
            "iid": pull.number,
            "project_id": repo.id,
            "title": title,
            "description": pull.body,
            "state": word,
            "created_at": time(pull.created_at),
            "updated_at": time(pull.updated_at),
            "merged_by": merge_user,
            "merge_user": merge_user,
            "merged_at": merged_at,
            "closed_at": closed_at,
            "target_branch": pull.base_branch,
            "source_branch": pull.head_branch,
            "author": self.login(state, &pull.author),
            "assignees": [],
            "reviewers": [],
            "source_project_id": source.map(|source| source.id),
            "target_project_id": repo.id,
            "labels": pull.labels,
            "draft": pull.draft,
            "work_in_progress": pull.draft,
            "merge_status": coarse,
            "detailed_merge_status": detailed_merge_status(state, repo, pull),
            "sha": pull.head,
            "merge_commit_sha": if squashed { None } else { landed },
            "squash_commit_sha": if squashed { landed } else { None },
            "squash": false,
            "has_conflicts": !pull.mergeable,
            "blocking_discussions_resolved": true,
            "user_notes_count": pull.comments.len(),
            "references": { "short": format!("!{}", pull.number), "full": format!("{}!{}", repo.path, pull.number) },
            "web_url": self.merge_request_page(repo, pull.number),
            "prepared_at": time(pull.created_at),
            "diff_refs": { "base_sha": pull.base, "head_sha": pull.head, "start_sha": pull.base },
            "head_pipeline": pipelines::of_head(state, repo, pull).map(|(of, found)| self.pipeline(of, found)),
            "merge_error": null,
            "user": { "can_merge": true },
        })
    }

    /// What the list has no room for.
    pub(super) fn merge_request_in_list(&self, state: &State, repo: &Repo, pull: &Pull) -> Value {
        let mut shape = self.merge_request(state, repo, pull);
        if let Some(fields) = shape.as_object_mut() {
            for field in ["diff_refs", "head_pipeline", "merge_error", "user"] {
                fields.remove(field);
            }
        }
        shape
    }

    pub(super) fn pipeline(&self, of: &Repo, pipeline: &Pipeline) -> Value {
        json!({
            "id": pipeline.id,
            "iid": pipeline.id,
            "project_id": of.id,
            "sha": pipeline.sha,
            "ref": pipeline.reference,
            "status": pipelines::status(of, pipeline),
            "source": pipeline.source,
            "web_url": format!("{}/{}/-/pipelines/{}", self.url, of.path, pipeline.id),
        })
    }

    pub(super) fn note(&self, state: &State, pull: &Pull, comment: &Comment) -> Value {
        json!({
            "id": comment.id,
            "type": null,
            "body": comment.body,
            "author": self.login(state, &comment.author),
            "created_at": time(comment.created_at),
            "updated_at": time(comment.updated_at),
            "system": false,
            "noteable_id": pull.id,
            "noteable_type": "MergeRequest",
            "noteable_iid": pull.number,
            "resolvable": false,
            "confidential": false,
            "internal": false,
        })
    }

    /// GitLab's own note of what somebody did.
    pub(super) fn system_note(&self, state: &State, pull: &Pull, review: &Review) -> Option<Value> {
        let words = match review.state {
            ReviewState::Approved => "approved this merge request",
            ReviewState::Dismissed => "unapproved this merge request",
            ReviewState::ChangesRequested => "requested changes",
            ReviewState::Commented => return None,
        };
        Some(json!({
            "id": review.id,
            "type": null,
            "body": words,
            "author": self.login(state, &review.author),
            "created_at": time(review.at),
            "updated_at": time(review.at),
            "system": true,
            "noteable_id": pull.id,
            "noteable_type": "MergeRequest",
            "noteable_iid": pull.number,
            "resolvable": false,
            "confidential": false,
            "internal": false,
        }))
    }

    pub(super) fn award(&self, state: &State, note: u64, reaction: &Reaction) -> Value {
        json!({
            "id": reaction.id,
            "name": reaction.content,
            "user": self.login(state, &reaction.by),
            "awardable_id": note,
            "awardable_type": "Note",
        })
    }

    pub(super) fn status(&self, state: &State, status: &Status) -> Value {
        json!({
            "id": status.id,
            "sha": status.sha,
            "ref": null,
            "status": status_word(status),
            "name": status.context,
            "target_url": status.target_url,
            "description": status.description,
            "created_at": time(status.at),
            "started_at": null,
            "finished_at": null,
            "allow_failure": false,
            "coverage": null,
            "pipeline_id": status.pipeline,
            "author": self.login(state, &status.creator),
        })
    }

    /// The page of a merge request, for people.
    pub(super) fn merge_request_page(&self, repo: &Repo, number: u64) -> String {
        format!("{}/{}/-/merge_requests/{number}", self.url, repo.path)
    }
}

/// GitLab's word for the state of a status.
pub(super) fn status_word(status: &Status) -> &str {
    match status.state.as_str() {
        "pending" if status.running => "running",
        "failure" | "error" => "failed",
        word => word,
    }
}

/// The approvals that stand: the newest verdict of each person, if it is one.
pub(super) fn approvals(pull: &Pull) -> Vec<&Review> {
    let mut newest = pull.verdicts();
    newest.retain(|review| review.state == ReviewState::Approved);
    newest
}

/// What has to be approved, and by whom it was.
pub(super) struct ApprovalRule<'r> {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) required: usize,
    pub(super) approved_by: Vec<&'r str>,
}

impl ApprovalRule<'_> {
    pub(super) fn is_satisfied(&self) -> bool {
        self.approved_by.len() >= self.required
    }
}

/// Only who may write is heard, and not the author.
pub(super) fn approval_rules<'r>(repo: &Repo, pull: &'r Pull) -> Vec<ApprovalRule<'r>> {
    let heard = |review: &&Review| repo.role(&review.author) >= Role::Write && review.author != pull.author;
    let given: Vec<&str> = approvals(pull).into_iter().filter(heard).map(|review| review.author.as_str()).collect();
    let is_owner = |login: &&str| repo.code_owners.iter().any(|owner| owner == login);
    let owners = given.iter().copied().filter(is_owner).collect();
    let (required, asked) = (repo.required_reviews, usize::from(!repo.code_owners.is_empty()));
    let any = ApprovalRule { name: "All Members", kind: "any_approver", required, approved_by: given };
    let of_owners = ApprovalRule { name: "*", kind: "code_owner", required: asked, approved_by: owners };
    if asked == 0 { vec![any] } else { vec![any, of_owners] }
}

/// The first check that stands in the way, in GitLab's order.
pub(super) fn detailed_merge_status(state: &State, repo: &Repo, pull: &Pull) -> &'static str {
    if !pull.is_open() {
        "not_open"
    } else if pull.mergeable_unknown > 0 {
        "checking"
    } else if !approval_rules(repo, pull).iter().all(ApprovalRule::is_satisfied) {
        "not_approved"
    } else if pull.draft {
        "draft_status"
    } else if !pull.mergeable {
        "conflict"
    } else if repo.required_statuses.is_empty() {
        "mergeable"
    } else {
        match pipelines::of_head(state, repo, pull).map(|(of, found)| pipelines::status(of, found)) {
            Some("success") => "mergeable",
            Some("pending" | "running") => "ci_still_running",
            _ => "ci_must_pass",
        }
    }
}
