//! Merging: at once, or by the merge train where the target project has them.
//!
//! Source: <https://docs.gitlab.com/api/merge_requests/#merge-a-merge-request>,
//! <https://docs.gitlab.com/api/merge_trains/>.

use super::{Gitlab, failure, short};
use crate::domain::id::{PullId, Sha};
use crate::domain::project::MergeHow;
use crate::forge::rest::Request;
use crate::forge::{ForgeError, ForgeErrorKind};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Merging {
    /// Since 12; true where a merge request has to go through the train.
    #[serde(default)]
    merge_trains_enabled: bool,
}

/// What became of a wish to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// It is in the target branch.
    Done,
    /// It waits in the project's merge train; a webhook tells when it has been merged, or fell out.
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
            // GitLab looks at the merge request again after each status, in the background.
            Err(error) if error.status == Some(405) && self.mergeable(pull).await?.is_none() => {
                Err(failure::too_early(&format!("merging {}", short(pull)), "GitLab is still looking at it"))
            }
            merged => merged.map(drop),
        }
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
            self.0.client.send(&Request::post(&doing, url, body)).await?;
            return Ok(Merge::Queued);
        }
        let url = self.merge_request_url(pull, &["merge"])?;
        match self.0.client.send(&Request::put(&doing, url, body)).await {
            Ok(_) => Ok(Merge::Done),
            // What the documentation has for a merge that did not come off, and for somebody who may not merge.
            Err(error) if error.status == Some(422) => Err(ForgeError { kind: ForgeErrorKind::Conflict, ..error }),
            Err(error) if error.status == Some(401) => Err(ForgeError { kind: ForgeErrorKind::Forbidden, ..error }),
            Err(error) => Err(error),
        }
    }
}
