//! Commit statuses. A status of GitLab lives in a pipeline, and a merge request shows one pipeline only, the newest that
//! is about its head: a status that is set without care makes a second pipeline, or lands in one that nobody looks at.
//!
//! Source: <https://docs.gitlab.com/api/commits/#set-commit-pipeline-status>,
//! <https://docs.gitlab.com/ci/ci_cd_for_external_repos/external_commit_statuses/>.

use super::payload::{MergeRequest, Pipeline, State};
use super::{Gitlab, payload, short};
use crate::domain::id::{PullId, Sha};
use crate::domain::pull::Phase;
use crate::forge::rest::Request;
use crate::forge::{ForgeError, ForgeErrorKind, Status, StatusState};
use serde_json::json;
use std::ops::ControlFlow;
use url::Url;

/// Characters in a status' description, and in its link: longer ones are refused.
const TEXT_MAX: usize = 255;
/// GitLab makes a head's pipeline in the background; this often we look whether it is there.
const LOOKS: u32 = 4;
/// What GitLab says where a status has the state already that was asked for, or one that leads nowhere.
const NO_TRANSITION: &str = "Cannot transition status";

/// Where a status goes.
#[derive(Debug)]
struct Place {
    /// The id or path of the project.
    project: String,
    sha: String,
    pipeline: Which,
    of: Whose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    MergeRequest,
    /// The pipelines of a fork are the fork's.
    Fork,
    TargetBranch,
}

#[derive(Debug)]
enum Which {
    Id(u64),
    /// The newest pipeline of the commit with this ref, or a new one.
    Of(String),
}

impl Gitlab {
    pub(in crate::forge) async fn set_status(
        &self,
        pull: &PullId,
        sha: &Sha,
        status: &Status,
    ) -> Result<(), ForgeError> {
        let doing = format!("setting the status `{}` on {} in {}", status.context, sha.short(), pull.repo.path());
        let merge_request = self.merge_request(&doing, pull).await?;
        let place = self.place(&doing, pull, sha, &merge_request).await?;
        let refused = match self.post_status(&doing, &place, word(status.state), status).await {
            Err(error) => error,
            Ok(()) => return Ok(()),
        };
        let already = |error: &ForgeError| error.status == Some(400) && error.message.contains(NO_TRANSITION);
        match status.state {
            // A status that is pending can't become pending, so a new description of it is shown as the next state of
            // something that is not over; and when it is in that one, then with the words that are there.
            StatusState::Pending if already(&refused) => {
                match self.post_status(&doing, &place, "running", status).await {
                    Err(error) if already(&error) => Ok(()),
                    done => done,
                }
            }
            // The fork is not the token's to change: it stands beside the commit in this project.
            _ if matches!(refused.kind, ForgeErrorKind::NotFound | ForgeErrorKind::Forbidden)
                && place.of == Whose::Fork =>
            {
                let sha = sha.to_string();
                let pipeline = Which::Of(own_ref(pull));
                let place = Place { project: pull.repo.path(), sha, pipeline, of: Whose::MergeRequest };
                self.post_status(&doing, &place, word(status.state), status).await
            }
            _ if refused.kind == ForgeErrorKind::Forbidden && place.of == Whose::TargetBranch => {
                let hint = format!(
                    " (if `{}` is protected, the token's account has to be allowed to merge into it)",
                    merge_request.target_branch
                );
                Err(ForgeError { message: refused.message + &hint, ..refused })
            }
            _ => Err(refused),
        }
    }

    async fn post_status(&self, doing: &str, place: &Place, state: &str, status: &Status) -> Result<(), ForgeError> {
        let mut body = json!({
            "name": status.context,
            "state": state,
            "description": status.description.chars().take(TEXT_MAX).collect::<String>(),
        });
        match &place.pipeline {
            Which::Id(id) => body["pipeline_id"] = json!(id),
            Which::Of(reference) => body["ref"] = json!(reference),
        }
        // A cut link leads nowhere.
        if let Some(url) = status.url.as_ref().filter(|url| url.as_str().len() <= TEXT_MAX) {
            body["target_url"] = json!(url);
        }
        let url = self.0.client.url(&["projects", &place.project, "statuses", &place.sha]);
        // Set twice it is there twice, and the newest counts.
        let request = Request::post(doing, url, body).harmless();
        match self.0.client.send(&request).await {
            Ok(_) => Ok(()),
            // Somebody else is setting one on this commit at this moment.
            Err(error) if error.status == Some(409) => Err(ForgeError { kind: ForgeErrorKind::Unavailable, ..error }),
            Err(error) => Err(error),
        }
    }

    async fn place(
        &self,
        doing: &str,
        pull: &PullId,
        sha: &Sha,
        merge_request: &MergeRequest,
    ) -> Result<Place, ForgeError> {
        let landed = match merge_request.phase() {
            Ok(Phase::Merged { commit, .. }) => Some(commit),
            _ => None,
        };
        if landed.as_ref() == Some(sha) {
            let pipeline = Which::Of(merge_request.target_branch.clone());
            return Ok(Place { project: pull.repo.path(), sha: sha.to_string(), pipeline, of: Whose::TargetBranch });
        }
        let is_head = merge_request.sha.as_deref() == Some(sha.as_str());
        let mut found = match merge_request.head_pipeline.clone().filter(|_| is_head) {
            Some(pipeline) => self.about(doing, pipeline, sha).await?,
            None => None,
        };
        if found.is_none() {
            found = self.newest_pipeline(doing, pull, sha).await?;
        }
        if found.is_none()
            && is_head
            && merge_request.state == State::Opened
            && self.expects_pipeline(pull, sha).await?
        {
            for look in 0..LOOKS {
                tokio::time::sleep(self.0.client.patience.first_pause * 2u32.pow(look)).await;
                found = self.newest_pipeline(doing, pull, sha).await?;
                if found.is_some() {
                    break;
                }
            }
        }
        let fork = merge_request.source_project().filter(|_| merge_request.is_from_fork());
        let project = |id: Option<u64>| id.map_or_else(|| pull.repo.path(), |id| id.to_string());
        let of = |id: Option<u64>| if id.is_some() && id == fork { Whose::Fork } else { Whose::MergeRequest };
        Ok(match found {
            Some(Pipeline { id, project_id, sha, .. }) => {
                Place { project: project(project_id), sha, pipeline: Which::Id(id), of: of(project_id) }
            }
            None => {
                // A fork that is gone has no branch, and one of the same name in this project is another.
                let gone = merge_request.is_from_fork() && fork.is_none();
                let pipeline = Which::Of(if gone { own_ref(pull) } else { merge_request.source_branch.clone() });
                Place { project: project(fork), sha: sha.to_string(), pipeline, of: of(fork) }
            }
        })
    }

    /// The merge request's newest pipeline that is about a head.
    async fn newest_pipeline(&self, doing: &str, pull: &PullId, sha: &Sha) -> Result<Option<Pipeline>, ForgeError> {
        let url = self.merge_request_url(pull, &["pipelines"])?;
        let mut candidates: Vec<Pipeline> = Vec::new();
        let keep = |pipeline: Pipeline| {
            let exact = pipeline.sha == sha.as_str();
            // Newest first. Of those for a merge only the newest few can be about the head.
            if exact || (pipeline.is_of_a_merge() && candidates.len() < 3) {
                candidates.push(pipeline);
            }
            if exact { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        self.0.client.pages(doing, url, keep).await?;
        for candidate in candidates {
            if let Some(found) = self.about(doing, candidate, sha).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The pipeline, if it is about this head: it runs on it, or on a commit that merges it.
    pub(super) async fn about(
        &self,
        doing: &str,
        pipeline: Pipeline,
        head: &Sha,
    ) -> Result<Option<Pipeline>, ForgeError> {
        if pipeline.sha == head.as_str() {
            return Ok(Some(pipeline));
        }
        let (true, Some(project)) = (pipeline.is_of_a_merge(), pipeline.project_id) else { return Ok(None) };
        let url = self.0.client.url(&["projects", &project.to_string(), "repository", "commits", &pipeline.sha]);
        match self.0.client.json::<payload::Commit>(&Request::get(doing, url)).await {
            Ok(commit) => Ok(commit.parent_ids.iter().any(|parent| parent == head.as_str()).then_some(pipeline)),
            // Made for a test and thrown away since.
            Err(error) if error.kind == ForgeErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether GitLab may be about to make a pipeline for a head: its CI is on, and its description is there.
    async fn expects_pipeline(&self, pull: &PullId, head: &Sha) -> Result<bool, ForgeError> {
        let doing = format!("asking whether {} has pipelines", short(pull));
        let request = Request::get(&doing, self.project_url(&pull.repo, &[])?);
        let project: payload::Project = self.0.client.json(&request).await?;
        if project.builds_access_level.as_deref() == Some("disabled") {
            return Ok(false);
        }
        let path = project.ci_config_path.filter(|path| !path.is_empty()).unwrap_or_else(|| ".gitlab-ci.yml".into());
        if path.contains('@') || path.contains("://") {
            // It is described in another project, or somewhere on the web.
            return Ok(true);
        }
        let mut url = self.project_url(&pull.repo, &["repository", "files", &path])?;
        url.query_pairs_mut().append_pair("ref", head.as_str());
        match self.0.client.send(&Request::head(&doing, url)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ForgeErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The jobs and statuses of a pipeline, the newest of each name.
    pub(super) fn statuses_url(&self, pull: &PullId, pipeline: &Pipeline) -> Url {
        let project = pipeline.project_id.map_or_else(|| pull.repo.path(), |id| id.to_string());
        let mut url = self.0.client.url(&["projects", &project, "repository", "commits", &pipeline.sha, "statuses"]);
        url.query_pairs_mut().append_pair("pipeline_id", &pipeline.id.to_string());
        url
    }
}

/// The merge request's own name in the target project: a branch there that is named like the fork's has other pipelines.
fn own_ref(pull: &PullId) -> String {
    format!("refs/merge-requests/{}/head", pull.number)
}

/// GitLab's word. The others that it knows (`running`, `canceled`, `skipped`) say nothing that we want to say.
const fn word(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure => "failed",
    }
}
