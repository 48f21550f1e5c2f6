//! Labels of merge requests. Source: "Merge requests API", `add_labels` and `remove_labels` of an update.

use super::payload::MergeRequest;
use super::{Gitlab, short};
use crate::domain::id::PullId;
use crate::forge::rest::Request;
use crate::forge::{ForgeError, family_of};
use serde_json::json;

impl Gitlab {
    /// A label that the project does not have is made by GitLab when it is given.
    pub(in crate::forge) async fn relabel(
        &self,
        pull: &PullId,
        family: &str,
        wanted: Option<&str>,
    ) -> Result<(), ForgeError> {
        let doing = format!("labelling {}", short(pull));
        let MergeRequest { labels, .. } = self.merge_request(&doing, pull).await?;
        let (old, missing) = family_of(&labels, family, wanted);
        if old.is_empty() && missing.is_none() {
            return Ok(());
        }
        let mut change = json!({});
        if !old.is_empty() {
            change["remove_labels"] = json!(old.join(","));
        }
        if let Some(name) = missing {
            change["add_labels"] = json!(name);
        }
        let request = Request::put(&doing, self.merge_request_url(pull, &[])?, change);
        self.0.client.send(&request).await.map(drop)
    }
}
