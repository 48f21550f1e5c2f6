//! The webhooks that Gitea sends. Source: <https://docs.gitea.com/usage/webhooks>, and the payloads of the API's own
//! description.

use super::payload::title;
use super::shapes;
use crate::demo::news::{CommentNews, News, PullNews, ReviewNews};
use crate::demo::state::{Repo, ReviewState, State};
use crate::demo::webhook::{self, Outgoing};
use crate::demo::world::World;
use axum::http::HeaderMap;
use serde_json::{Value, json};

/// Gitea's own headers, and those of the forges that it is like.
pub(in crate::demo) fn headers(delivery: &Outgoing) -> HeaderMap {
    let digits = webhook::signature(&delivery.hook.secret, &delivery.body);
    let kind = event_type(delivery);
    webhook::header_map(&[
        ("user-agent", "Go-http-client/1.1"),
        ("x-gitea-delivery", &delivery.id),
        ("x-gitea-event", &delivery.event),
        ("x-gitea-event-type", kind),
        ("x-gitea-signature", &digits),
        ("x-gogs-delivery", &delivery.id),
        ("x-gogs-event", &delivery.event),
        ("x-gogs-event-type", kind),
        ("x-gogs-signature", &digits),
        ("x-hub-signature-256", &format!("sha256={digits}")),
        ("x-github-delivery", &delivery.id),
        ("x-github-event", &delivery.event),
        ("x-github-event-type", kind),
    ])
}

/// The finer name: the one by which hooks subscribe.
fn event_type(delivery: &Outgoing) -> &'static str {
    let synchronized = delivery.body.contains("\"action\":\"synchronized\"");
    let labelled = delivery.body.contains("\"action\":\"label_updated\"");
    match delivery.event.as_str() {
        "pull_request" if labelled => "pull_request_label",
        "issue_comment" => "pull_request_comment",
        "pull_request" if synchronized => "pull_request_sync",
        "pull_request" => "pull_request",
        "pull_request_approved" => "pull_request_review_approved",
        "pull_request_rejected" => "pull_request_review_rejected",
        "pull_request_comment" => "pull_request_review_comment",
        _ => "push",
    }
}

pub(in crate::demo) fn webhooks(world: &World, news: News<'_>) -> Vec<(&'static str, Value)> {
    let made = world.read(|state| match news {
        // Only GitHub has checks, and a merge queue.
        News::Check { .. } | News::Queue { .. } => None,
        News::Push { repo, branch, before, after, by } => {
            let sender = shapes(world).login(state, by);
            let payload = json!({
                "ref": format!("refs/heads/{branch}"),
                "before": before.map_or("0".repeat(40), ToString::to_string),
                "after": after,
                "compare_url": "",
                "commits": [],
                "total_commits": 0,
                "head_commit": null,
                "repository": state.repo(repo).map(|r| shapes(world).repo(r)),
                "pusher": sender,
                "sender": sender,
            });
            Some(("push", payload))
        }
        News::Pull { repo, number, what, by } => Some(("pull_request", pull(world, state, repo, number, what, by)?)),
        News::Comment { repo, id, what, by } => Some(("issue_comment", comment(world, state, repo, id, what, by)?)),
        News::Review { what: ReviewNews::Dismissed, .. } => None,
        News::Review { repo, number, id, what: ReviewNews::Submitted, by } => {
            let repo = state.repo(repo)?;
            let pull = repo.pulls.get(&number)?;
            let review = pull.reviews.iter().find(|r| r.id == id)?;
            let (event, kind) = match review.state {
                ReviewState::ChangesRequested => ("pull_request_rejected", "pull_request_review_rejected"),
                ReviewState::Commented => ("pull_request_comment", "pull_request_review_comment"),
                ReviewState::Approved | ReviewState::Dismissed => {
                    ("pull_request_approved", "pull_request_review_approved")
                }
            };
            let mut payload = about_pull(world, state, repo, number, "reviewed", by)?;
            payload["review"] = json!({ "type": kind, "content": review.body });
            Some((event, payload))
        }
    });
    made.into_iter().collect()
}

fn pull(world: &World, state: &State, repo: &str, number: u64, what: PullNews<'_>, by: &str) -> Option<Value> {
    let repo = state.repo(repo)?;
    let pull = repo.pulls.get(&number)?;
    let from = |text: &str| Some(json!({ "title": { "from": text } }));
    let (action, changes) = match what {
        PullNews::Opened => ("opened", None),
        PullNews::Pushed { .. } => ("synchronized", None),
        PullNews::Closed | PullNews::Merged => ("closed", None),
        PullNews::Reopened => ("reopened", None),
        PullNews::Retargeted { from, .. } => ("edited", Some(json!({ "ref": { "from": from } }))),
        PullNews::Retitled { from: old } => ("edited", from(old)),
        PullNews::MadeDraft => ("edited", from(&pull.title)),
        PullNews::MadeReady => ("edited", from(&format!("WIP: {}", title(pull)))),
        PullNews::Labelled { .. } => ("label_updated", None),
    };
    let mut payload = about_pull(world, state, repo, number, action, by)?;
    if let Some(changes) = changes {
        payload["changes"] = changes;
    }
    Some(payload)
}

fn about_pull(world: &World, state: &State, repo: &Repo, number: u64, action: &str, by: &str) -> Option<Value> {
    Some(json!({
        "action": action,
        "number": number,
        "pull_request": shapes(world).pull(state, repo, repo.pulls.get(&number)?),
        "requested_reviewer": null,
        "repository": shapes(world).repo(repo),
        "sender": shapes(world).login(state, by),
        "commit_id": "",
        "review": null,
    }))
}

fn comment(world: &World, state: &State, repo: &str, id: u64, what: CommentNews<'_>, by: &str) -> Option<Value> {
    let repo = state.repo(repo)?;
    let (number, comment) = repo.comment(id)?;
    let mut payload = json!({
        "action": "created",
        "issue": shapes(world).issue(state, repo, repo.pulls.get(&number)?),
        "comment": shapes(world).comment(state, repo, number, comment),
        "repository": shapes(world).repo(repo),
        "sender": shapes(world).login(state, by),
        "is_pull": true,
    });
    match what {
        CommentNews::Created => {}
        CommentNews::Edited { from } => {
            payload["action"] = json!("edited");
            payload["changes"] = json!({ "body": { "from": from } });
        }
        CommentNews::Deleted => payload["action"] = json!("deleted"),
    }
    Some(payload)
}
