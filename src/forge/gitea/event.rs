//! What a webhook of Gitea or Forgejo means. Most of a payload is not read: whatever we decide by is asked of the API when
//! the event is worked on, so that late, repeated and reordered deliveries end in the same state.
//!
//! The names are those of the header `X-Gitea-Event`: all kinds of changes to a pull request are `pull_request` there, all
//! comments `issue_comment`, and a review has one name for each verdict.

use super::payload::{IssueComment, Odd, is_draft_title};
use crate::domain::event::{Event, PullChange};
use crate::domain::id::{PullId, PullNumber, RepoName};
use crate::forge::Malformed;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Reviews, by their verdict; the last one is a review that only comments.
const REVIEWS: [&str; 3] = ["pull_request_approved", "pull_request_rejected", "pull_request_comment"];

#[derive(Deserialize)]
struct Head {
    action: Option<String>,
    repository: Option<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

#[derive(Deserialize)]
struct PullRequestEvent {
    pull_request: PullRequest,
    /// Of an edit: what was there before.
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct PullRequest {
    number: PullNumber,
    title: String,
}

#[derive(Deserialize)]
struct Changes {
    /// The base branch.
    #[serde(rename = "ref")]
    base: Option<IgnoredAny>,
    title: Option<From>,
}

#[derive(Deserialize)]
struct From {
    from: String,
}

#[derive(Deserialize)]
struct IssueCommentEvent {
    issue: Issue,
    comment: IssueComment,
    is_pull: Option<bool>,
}

#[derive(Deserialize)]
struct Issue {
    number: PullNumber,
    /// Only there when the issue is a pull request.
    pull_request: Option<IgnoredAny>,
}

pub(in crate::forge) fn event(event_name: &str, body: &str, host: &str) -> Result<Event, Malformed> {
    Reader { event_name, body, host }.event()
}

struct Reader<'a> {
    event_name: &'a str,
    body: &'a str,
    host: &'a str,
}

impl Reader<'_> {
    fn event(&self) -> Result<Event, Malformed> {
        let is_review = REVIEWS.contains(&self.event_name);
        if !is_review && !matches!(self.event_name, "pull_request" | "issue_comment") {
            // Whatever its shape is, it is none of ours.
            let head = serde_json::from_str::<Head>(self.body).ok();
            let repo = head.and_then(|head| self.repo(head.repository.as_ref()?).ok());
            return Ok(Event::Ignored { repo, reason: format!("nothing follows from `{}` events", self.event_name) });
        }
        let head: Head = self.parse()?;
        let action = head.action.as_deref().unwrap_or_default();
        let repository = head.repository.as_ref().ok_or_else(|| self.malformed(&"it names no repository"))?;
        let repo = self.repo(repository).map_err(|odd| self.malformed(&odd))?;
        match self.event_name {
            "pull_request" => self.pull_request(repo, action),
            "issue_comment" => self.issue_comment(repo, action),
            _ => self.review(repo, action),
        }
    }

    fn pull_request(&self, repo: RepoName, action: &str) -> Result<Event, Malformed> {
        let change = match action {
            "opened" => PullChange::Opened,
            "reopened" => PullChange::Reopened,
            "synchronized" => PullChange::Pushed,
            "edited" => PullChange::Retargeted,
            "closed" => PullChange::Closed,
            // What a review does, when it comes under this name.
            "reviewed" => return self.review(repo, action),
            _ => return Ok(self.ignored_action(repo, action)),
        };
        let PullRequestEvent { pull_request: PullRequest { number, title }, changes } = self.parse()?;
        let change = match change {
            PullChange::Retargeted => edited(changes, &title),
            other => Some(other),
        };
        Ok(match change {
            Some(change) => Event::PullChanged { pull: PullId { repo, number }, change },
            None => {
                let reason = "an edit that leaves the base branch, and whether it is a draft, as they are".into();
                Event::Ignored { repo: Some(repo), reason }
            }
        })
    }

    fn issue_comment(&self, repo: RepoName, action: &str) -> Result<Event, Malformed> {
        if !matches!(action, "created" | "deleted") {
            return Ok(self.ignored_action(repo, action));
        }
        let payload: IssueCommentEvent = self.parse()?;
        if payload.is_pull != Some(true) && payload.issue.pull_request.is_none() {
            let reason = "a comment on an issue, not on a pull request".into();
            return Ok(Event::Ignored { repo: Some(repo), reason });
        }
        let pull = PullId { repo, number: payload.issue.number };
        if action == "deleted" {
            return Ok(Event::CommentGone { pull, comment: payload.comment.id });
        }
        let comment = payload.comment.into_comment().map_err(|odd| self.malformed(&odd))?;
        Ok(Event::Commented { pull, comment })
    }

    fn review(&self, repo: RepoName, action: &str) -> Result<Event, Malformed> {
        if !matches!(action, "reviewed" | "dismissed") {
            return Ok(self.ignored_action(repo, action));
        }
        let payload: PullRequestEvent = self.parse()?;
        Ok(Event::Reviewed { pull: PullId { repo, number: payload.pull_request.number } })
    }

    fn ignored_action(&self, repo: RepoName, action: &str) -> Event {
        let action: String = action.chars().take(80).collect();
        let reason = format!("nothing follows from the action `{action}` of `{}` events", self.event_name);
        Event::Ignored { repo: Some(repo), reason }
    }

    fn repo(&self, repository: &Repository) -> Result<RepoName, Odd> {
        let odd = Odd::Other("the repository's full name is not `owner/name`");
        let (owner, name) = repository.full_name.split_once('/').ok_or(odd)?;
        Ok(RepoName::new(self.host, owner, name)?)
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_str(self.body).map_err(|error| self.malformed(&error))
    }

    fn malformed(&self, what: &dyn std::fmt::Display) -> Malformed {
        Malformed { event: self.event_name.into(), what: what.to_string() }
    }
}

/// What an edit changed. A draft is one by its title.
fn edited(changes: Option<Changes>, title: &str) -> Option<PullChange> {
    let changes = changes?;
    if changes.base.is_some() {
        return Some(PullChange::Retargeted);
    }
    match (is_draft_title(&changes.title?.from), is_draft_title(title)) {
        (true, false) => Some(PullChange::MadeReady),
        (false, true) => Some(PullChange::MadeDraft),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn told(name: &str, body: &Value) -> Event {
        event(name, &body.to_string(), "git.example.com").unwrap()
    }

    fn edit(title: &str, changes: Value) -> Event {
        told(
            "pull_request",
            &json!({ "action": "edited", "number": 7, "changes": changes,
                "pull_request": { "number": 7, "title": title }, "repository": { "full_name": "acme/infra" } }),
        )
    }

    fn change(event: &Event) -> Option<PullChange> {
        match event {
            Event::PullChanged { pull, change } => {
                assert_eq!(pull.to_string(), "git.example.com/acme/infra#7");
                Some(*change)
            }
            _ => None,
        }
    }

    #[test]
    fn an_edit_counts_if_it_changes_the_base_branch_or_makes_or_ends_a_draft() {
        let from = |text: &str| json!({ "title": { "from": text } });
        assert_eq!(change(&edit("Two", json!({ "ref": { "from": "old" } }))), Some(PullChange::Retargeted));
        assert_eq!(change(&edit("Two", from("WIP: Two"))), Some(PullChange::MadeReady));
        assert_eq!(change(&edit("[wip] Two", from("Two"))), Some(PullChange::MadeDraft));
        assert_eq!(change(&edit("Three", from("Two"))), None);
        assert_eq!(change(&edit("Two", json!({ "body": { "from": "" } }))), None);
        assert_eq!(change(&edit("Two", Value::Null)), None);
    }

    #[test]
    fn a_review_of_any_verdict_is_one() {
        for name in REVIEWS.into_iter().chain(["pull_request"]) {
            let body = json!({ "action": "reviewed", "pull_request": { "number": 7, "title": "Two" },
                "repository": { "full_name": "acme/infra" }, "review": { "type": "x", "content": "" } });
            assert!(matches!(told(name, &body), Event::Reviewed { .. }), "{name}");
        }
    }

    #[test]
    fn comments_by_accounts_that_nobody_has_are_bots() {
        for (id, by_bot) in [(3, false), (-2, true)] {
            let body = json!({ "action": "created", "is_pull": true, "issue": { "number": 7, "pull_request": null },
                "comment": { "id": 9, "user": { "id": id, "login": "x" }, "body": "tp plan",
                    "created_at": "2026-11-24T01:02:03Z" },
                "repository": { "full_name": "acme/infra" } });
            let Event::Commented { comment, .. } = told("issue_comment", &body) else { panic!("no comment") };
            assert_eq!(comment.by_bot, by_bot);
        }
    }

    #[test]
    fn what_lacks_what_is_promised_is_malformed_and_what_is_unknown_is_ignored() {
        let nameless = json!({ "action": "opened", "pull_request": { "number": 7, "title": "" } });
        assert!(event("pull_request", &nameless.to_string(), "h").is_err());
        assert!(matches!(told("wiki", &json!({ "action": "created" })), Event::Ignored { repo: None, .. }));
        let labelled = json!({ "action": "label_updated", "repository": { "full_name": "acme/infra" } });
        assert!(matches!(told("pull_request", &labelled), Event::Ignored { repo: Some(_), .. }));
    }
}
