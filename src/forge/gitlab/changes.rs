//! What changed on GitLab lately.
//!
//! Merge requests: <https://docs.gitlab.com/api/merge_requests/#list-project-merge-requests>, of which `updated_after`
//! leaves those that changed. The API knows no conditional requests. There is no list of a project's notes, so the notes
//! of each merge request that changed are read: <https://docs.gitlab.com/api/notes/#merge-requests>.
//!
//! A note moves its merge request's `updated_at`, but not if that was moved within the last minute (`ThrottledTouch` in
//! GitLab's source). So the notes of whatever changed just before the mark are read as well, until that time has passed
//! without a change: from then on no note can hide.

use super::payload::{Note, Odd, State, time};
use super::{Gitlab, short};
use crate::domain::id::{PullId, PullNumber, RepoName, Timestamp};
use crate::domain::missed::{Glimpse, Mark, Remark, Seen, Stage};
use crate::forge::rest::Request;
use crate::forge::{Changes, ForgeError, ForgeErrorKind};
use serde::Deserialize;
use std::ops::ControlFlow;

/// For this long after a merge request's `updated_at` a note may be written without moving it: GitLab's minute, and one
/// more for clocks that differ between the parts of a GitLab.
const QUIET_MS: i64 = 2 * 60 * 1000;

/// A new merge request has no head until GitLab has prepared it. If it has none after this time, it has no commits.
const PREPARED_MS: i64 = 10 * 60 * 1000;

/// A merge request in a list.
#[derive(Debug, Deserialize)]
struct ListedMergeRequest {
    iid: PullNumber,
    state: State,
    draft: Option<bool>,
    /// What `draft` was called before 14.
    work_in_progress: Option<bool>,
    sha: Option<String>,
    target_branch: String,
    merged_at: Option<String>,
    updated_at: String,
}

#[derive(Debug)]
struct Changed {
    pull: PullId,
    updated_at: Timestamp,
    open: bool,
    /// `None` while it has no head.
    glimpse: Option<Glimpse>,
}

impl ListedMergeRequest {
    fn read(self, repo: &RepoName) -> Result<Changed, Odd> {
        let pull = PullId { repo: repo.clone(), number: self.iid };
        let updated_at = time(&self.updated_at)?;
        let stage = match self.state {
            // One that is being merged right now changes once more.
            State::Opened | State::Other => Stage::Open,
            State::Closed => Stage::Closed,
            State::Merged => Stage::Merged { at: self.merged_at.as_deref().map_or(Ok(updated_at), time)? },
        };
        let glimpse = match self.sha.as_deref() {
            None | Some("") => None,
            Some(head) => Some(Glimpse {
                pull: pull.clone(),
                head: head.parse()?,
                base_branch: self.target_branch.parse()?,
                draft: self.draft.or(self.work_in_progress) == Some(true),
                stage,
                updated_at,
            }),
        };
        Ok(Changed { pull, updated_at, open: stage == Stage::Open, glimpse })
    }
}

/// A note in a list. An award to it moves its `updated_at` as an edit does: such a note counts as edited, for what was
/// changed by whom is not told.
#[derive(Debug, Deserialize)]
struct ListedNote {
    #[serde(flatten)]
    note: Note,
    updated_at: String,
}

impl Gitlab {
    pub(in crate::forge) async fn changes(&self, repo: &RepoName, seen: &Seen) -> Result<Changes, ForgeError> {
        let talked_since = seen.comments.until.plus_ms(-QUIET_MS);
        let (changed, now) = self.changed_since(repo, seen.pulls.until.min(talked_since)).await?;
        let mut comments = Vec::new();
        for changed in changed.iter().filter(|changed| changed.updated_at > talked_since) {
            comments.extend(self.notes_since(&changed.pull, talked_since).await?);
        }
        comments.sort_by_key(|remark| (remark.comment.created_at, remark.comment.id));
        let next = next(seen, &changed, now);
        let changed = changed.into_iter().filter(|changed| changed.updated_at >= seen.pulls.until);
        Ok(Changes { pulls: changed.filter_map(|changed| changed.glimpse).collect(), comments, seen: next })
    }

    /// Newest change first, and what time it is by GitLab's clock, if it says so.
    async fn changed_since(
        &self,
        repo: &RepoName,
        since: Timestamp,
    ) -> Result<(Vec<Changed>, Option<Timestamp>), ForgeError> {
        let doing = format!("looking for changed merge requests in {}", repo.path());
        let mut url = self.project_url(repo, &["merge_requests"])?;
        url.query_pairs_mut().extend_pairs([
            ("state", "all"),
            ("scope", "all"),
            ("order_by", "updated_at"),
            ("sort", "desc"),
            ("updated_after", &written(since)),
        ]);
        let request = Request::get(&doing, url.clone());
        let (mut all, mut odd) = (Vec::new(), None);
        let keep = |listed: ListedMergeRequest| match listed.read(repo) {
            Ok(changed) => {
                all.push(changed);
                ControlFlow::Continue(())
            }
            Err(error) => {
                odd = Some(error);
                ControlFlow::Break(())
            }
        };
        let now = self.0.client.walk(&doing, url, keep).await?;
        match odd {
            Some(odd) => Err(request.unreadable(&odd)),
            None => Ok((all, now)),
        }
    }

    /// What people wrote since, and nobody edited.
    async fn notes_since(&self, pull: &PullId, since: Timestamp) -> Result<Vec<Remark>, ForgeError> {
        let doing = format!("looking for new comments on {}", short(pull));
        let mut url = self.merge_request_url(pull, &["notes"])?;
        url.query_pairs_mut().extend_pairs([("order_by", "created_at"), ("sort", "desc")]);
        let request = Request::get(&doing, url.clone());
        let (mut remarks, mut odd) = (Vec::new(), None);
        let keep = |listed: ListedNote| {
            let by_itself = listed.note.system;
            let read = time(&listed.updated_at).and_then(|at| Ok((listed.note.into_comment()?, at)));
            match read {
                Ok((comment, _)) if comment.created_at < since => return ControlFlow::Break(()),
                Ok((comment, updated_at)) if !by_itself && updated_at == comment.created_at => {
                    remarks.push(Remark { pull: pull.clone(), comment });
                }
                Ok(_) => {}
                Err(error) => {
                    odd = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        };
        match self.0.client.walk(&doing, url, keep).await {
            // Somebody deleted the merge request in the meantime.
            Err(error) if error.kind == ForgeErrorKind::NotFound => return Ok(Vec::new()),
            done => done?,
        };
        match odd {
            Some(odd) => Err(request.unreadable(&odd)),
            None => Ok(remarks),
        }
    }
}

/// The marks for the next time.
fn next(seen: &Seen, changed: &[Changed], now: Option<Timestamp>) -> Seen {
    let Some(newest) = changed.iter().map(|changed| changed.updated_at).max() else { return seen.clone() };
    let now = now.unwrap_or(newest);
    let waits =
        |changed: &&Changed| changed.open && changed.glimpse.is_none() && now.since(changed.updated_at) < PREPARED_MS;
    let prepared = changed.iter().filter(waits).map(|changed| changed.updated_at).min().unwrap_or(newest);
    // Once the newest change is long enough ago, it needs no look any more.
    let quiet = now.since(newest) >= QUIET_MS;
    let talked = if quiet { newest.plus_ms(QUIET_MS) } else { newest };
    let mark = |known: &Mark, until: Timestamp| Mark { until: known.until.max(until), tag: None };
    Seen { pulls: mark(&seen.pulls, prepared), comments: mark(&seen.comments, talked) }
}

/// A moment as GitLab's parameters have it.
fn written(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default()
}
