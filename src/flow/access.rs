//! Getting a repository's commits: the forge says where and with which token, git fetches.

use super::{Flow, FlowError};
use crate::domain::id::RepoName;
use crate::git::{Access, GitError, Mirror, Want};

impl Flow {
    /// One network fetch for everything that an event or a run needs.
    pub(super) async fn fetch(&self, repo: &RepoName, wants: &[Want]) -> Result<Mirror, FlowError> {
        let clone = self.forge(repo)?.clone_access(repo).await?;
        let access = Access { url: clone.url, username: clone.username, token: Some(clone.token) };
        let fetched = self.mirrors.fetch(repo, &access, wants).await;
        if let Err(GitError::Auth { .. }) = &fetched {
            // The next try gets a new token.
            self.forge(repo)?.clone_refused(repo).await;
        }
        Ok(fetched?)
    }
}
