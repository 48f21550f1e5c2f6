//! Whether a merge request could be merged, and who approved which head.

use super::payload::{self, Odd};
use super::{Gitlab, short};
use crate::domain::id::{Login, PullId, Sha, Timestamp};
use crate::domain::pull::{Approval, Role};
use crate::forge::ForgeError;
use crate::forge::rest::Request;
use std::ops::ControlFlow;

impl Gitlab {
    /// As far as git is concerned; the rest is [`Gitlab::judgement`]'s.
    pub(in crate::forge) async fn mergeable(&self, pull: &PullId) -> Result<Option<bool>, ForgeError> {
        let doing = format!("asking whether {} can be merged", short(pull));
        Ok(self.merge_request(&doing, pull).await?.merges())
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
    fn an_approval_is_of_the_head_of_its_moment() {
        let head = |digit: char| digit.to_string().repeat(40).parse::<Sha>().unwrap();
        let versions = [(Timestamp(300), head('c')), (Timestamp(200), head('b')), (Timestamp(100), head('a'))];
        for (at, wanted) in [(50, None), (100, Some('a')), (199, Some('a')), (200, Some('b')), (999, Some('c'))] {
            assert_eq!(head_at(&versions, Timestamp(at)), wanted.map(head), "{at}");
        }
    }
}
