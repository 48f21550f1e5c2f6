//! What a GitHub webhook means. Most of a payload is not read: whatever we decide by is asked of the API when the event
//! is worked on, so that late, repeated and reordered deliveries end in the same state.

use super::payload::{IssueComment, Odd};
use crate::domain::event::{Called, Event, PullChange};
use crate::domain::id::{PullId, PullNumber, RepoName};
use crate::domain::pull::MergeGroup;
use crate::forge::Malformed;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// The events to subscribe to.
pub(super) const WANTED: [&str; 4] = ["issue_comment", "merge_group", "pull_request", "pull_request_review"];

/// Those of them that matter only where the repository has a merge queue.
pub(super) const OF_QUEUE: &str = "merge_group";

/// And of an App, which alone has check runs.
pub(super) const WANTED_OF_APP: &str = "check_run";

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
    pull_request: Numbered,
    /// Of an edit: what was there before.
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct Changes {
    base: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Numbered {
    number: PullNumber,
}

#[derive(Deserialize)]
struct IssueCommentEvent {
    issue: Issue,
    comment: IssueComment,
}

#[derive(Deserialize)]
struct Issue {
    number: PullNumber,
    /// Only there when the issue is a pull request.
    pull_request: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct MergeGroupEvent {
    merge_group: Group,
}

#[derive(Deserialize)]
struct Group {
    head_sha: String,
    head_ref: String,
    base_sha: String,
}

#[derive(Deserialize)]
struct CheckRunEvent {
    check_run: CheckRun,
    requested_action: Option<RequestedAction>,
    sender: Sender,
}

#[derive(Deserialize)]
struct CheckRun {
    head_sha: String,
    /// As we set it: the pull request's number.
    external_id: Option<String>,
}

#[derive(Deserialize)]
struct RequestedAction {
    identifier: String,
}

#[derive(Deserialize)]
struct Sender {
    login: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Sender {
    fn is_bot(&self) -> bool {
        self.kind.as_deref() == Some("Bot")
    }
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
        if self.event_name != WANTED_OF_APP && !WANTED.contains(&self.event_name) {
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
            OF_QUEUE => self.merge_group(repo, action),
            WANTED_OF_APP => self.check_run(repo, action),
            _ => self.review(repo, action),
        }
    }

    fn pull_request(&self, repo: RepoName, action: &str) -> Result<Event, Malformed> {
        let change = match action {
            "opened" => PullChange::Opened,
            "reopened" => PullChange::Reopened,
            "synchronize" => PullChange::Pushed,
            "edited" => PullChange::Retargeted,
            "ready_for_review" => PullChange::MadeReady,
            "converted_to_draft" => PullChange::MadeDraft,
            "closed" => PullChange::Closed,
            _ => return Ok(self.ignored_action(repo, action)),
        };
        let payload: PullRequestEvent = self.parse()?;
        if change == PullChange::Retargeted && payload.changes.is_none_or(|changes| changes.base.is_none()) {
            let reason = "an edit that leaves the base branch as it is".into();
            return Ok(Event::Ignored { repo: Some(repo), reason });
        }
        Ok(Event::PullChanged { pull: PullId { repo, number: payload.pull_request.number }, change })
    }

    fn issue_comment(&self, repo: RepoName, action: &str) -> Result<Event, Malformed> {
        if !matches!(action, "created" | "deleted") {
            return Ok(self.ignored_action(repo, action));
        }
        let payload: IssueCommentEvent = self.parse()?;
        if payload.issue.pull_request.is_none() {
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

    /// The merge queue asks for checks of a commit that it has made, or has let go of it: `destroyed`, for whatever reason.
    fn merge_group(&self, repo: RepoName, action: &str) -> Result<Event, Malformed> {
        if !matches!(action, "checks_requested" | "destroyed") {
            return Ok(self.ignored_action(repo, action));
        }
        let Group { head_sha, head_ref, base_sha } = self.parse::<MergeGroupEvent>()?.merge_group;
        let Some(number) = queued_pull(&head_ref) else {
            let named: String = head_ref.chars().take(200).collect();
            let reason = format!("a merge queue's branch that names no pull request: `{named}`");
            return Ok(Event::Ignored { repo: Some(repo), reason });
        };
        let sha = |text: &str| text.parse().map_err(|error| self.malformed(&error));
        let group = MergeGroup { head: sha(&head_sha)?, base: sha(&base_sha)? };
        let pull = PullId { repo, number };
        Ok(if action == "destroyed" { Event::Unqueued { pull, group } } else { Event::Queued { pull, group } })
    }

    /// Somebody pressed a button of ours, or asked for the check once more.
    fn check_run(&self, repo: RepoName, action: &str) -> Result<Event, Malformed> {
        if !matches!(action, "requested_action" | "rerequested") {
            return Ok(self.ignored_action(repo, action));
        }
        let payload: CheckRunEvent = self.parse()?;
        // Only Apps have checks, and each hears only of its own; one that is not about a pull request is not ours.
        let Ok(number) = payload.check_run.external_id.as_deref().unwrap_or_default().parse().map(PullNumber) else {
            let reason = "a check run that is about no pull request of ours".into();
            return Ok(Event::Ignored { repo: Some(repo), reason });
        };
        if payload.sender.is_bot() {
            return Ok(Event::Ignored { repo: Some(repo), reason: "bots don't command".into() });
        }
        let (text, seen) = match payload.requested_action {
            Some(RequestedAction { identifier }) => match identifier.split_once(':') {
                Some((text, seen)) => (text.to_owned(), Some(seen.to_owned())),
                None => (identifier, None),
            },
            None => ("plan".to_owned(), None),
        };
        let head = payload.check_run.head_sha.parse().map_err(|error| self.malformed(&error))?;
        let by = payload.sender.login.parse().map_err(|error| self.malformed(&error))?;
        Ok(Event::Called { pull: PullId { repo, number }, called: Called { by, text, head: Some(head), seen } })
    }

    fn review(&self, repo: RepoName, action: &str) -> Result<Event, Malformed> {
        if !matches!(action, "submitted" | "edited" | "dismissed") {
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

/// `refs/heads/gh-readonly-queue/BASE/pr-NUMBER-SHA`, where the base branch's name may hold slashes. Of several that are
/// merged at once it names the last.
fn queued_pull(head_ref: &str) -> Option<PullNumber> {
    let branch = head_ref.strip_prefix("refs/heads/gh-readonly-queue/")?;
    let (_base, last) = branch.rsplit_once('/')?;
    let (number, _sha) = last.strip_prefix("pr-")?.split_once('-')?;
    number.parse().ok().map(PullNumber)
}

#[cfg(test)]
mod tests;
