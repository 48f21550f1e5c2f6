//! The webhooks that GitLab sends. Source: "Webhook events", "Webhooks".

use super::shapes;
use super::shapes::{time, username};
use crate::demo::news::{CommentNews, News, PullNews, ReviewNews};
use crate::demo::state::{Pull, Repo, ReviewState, State};
use crate::demo::webhook::{self, Outgoing};
use crate::demo::world::World;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::Sha256;

const MERGE_REQUEST: &str = "Merge Request Hook";

/// A secret that is a signing token (`whsec_…`) signs; every other one is sent.
pub(in crate::demo) fn headers(delivery: &Outgoing) -> HeaderMap {
    let mut headers = webhook::header_map(&[
        ("user-agent", "GitLab/demo"),
        ("x-gitlab-event", &delivery.event),
        ("x-gitlab-event-uuid", &delivery.id),
        ("idempotency-key", &delivery.id),
    ]);
    let secret = delivery.hook.secret.expose_secret();
    match secret.strip_prefix("whsec_").and_then(|key| STANDARD.decode(key).ok()) {
        Some(key) => {
            let at = (crate::demo::world::now().0 / 1000).to_string();
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
            mac.update(format!("{}.{at}.{}", delivery.id, delivery.body).as_bytes());
            let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
            headers.extend(webhook::header_map(&[
                ("webhook-id", &delivery.id),
                ("webhook-timestamp", &at),
                ("webhook-signature", &signature),
            ]));
        }
        None => headers.extend(webhook::header_map(&[("x-gitlab-token", secret)])),
    }
    headers
}

pub(in crate::demo) fn webhooks(world: &World, news: News<'_>) -> Vec<(&'static str, Value)> {
    let made = world.read(|state| match news {
        // Only GitHub has checks, and a merge queue.
        News::Check { .. } | News::Queue { .. } => None,
        News::Push { repo, branch, before, after, by } => {
            let repo = state.repo(repo)?;
            let zero = "0".repeat(40);
            let push = json!({
                "object_kind": "push",
                "event_name": "push",
                "before": before.map_or(zero, ToString::to_string),
                "after": after,
                "checkout_sha": after,
                "ref": format!("refs/heads/{branch}"),
                "user_username": by,
                "project_id": repo.id,
                "project": project(world, repo),
                "commits": [],
                "total_commits_count": 1,
            });
            Some(("Push Hook", push))
        }
        News::Pull { repo, number, what, by } => {
            let (repo, pull) = (state.repo(repo)?, state.pull(repo, number)?);
            Some((MERGE_REQUEST, merge_request(world, state, repo, pull, what, by)))
        }
        News::Comment { repo, id, what, by } => {
            let repo = state.repo(repo)?;
            let (number, comment) = repo.comment(id)?;
            let action = match what {
                CommentNews::Created => "create",
                CommentNews::Edited { .. } => "update",
                // GitLab says nothing of it.
                CommentNews::Deleted => return None,
            };
            let pull = repo.pulls.get(&number)?;
            let note = json!({
                "object_kind": "note",
                "event_type": "note",
                "user": user(state, by),
                "project_id": repo.id,
                "project": project(world, repo),
                "object_attributes": {
                    "id": comment.id,
                    "note": comment.body,
                    "noteable_type": "MergeRequest",
                    "noteable_id": pull.id,
                    "project_id": repo.id,
                    "author_id": state.user(&comment.author).map(|author| author.id),
                    "created_at": time(comment.created_at),
                    "updated_at": time(comment.updated_at),
                    "commit_id": null,
                    "line_code": null,
                    "system": false,
                    "internal": false,
                    "type": null,
                    "action": action,
                    "url": format!("{}#note_{}", shapes(world).merge_request_page(repo, number), comment.id),
                },
                "merge_request": attributes(world, state, repo, pull),
            });
            Some(("Note Hook", note))
        }
        News::Review { repo, number, id, what, by } => {
            let (repo, pull) = (state.repo(repo)?, state.pull(repo, number)?);
            let review = pull.reviews.iter().find(|review| review.id == id)?;
            let mut before = pull.reviews.iter().filter(|older| older.author == review.author && older.id < id);
            let had_approved = before.next_back().is_some_and(|older| older.state == ReviewState::Approved);
            let action = match (what, review.state) {
                (ReviewNews::Submitted, ReviewState::Approved) => "approved",
                (ReviewNews::Dismissed, _) => "unapproved",
                (ReviewNews::Submitted, ReviewState::ChangesRequested) if had_approved => "unapproved",
                // A comment, or a wish for changes, is told by its note only.
                (ReviewNews::Submitted, _) => return None,
            };
            Some((MERGE_REQUEST, around(world, state, repo, pull, action, json!({}), json!({}), by)))
        }
    });
    made.into_iter().collect()
}

fn merge_request(world: &World, state: &State, repo: &Repo, pull: &Pull, what: PullNews<'_>, by: &str) -> Value {
    let change =
        |field: &str, previous: Value, current: Value| json!({ field: { "previous": previous, "current": current } });
    let (action, more, changes) = match what {
        PullNews::Opened => ("open", json!({}), json!({})),
        PullNews::Reopened => ("reopen", json!({}), json!({})),
        PullNews::Closed => ("close", json!({}), json!({})),
        PullNews::Merged => ("merge", json!({}), json!({})),
        PullNews::Pushed { before, .. } => ("update", json!({ "oldrev": before }), json!({})),
        PullNews::Retargeted { from, .. } => {
            ("update", json!({}), change("target_branch", json!(from), json!(pull.base_branch)))
        }
        PullNews::Retitled { from } => ("update", json!({}), change("title", json!(from), json!(pull.title))),
        PullNews::MadeDraft => ("update", json!({}), change("draft", json!(false), json!(true))),
        PullNews::MadeReady => ("update", json!({}), change("draft", json!(true), json!(false))),
        PullNews::Labelled { before } => {
            let titles = |labels: &[String]| labels.iter().map(|label| json!({ "title": label })).collect();
            ("update", json!({}), change("labels", titles(before), titles(&pull.labels)))
        }
    };
    around(world, state, repo, pull, action, more, changes, by)
}

#[expect(clippy::too_many_arguments, reason = "each is a part of the payload")]
fn around(
    world: &World,
    state: &State,
    repo: &Repo,
    pull: &Pull,
    action: &str,
    more: Value,
    changes: Value,
    by: &str,
) -> Value {
    let mut attributes = attributes(world, state, repo, pull);
    attributes["action"] = action.into();
    if let (Some(attributes), Value::Object(more)) = (attributes.as_object_mut(), more) {
        attributes.extend(more);
    }
    json!({
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": user(state, by),
        "project": project(world, repo),
        "object_attributes": attributes,
        "labels": pull.labels.iter().map(|label| json!({ "title": label })).collect::<Vec<_>>(),
        "changes": changes,
        "assignees": [],
        "reviewers": [],
    })
}

/// A merge request as webhooks have it: numbers where the API has objects.
fn attributes(world: &World, state: &State, repo: &Repo, pull: &Pull) -> Value {
    let shape = shapes(world).merge_request(state, repo, pull);
    let source = pull.head_repo.as_ref().and_then(|path| state.repo(path));
    let mut attributes = json!({
        "author_id": state.user(&pull.author).map(|author| author.id),
        "url": shape["web_url"],
        "source": source.map(|source| project(world, source)),
        "target": project(world, repo),
        "last_commit": { "id": pull.head },
    });
    for field in [
        "id",
        "iid",
        "target_branch",
        "source_branch",
        "source_project_id",
        "target_project_id",
        "title",
        "description",
        "created_at",
        "updated_at",
        "state",
        "draft",
        "work_in_progress",
        "merge_status",
        "detailed_merge_status",
        "merge_commit_sha",
    ] {
        attributes[field] = shape[field].clone();
    }
    attributes
}

fn user(state: &State, login: &str) -> Value {
    let user = state.user(login);
    json!({
        "id": user.map(|user| user.id),
        "name": login,
        "username": user.map(username),
        "avatar_url": null,
        "email": "[REDACTED]",
    })
}

fn project(world: &World, repo: &Repo) -> Value {
    let web = format!("{}/{}", world.origin(), repo.path);
    json!({
        "id": repo.id,
        "name": repo.name(),
        "web_url": web,
        "git_http_url": format!("{web}.git"),
        "namespace": repo.owner(),
        "visibility_level": 0,
        "path_with_namespace": repo.path,
        "default_branch": repo.default_branch,
    })
}
