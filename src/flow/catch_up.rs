//! Finds what no webhook told: compares what the forge says changed lately with what is known, and records what was missed
//! as deliveries of its own, which go the way of all others.
//!
//! What is made here has an id that says what it is about, so that it is recorded once, however often it is found. What
//! changed a moment ago is left alone: its webhook may be on its way.

use super::{Flow, FlowError, now};
use crate::domain::command::parse_comment;
use crate::domain::event::Event;
use crate::domain::id::{DeliveryId, ForgeKind, PullId, RepoName, Timestamp};
use crate::domain::missed::{Glimpse, Mark, Remark, Seen, missed};
use crate::forge::{Changes, Forge};
use crate::store::{NewDelivery, Recorded};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A webhook has this time to arrive before it counts as missed, or the interval of the looks if that is shorter.
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// A repository that is looked at for the first time: pull requests that changed this long ago are left alone until they
/// change again, so that a new server doesn't plan whatever was ever left open.
const FIRST_LOOK_MS: i64 = 24 * 60 * 60 * 1000;

/// Comments that were written this long before it are heard: whoever wrote one may have waited for the server.
const FIRST_COMMENTS_MS: i64 = 15 * 60 * 1000;

/// The forge's list of failed webhooks is read this far back at the first time, and a little further than the last time
/// at all others.
const FAILED_SINCE_MS: i64 = 24 * 60 * 60 * 1000;
const FAILED_OVERLAP_MS: i64 = 60 * 60 * 1000;

/// Looks at the start, and then again and again, until `stop`.
pub async fn keep_catching_up(flow: Arc<Flow>, stop: CancellationToken) {
    let Some(every) = flow.config.catch_up else { return };
    let on_its_way = ON_ITS_WAY.min(every);
    let looking = async {
        loop {
            let all_known = flow.catch_up(on_its_way).await;
            tokio::time::sleep(if all_known { every } else { on_its_way }).await;
        }
    };
    stop.run_until_cancelled(Box::pin(looking)).await;
}

impl Flow {
    /// One look at everything. Returns whether nothing is left that may be on its way. What fails is tried by the next
    /// look.
    async fn catch_up(&self, on_its_way: Duration) -> bool {
        for forge in &self.forges {
            if let Err(error) = self.ask_again(forge).await {
                tracing::warn!(forge = forge.host(), error = %error.chain(), "failed webhooks can't be asked for");
            }
        }
        let repos = match self.repos_to_look_at().await {
            Ok(repos) => repos,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "missed webhooks can't be looked for");
                return true;
            }
        };
        let mut all_known = true;
        for repo in repos {
            match self.look_at(&repo, on_its_way).await {
                Ok(known) => all_known &= known,
                Err(error) => {
                    tracing::warn!(%repo, error = %error.chain(), "missed webhooks can't be looked for");
                }
            }
        }
        all_known
    }

    /// Those that were ever heard of, and those that the configuration names in full.
    async fn repos_to_look_at(&self) -> Result<BTreeSet<RepoName>, FlowError> {
        let known = self.store.repos().await?.into_iter().filter(|repo| self.config.policy(repo).is_some());
        let named = self.config.repos.iter().filter_map(|policy| policy.exactly().cloned());
        let all = known.chain(named);
        Ok(all.filter(|repo| self.forges.iter().any(|forge| forge.host() == repo.host())).collect())
    }

    async fn look_at(&self, repo: &RepoName, on_its_way: Duration) -> Result<bool, FlowError> {
        let key = format!("seen {repo}");
        let stored = self.store.meta_get(&key).await?;
        let known: Option<Seen> = stored.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let first = known.is_none();
        let mut seen = known.unwrap_or_else(|| first_look(now()));
        let forge = self.forge(repo)?;
        let Changes { pulls, comments, seen: next } = forge.changes(repo, &seen).await?;
        let fresh = |at: Timestamp| at.since(now()).unsigned_abs() < on_its_way.as_millis() as u64;
        let (mut pulls_known, mut comments_known) = (true, true);
        for glimpse in &pulls {
            let Some(event) = self.news(glimpse, &seen.pulls, first).await? else { continue };
            if fresh(glimpse.updated_at) {
                pulls_known = false;
            } else {
                // The pull request as it is now, whatever else may be said of it later.
                let id = format!("found:{}:{}:{}", glimpse.pull, glimpse.head.short(), glimpse.updated_at.0);
                self.found(forge.kind(), &id, &glimpse.pull, &event).await?;
            }
        }
        for remark in comments.iter().filter(|remark| self.commands(remark)) {
            if self.store.has_commanded(repo, remark.comment.id).await? {
                continue;
            }
            if fresh(remark.comment.created_at) {
                comments_known = false;
            } else {
                self.found_comment(forge, remark).await?;
            }
        }
        // A mark moves over what is known only.
        if pulls_known {
            seen.pulls = next.pulls;
        }
        if comments_known {
            seen.comments = next.comments;
        }
        let text = serde_json::to_string(&seen).expect("a mark is plain data");
        if stored.as_ref() != Some(&text) {
            self.store.meta_set(&key, &text).await?;
        }
        Ok(pulls_known && comments_known)
    }

    async fn news(&self, glimpse: &Glimpse, mark: &Mark, first: bool) -> Result<Option<Event>, FlowError> {
        let known = self.store.pull_state(&glimpse.pull).await?;
        // What was merged before the first look is not this server's.
        let since = if first { Timestamp(i64::MAX) } else { mark.until };
        let change = missed(known.as_ref().map(|state| state.pull()), glimpse, since);
        Ok(change.map(|change| Event::PullChanged { pull: glimpse.pull.clone(), change }))
    }

    async fn found_comment(&self, forge: &Forge, remark: &Remark) -> Result<(), FlowError> {
        let id = format!("found:{}:comment-{}", remark.pull, remark.comment.id);
        let event = Event::Commented { pull: remark.pull.clone(), comment: remark.comment.clone() };
        self.found(forge.kind(), &id, &remark.pull, &event).await
    }

    fn commands(&self, remark: &Remark) -> bool {
        !remark.comment.by_bot && !parse_comment(&remark.comment.body, &self.names()).is_empty()
    }

    /// Through the door that webhooks take.
    async fn found(&self, forge: ForgeKind, id: &str, pull: &PullId, event: &Event) -> Result<(), FlowError> {
        let id: DeliveryId = id.parse().map_err(|error| FlowError::Broken(format!("{error}")))?;
        let delivery = NewDelivery::of_event(forge, id, pull, event, now());
        if self.store.record_delivery(delivery).await? == Recorded::New {
            tracing::info!(%pull, ?event, "no webhook told this");
            metrics::counter!("terraplane_missed_webhooks_total").increment(1);
            self.wake.notify_waiters();
        }
        Ok(())
    }

    /// What the forge could not deliver, and can tell of.
    async fn ask_again(&self, forge: &Forge) -> Result<(), FlowError> {
        let key = format!("failed webhooks of {}", forge.host());
        let asked = self.store.meta_get(&key).await?.and_then(|at| at.parse().ok()).map(Timestamp);
        let at = now();
        let since = asked.map_or(at.plus_ms(-FAILED_SINCE_MS), |asked| asked.plus_ms(-FAILED_OVERLAP_MS));
        let sent_again = forge.redeliver_failed(since).await?;
        if sent_again > 0 {
            tracing::info!(forge = forge.host(), sent_again, "webhooks that were not delivered are sent again");
        }
        Ok(self.store.meta_set(&key, &at.0.to_string()).await?)
    }
}

fn first_look(now: Timestamp) -> Seen {
    let mut seen = Seen::until(now.plus_ms(-FIRST_COMMENTS_MS));
    seen.pulls.until = now.plus_ms(-FIRST_LOOK_MS);
    seen
}
