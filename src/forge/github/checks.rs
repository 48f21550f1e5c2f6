//! Check runs, which only an App can have: <https://docs.github.com/en/rest/checks/runs>.

use super::auth::{Acting, Auth};
use super::client::Request;
use super::{COMMENT_MAX, Github, fits, payload};
use crate::domain::id::{PullId, RepoName};
use crate::forge::{Check, ForgeError, StatusState};
use serde::Deserialize;
use serde_json::{Value, json};

/// What has check runs.
#[derive(Debug, Clone, Copy)]
pub struct Checks<'a>(&'a Github);

#[derive(Deserialize)]
struct Listed {
    check_runs: Vec<Known>,
}

#[derive(Deserialize)]
struct Known {
    id: u64,
    external_id: Option<String>,
}

impl Github {
    pub(in crate::forge) fn checks(&self) -> Option<Checks<'_>> {
        matches!(self.0.client.auth, Auth::App { .. }).then_some(Checks(self))
    }
}

impl Checks<'_> {
    /// The newest of this name on the commit that we made for the pull request.
    ///
    /// # Errors
    /// A [`ForgeError`], as always.
    pub async fn find(self, pull: &PullId, check: &Check) -> Result<Option<u64>, ForgeError> {
        let (client, status) = (&self.0.0.client, &check.status);
        let Auth::App { id: app_id, .. } = client.auth else { return Ok(None) };
        let doing = doing("looking for", check, &pull.repo);
        let path = self.0.path(&pull.repo, &["commits", check.sha.as_str(), "check-runs"])?;
        let name: String = url::form_urlencoded::byte_serialize(status.context.as_bytes()).collect();
        let path = format!("{path}?check_name={name}&app_id={app_id}&filter=latest&per_page=100");
        let listed: Listed = client.json(Acting::In(&pull.repo), &Request::get(&doing, path)).await?;
        let number = pull.number.to_string();
        let ours = listed.check_runs.iter().filter(|run| run.external_id.as_ref() == Some(&number));
        Ok(ours.map(|run| run.id).max())
    }

    /// # Errors
    /// A [`ForgeError`], as always; refused (403) where the App may not write checks.
    pub async fn create(self, pull: &PullId, check: &Check) -> Result<u64, ForgeError> {
        let doing = doing("making", check, &pull.repo);
        let mut body = body(&doing, check)?;
        body["name"] = json!(check.status.context);
        body["head_sha"] = json!(check.sha);
        // By this a button's click is known to be about the pull request, also where GitHub names none, as for forks.
        body["external_id"] = json!(pull.number.to_string());
        let request = Request::post(&doing, self.0.path(&pull.repo, &["check-runs"])?, body);
        let created: payload::Created = self.0.0.client.create(Acting::In(&pull.repo), &request).await?;
        Ok(created.id)
    }

    /// Annotations are added to those that it has.
    ///
    /// # Errors
    /// A [`ForgeError`], as always.
    pub async fn edit(self, pull: &PullId, id: u64, check: &Check) -> Result<(), ForgeError> {
        let doing = doing("editing", check, &pull.repo);
        let body = body(&doing, check)?;
        let request = Request::patch(&doing, self.0.path(&pull.repo, &["check-runs", &id.to_string()])?, body);
        self.0.0.client.send(Acting::In(&pull.repo), &request).await.map(drop)
    }
}

fn doing(what: &str, check: &Check, repo: &RepoName) -> String {
    format!("{what} the check `{}` on {} in {}", check.status.context, check.sha.short(), repo.path())
}

fn body(doing: &str, check: &Check) -> Result<Value, ForgeError> {
    fits(doing, "summary", &check.summary, COMMENT_MAX - 1)?;
    let annotations: Vec<Value> = check
        .annotations
        .iter()
        .map(|annotation| {
            json!({
                "path": annotation.path,
                "start_line": annotation.line,
                "end_line": annotation.line,
                "annotation_level": "failure",
                "title": annotation.title,
                "message": annotation.message,
            })
        })
        .collect();
    let mut output = json!({ "title": check.status.description, "summary": check.summary });
    if !annotations.is_empty() {
        output["annotations"] = json!(annotations);
    }
    let buttons = check.buttons.iter().map(
        |button| json!({ "label": button.label, "description": button.description, "identifier": button.identifier }),
    );
    let mut body = json!({ "output": output, "actions": buttons.collect::<Vec<_>>() });
    match check.status.state {
        StatusState::Pending => body["status"] = json!("in_progress"),
        over @ (StatusState::Success | StatusState::Failure) => {
            body["status"] = json!("completed");
            body["conclusion"] = json!(over.as_str());
        }
    }
    if let Some(url) = &check.status.url {
        body["details_url"] = json!(url);
    }
    Ok(body)
}
