//! Labels, which on Gitea belong to the issue that every pull request is, and are given by number. Source: the API's
//! description, `issueAddLabel`, `issueRemoveLabel`, `issueListLabels` and `issueCreateLabel`.

use super::{Gitea, short};
use crate::domain::id::PullId;
use crate::forge::rest::Request;
use crate::forge::{ForgeError, family_of};
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;
use url::Url;

/// Of a label that the repository does not have yet; whoever does not like it changes it there.
const COLOUR: &str = "#ededed";

#[derive(Deserialize)]
struct Label {
    id: u64,
    name: String,
}

impl Gitea {
    pub(in crate::forge) async fn relabel(
        &self,
        pull: &PullId,
        family: &str,
        wanted: Option<&str>,
    ) -> Result<(), ForgeError> {
        let doing = format!("labelling {}", short(pull));
        let number = pull.number.to_string();
        let client = &self.0.client;
        let url = self.url(&pull.repo, &["issues", &number, "labels"])?;
        let there: Vec<Label> = client.json(&Request::get(&doing, url.clone())).await?;
        let names: Vec<String> = there.iter().map(|label| label.name.clone()).collect();
        let (old, missing) = family_of(&names, family, wanted);
        for label in there.iter().filter(|label| old.contains(&label.name.as_str())) {
            let url = self.url(&pull.repo, &["issues", &number, "labels", &label.id.to_string()])?;
            match client.send(&Request::delete(&doing, url)).await {
                // Somebody else has taken it off.
                Err(error) if error.status == Some(404) => {}
                done => _ = done?,
            }
        }
        if let Some(name) = missing {
            let id = self.label(pull, name, &doing).await?;
            client.send(&Request::post(&doing, url, json!({ "labels": [id] })).harmless()).await?;
        }
        Ok(())
    }

    /// The number of the repository's label of this name, which is made if there is none.
    async fn label(&self, pull: &PullId, name: &str, doing: &str) -> Result<u64, ForgeError> {
        let url: Url = self.url(&pull.repo, &["labels"])?;
        let mut found = None;
        let same = |label: Label| {
            if label.name == name {
                found = Some(label.id);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        self.0.client.pages(doing, url.clone(), same).await?;
        if let Some(id) = found {
            return Ok(id);
        }
        let new = json!({ "name": name, "color": COLOUR, "description": "" });
        let made: Label = self.0.client.create(&Request::post(doing, url, new)).await?;
        Ok(made.id)
    }
}
