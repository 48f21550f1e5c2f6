//! Where a merge began. What decides about safety is read from the base branch as it was before the merge, and forges
//! don't reliably tell which commit that was: it is found in the history.

use super::error::GitError;
use super::mirror::Mirror;
use crate::domain::id::Sha;

/// Forges rebase at most so many commits (GitHub: 100), and one more is looked at.
const MOST: &str = "--max-count=101";

/// A commit as far as a rebase keeps it.
struct Step {
    parents: Vec<Sha>,
    /// Author, author's time and title.
    identity: String,
}

impl Mirror {
    /// The tip of the base branch before `head` was merged as `merged`. A merge commit has it as its first parent, and
    /// so has a squashed one. A rebase leaves as many commits as it copied: those that are like the head's in author,
    /// time and title. `known` is a commit that the base branch had before, as far as the forge tells.
    ///
    /// # Errors
    /// When a commit is not there.
    pub async fn before_merge(&self, merged: &Sha, head: &Sha, known: &Sha) -> Result<Sha, GitError> {
        // Nothing was made: the base branch was moved to the head.
        if merged == head {
            return Ok(known.clone());
        }
        let mut made = self.steps(merged, "--first-parent", Some(known)).await?;
        if made.is_empty() {
            // `known` holds the merge already, so it is no commit from before.
            made = self.steps(merged, "--first-parent", None).await?;
        }
        let theirs = self.steps(head, "--no-merges", Some(known)).await?;
        // A rebase leaves out commits that bring nothing, so that some of theirs have no copy.
        let mut rest = theirs.iter();
        let is_copy = |made: &&Step| made.parents.len() == 1 && rest.any(|its| its.identity == made.identity);
        let copied = made.iter().take_while(is_copy).count();
        // Without copies it is one commit, of whatever kind.
        let first = made.get(copied.saturating_sub(1));
        Ok(first.and_then(|step| step.parents.first()).unwrap_or(known).clone())
    }

    /// The newest commits that `commit` contains, newest first, without those that `not` contains.
    async fn steps(&self, commit: &Sha, which: &str, not: Option<&Sha>) -> Result<Vec<Step>, GitError> {
        let options = ["-z", "--topo-order", "--no-show-signature", "--no-mailmap", MOST, which];
        let format = ["--format=%P%n%an%n%ae%n%at%n%s", "--end-of-options", commit.as_str()];
        let not = not.map(|not| format!("^{not}"));
        let args = options.into_iter().chain(format).map(str::to_owned).chain(not.clone());
        let answer = self.ask("log", args).await?;
        if !answer.end.success() {
            let objects = [Some(commit.as_str()), not.as_ref().map(|not| &not[1..])];
            return Err(self.explain(&answer, &objects.into_iter().flatten().collect::<Vec<_>>()).await);
        }
        let text = String::from_utf8_lossy(&answer.stdout);
        let step = |text: &str| {
            let (parents, identity) = text.split_once('\n')?;
            let parents = parents.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
            Some(Step { parents, identity: identity.to_owned() })
        };
        Ok(text.split('\0').filter_map(step).collect())
    }
}
