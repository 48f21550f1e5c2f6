//! Pipelines, as far as commit statuses and merge requests have to do with them.

use crate::demo::state::{Pipeline, Pull, Repo, State, Status};
use crate::domain::id::Sha;

/// The pipelines of a merge request with the project that each is in, newest first: those of the source branch, and the
/// target project's own for merge requests.
pub(super) fn of_merge_request<'a>(state: &'a State, repo: &'a Repo, pull: &Pull) -> Vec<(&'a Repo, &'a Pipeline)> {
    let prefix = format!("refs/merge-requests/{}/", pull.number);
    let source = pull.head_repo.as_ref().and_then(|path| state.repo(path));
    let of_branch = source.into_iter().flat_map(|source| source.pipelines.iter().map(move |found| (source, found)));
    let of_branch = of_branch.filter(|(_, found)| found.reference == pull.head_branch);
    let of_request = repo.pipelines.iter().map(|found| (repo, found));
    let of_request = of_request.filter(|(_, found)| found.reference.starts_with(&prefix) && found.source != "external");
    let mut all: Vec<_> = of_branch.chain(of_request).collect();
    all.sort_by_key(|(_, found)| std::cmp::Reverse(found.id));
    all
}

/// The newest pipeline that is about the head.
pub(super) fn of_head<'a>(state: &'a State, repo: &'a Repo, pull: &Pull) -> Option<(&'a Repo, &'a Pipeline)> {
    let about_head = |found: &Pipeline| found.sha == pull.head || found.of_head.as_ref() == Some(&pull.head);
    of_merge_request(state, repo, pull).into_iter().find(|(_, found)| about_head(found))
}

/// What stands in a pipeline: the newest status of every name. What another tool set counts for its whole commit.
pub(super) fn statuses<'a>(repo: &'a Repo, pipeline: &Pipeline) -> Vec<&'a Status> {
    let mut newest: Vec<&Status> = Vec::new();
    for status in &repo.statuses {
        let here = status.pipeline.map_or(status.sha == pipeline.sha, |id| id == pipeline.id);
        if here {
            newest.retain(|older| older.context != status.context);
            newest.push(status);
        }
    }
    newest
}

/// GitLab's summary of them.
pub(super) fn status(repo: &Repo, pipeline: &Pipeline) -> &'static str {
    let statuses = statuses(repo, pipeline);
    let any = |words: &[&str]| statuses.iter().any(|status| words.contains(&status.state.as_str()));
    if any(&["failure", "error"]) {
        "failed"
    } else if statuses.is_empty() {
        "pending"
    } else if any(&["pending"]) {
        "running"
    } else {
        "success"
    }
}

/// Whether the project wants it to succeed and it has not.
pub(in crate::demo) fn is_in_the_way(state: &State, repo: &Repo, pull: &Pull) -> bool {
    !repo.required_statuses.is_empty()
        && of_head(state, repo, pull).map(|(of, found)| status(of, found)) != Some("success")
}

/// The newest one of a commit, into which what somebody says of it goes; one of the branch that it is the tip of is made
/// where there is none.
pub(in crate::demo) fn of_commit(state: &mut State, path: &str, commit: &Sha) -> Option<u64> {
    let id = state.next_id();
    let repo = state.repo_mut(path)?;
    if let Some(found) = repo.pipelines.iter().rev().find(|found| found.sha == *commit) {
        return Some(found.id);
    }
    let (branch, _) = repo.branches.iter().find(|(_, tip)| *tip == commit)?;
    let reference = branch.clone();
    repo.pipelines.push(Pipeline { id, sha: commit.clone(), reference, source: "external", of_head: None });
    Some(id)
}
