//! What Gitea itself asks for before it merges: approvals and statuses, by the rules of the base branch.
//!
//! Source: the API's own description, `swagger.v1.json`: `repoGetBranch`, `repoListStatuses`, `repoMergePullRequest`.

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
struct Protection {
    #[serde(default)]
    required_approvals: i64,
    #[serde(default)]
    enable_status_check: bool,
    #[serde(default)]
    status_check_contexts: Option<Vec<String>>,
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
        let rules: Option<Protection> = self.0.client.json_if_there(&request).await?;
        let Some(rules) = rules else {
            let unknown = format!("`{}` is gone, so that its rules are not known", now.base_branch);
            return Ok(Judgement { unknown: Some(unknown), ..Judgement::default() });
        };
        let reviews = if rules.required_approvals > 0 && self.given(pull).await? < rules.required_approvals {
            ReviewsAsked::Missing
        } else {
            // Gitea asks code owners for reviews, and merges without them: that they are given is never said.
            ReviewsAsked::None
        };
        let statuses = self.statuses(&doing, pull, &now.head).await?;
        let contexts = rules.status_check_contexts.filter(|_| rules.enable_status_check).unwrap_or_default();
        Ok(Judgement { reviews, checks: checks(statuses, &contexts), unknown: None })
    }

    /// Approvals that count for Gitea's rule, as far as it tells: of people who may write.
    async fn given(&self, pull: &PullId) -> Result<i64, ForgeError> {
        let approvals = self.approvals(pull).await?;
        Ok(approvals.iter().filter(|approval| approval.by_writer).map(|_| 1).sum())
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
