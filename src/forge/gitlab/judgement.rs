//! What GitLab itself asks for before it merges: approvals (also of code owners), and what its pipeline says.
//!
//! Which jobs GitLab does not merge without is no property of a job: a pipeline has to succeed as a whole or not at all.
//! Our own statuses are part of it, and wait for what is asked here: GitLab's word that the pipeline has to succeed is taken
//! for that of everything else in it.
//! Source: <https://docs.gitlab.com/api/merge_request_approvals/>, <https://docs.gitlab.com/api/commits/>.

use super::obstacle::Obstacle;
use super::payload::{self, MergeRequest, Pipeline};
use super::{Gitlab, short};
use crate::domain::id::{PullId, Sha};
use crate::domain::pull::{Check, CheckState, Judgement, ReviewsAsked};
use crate::forge::rest::Request;
use crate::forge::{ForgeError, ForgeErrorKind};
use serde::Deserialize;
use std::ops::ControlFlow;

/// What is left of a merge request's approval rules.
#[derive(Deserialize)]
struct ApprovalState {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    rule_type: Option<String>,
    #[serde(default)]
    approvals_required: u64,
    #[serde(default)]
    approved: bool,
}

impl Gitlab {
    pub(in crate::forge) async fn judgement(&self, pull: &PullId) -> Result<Judgement, ForgeError> {
        let doing = format!("asking what {} needs to be merged", short(pull));
        let merge_request = self.merge_request(&doing, pull).await?;
        let obstacle = merge_request.obstacle();
        let reviews = match obstacle {
            Obstacle::ChangesRequested => ReviewsAsked::ChangesRequested,
            Obstacle::Approvals => ReviewsAsked::Missing,
            _ => self.reviews_asked(&doing, pull).await?,
        };
        let required = obstacle == Obstacle::Pipeline;
        let mut blocked = match obstacle {
            Obstacle::Other(why) => Some(why),
            _ => None,
        };
        let MergeRequest { sha, head_pipeline, .. } = merge_request;
        let head: Option<Sha> = sha.and_then(|sha| sha.parse().ok());
        let checks = match (head, head_pipeline) {
            (Some(head), Some(pipeline)) => match self.about(&doing, pipeline, &head).await? {
                Some(pipeline) => self.checks(&doing, pull, &pipeline, required).await?,
                None => {
                    blocked = blocked.or_else(|| required.then(|| "its newest commit has no pipeline yet".to_owned()));
                    Vec::new()
                }
            },
            // Where there is none, our own statuses will make one.
            _ => Vec::new(),
        };
        Ok(Judgement { reviews, checks, blocked, unknown: None })
    }

    /// `Given` only where code owners have to approve and did: what other rules ask for is said when it is missing.
    async fn reviews_asked(&self, doing: &str, pull: &PullId) -> Result<ReviewsAsked, ForgeError> {
        let request = Request::get(doing, self.merge_request_url(pull, &["approval_state"])?);
        let rules = match self.0.client.json::<ApprovalState>(&request).await {
            Ok(state) => state.rules,
            // GitLab without a licence has no rules that ask for approvals.
            Err(error) if matches!(error.kind, ForgeErrorKind::NotFound | ForgeErrorKind::Forbidden) => Vec::new(),
            Err(error) => return Err(error),
        };
        let asking: Vec<&Rule> = rules.iter().filter(|rule| rule.approvals_required > 0).collect();
        let of_owners = |rule: &&Rule| rule.rule_type.as_deref() == Some("code_owner");
        Ok(match asking.iter().all(|rule| rule.approved) {
            false => ReviewsAsked::Missing,
            true if asking.iter().any(of_owners) => ReviewsAsked::Given,
            true => ReviewsAsked::None,
        })
    }

    /// `required`: the pipeline has to succeed.
    async fn checks(
        &self,
        doing: &str,
        pull: &PullId,
        pipeline: &Pipeline,
        required: bool,
    ) -> Result<Vec<Check>, ForgeError> {
        let me = self.me().await?;
        let url = self.statuses_url(pull, pipeline);
        let mut checks = Vec::new();
        let keep = |status: payload::CommitStatus| {
            let state = if status.allow_failure { CheckState::Green } else { state(&status.status) };
            let author = status.author.as_ref().and_then(|author| author.login().ok());
            let ours = status.is_named_like_ours() && author.as_ref().is_some_and(|author| author.same_as(&me));
            let required = required && !status.allow_failure && !ours;
            // Whoever names a status like ours does not get it taken for one.
            let foreign = !ours && status.is_named_like_ours();
            let name = if foreign { format!("{} of somebody else", status.name) } else { status.name };
            checks.push(Check { name, state, required });
            ControlFlow::Continue(())
        };
        self.0.client.pages(doing, url, keep).await?;
        Ok(checks)
    }
}

/// By the word of a job; one of tomorrow is not green.
fn state(word: &str) -> CheckState {
    match word {
        "success" | "skipped" => CheckState::Green,
        "created" | "waiting_for_resource" | "preparing" | "pending" | "running" | "scheduled" | "manual" => {
            CheckState::Pending
        }
        _ => CheckState::Failed,
    }
}
