//! The webhooks that GitHub sends. Source: "Webhook events and payloads", "Validating webhook deliveries".

use super::shapes;
use crate::demo::news::{CommentNews, News, PullNews, QueueNews, ReviewNews};
use crate::demo::state::{Repo, State};
use crate::demo::webhook::{self, Outgoing};
use crate::demo::world::World;
use axum::http::HeaderMap;
use serde_json::{Value, json};

pub(in crate::demo) fn headers(delivery: &Outgoing) -> HeaderMap {
    webhook::header_map(&[
        ("user-agent", "GitHub-Hookshot/demo"),
        ("x-github-event", &delivery.event),
        ("x-github-delivery", &delivery.id),
        ("x-github-hook-id", "1"),
        ("x-hub-signature-256", &format!("sha256={}", webhook::signature(&delivery.hook.secret, &delivery.body))),
    ])
}

pub(in crate::demo) fn webhooks(world: &World, news: News<'_>) -> Vec<(&'static str, Value)> {
    let made = world.read(|state| match news {
        News::Push { repo, branch, before, after, by } => {
            let after_all = json!({
                "ref": format!("refs/heads/{branch}"),
                "before": before.map_or("0".repeat(40), ToString::to_string),
                "after": after,
                "created": before.is_none(),
                "deleted": false,
                "forced": false,
                "commits": [],
                "head_commit": { "id": after },
                "pusher": { "name": by },
                "repository": state.repo(repo).map(|r| shapes(world).repo(r)),
                "sender": shapes(world).login(state, by),
            });
            Some(("push", after_all))
        }
        News::Pull { repo, number, what, by } => Some(("pull_request", pull(world, state, repo, number, what, by)?)),
        News::Comment { repo, id, what, by } => Some(("issue_comment", comment(world, state, repo, id, what, by)?)),
        News::Check { repo, id, pressed, by } => {
            let repo = state.repo(repo)?;
            let status = repo.statuses.iter().find(|status| status.id == id)?;
            let mut more = json!({ "check_run": shapes(world).check_run(repo, status) });
            if let Some(identifier) = pressed {
                more["requested_action"] = json!({ "identifier": identifier });
            }
            let action = if pressed.is_some() { "requested_action" } else { "rerequested" };
            Some(("check_run", around(world, state, repo, action, by, more)))
        }
        News::Queue { repo, entry, what, by } => {
            let repo = state.repo(repo)?;
            let (action, reason) = match what {
                QueueNews::ChecksRequested => ("checks_requested", None),
                QueueNews::Merged => ("destroyed", Some("merged")),
                QueueNews::Invalidated => ("destroyed", Some("invalidated")),
                QueueNews::Dequeued => ("destroyed", Some("dequeued")),
            };
            let group = json!({
                "head_sha": entry.head,
                "head_ref": format!("refs/heads/{}", entry.branch),
                "base_sha": entry.base,
                "base_ref": format!("refs/heads/{}", entry.base_branch),
                "head_commit": { "id": entry.head },
            });
            let mut more = json!({ "merge_group": group });
            if let Some(reason) = reason {
                more["reason"] = reason.into();
            }
            Some(("merge_group", around(world, state, repo, action, by, more)))
        }
        News::Review { repo, number, id, what, by } => {
            let repo = state.repo(repo)?;
            let pull = repo.pulls.get(&number)?;
            let review = pull.reviews.iter().find(|r| r.id == id)?;
            let mut shape = shapes(world).review(state, repo, number, review);
            // The one difference between the API and webhooks.
            shape["state"] = review.state.as_str().to_lowercase().into();
            let action = match what {
                ReviewNews::Submitted => "submitted",
                ReviewNews::Dismissed => "dismissed",
            };
            let more = json!({ "review": shape, "pull_request": shapes(world).short_pull(state, repo, pull) });
            Some(("pull_request_review", around(world, state, repo, action, by, more)))
        }
    });
    made.into_iter().collect()
}

fn pull(world: &World, state: &State, repo: &str, number: u64, what: PullNews<'_>, by: &str) -> Option<Value> {
    let (repo, pull) = (state.repo(repo)?, state.pull(repo, number)?);
    let (action, more) = match what {
        PullNews::Opened => ("opened", json!({})),
        PullNews::Pushed { before, after } => ("synchronize", json!({ "before": before, "after": after })),
        PullNews::Closed | PullNews::Merged => ("closed", json!({})),
        PullNews::Reopened => ("reopened", json!({})),
        PullNews::Retargeted { from, from_tip } => {
            ("edited", json!({ "changes": { "base": { "ref": { "from": from }, "sha": { "from": from_tip } } } }))
        }
        PullNews::Retitled { from } => ("edited", json!({ "changes": { "title": { "from": from } } })),
        PullNews::MadeDraft => ("converted_to_draft", json!({})),
        PullNews::MadeReady => ("ready_for_review", json!({})),
        PullNews::Labelled { before } => {
            let added = pull.labels.iter().find(|label| !before.contains(label));
            let gone = before.iter().find(|label| !pull.labels.contains(label));
            let action = if added.is_some() { "labeled" } else { "unlabeled" };
            (action, json!({ "label": added.or(gone).map(|label| shapes(world).label(repo, label)) }))
        }
    };
    let shape = json!({ "number": number, "pull_request": shapes(world).pull(state, repo, pull) });
    Some(merged(around(world, state, repo, action, by, shape), more))
}

fn comment(world: &World, state: &State, repo: &str, id: u64, what: CommentNews<'_>, by: &str) -> Option<Value> {
    let repo = state.repo(repo)?;
    let (number, comment) = repo.comment(id)?;
    let (action, more) = match what {
        CommentNews::Created => ("created", json!({})),
        CommentNews::Edited { from } => ("edited", json!({ "changes": { "body": { "from": from } } })),
        CommentNews::Deleted => ("deleted", json!({})),
    };
    let shape = json!({
        "issue": shapes(world).issue(state, repo, repo.pulls.get(&number)?),
        "comment": shapes(world).comment(state, repo, number, comment),
    });
    Some(merged(around(world, state, repo, action, by, shape), more))
}

/// What every webhook of a repository has besides what it is about.
fn around(world: &World, state: &State, repo: &Repo, action: &str, by: &str, about: Value) -> Value {
    let usual = json!({
        "action": action,
        "repository": shapes(world).repo(repo),
        "sender": shapes(world).login(state, by),
        "installation": state.installation(repo).map(|id| json!({ "id": id, "node_id": "" })),
    });
    merged(usual, about)
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}
