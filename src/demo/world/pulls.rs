//! What happens to branches and pull requests.

use super::{World, WorldError, now};
use crate::demo::Face;
use crate::demo::git::Meta;
use crate::demo::gitlab::pipelines;
use crate::demo::news::{News, PullNews};
use crate::demo::state::{Change, MergeMethod, Phase, Pull, Repo, State};
use crate::domain::id::Sha;
use crate::domain::pull::Role;
use std::collections::VecDeque;

/// What a pull request is opened with. The head branch must exist.
#[derive(Debug, Clone, Default)]
pub struct NewPull {
    pub title: String,
    pub body: String,
    pub author: String,
    pub head_branch: String,
    /// `owner/name` of a fork; `None`: the repository itself.
    pub head_repo: Option<String>,
    /// Empty: the default branch.
    pub base_branch: String,
    pub draft: bool,
}

impl World {
    /// Pushes one commit to a branch, which begins at the default branch if it is new.
    ///
    /// # Errors
    /// When there is no such repository, or git fails.
    pub async fn push(
        &self,
        repo: &str,
        branch: &str,
        author: &str,
        message: &str,
        changes: &[Change],
    ) -> Result<Sha, WorldError> {
        let _moving = self.moving().await;
        let (path, before, start) = self.read(|state| {
            let repo = the_repo(state, repo)?;
            let tip = repo.branches.get(branch).cloned();
            let start = tip.clone().or_else(|| repo.branches.get(&repo.default_branch).cloned());
            Ok::<_, WorldError>((repo.path.clone(), tip, start))
        })?;
        let meta = Meta { author, message, at: now() };
        let after = self.git().commit(&path, branch, start.as_ref(), meta, changes).await?;
        self.moved(&path, branch, before.as_ref(), &after, author).await?;
        Ok(after)
    }

    /// Moves a branch to an existing commit, as a forced push does.
    ///
    /// # Errors
    /// When there is no such repository, or git fails.
    pub async fn force_push(&self, repo: &str, branch: &str, to: &Sha, by: &str) -> Result<(), WorldError> {
        let _moving = self.moving().await;
        let before = self.read(|state| Ok::<_, WorldError>(the_repo(state, repo)?.branches.get(branch).cloned()))?;
        self.git().set_ref(repo, &format!("refs/heads/{branch}"), to).await?;
        self.moved(repo, branch, before.as_ref(), to, by).await
    }

    /// Notices what a `git push` from outside did.
    pub(in crate::demo) async fn notice_pushes(&self, repo: &str, by: &str) -> Result<(), WorldError> {
        let _moving = self.moving().await;
        let before = self.read(|state| Ok::<_, WorldError>(the_repo(state, repo)?.branches.clone()))?;
        for (branch, tip) in self.git().branches(repo).await? {
            if before.get(&branch) != Some(&tip) {
                self.moved(repo, &branch, before.get(&branch), &tip, by).await?;
            }
        }
        Ok(())
    }

    /// Everything that follows from a branch's new tip: pull requests, their refs, webhooks.
    pub(super) async fn moved(
        &self,
        repo: &str,
        branch: &str,
        before: Option<&Sha>,
        after: &Sha,
        by: &str,
    ) -> Result<(), WorldError> {
        let at = now();
        let (pushed, concerned) = self.change(|state| {
            let pushed = match state.repo_mut(repo) {
                Some(repo) => repo.branches.insert(branch.into(), after.clone()).as_ref() != Some(after),
                None => false,
            };
            let mut concerned = Vec::new();
            for base in state.repos.values_mut() {
                for pull in base.pulls.values_mut().filter(|p| p.is_open()) {
                    let head = pull.head_repo.as_deref() == Some(repo) && pull.head_branch == branch;
                    if head {
                        pull.head = after.clone();
                        pull.heads.push((at, after.clone()));
                        pull.base = base.branches.get(&pull.base_branch).cloned().unwrap_or_else(|| pull.base.clone());
                        pull.updated_at = at;
                    }
                    if head || (base.path == repo && pull.base_branch == branch) {
                        concerned.push((base.path.clone(), pull.number, head));
                    }
                }
            }
            (pushed, concerned)
        });
        for (base, number, _) in &concerned {
            self.refresh(base, *number).await?;
        }
        if pushed {
            self.tell(News::Push { repo, branch, before, after, by });
        }
        for (base, number, _) in concerned.iter().filter(|(_, _, head)| *head) {
            self.tell_pull(base, *number, PullNews::Pushed { before, after }, by);
            self.leave_queue(base, *number).await?;
        }
        Ok(())
    }

    /// Brings a pull request's refs and its mergeability up to its head and base, as GitHub does in the background.
    async fn refresh(&self, repo: &str, number: u64) -> Result<(), WorldError> {
        let (head_repo, head, base) = self.read(|state| {
            let pull = the_pull(state, repo, number)?;
            let base = the_repo(state, repo)?.branches.get(&pull.base_branch).cloned();
            Ok::<_, WorldError>((pull.head_repo.clone(), pull.head.clone(), base.unwrap_or_else(|| pull.base.clone())))
        })?;
        let (head_ref, merge_ref) = self.face().refs(number);
        self.git().bring(head_repo.as_deref().unwrap_or(repo), &head, repo, &head_ref).await?;
        let message = format!("Merge {head} into {base}");
        let meta = Meta { author: self.face().kind().name(), message: &message, at: now() };
        let merged = self.git().merge(repo, MergeMethod::Merge, &base, &head, meta).await?;
        match &merged {
            Some(commit) => self.git().set_ref(repo, &merge_ref, commit).await?,
            None => self.git().drop_ref(repo, &merge_ref).await?,
        }
        self.change(|state| {
            if let Some(pull) = state.pull_mut(repo, number) {
                pull.mergeable = merged.is_some();
            }
        });
        Ok(())
    }

    /// # Errors
    /// When a branch or repository does not exist, or git fails.
    pub async fn open_pull(&self, repo: &str, new: NewPull) -> Result<u64, WorldError> {
        let _moving = self.moving().await;
        let at = now();
        let number = self.change(|state| {
            let head_path = new.head_repo.as_deref().unwrap_or(repo);
            let head_repo = the_repo(state, head_path)?;
            let no_branch = |name: &str| WorldError::NoSuch(format!("branch {name}"));
            let head = head_repo.branches.get(&new.head_branch).cloned().ok_or_else(|| no_branch(&new.head_branch))?;
            let head_path = head_repo.path.clone();
            let base_repo = the_repo(state, repo)?;
            let base_branch =
                if new.base_branch.is_empty() { base_repo.default_branch.clone() } else { new.base_branch.clone() };
            let base = base_repo.branches.get(&base_branch).cloned().ok_or_else(|| no_branch(&base_branch))?;
            let number = base_repo.pulls.keys().max().map_or(1, |last| last + 1);
            state.add_user(&new.author, false);
            let pull = Pull {
                id: state.next_id(),
                number,
                title: new.title,
                body: new.body,
                author: new.author.clone(),
                head_repo: Some(head_path),
                head_branch: new.head_branch.clone(),
                heads: vec![(at, head.clone())],
                head,
                base_branch,
                base,
                draft: new.draft,
                labels: Vec::new(),
                queued: false,
                locked: false,
                phase: Phase::Open,
                merged_with: None,
                mergeable: true,
                mergeable_unknown: 0,
                comments: Vec::new(),
                reviews: Vec::new(),
                created_at: at,
                updated_at: at,
                ready: VecDeque::new(),
            };
            let repo = state.repo_mut(repo).ok_or_else(|| WorldError::NoSuch(format!("repository {repo}")))?;
            repo.pulls.insert(number, pull);
            Ok::<_, WorldError>(number)
        })?;
        self.refresh(repo, number).await?;
        self.tell_pull(repo, number, PullNews::Opened, &new.author);
        Ok(number)
    }

    /// Merges with real git and returns the commit on the base branch.
    ///
    /// # Errors
    /// As forges refuse it: not open, a draft, a conflict, a required status that is no success, or somebody who may
    /// not write.
    pub async fn merge(&self, repo: &str, number: u64, by: &str, method: MergeMethod) -> Result<Sha, WorldError> {
        let _moving = self.moving().await;
        let (pull, before) = self.read(|state| {
            let (repo, pull) = (the_repo(state, repo)?, the_pull(state, repo, number)?);
            self.may_merge(state, repo, pull, by)?;
            let tip = repo.branches.get(&pull.base_branch).cloned();
            let tip = tip.ok_or_else(|| WorldError::NoSuch(format!("branch {}", pull.base_branch)))?;
            Ok::<_, WorldError>((pull.clone(), tip))
        })?;
        let owner = pull.head_repo.as_deref().and_then(|r| r.split_once('/')).map_or("unknown", |(owner, _)| owner);
        let message = match method {
            MergeMethod::Merge => {
                format!("Merge pull request #{number} from {owner}/{}\n\n{}", pull.head_branch, pull.title)
            }
            MergeMethod::Squash | MergeMethod::Rebase => format!("{} (#{number})", pull.title),
        };
        let author = if method == MergeMethod::Squash { &pull.author } else { by };
        let meta = Meta { author, message: &message, at: now() };
        let merged = self.git().merge(repo, method, &before, &pull.head, meta).await?;
        let commit = merged.ok_or_else(|| WorldError::Refused("Pull Request is not mergeable".into()))?;
        self.git().set_ref(repo, &format!("refs/heads/{}", pull.base_branch), &commit).await?;
        self.update_pull(repo, number, |pull| {
            pull.merged_with = Some(method);
            pull.phase = Phase::Merged { commit: commit.clone(), by: by.into(), at: now() };
        })?;
        self.tell_pull(repo, number, PullNews::Merged, by);
        self.moved(repo, &pull.base_branch, Some(&before), &commit, by).await?;
        Ok(commit)
    }

    /// Whether somebody may merge it, and if not why: GitHub and Gitea want statuses by their names, GitLab its pipeline.
    pub(super) fn may_merge(&self, state: &State, repo: &Repo, pull: &Pull, by: &str) -> Result<(), WorldError> {
        let refused = |why: &str| Err(WorldError::Refused(why.to_owned()));
        if repo.role(by) < Role::Write {
            return refused("Only people with write access can merge");
        }
        if !pull.is_open() {
            return refused("Pull Request is not open");
        }
        let word = repo.mergeable_state(pull);
        match (word, self.face()) {
            ("draft", _) => refused("Pull Request is still a draft"),
            ("dirty", _) => refused("Pull Request has merge conflicts"),
            (_, Face::Gitlab) if pipelines::is_in_the_way(state, repo, pull) => {
                refused("The pipeline has not succeeded")
            }
            ("blocked", Face::Github | Face::Gitea) => refused("Required status checks are not all a success"),
            _ => Ok(()),
        }
    }

    /// Closes without a merge.
    ///
    /// # Errors
    /// When it is not open.
    pub fn close(&self, repo: &str, number: u64, by: &str) -> Result<(), WorldError> {
        self.update_pull(repo, number, |pull| {
            let open = pull.is_open();
            pull.phase = if open { Phase::Closed { at: now() } } else { pull.phase.clone() };
            open.then_some(()).ok_or_else(|| WorldError::Refused("the pull request is not open".into()))
        })??;
        self.tell_pull(repo, number, PullNews::Closed, by);
        Ok(())
    }

    /// # Errors
    /// When it is open or merged, or git fails.
    pub async fn reopen(&self, repo: &str, number: u64, by: &str) -> Result<(), WorldError> {
        let _moving = self.moving().await;
        self.change(|state| {
            let repo = state.repo_mut(repo).ok_or_else(|| WorldError::NoSuch(format!("repository {repo}")))?;
            let tips = repo.branches.clone();
            let pull = repo.pulls.get_mut(&number).ok_or_else(|| no_pull(number))?;
            if !matches!(pull.phase, Phase::Closed { .. }) {
                return Err(WorldError::Refused("only a closed pull request can be reopened".into()));
            }
            pull.phase = Phase::Open;
            pull.base = tips.get(&pull.base_branch).cloned().unwrap_or_else(|| pull.base.clone());
            if pull.head_repo.as_deref() == Some(&repo.path) {
                pull.head = tips.get(&pull.head_branch).cloned().unwrap_or_else(|| pull.head.clone());
                pull.heads.push((now(), pull.head.clone()));
            }
            pull.updated_at = now();
            Ok(())
        })?;
        self.refresh(repo, number).await?;
        self.tell_pull(repo, number, PullNews::Reopened, by);
        Ok(())
    }

    /// Changes the base branch.
    ///
    /// # Errors
    /// When the branch does not exist, or git fails.
    pub async fn retarget(&self, repo: &str, number: u64, base: &str, by: &str) -> Result<(), WorldError> {
        let _moving = self.moving().await;
        let tip = self.tip(repo, base).ok_or_else(|| WorldError::NoSuch(format!("branch {base}")))?;
        let (old, old_tip) = self.update_pull(repo, number, |pull| {
            (std::mem::replace(&mut pull.base_branch, base.into()), std::mem::replace(&mut pull.base, tip))
        })?;
        self.refresh(repo, number).await?;
        self.tell_pull(repo, number, PullNews::Retargeted { from: &old, from_tip: &old_tip }, by);
        Ok(())
    }

    /// # Errors
    /// When there is no such pull request.
    pub fn retitle(&self, repo: &str, number: u64, title: &str, by: &str) -> Result<(), WorldError> {
        let old = self.update_pull(repo, number, |pull| std::mem::replace(&mut pull.title, title.into()))?;
        self.tell_pull(repo, number, PullNews::Retitled { from: &old }, by);
        Ok(())
    }

    /// Turns a pull request into a draft, or makes it ready for review.
    ///
    /// # Errors
    /// When there is no such pull request.
    pub fn set_draft(&self, repo: &str, number: u64, draft: bool, by: &str) -> Result<(), WorldError> {
        self.update_pull(repo, number, |pull| pull.draft = draft)?;
        self.tell_pull(repo, number, if draft { PullNews::MadeDraft } else { PullNews::MadeReady }, by);
        Ok(())
    }

    /// Pushes the next of the pull request's prepared commits.
    ///
    /// # Errors
    /// When none is left, or git fails.
    pub async fn push_ready_commit(&self, repo: &str, number: u64) -> Result<Sha, WorldError> {
        let (next, head_repo, branch) = self.change(|state| {
            let pull = state.pull_mut(repo, number).ok_or_else(|| no_pull(number))?;
            let next = pull.ready.pop_front().ok_or_else(|| WorldError::NoSuch("prepared commit".into()))?;
            let head_repo = pull.head_repo.clone().ok_or_else(|| WorldError::NoSuch("head repository".into()))?;
            Ok::<_, WorldError>((next, head_repo, pull.head_branch.clone()))
        })?;
        self.push(&head_repo, &branch, &next.author, &next.message, &next.changes).await
    }

    pub(super) fn update_pull<T>(
        &self,
        repo: &str,
        number: u64,
        change: impl FnOnce(&mut Pull) -> T,
    ) -> Result<T, WorldError> {
        self.change(|state| {
            let pull = state.pull_mut(repo, number).ok_or_else(|| no_pull(number))?;
            pull.updated_at = now();
            Ok(change(pull))
        })
    }

    pub(super) fn tell_pull(&self, repo: &str, number: u64, what: PullNews<'_>, by: &str) {
        self.tell(News::Pull { repo, number, what, by });
    }
}

pub(super) fn the_repo<'a>(state: &'a State, path: &str) -> Result<&'a Repo, WorldError> {
    state.repo(path).ok_or_else(|| WorldError::NoSuch(format!("repository {path}")))
}

pub(super) fn the_pull<'a>(state: &'a State, repo: &str, number: u64) -> Result<&'a Pull, WorldError> {
    the_repo(state, repo)?.pulls.get(&number).ok_or_else(|| no_pull(number))
}

fn no_pull(number: u64) -> WorldError {
    WorldError::NoSuch(format!("pull request #{number}"))
}
