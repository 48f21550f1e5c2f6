//! GitLab's JSON, as lean as what we read of it. Unknown fields are skipped, every word from a fixed set is kept as
//! text or has an `Other`, and what may be null (a deleted project, a version of GitLab that has no such field yet) is
//! an `Option`: a new word of GitLab is never an error.
//!
//! Field names: <https://docs.gitlab.com/api/merge_requests/>, <https://docs.gitlab.com/api/notes/>,
//! <https://docs.gitlab.com/api/merge_request_approvals/>, <https://docs.gitlab.com/api/commits/#commit-status>,
//! <https://docs.gitlab.com/api/project_members/>.

use crate::domain::event::Comment;
use crate::domain::id::{CommentId, InvalidId, Login, PullId, Sha, Timestamp};
use crate::domain::pull::{Phase, Pull, Role};
use serde::Deserialize;

/// Why a payload does not make sense. A sentence's end: "… is not as documented: " comes before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Odd {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("`{0}` is not a time")]
    Time(String),
    #[error("{0}")]
    Other(&'static str),
}

/// The API writes times as RFC 3339; webhooks have had `2015-05-17 18:21:36 UTC` as well.
pub(super) fn time(text: &str) -> Result<Timestamp, Odd> {
    let rfc3339 = match text.strip_suffix(" UTC") {
        Some(naive) => format!("{}Z", naive.replacen(' ', "T", 1)),
        None => text.to_owned(),
    };
    rfc3339
        .parse::<jiff::Timestamp>()
        .map(|at| Timestamp(at.as_millisecond()))
        .map_err(|_| Odd::Time(text.chars().take(80).collect()))
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub username: String,
}

impl User {
    pub(super) fn login(&self) -> Result<Login, InvalidId> {
        self.username.parse()
    }

    /// Whether it is an account for programs. GitLab tells by the account's reserved name only: access tokens of
    /// projects and groups have accounts of their own (<https://docs.gitlab.com/development/internal_users/>).
    pub(super) fn is_program(&self) -> bool {
        let numbered = |prefix: &str| {
            let rest =
                self.username.strip_prefix(prefix).map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
            rest.is_some_and(|rest| rest == "_bot" || rest.starts_with("_bot_") || is_old_bot(rest))
        };
        numbered("project_")
            || numbered("group_")
            || self.username.starts_with("service_account_")
            || matches!(self.username.as_str(), "ghost" | "alert-bot" | "support-bot" | "security-bot")
    }
}

/// The second token of a project had the account `project_7_bot1` once.
fn is_old_bot(rest: &str) -> bool {
    rest.strip_prefix("_bot").is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
}

#[derive(Debug, Deserialize)]
pub(super) struct MergeRequest {
    title: String,
    web_url: String,
    author: Option<User>,
    pub state: State,
    draft: Option<bool>,
    /// What `draft` was called before 14.
    work_in_progress: Option<bool>,
    /// The head. Null for a moment after the merge request was made.
    pub sha: Option<String>,
    pub source_branch: String,
    /// Null when the fork has been deleted.
    source_project_id: Option<u64>,
    target_project_id: u64,
    pub target_branch: String,
    /// Null until GitLab has prepared the merge request.
    diff_refs: Option<DiffRefs>,
    merge_commit_sha: Option<String>,
    squash_commit_sha: Option<String>,
    merged_at: Option<String>,
    merge_user: Option<User>,
    /// What `merge_user` was called before 14.7.
    merged_by: Option<User>,
    pub merge_status: Option<String>,
    /// Since 15.6.
    pub detailed_merge_status: Option<String>,
    pub head_pipeline: Option<Pipeline>,
    #[serde(default)]
    pub labels: Vec<String>,
    updated_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Opened,
    Closed,
    Merged,
    /// `locked`: GitLab is merging it right now.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct DiffRefs {
    /// The target branch's tip when the merge request was last opened, pushed to or retargeted.
    start_sha: Option<String>,
}

impl MergeRequest {
    pub(super) fn is_draft(&self) -> bool {
        self.draft.or(self.work_in_progress) == Some(true)
    }

    /// Where the base branch was when the head last moved, if GitLab has noted it already.
    pub(super) fn base(&self) -> Result<Option<Sha>, InvalidId> {
        self.diff_refs.as_ref().and_then(|refs| refs.start_sha.as_deref()).map(str::parse).transpose()
    }

    pub(super) fn into_pull(self, id: PullId, base: Sha) -> Result<Pull, Odd> {
        let phase = self.phase()?;
        let (draft, fork) = (self.is_draft(), self.is_from_fork());
        let head = self.sha.as_deref().ok_or(Odd::Other("a merge request without a head"))?.parse()?;
        Ok(Pull {
            id,
            author: self.author.as_ref().map_or("ghost".parse(), User::login)?,
            head,
            head_branch: self.source_branch,
            fork,
            base_branch: self.target_branch.parse()?,
            base,
            draft,
            phase,
            updated_at: time(&self.updated_at)?,
            title: self.title,
            html_url: self.web_url,
        })
    }

    pub(super) fn is_from_fork(&self) -> bool {
        self.source_project_id != Some(self.target_project_id)
    }

    /// `None` when the fork has been deleted.
    pub(super) const fn source_project(&self) -> Option<u64> {
        self.source_project_id
    }

    pub(super) fn phase(&self) -> Result<Phase, Odd> {
        match self.state {
            State::Opened | State::Other => Ok(Phase::Open),
            State::Closed => Ok(Phase::Closed),
            State::Merged => {
                let by = self.merge_user.as_ref().or(self.merged_by.as_ref()).map(User::login).transpose()?;
                let at = time(self.merged_at.as_deref().unwrap_or(&self.updated_at))?;
                Ok(Phase::Merged { commit: self.landed()?, by, at })
            }
        }
    }

    /// The commit on the target branch: a merge commit where the project makes one, else the squashed commit, else (a
    /// fast-forward) the head itself.
    fn landed(&self) -> Result<Sha, Odd> {
        let commits = [&self.merge_commit_sha, &self.squash_commit_sha, &self.sha];
        let commit = commits.into_iter().flatten().find(|commit| !commit.is_empty());
        Ok(commit.ok_or(Odd::Other("a merge without its commit"))?.parse()?)
    }
}

/// A merge request's pipeline. Of a merged-results pipeline `sha` is the commit that GitLab made to test the merge.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pipeline {
    pub id: u64,
    /// The source project for a branch pipeline of a fork.
    pub project_id: Option<u64>,
    pub sha: String,
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

impl Pipeline {
    /// Whether it runs on a commit that GitLab made to test the merge, alone or in a merge train.
    pub(super) fn is_of_a_merge(&self) -> bool {
        let name = self.reference.as_deref().unwrap_or_default();
        name.starts_with("refs/merge-requests/") && !name.ends_with("/head")
    }
}

/// A job, or a status that somebody set: both stand beside the commit.
#[derive(Debug, Deserialize)]
pub(super) struct CommitStatus {
    pub name: String,
    pub status: String,
    #[serde(default)]
    pub allow_failure: bool,
    pub author: Option<User>,
}

impl CommitStatus {
    /// Whether the server sets such statuses: `NAME/plan`, `NAME/apply`. A person whose token it has sets others too, by
    /// the jobs of their pushes.
    pub(super) fn is_named_like_ours(&self) -> bool {
        self.name.ends_with("/plan") || self.name.ends_with("/apply")
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Note {
    pub id: CommentId,
    body: Option<String>,
    pub author: Option<User>,
    created_at: String,
    /// Written by GitLab itself: "approved this merge request".
    #[serde(default)]
    pub system: bool,
}

impl Note {
    pub(super) fn first_line(&self) -> &str {
        self.body.as_deref().unwrap_or_default().lines().next().unwrap_or_default()
    }

    pub(super) fn into_comment(self) -> Result<Comment, Odd> {
        let author = self.author.unwrap_or_else(|| User { username: "ghost".into() });
        Ok(Comment {
            id: self.id,
            author: author.login()?,
            by_bot: self.system || author.is_program(),
            body: self.body.unwrap_or_default(),
            created_at: time(&self.created_at)?,
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Approvals {
    #[serde(default)]
    pub approved_by: Vec<ApprovedBy>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ApprovedBy {
    pub user: User,
    /// Since 18.5.
    pub approved_at: Option<String>,
}

/// What a project's activity feed says of an approval.
#[derive(Debug, Deserialize)]
pub(super) struct ApprovalEvent {
    pub target_iid: Option<u64>,
    pub author_username: Option<String>,
    pub created_at: String,
}

/// The merge request as it was after one of its pushes.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    /// Null for one without commits.
    pub head_commit_sha: Option<String>,
    pub created_at: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Member {
    pub username: String,
    pub access_level: u32,
    /// `active`, or why the account can't be used: `blocked`, `deactivated`, `awaiting`.
    pub state: Option<String>,
}

impl Member {
    pub(super) fn role(&self) -> Role {
        if self.state.as_deref().is_none_or(|state| state == "active") { role(self.access_level) } else { Role::None }
    }
}

/// GitLab's levels (<https://docs.gitlab.com/api/access_requests/#valid-access-levels>). Planners and guests may read,
/// reporters may sort issues, developers may push. A level that is new between two others counts as the lower one.
pub(super) const fn role(access_level: u32) -> Role {
    match access_level {
        50.. => Role::Admin,
        40.. => Role::Maintain,
        30.. => Role::Write,
        20.. => Role::Triage,
        10.. => Role::Read,
        _ => Role::None,
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Project {
    /// Null while the repository is empty.
    pub default_branch: Option<String>,
    pub permissions: Option<Permissions>,
    /// Where the pipelines are described; empty: `.gitlab-ci.yml`.
    pub ci_config_path: Option<String>,
    pub builds_access_level: Option<String>,
}

/// What the token's owner may do in a project.
#[derive(Debug, Deserialize)]
pub(super) struct Permissions {
    project_access: Option<Access>,
    group_access: Option<Access>,
}

#[derive(Debug, Deserialize)]
struct Access {
    access_level: u32,
}

impl Permissions {
    pub(super) fn access_level(&self) -> u32 {
        let levels = [&self.project_access, &self.group_access];
        levels.into_iter().flatten().map(|access| access.access_level).max().unwrap_or(0)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Branch {
    pub commit: Commit,
}

#[derive(Debug, Deserialize)]
pub(super) struct Commit {
    pub id: String,
    #[serde(default)]
    pub parent_ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Award {
    pub name: String,
    pub user: Option<User>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Created {
    pub id: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_levels_are_roles_and_an_account_that_is_blocked_has_none() {
        let table = [
            (0, Role::None),
            (5, Role::None),
            (10, Role::Read),
            (15, Role::Read),
            (20, Role::Triage),
            (30, Role::Write),
            (40, Role::Maintain),
            (50, Role::Admin),
            (60, Role::Admin),
        ];
        for (level, wanted) in table {
            assert_eq!(role(level), wanted, "{level}");
        }
        let member =
            |state: Option<&str>| Member { username: "sam".into(), access_level: 30, state: state.map(Into::into) };
        assert_eq!(member(Some("active")).role(), Role::Write);
        assert_eq!(member(None).role(), Role::Write);
        assert_eq!(member(Some("blocked")).role(), Role::None);
    }

    #[test]
    fn times_of_the_api_and_of_older_webhooks_are_read() {
        assert_eq!(time("2026-11-24T01:02:03.000Z"), Ok(Timestamp(1_795_482_123_000)));
        assert_eq!(time("2026-11-24T03:02:03.000+02:00"), Ok(Timestamp(1_795_482_123_000)));
        assert_eq!(time("2026-11-24 01:02:03 UTC"), Ok(Timestamp(1_795_482_123_000)));
        assert_eq!(time("yesterday"), Err(Odd::Time("yesterday".into())));
    }

    #[test]
    fn accounts_of_access_tokens_are_programs_and_people_with_odd_names_are_not() {
        let is_program = |name: &str| User { username: name.into() }.is_program();
        for name in [
            "project_42_bot",
            "project_42_bot1",
            "project_42_bot_3f0c4a8b",
            "group_7_bot_3f0c4a8b",
            "service_account_group_7_aa",
            "ghost",
        ] {
            assert!(is_program(name), "{name}");
        }
        for name in ["project_manager", "project_42_bottle", "group_therapist", "sam", "abbot"] {
            assert!(!is_program(name), "{name}");
        }
    }

    #[test]
    fn the_commit_that_landed_is_found_for_every_way_of_merging() {
        let (head, squash, merge) = ("a".repeat(40), "b".repeat(40), "c".repeat(40));
        let landed = |merge_commit: Option<&str>, squash_commit: Option<&str>| {
            let merged: MergeRequest = serde_json::from_value(serde_json::json!({
                "title": "t", "web_url": "w", "state": "merged", "sha": head, "source_branch": "s",
                "target_project_id": 1, "target_branch": "main", "merge_commit_sha": merge_commit,
                "squash_commit_sha": squash_commit, "updated_at": "2026-11-24T01:02:03.000Z",
            }))
            .unwrap();
            merged.landed().unwrap().to_string()
        };
        assert_eq!(landed(Some(&merge), None), merge, "a merge commit");
        assert_eq!(landed(Some(&merge), Some(&squash)), merge, "a merge commit of a squashed one");
        assert_eq!(landed(None, Some(&squash)), squash, "a squashed commit, fast-forward");
        assert_eq!(landed(None, None), head, "fast-forward");
        assert_eq!(landed(Some(""), None), head);
    }
}
