//! What a GitLab webhook means. Most of a payload is not read: whatever we decide by is asked of the API when the event
//! is worked on, so that late, repeated and reordered deliveries end in the same state.
//!
//! Source: <https://docs.gitlab.com/user/project/integrations/webhook_events/>.

use super::payload::{Odd, User, time};
use crate::domain::event::{Comment, Event, PullChange};
use crate::domain::id::{CommentId, PullId, PullNumber, RepoName};
use crate::forge::Malformed;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// `object_kind` says what a payload is about: the `X-Gitlab-Event` header of system hooks and of tests differs.
#[derive(Deserialize)]
struct Head {
    object_kind: Option<String>,
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    path_with_namespace: String,
}

#[derive(Deserialize)]
struct MergeRequestEvent {
    object_attributes: MergeRequest,
    changes: Option<Changes>,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: PullNumber,
    action: Option<String>,
    /// The head before a push; only an update that brings commits has it.
    oldrev: Option<String>,
}

#[derive(Default, Deserialize)]
struct Changes {
    target_branch: Option<IgnoredAny>,
    draft: Option<Change<bool>>,
    title: Option<Change<String>>,
}

#[derive(Deserialize)]
struct Change<T> {
    previous: Option<T>,
    current: Option<T>,
}

impl Changes {
    /// Whether it became a draft or ceased to be one. Before 16 GitLab told it by the title only.
    fn draft(&self) -> Option<bool> {
        match (&self.draft, &self.title) {
            (Some(Change { current, .. }), _) => *current,
            (None, Some(Change { previous: Some(previous), current: Some(current) })) => {
                let (before, after) = (is_draft_title(previous), is_draft_title(current));
                (before != after).then_some(after)
            }
            _ => None,
        }
    }
}

fn is_draft_title(title: &str) -> bool {
    let title = title.trim_start().to_ascii_lowercase();
    ["draft:", "[draft]", "(draft)", "wip:", "[wip]"].iter().any(|mark| title.starts_with(mark))
}

#[derive(Deserialize)]
struct NoteEvent {
    user: User,
    object_attributes: Note,
    merge_request: Option<Numbered>,
}

#[derive(Deserialize)]
struct Note {
    id: CommentId,
    note: Option<String>,
    noteable_type: Option<String>,
    #[serde(default)]
    system: bool,
    /// `create` or `update`; older ones send new notes only, and no word for it.
    action: Option<String>,
    created_at: String,
}

#[derive(Deserialize)]
struct Numbered {
    iid: PullNumber,
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
        let head: Head = match serde_json::from_str(self.body) {
            Ok(head) => head,
            // Whatever its shape is, it is none of ours: ours begin like this.
            Err(_) if !matches!(self.event_name, "Merge Request Hook" | "Note Hook") => {
                return Ok(self.ignored_kind(None, self.event_name));
            }
            Err(error) => return Err(self.malformed(&error)),
        };
        let kind = head.object_kind.as_deref().unwrap_or(self.event_name);
        if !matches!(kind, "merge_request" | "note") {
            let repo = head.project.as_ref().and_then(|project| self.repo(project).ok());
            return Ok(self.ignored_kind(repo, kind));
        }
        let project = head.project.as_ref().ok_or_else(|| self.malformed(&"it names no project"))?;
        let repo = self.repo(project).map_err(|odd| self.malformed(&odd))?;
        if kind == "note" { self.note(repo) } else { self.merge_request(repo) }
    }

    fn merge_request(&self, repo: RepoName) -> Result<Event, Malformed> {
        let payload: MergeRequestEvent = self.parse()?;
        let MergeRequest { iid, action, oldrev } = payload.object_attributes;
        let pull = PullId { repo: repo.clone(), number: iid };
        let change = match action.as_deref().unwrap_or_default() {
            "open" => PullChange::Opened,
            "reopen" => PullChange::Reopened,
            "close" | "merge" => PullChange::Closed,
            "update" => {
                let changes = payload.changes.unwrap_or_default();
                if oldrev.is_some() {
                    PullChange::Pushed
                } else if changes.target_branch.is_some() {
                    PullChange::Retargeted
                } else {
                    match changes.draft() {
                        Some(true) => PullChange::MadeDraft,
                        Some(false) => PullChange::MadeReady,
                        None => {
                            let reason = "an update that brings no commits and leaves the base branch as it is".into();
                            return Ok(Event::Ignored { repo: Some(repo), reason });
                        }
                    }
                }
            }
            // `approved` and `unapproved` are the whole rule's, `approval` and `unapproval` one person's.
            "approved" | "approval" | "unapproved" | "unapproval" => return Ok(Event::Reviewed { pull }),
            other => {
                let action: String = other.chars().take(80).collect();
                let reason = format!("nothing follows from the action `{action}` of merge request events");
                return Ok(Event::Ignored { repo: Some(repo), reason });
            }
        };
        Ok(Event::PullChanged { pull, change })
    }

    fn note(&self, repo: RepoName) -> Result<Event, Malformed> {
        let payload: NoteEvent = self.parse()?;
        let note = payload.object_attributes;
        let ignored = |reason: &str| Ok(Event::Ignored { repo: Some(repo.clone()), reason: reason.to_owned() });
        if note.noteable_type.as_deref() != Some("MergeRequest") {
            return ignored("a comment that is not on a merge request");
        }
        if note.system {
            return ignored("a note that GitLab itself wrote");
        }
        if note.action.as_deref().is_some_and(|action| action != "create") {
            return ignored("nothing follows from a comment that was edited");
        }
        let merge_request = payload.merge_request.ok_or_else(|| self.malformed(&"it names no merge request"))?;
        let comment = Comment {
            id: note.id,
            author: payload.user.login().map_err(|odd| self.malformed(&odd))?,
            by_bot: payload.user.is_program(),
            body: note.note.unwrap_or_default(),
            created_at: time(&note.created_at).map_err(|odd| self.malformed(&odd))?,
        };
        Ok(Event::Commented { pull: PullId { repo, number: merge_request.iid }, comment })
    }

    fn ignored_kind(&self, repo: Option<RepoName>, kind: &str) -> Event {
        let kind: String = kind.chars().take(80).collect();
        Event::Ignored { repo, reason: format!("nothing follows from `{kind}` events") }
    }

    /// Groups nest: all but the last part is the owner.
    fn repo(&self, project: &Project) -> Result<RepoName, Odd> {
        let odd = Odd::Other("the project's path is not `group/name`");
        let (owner, name) = project.path_with_namespace.rsplit_once('/').ok_or(odd)?;
        Ok(RepoName::new(self.host, owner, name)?)
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_str(self.body).map_err(|error| self.malformed(&error))
    }

    fn malformed(&self, what: &dyn std::fmt::Display) -> Malformed {
        Malformed { event: self.event_name.into(), what: what.to_string() }
    }
}

#[cfg(test)]
mod tests;
