//! What changed on Gitea lately. It knows no tags of lists: a look costs two small pages.
//!
//! Lists: `GET /repos/{owner}/{repo}/pulls` (`sort=recentupdate`) and `GET /repos/{owner}/{repo}/issues/comments`
//! (`since`) of the API's own description, `swagger.v1.json`.

use super::{Gitea, payload};
use crate::domain::id::{PullId, RepoName, Timestamp};
use crate::domain::missed::{Glimpse, Mark, Remark, Seen};
use crate::forge::{Changes, ForgeError};
use std::ops::ControlFlow;

impl Gitea {
    pub(in crate::forge) async fn changes(&self, repo: &RepoName, seen: &Seen) -> Result<Changes, ForgeError> {
        let (pulls, of_pulls) = self.changed_pulls(repo, &seen.pulls).await?;
        let (comments, of_comments) = self.new_comments(repo, &seen.comments).await?;
        Ok(Changes { pulls, comments, seen: Seen { pulls: of_pulls, comments: of_comments } })
    }

    /// Its webhooks' history is not told by its API.
    #[expect(clippy::unused_async, reason = "other forges have to ask")]
    pub(in crate::forge) async fn redeliver_failed(&self, _since: Timestamp) -> Result<usize, ForgeError> {
        Ok(0)
    }

    async fn changed_pulls(&self, repo: &RepoName, mark: &Mark) -> Result<(Vec<Glimpse>, Mark), ForgeError> {
        let doing = format!("looking for changed pull requests in {}", repo.path());
        let mut url = self.url(repo, &["pulls"])?;
        url.query_pairs_mut().append_pair("state", "all").append_pair("sort", "recentupdate");
        let mut pulls = Vec::new();
        let keep = |listed: payload::ListedPull| {
            // One whose branches are gone can't be planned, and says no more than that.
            let Ok(pull) = listed.into_pull(repo) else { return ControlFlow::Continue(()) };
            if pull.updated_at < mark.until {
                return ControlFlow::Break(());
            }
            pulls.push(Glimpse::of(&pull));
            ControlFlow::Continue(())
        };
        self.0.client.pages(&doing, &url, keep).await?;
        let until = pulls.iter().map(|pull| pull.updated_at).max().unwrap_or(mark.until);
        Ok((pulls, Mark { until, tag: None }))
    }

    async fn new_comments(&self, repo: &RepoName, mark: &Mark) -> Result<(Vec<Remark>, Mark), ForgeError> {
        let doing = format!("looking for new comments in {}", repo.path());
        let mut url = self.url(repo, &["issues", "comments"])?;
        url.query_pairs_mut().append_pair("since", &payload::written(mark.until));
        let (mut remarks, mut until) = (Vec::new(), mark.until);
        let keep = |listed: payload::ListedComment| {
            // What is no comment of a person (an event among the comments) has no author that could be read.
            let Ok(read) = listed.read() else { return ControlFlow::Continue(()) };
            until = until.max(read.updated_at);
            if let (Some(number), false) = (read.pull, read.edited) {
                remarks.push(Remark { pull: PullId { repo: repo.clone(), number }, comment: read.comment });
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(&doing, &url, keep).await?;
        Ok((remarks, Mark { until, tag: None }))
    }
}
