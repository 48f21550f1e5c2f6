//! What changed in a project lately: merge requests by their list, and the comments of those that changed. GitLab has no
//! list of all comments, but every comment changes its merge request.
//!
//! Source: <https://docs.gitlab.com/api/merge_requests/#list-project-merge-requests>.

use super::client::Request;
use super::payload::{self, Odd, State};
use super::{Gitlab, failure, short};
use crate::domain::id::{PullId, PullNumber, RepoName, Timestamp};
use crate::domain::missed::{Glimpse, Mark, Remark, Seen, Stage};
use crate::forge::{Changes, ForgeError};
use serde::Deserialize;
use std::ops::ControlFlow;

#[derive(Deserialize)]
struct Listed {
    iid: u64,
    state: State,
    draft: Option<bool>,
    sha: Option<String>,
    target_branch: String,
    merged_at: Option<String>,
    updated_at: String,
}

#[derive(Deserialize)]
struct Written {
    #[serde(flatten)]
    note: payload::Note,
    updated_at: String,
}

impl Gitlab {
    pub(in crate::forge) async fn changes(&self, repo: &RepoName, seen: &Seen) -> Result<Changes, ForgeError> {
        let doing = format!("looking what changed in {}", repo.path());
        let since = seen.pulls.until.min(seen.comments.until);
        let mut url = self.project_url(repo, &["merge_requests"])?;
        url.query_pairs_mut()
            .extend_pairs([("state", "all"), ("scope", "all"), ("order_by", "updated_at"), ("sort", "desc")])
            .append_pair("updated_after", &rfc3339(since));
        let mut listed: Vec<Listed> = Vec::new();
        let keep = |merge_request| {
            listed.push(merge_request);
            ControlFlow::Continue(())
        };
        // The newest change first: one that changes while the pages are read is told twice then, and none is left out.
        self.0.client.pages(&doing, url, keep).await?;
        let (mut pulls, mut comments, mut until) = (Vec::new(), Vec::new(), since);
        for merge_request in listed {
            // One whose branches are gone can't be planned, and must not hide the others.
            let Ok(glimpse) = merge_request.glimpse(repo) else { continue };
            until = until.max(glimpse.updated_at);
            comments.extend(self.remarks(&glimpse.pull, seen.comments.until).await?);
            pulls.push(glimpse);
        }
        let mark = Mark { until, tag: None };
        Ok(Changes { pulls, comments, seen: Seen { pulls: mark.clone(), comments: mark } })
    }

    /// The history of its webhooks is for each project's Maintainers.
    pub(in crate::forge) async fn redeliver_failed(&self, _since: Timestamp) -> Result<usize, ForgeError> {
        Ok(0)
    }

    /// Read newest first, until one that was known before; told oldest first. One that was edited is no command any more.
    async fn remarks(&self, pull: &PullId, since: Timestamp) -> Result<Vec<Remark>, ForgeError> {
        let doing = format!("reading the comments of {}", short(pull));
        let mut url = self.merge_request_url(pull, &["notes"])?;
        url.query_pairs_mut().extend_pairs([("sort", "desc"), ("order_by", "created_at")]);
        let request = Request::get(&doing, url.clone());
        let mut found: Vec<Result<Remark, Odd>> = Vec::new();
        self.0
            .client
            .pages(&doing, url, |written: Written| {
                let edited_at = payload::time(&written.updated_at);
                if written.note.system {
                    return ControlFlow::Continue(());
                }
                match (written.note.into_comment(), edited_at) {
                    (Ok(comment), _) if comment.created_at < since => return ControlFlow::Break(()),
                    (Ok(comment), Ok(edited_at)) if comment.created_at == edited_at => {
                        found.push(Ok(Remark { pull: pull.clone(), comment }));
                    }
                    (Ok(_), Ok(_)) => {}
                    (Err(odd), _) | (_, Err(odd)) => found.push(Err(odd)),
                }
                ControlFlow::Continue(())
            })
            .await?;
        found.into_iter().rev().collect::<Result<_, _>>().map_err(|odd| failure::unreadable(&request, &odd))
    }
}

impl Listed {
    fn glimpse(self, repo: &RepoName) -> Result<Glimpse, Odd> {
        let updated_at = payload::time(&self.updated_at)?;
        let stage = match self.state {
            State::Opened | State::Other => Stage::Open,
            State::Closed => Stage::Closed,
            State::Merged => Stage::Merged { at: self.merged_at.as_deref().map_or(Ok(updated_at), payload::time)? },
        };
        Ok(Glimpse {
            pull: PullId { repo: repo.clone(), number: PullNumber(self.iid) },
            head: self.sha.as_deref().ok_or(Odd::Other("a merge request without a head"))?.parse()?,
            base_branch: self.target_branch.parse()?,
            draft: self.draft == Some(true),
            stage,
            updated_at,
        })
    }
}

fn rfc3339(at: Timestamp) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(at.0).unwrap_or_default())
}
