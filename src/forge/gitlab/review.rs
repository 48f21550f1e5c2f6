//! Whether a merge request could be merged, and who approved which head.

use super::payload::{self, MergeRequest, Odd, State};
use super::{Gitlab, short};
use crate::domain::id::{Login, PullId, Sha, Timestamp};
use crate::domain::pull::{Approval, Role};
use crate::forge::ForgeError;
use crate::forge::rest::Request;
use std::ops::ControlFlow;

/// What stands in the way, as far as it matters to us.
#[derive(Debug, PartialEq, Eq)]
enum Obstacle {
    Nothing,
    /// GitLab is computing it, or has not begun to.
    Unknown,
    /// Only that the pipeline did not succeed; everything else has been found good before.
    Pipeline,
    Something,
}

/// By `detailed_merge_status` (<https://docs.gitlab.com/api/merge_requests/#merge-status>), which names the first check
/// that fails; the pipeline's comes last. Every word that is not known here stands for an obstacle.
fn obstacle(detailed: Option<&str>, coarse: Option<&str>) -> Obstacle {
    match (detailed, coarse) {
        (Some("mergeable"), _) | (None, Some("can_be_merged")) => Obstacle::Nothing,
        (Some("unchecked" | "checking" | "preparing" | "approvals_syncing"), _)
        | (None, Some("unchecked" | "checking" | "preparing" | "cannot_be_merged_recheck"))
        | (None, None) => Obstacle::Unknown,
        (Some("ci_must_pass" | "ci_still_running"), _) => Obstacle::Pipeline,
        _ => Obstacle::Something,
    }
}

impl Gitlab {
    pub(in crate::forge) async fn mergeable(&self, pull: &PullId) -> Result<Option<bool>, ForgeError> {
        let doing = format!("asking whether {} can be merged", short(pull));
        let merge_request = self.merge_request(&doing, pull).await?;
        if merge_request.is_draft() || merge_request.state != State::Opened {
            return Ok(Some(false));
        }
        let MergeRequest { detailed_merge_status, merge_status, head_pipeline, .. } = &merge_request;
        match obstacle(detailed_merge_status.as_deref(), merge_status.as_deref()) {
            Obstacle::Nothing => Ok(Some(true)),
            Obstacle::Unknown => Ok(None),
            Obstacle::Something => Ok(Some(false)),
            // Our own statuses are part of the pipeline: waiting for them would be waiting for ourselves.
            Obstacle::Pipeline => match head_pipeline {
                Some(pipeline) => self.others_pass(pull, pipeline).await.map(Some),
                None => Ok(Some(true)),
            },
        }
    }

    pub(in crate::forge) async fn approvals(&self, pull: &PullId) -> Result<Vec<Approval>, ForgeError> {
        let doing = format!("reading the approvals of {}", short(pull));
        let request = Request::get(&doing, self.merge_request_url(pull, &["approvals"])?);
        let given: payload::Approvals = self.0.client.json(&request).await?;
        if given.approved_by.is_empty() {
            return Ok(Vec::new());
        }
        let odd = |odd: Odd| request.unreadable(&odd);
        let versions = self.versions(pull).await?;
        let mut approvals = Vec::new();
        for payload::ApprovedBy { user, approved_at } in given.approved_by {
            let by = user.login().map_err(|id| odd(id.into()))?;
            let at = match approved_at {
                Some(at) => Some(payload::time(&at).map_err(odd)?),
                None => self.approved_at(pull, &by).await?,
            };
            // An approval whose time nobody knows can't be said to be of the present head.
            let Some(at) = at else { continue };
            let Some(head) = head_at(&versions, at) else { continue };
            let by_writer = self.role(&pull.repo, &by).await? >= Role::Write;
            approvals.push(Approval { by, head, by_writer, at });
        }
        Ok(approvals)
    }

    /// When somebody last approved, from the project's activity: for instances before 18.5, whose list of approvals does
    /// not tell.
    async fn approved_at(&self, pull: &PullId, by: &Login) -> Result<Option<Timestamp>, ForgeError> {
        let doing = format!("looking when {by} approved {}", short(pull));
        let mut url = self.project_url(&pull.repo, &["events"])?;
        url.query_pairs_mut().extend_pairs([
            ("action", "approved"),
            ("target_type", "merge_request"),
            ("sort", "desc"),
        ]);
        let request = Request::get(&doing, url.clone());
        let mut found = None;
        let newest = |event: payload::ApprovalEvent| {
            let author = event.author_username.and_then(|name| name.parse::<Login>().ok());
            if event.target_iid == Some(pull.number.0) && author.is_some_and(|author| author.same_as(by)) {
                found = Some(event.created_at);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(&doing, url, newest).await?;
        found.map(|at| payload::time(&at)).transpose().map_err(|odd| request.unreadable(&odd))
    }

    /// The heads that the merge request has had, each with the moment from which on it was the head; newest first.
    async fn versions(&self, pull: &PullId) -> Result<Vec<(Timestamp, Sha)>, ForgeError> {
        let doing = format!("reading the versions of {}", short(pull));
        let url = self.merge_request_url(pull, &["versions"])?;
        let request = Request::get(&doing, url.clone());
        let mut listed: Vec<payload::Version> = Vec::new();
        let keep = |version| {
            listed.push(version);
            ControlFlow::Continue(())
        };
        self.0.client.pages(&doing, url, keep).await?;
        let read = |version: &payload::Version| {
            let head = version.head_commit_sha.as_deref()?;
            Some(payload::time(&version.created_at).and_then(|since| Ok((since, head.parse()?))))
        };
        let read: Result<Vec<(Timestamp, Sha)>, Odd> = listed.iter().filter_map(read).collect();
        let mut versions = read.map_err(|odd| request.unreadable(&odd))?;
        versions.sort_by_key(|(since, _)| std::cmp::Reverse(*since));
        Ok(versions)
    }
}

/// GitLab does not say which commit was approved, only when: it was the head of that moment.
fn head_at(versions: &[(Timestamp, Sha)], at: Timestamp) -> Option<Sha> {
    versions.iter().find(|(since, _)| *since <= at).map(|(_, head)| head.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_gitlab_has_for_an_obstacle_is_one_and_so_is_every_new_word() {
        let by_detail = |word| obstacle(Some(word), Some("can_be_merged"));
        assert_eq!(by_detail("mergeable"), Obstacle::Nothing);
        for word in ["unchecked", "checking", "preparing", "approvals_syncing"] {
            assert_eq!(by_detail(word), Obstacle::Unknown, "{word}");
        }
        for word in ["ci_must_pass", "ci_still_running"] {
            assert_eq!(by_detail(word), Obstacle::Pipeline, "{word}");
        }
        for word in [
            "blocked_status",
            "commits_status",
            "conflict",
            "discussions_not_resolved",
            "draft_status",
            "jira_association_missing",
            "locked_lfs_files",
            "locked_paths",
            "merge_request_blocked",
            "merge_time",
            "need_rebase",
            "not_approved",
            "not_open",
            "requested_changes",
            "security_policy_violations",
            "status_checks_must_pass",
            "title_regex",
            "a_word_of_tomorrow",
        ] {
            assert_eq!(by_detail(word), Obstacle::Something, "{word}");
        }
        assert_eq!(obstacle(None, Some("can_be_merged")), Obstacle::Nothing, "before 15.6");
        assert_eq!(obstacle(None, Some("cannot_be_merged")), Obstacle::Something);
        assert_eq!(obstacle(None, Some("checking")), Obstacle::Unknown);
    }

    #[test]
    fn an_approval_is_of_the_head_of_its_moment() {
        let head = |digit: char| digit.to_string().repeat(40).parse::<Sha>().unwrap();
        let versions = [(Timestamp(300), head('c')), (Timestamp(200), head('b')), (Timestamp(100), head('a'))];
        for (at, wanted) in [(50, None), (100, Some('a')), (199, Some('a')), (200, Some('b')), (999, Some('c'))] {
            assert_eq!(head_at(&versions, Timestamp(at)), wanted.map(head), "{at}");
        }
    }
}
