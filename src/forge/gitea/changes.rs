//! What changed on Gitea or Forgejo lately.
//!
//! Lists: `GET /repos/{owner}/{repo}/pulls` and `GET /repos/{owner}/{repo}/issues/comments` of the API's own description,
//! `swagger.v1.json`. There are no conditional requests, and times are whole seconds.

use super::{Gitea, payload};
use crate::domain::id::{PullId, RepoName, Timestamp};
use crate::domain::missed::{Glimpse, Mark, Remark, Seen};
use crate::forge::rest::Request;
use crate::forge::{Changes, ForgeError};
use std::ops::ControlFlow;

impl Gitea {
    pub(in crate::forge) async fn changes(&self, repo: &RepoName, seen: &Seen) -> Result<Changes, ForgeError> {
        let (pulls, of_pulls) = self.changed_pulls(repo, seen.pulls.until).await?;
        let (comments, of_comments) = self.new_comments(repo, seen.comments.until).await?;
        let mark = |until| Mark { until, tag: None };
        Ok(Changes { pulls, comments, seen: Seen { pulls: mark(of_pulls), comments: mark(of_comments) } })
    }

    /// Newest change first, until what is known.
    async fn changed_pulls(&self, repo: &RepoName, since: Timestamp) -> Result<(Vec<Glimpse>, Timestamp), ForgeError> {
        let doing = format!("looking for changed pull requests in {}", repo.path());
        let mut url = self.url(repo, &["pulls"])?;
        url.query_pairs_mut().extend_pairs([("state", "all"), ("sort", "recentupdate")]);
        let (mut pulls, mut until, mut odd) = (Vec::new(), since, None);
        let keep = |pull: payload::PullRequest| match pull.into_glimpse(repo) {
            Ok((_, updated_at)) if updated_at < since => ControlFlow::Break(()),
            Ok((glimpse, updated_at)) => {
                until = until.max(updated_at);
                pulls.extend(glimpse);
                ControlFlow::Continue(())
            }
            Err(error) => {
                odd = Some(error);
                ControlFlow::Break(())
            }
        };
        self.0.client.pages(&doing, url.clone(), keep).await?;
        match odd {
            Some(odd) => Err(Request::get(&doing, url).unreadable(&odd)),
            None => Ok((pulls, until)),
        }
    }

    /// Oldest first. `since` is about changes, so what was edited comes again.
    async fn new_comments(&self, repo: &RepoName, since: Timestamp) -> Result<(Vec<Remark>, Timestamp), ForgeError> {
        let doing = format!("looking for new comments in {}", repo.path());
        let mut url = self.url(repo, &["issues", "comments"])?;
        url.query_pairs_mut().append_pair("since", &written(since));
        let (mut remarks, mut until, mut odd) = (Vec::new(), since, None);
        let keep = |listed: payload::ListedComment| match listed.read() {
            Ok(read) => {
                until = until.max(read.updated_at);
                if let (Some(number), false) = (read.pull, read.edited) {
                    remarks.push(Remark { pull: PullId { repo: repo.clone(), number }, comment: read.comment });
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                odd = Some(error);
                ControlFlow::Break(())
            }
        };
        self.0.client.pages(&doing, url.clone(), keep).await?;
        match odd {
            Some(odd) => Err(Request::get(&doing, url).unreadable(&odd)),
            None => Ok((remarks, until)),
        }
    }
}

/// A moment as Gitea's parameters have it. It counts whole seconds: what is told again does no harm.
fn written(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.0.div_euclid(1000)).map(|at| at.to_string()).unwrap_or_default()
}
