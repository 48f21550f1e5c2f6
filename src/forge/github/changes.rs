//! What changed on GitHub lately, and the webhooks that it could not deliver.
//!
//! Lists: <https://docs.github.com/en/rest/pulls/pulls#list-pull-requests>,
//! <https://docs.github.com/en/rest/issues/comments#list-issue-comments-for-a-repository>. Both are asked with the `ETag`
//! of the last time, and an answer "not modified" counts against no rate limit:
//! <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests-if-appropriate>.

use super::auth::{Acting, Auth};
use super::client::Request;
use super::{Github, failure, payload};
use crate::domain::id::{PullId, RepoName, Timestamp};
use crate::domain::missed::{Glimpse, Mark, Remark, Seen};
use crate::forge::failure::Repeat;
use crate::forge::{Changes, ForgeError};
use http::Method;
use serde::Deserialize;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// A webhook that failed this often is not asked for again: somebody has to look.
const MOST_ATTEMPTS: usize = 10;

/// One attempt to deliver a webhook
/// (<https://docs.github.com/en/rest/apps/webhooks#list-deliveries-for-an-app-webhook>).
#[derive(Debug, Deserialize)]
struct Attempt {
    id: u64,
    /// The same for all attempts of one delivery: the header `X-GitHub-Delivery`.
    guid: String,
    delivered_at: String,
    /// What the server answered; 0 if nothing came.
    status_code: u16,
}

impl Attempt {
    /// Nothing is wrong with the webhook itself: it can be taken another time.
    const fn may_heal(&self) -> bool {
        matches!(self.status_code, 0 | 408 | 429 | 500..)
    }
}

impl Github {
    pub(in crate::forge) async fn changes(&self, repo: &RepoName, seen: &Seen) -> Result<Changes, ForgeError> {
        let (pulls, of_pulls) = self.changed_pulls(repo, &seen.pulls).await?;
        let (comments, of_comments) = self.new_comments(repo, &seen.comments).await?;
        Ok(Changes { pulls, comments, seen: Seen { pulls: of_pulls, comments: of_comments } })
    }

    /// Newest first, until what is known.
    async fn changed_pulls(&self, repo: &RepoName, mark: &Mark) -> Result<(Vec<Glimpse>, Mark), ForgeError> {
        let doing = format!("looking for changed pull requests in {}", repo.path());
        let path = format!("{}?state=all&sort=updated&direction=desc&per_page=100", self.path(repo, &["pulls"])?);
        let request = Request { if_not: mark.tag.clone(), ..Request::get(&doing, path) };
        let (mut pulls, mut odd) = (Vec::new(), None);
        let keep = |pull: payload::ListedPull| match pull.into_glimpse(repo) {
            Ok(glimpse) if glimpse.updated_at < mark.until => ControlFlow::Break(()),
            Ok(glimpse) => {
                pulls.push(glimpse);
                ControlFlow::Continue(())
            }
            Err(error) => {
                odd = Some(error);
                ControlFlow::Break(())
            }
        };
        let tag = self.0.client.walk(Acting::In(repo), request.clone(), keep).await?;
        if let Some(odd) = odd {
            return Err(failure::unreadable(&request, &odd));
        }
        let until = pulls.iter().map(|pull| pull.updated_at).max().unwrap_or(mark.until);
        Ok((pulls, Mark { until, tag }))
    }

    /// Oldest change first.
    async fn new_comments(&self, repo: &RepoName, mark: &Mark) -> Result<(Vec<Remark>, Mark), ForgeError> {
        let doing = format!("looking for new comments in {}", repo.path());
        let path = self.path(repo, &["issues", "comments"])?;
        let since = payload::written(mark.until);
        let path = format!("{path}?sort=updated&direction=asc&since={since}&per_page=100");
        let request = Request { if_not: mark.tag.clone(), ..Request::get(&doing, path) };
        let (mut remarks, mut until, mut odd) = (Vec::new(), mark.until, None);
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
        let tag = self.0.client.walk(Acting::In(repo), request.clone(), keep).await?;
        if let Some(odd) = odd {
            return Err(failure::unreadable(&request, &odd));
        }
        // The list of the next time has another address if the moment has moved, and then another tag.
        let tag = tag.filter(|_| until == mark.until);
        Ok((remarks, Mark { until, tag }))
    }

    /// Only an App's own webhook keeps a list that the App may read.
    pub(in crate::forge) async fn redeliver_failed(&self, since: Timestamp) -> Result<usize, ForgeError> {
        let client = &self.0.client;
        if matches!(client.auth, Auth::Token(_)) {
            return Ok(0);
        }
        let doing = "looking for webhooks that were not delivered";
        let path = format!("{}?per_page=100", client.path(&["app", "hook", "deliveries"]));
        let mut attempts: Vec<Attempt> = Vec::new();
        let keep = |attempt: Attempt| {
            // What can't be dated is looked at: it only costs a try.
            let old = payload::time(&attempt.delivered_at).is_ok_and(|at| at < since);
            if old {
                return ControlFlow::Break(());
            }
            attempts.push(attempt);
            ControlFlow::Continue(())
        };
        client.walk(Acting::Ourselves, Request::get(doing, path), keep).await?;
        let failed = undelivered(&attempts);
        for id in &failed {
            let doing = "asking for a webhook again";
            let path = client.path(&["app", "hook", "deliveries", &id.to_string(), "attempts"]);
            // The server knows a delivery by its id: one too many does no harm.
            let repeat = Repeat::Harmless;
            let request = Request { doing, method: Method::POST, path, body: None, repeat, if_not: None };
            client.send(Acting::Ourselves, &request).await?;
        }
        Ok(failed.len())
    }
}

/// The newest attempt of each delivery that never arrived, oldest first. `attempts` has the newest first.
fn undelivered(attempts: &[Attempt]) -> Vec<u64> {
    let mut by_delivery: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    for attempt in attempts {
        by_delivery.entry(&attempt.guid).or_default().push(attempt);
    }
    let arrived = |all: &[&Attempt]| all.iter().any(|attempt| matches!(attempt.status_code, 200..300));
    let mut failed: Vec<u64> = by_delivery
        .into_values()
        .filter(|all| !arrived(all) && all.len() < MOST_ATTEMPTS && all[0].may_heal())
        .map(|all| all[0].id)
        .collect();
    failed.sort_unstable();
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(id: u64, guid: &str, status_code: u16) -> Attempt {
        Attempt { id, guid: guid.into(), delivered_at: "2026-11-24T01:02:03Z".into(), status_code }
    }

    #[test]
    fn a_delivery_that_never_arrived_is_asked_for_once_by_its_newest_attempt() {
        let attempts = [
            attempt(9, "arrived later", 202),
            attempt(8, "again and again", 503),
            attempt(7, "refused", 401),
            attempt(6, "nobody listened", 0),
            attempt(5, "again and again", 0),
            attempt(4, "arrived later", 503),
            attempt(3, "arrived", 202),
        ];
        assert_eq!(undelivered(&attempts), [6, 8]);
        let hopeless: Vec<Attempt> = (0..MOST_ATTEMPTS as u64).map(|id| attempt(id, "hopeless", 500)).collect();
        assert_eq!(undelivered(&hopeless), [] as [u64; 0]);
    }
}
