//! What Gitea itself asks for before it merges: approvals and statuses, by the rules of the base branch.
//!
//! Source: the API's own description, `swagger.v1.json`: `repoGetBranch`, `repoListStatuses`, `repoMergePullRequest`.

use super::payload::{self, Official, Word};
use super::{Gitea, short};
use crate::domain::id::{PullId, Sha};
use crate::domain::project::MergeHow;
use crate::domain::pull::{Check, CheckState, Judgement, ReviewsAsked};
use crate::forge::rest::Request;
use crate::forge::{ForgeError, ForgeErrorKind};
use globset::Glob;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A branch with as much of its rules as readers are told.
#[derive(Deserialize)]
struct GuardedBranch {
    #[serde(default)]
    required_approvals: i64,
    #[serde(default)]
    enable_status_check: bool,
    #[serde(default)]
    status_check_contexts: Option<Vec<String>>,
    /// Where the whole rules are. Only told to administrators of the repository.
    #[serde(default)]
    effective_branch_protection_name: Option<String>,
}

/// What else the rules of a branch may have.
#[derive(Default, Deserialize)]
struct Protection {
    #[serde(default)]
    block_on_rejected_reviews: bool,
    #[serde(default)]
    block_on_official_review_requests: bool,
    #[serde(default)]
    block_on_outdated_branch: bool,
    #[serde(default)]
    ignore_stale_approvals: bool,
}

#[derive(Deserialize)]
struct CommitStatus {
    id: i64,
    context: String,
    status: String,
}

impl Gitea {
    pub(in crate::forge) async fn judgement(&self, pull: &PullId) -> Result<Judgement, ForgeError> {
        let doing = format!("asking what {} needs to be merged", short(pull));
        let now = self.pull(pull).await?;
        let request = Request::get(&doing, self.url(&pull.repo, &["branches", now.base_branch.as_str()])?);
        let rules: Option<GuardedBranch> = self.0.client.json_if_there(&request).await?;
        let Some(rules) = rules else {
            let unknown = format!("`{}` is gone, so that its rules are not known", now.base_branch);
            return Ok(Judgement { unknown: Some(unknown), ..Judgement::default() });
        };
        let more = self.protection(&doing, pull, rules.effective_branch_protection_name.as_deref()).await?;
        // Gitea asks code owners for reviews, and merges without them: that they are given is never said.
        let asks =
            rules.required_approvals > 0 || more.block_on_rejected_reviews || more.block_on_official_review_requests;
        let reviews = if asks {
            reviews_asked(&self.official_reviews(&doing, pull).await?, rules.required_approvals, &more)
        } else {
            ReviewsAsked::None
        };
        let behind = more.block_on_outdated_branch && self.is_behind(&doing, pull).await?;
        let blocked = behind.then(|| format!("it has to be brought up to date with `{}`", now.base_branch));
        let statuses = self.statuses(&doing, pull, &now.head).await?;
        let contexts = rules.status_check_contexts.filter(|_| rules.enable_status_check).unwrap_or_default();
        Ok(Judgement { reviews, checks: checks(statuses, &contexts), blocked, unknown: None })
    }

    /// The rules by their name, if we are told it.
    async fn protection(&self, doing: &str, pull: &PullId, name: Option<&str>) -> Result<Protection, ForgeError> {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(Protection::default()) };
        let request = Request::get(doing, self.url(&pull.repo, &["branch_protections", name])?);
        match self.0.client.json_if_there(&request).await {
            Ok(found) => Ok(found.unwrap_or_default()),
            Err(error) if error.kind == ForgeErrorKind::Forbidden => Ok(Protection::default()),
            Err(error) => Err(error),
        }
    }

    /// Those that count for the rules. Of somebody's reviews only the newest verdict is official.
    async fn official_reviews(&self, doing: &str, pull: &PullId) -> Result<Vec<Official>, ForgeError> {
        let mut official = Vec::new();
        let keep = |review: payload::Review| {
            official.extend(review.official());
            ControlFlow::Continue(())
        };
        self.0.client.pages(doing, self.pull_url(pull, &["reviews"])?, keep).await?;
        Ok(official)
    }

    /// Whether its base branch has commits that it has not.
    async fn is_behind(&self, doing: &str, pull: &PullId) -> Result<bool, ForgeError> {
        let request = Request::get(doing, self.pull_url(pull, &[])?);
        let payload: payload::PullRequest = self.0.client.json(&request).await?;
        Ok(payload.is_behind())
    }

    /// The newest of each context.
    async fn statuses(&self, doing: &str, pull: &PullId, head: &Sha) -> Result<Vec<CommitStatus>, ForgeError> {
        let url = self.url(&pull.repo, &["statuses", head.as_str()])?;
        let mut newest: BTreeMap<String, CommitStatus> = BTreeMap::new();
        let keep = |status: CommitStatus| {
            if newest.get(&status.context).is_none_or(|known| known.id < status.id) {
                newest.insert(status.context.clone(), status);
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(doing, url, keep).await?;
        Ok(newest.into_values().collect())
    }

    /// Merges the pull request if its head is still this one.
    pub(in crate::forge) async fn merge(&self, pull: &PullId, head: &Sha, how: MergeHow) -> Result<(), ForgeError> {
        let doing = format!("merging {}", short(pull));
        let method = match how {
            MergeHow::Merge => "merge",
            MergeHow::Squash => "squash",
            MergeHow::Rebase => "rebase",
            MergeHow::Enqueue => {
                let message = format!("{doing}: this forge has no merge queue");
                return Err(ForgeError::new(ForgeErrorKind::Conflict, message));
            }
        };
        let body = json!({ "Do": method, "head_commit_id": head });
        match self.0.client.send(&Request::post(&doing, self.pull_url(pull, &["merge"])?, body)).await {
            // It refuses with the same status while it looks for conflicts.
            Err(error) if error.status == Some(405) && self.mergeable(pull).await?.is_none() => {
                Err(ForgeError::new(ForgeErrorKind::Unavailable, error.message))
            }
            merged => merged.map(drop),
        }
    }
}

/// As Gitea judges: it counts approvals, and with them may want that nobody is against it or still asked.
fn reviews_asked(reviews: &[Official], required: i64, rules: &Protection) -> ReviewsAsked {
    let any = |verdict| reviews.iter().any(|review| review.verdict == verdict);
    let counts =
        |review: &&Official| review.verdict == Word::Approved && !(review.stale && rules.ignore_stale_approvals);
    let given: i64 = reviews.iter().filter(counts).map(|_| 1).sum();
    if rules.block_on_rejected_reviews && any(Word::Rejected) {
        ReviewsAsked::ChangesRequested
    } else if given < required || rules.block_on_official_review_requests && any(Word::Asked) {
        ReviewsAsked::Missing
    } else {
        ReviewsAsked::None
    }
}

/// What has reported, and what has to and has not. Contexts that have to are globs.
fn checks(statuses: Vec<CommitStatus>, contexts: &[String]) -> Vec<Check> {
    let names = |context: &String, name: &str| {
        context == name || Glob::new(context).is_ok_and(|glob| glob.compile_matcher().is_match(name))
    };
    let unreported = contexts.iter().filter(|context| !statuses.iter().any(|status| names(context, &status.context)));
    let unreported: Vec<Check> =
        unreported.map(|context| Check { name: context.clone(), state: CheckState::Pending, required: true }).collect();
    let reported = statuses.into_iter().map(|status| {
        let required = contexts.iter().any(|context| names(context, &status.context));
        Check { state: state(&status.status), name: status.context, required }
    });
    reported.chain(unreported).collect()
}

fn state(word: &str) -> CheckState {
    match word {
        "success" | "skipped" => CheckState::Green,
        "pending" => CheckState::Pending,
        _ => CheckState::Failed,
    }
}
