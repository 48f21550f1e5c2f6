//! Merging: at once, or by the merge train where the target project has them.
//!
//! Source: <https://docs.gitlab.com/api/merge_requests/#merge-a-merge-request>,
//! <https://docs.gitlab.com/api/merge_trains/>.

use super::obstacle::Obstacle;
use super::payload::{CommitStatus, Pipeline};
use super::{Gitlab, failure, short};
use crate::domain::id::{PullId, Sha};
use crate::domain::project::MergeHow;
use crate::forge::rest::Request;
use crate::forge::{ForgeError, ForgeErrorKind};
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

#[derive(Deserialize)]
struct Merging {
    /// Since 12; true where a merge request has to go through the train.
    #[serde(default)]
    merge_trains_enabled: bool,
}

#[derive(Deserialize)]
struct Merged {
    state: String,
}

/// What became of a wish to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// It is in the target branch.
    Done,
    /// It waits in the project's merge train, or for its pipeline; a webhook tells when it has been merged, or fell out.
    Queued,
}

impl Gitlab {
    /// Merges as a rule wants it. Whether a merge commit is made is the project's setting on GitLab, and so is whether
    /// there is a merge train: where there is none, a merge request that is to be queued is merged.
    pub(in crate::forge) async fn merge(&self, pull: &PullId, head: &Sha, how: MergeHow) -> Result<(), ForgeError> {
        let squash = match how {
            MergeHow::Merge => Some(false),
            MergeHow::Squash => Some(true),
            MergeHow::Rebase | MergeHow::Enqueue => None,
        };
        match self.merge_now(pull, head, squash).await {
            Err(error) if error.status == Some(405) => Err(self.why_not(pull, error).await?),
            merged => merged.map(drop),
        }
    }

    /// The refusal with the reason, which GitLab does not give with it; something that passes if it will merge by and by.
    async fn why_not(&self, pull: &PullId, refusal: ForgeError) -> Result<ForgeError, ForgeError> {
        let doing = format!("merging {}", short(pull));
        let merge_request = self.merge_request(&doing, pull).await?;
        let why = match merge_request.obstacle() {
            Obstacle::Nothing | Obstacle::Unknown => None,
            Obstacle::Conflict => Some("it has conflicts with its target branch".to_owned()),
            Obstacle::Approvals => Some("an approval is missing".to_owned()),
            Obstacle::ChangesRequested => Some("somebody has asked for changes".to_owned()),
            Obstacle::Other(why) => Some(why),
            Obstacle::Pipeline => match &merge_request.head_pipeline {
                Some(pipeline) => self.not_passed(&doing, pull, pipeline).await?,
                None => Some("it has no pipeline, and the project wants one that succeeds".to_owned()),
            },
        };
        Ok(match why {
            Some(why) => ForgeError { message: format!("{doing}: GitLab does not merge it: {why}"), ..refusal },
            // It looks at a merge request again after each status, in the background.
            None => failure::too_early(&doing, "GitLab is still looking at it"),
        })
    }

    /// What in a pipeline has not passed, as a sentence. If all has, the pipeline will be told to have succeeded.
    async fn not_passed(&self, doing: &str, pull: &PullId, pipeline: &Pipeline) -> Result<Option<String>, ForgeError> {
        let mut names = Vec::new();
        let look = |status: CommitStatus| {
            if !status.allow_failure && !matches!(status.status.as_str(), "success" | "skipped") {
                names.push(format!("`{}`", status.name));
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(doing, self.statuses_url(pull, pipeline), look).await?;
        let some = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        Ok((!names.is_empty()).then(|| format!("its pipeline has not succeeded ({some})")))
    }

    /// Merges a merge request, if `head` still is its head. `squash`: into one commit; where the project demands or
    /// forbids it, the project's rule counts.
    ///
    /// # Errors
    /// See [`ForgeError`]: `Conflict` when the head has moved or GitLab's own checks don't allow the merge.
    pub async fn merge_now(&self, pull: &PullId, head: &Sha, squash: Option<bool>) -> Result<Merge, ForgeError> {
        let doing = format!("merging {}", short(pull));
        let project: Merging = self.0.client.json(&Request::get(&doing, self.project_url(&pull.repo, &[])?)).await?;
        let mut body = json!({ "sha": head });
        if let Some(squash) = squash {
            body["squash"] = json!(squash);
        }
        if project.merge_trains_enabled {
            let url = self.project_url(&pull.repo, &["merge_trains", "merge_requests", &pull.number.to_string()])?;
            // As soon as its checks have passed: a pipeline may lag behind our own statuses.
            body["auto_merge"] = json!(true);
            return match self.0.client.send(&Request::post(&doing, url, body)).await {
                Ok(_) => Ok(Merge::Queued),
                // It can't board.
                Err(error) if error.status == Some(400) => Err(ForgeError { kind: ForgeErrorKind::Conflict, ..error }),
                Err(error) => Err(error),
            };
        }
        let url = self.merge_request_url(pull, &["merge"])?;
        match self.0.client.json::<Merged>(&Request::put(&doing, url, body)).await {
            Ok(Merged { state }) if state == "merged" => Ok(Merge::Done),
            // It is to be merged when its pipeline succeeds, or is being merged right now.
            Ok(_) => Ok(Merge::Queued),
            // What the documentation has for a merge that did not come off, and for somebody who may not merge.
            Err(error) if error.status == Some(422) => Err(ForgeError { kind: ForgeErrorKind::Conflict, ..error }),
            Err(error) if error.status == Some(401) => Err(ForgeError { kind: ForgeErrorKind::Forbidden, ..error }),
            Err(error) => Err(error),
        }
    }
}
