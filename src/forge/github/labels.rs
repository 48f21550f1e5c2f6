//! Labels, which on GitHub belong to the issue that every pull request is. Source: "REST API endpoints for labels".

use super::auth::Acting;
use super::client::Request;
use super::{Github, short};
use crate::domain::id::PullId;
use crate::forge::{ForgeError, family_of};
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

#[derive(Deserialize)]
struct Label {
    name: String,
}

impl Github {
    /// A label that the repository does not have is made by GitHub when it is given.
    pub(in crate::forge) async fn relabel(
        &self,
        pull: &PullId,
        family: &str,
        wanted: Option<&str>,
    ) -> Result<(), ForgeError> {
        let doing = format!("labelling {}", short(pull));
        let number = pull.number.to_string();
        let path = self.path(&pull.repo, &["issues", &number, "labels"])?;
        let (acting, client) = (Acting::In(&pull.repo), &self.0.client);
        let mut names = Vec::new();
        let collect = |label: Label| {
            names.push(label.name);
            ControlFlow::Continue(())
        };
        client.pages(acting, &doing, &path, collect).await?;
        let (old, missing) = family_of(&names, family, wanted);
        for name in old {
            let path = self.path(&pull.repo, &["issues", &number, "labels", name])?;
            match client.send(acting, &Request::delete(&doing, path)).await {
                // Somebody else has taken it off.
                Err(error) if error.status == Some(404) => {}
                done => _ = done?,
            }
        }
        if let Some(name) = missing {
            let request = Request::post(&doing, path, json!({ "labels": [name] })).harmless();
            client.send(acting, &request).await?;
        }
        Ok(())
    }
}
