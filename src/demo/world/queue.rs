//! The merge queue, as GitHub has it: a branch with what would be merged, checks that are asked for, and the merge when
//! all that are required are there. What fails is taken out, and what was behind it is made anew.
//! Source: "Managing a merge queue", "Webhook events and payloads".

use super::pulls::{the_pull, the_repo};
use super::{World, WorldError, now};
use crate::demo::git::Meta;
use crate::demo::news::{News, PullNews, QueueNews};
use crate::demo::state::{InQueue, MergeMethod, Phase, Pull, Repo};

/// As whom GitHub merges out of the queue.
const QUEUE_BOT: &str = "github-merge-queue[bot]";

/// What the queue does next.
enum Next {
    Merge(InQueue),
    /// A check that is required failed, or the pull request is over.
    TakeOut(InQueue),
}

impl World {
    /// Puts a pull request at the end of the queue.
    ///
    /// # Errors
    /// As GitHub refuses it: whoever could not merge it, or it is there already.
    pub async fn enqueue(&self, repo: &str, number: u64, by: &str) -> Result<(), WorldError> {
        let _moving = self.moving().await;
        self.read(|state| {
            let (repo, pull) = (the_repo(state, repo)?, the_pull(state, repo, number)?);
            if pull.queued {
                return Err(WorldError::Refused("Pull request is already in the queue".into()));
            }
            self.may_merge(state, repo, pull, by)
        })?;
        self.update_pull(repo, number, |pull| pull.queued = true)?;
        self.make_group(repo, number).await
    }

    /// Somebody takes a pull request out of the queue.
    ///
    /// # Errors
    /// When it is not in it, or git fails.
    pub async fn dequeue(&self, repo: &str, number: u64) -> Result<(), WorldError> {
        let _moving = self.moving().await;
        let there = self.read(|state| in_queue(the_repo(state, repo)?, number));
        self.take_out(repo, there?, QueueNews::Dequeued).await
    }

    /// It is in no queue any more, because somebody pushed to it.
    pub(super) async fn leave_queue(&self, repo: &str, number: u64) -> Result<(), WorldError> {
        match self.read(|state| in_queue(the_repo(state, repo)?, number)) {
            Ok(there) => self.take_out(repo, there, QueueNews::Dequeued).await,
            Err(_) => Ok(()),
        }
    }

    /// A commit that adds the pull request to what is before it, on a branch of its own.
    async fn make_group(&self, repo: &str, number: u64) -> Result<(), WorldError> {
        let (pull, base) = self.read(|state| {
            let (repo, pull) = (the_repo(state, repo)?, the_pull(state, repo, number)?);
            let before = repo.queue.iter().rfind(|before| before.base_branch == pull.base_branch);
            let base =
                before.map(|before| before.head.clone()).or_else(|| repo.branches.get(&pull.base_branch).cloned());
            let base = base.ok_or_else(|| WorldError::NoSuch(format!("branch {}", pull.base_branch)))?;
            Ok::<_, WorldError>((pull.clone(), base))
        })?;
        let message = format!("Merge pull request #{number} from {}\n\n{}", pull.head_branch, pull.title);
        let meta = Meta { author: QUEUE_BOT, message: &message, at: now() };
        let Some(head) = self.git().merge(repo, MergeMethod::Merge, &base, &pull.head, meta).await? else {
            // It conflicts with what is before it.
            return self.update_pull(repo, number, |pull| pull.queued = false);
        };
        let branch = format!("gh-readonly-queue/{}/pr-{number}-{base}", pull.base_branch);
        self.git().set_ref(repo, &format!("refs/heads/{branch}"), &head).await?;
        let entry = InQueue { number, base_branch: pull.base_branch, branch, head, base };
        self.change(|state| {
            state.add_user(QUEUE_BOT, true);
            if let Some(repo) = state.repo_mut(repo) {
                repo.branches.insert(entry.branch.clone(), entry.head.clone());
                repo.queue.push(entry.clone());
            }
        });
        self.tell(News::Push { repo, branch: &entry.branch, before: None, after: &entry.head, by: QUEUE_BOT });
        self.tell(News::Queue { repo, entry: &entry, what: QueueNews::ChecksRequested, by: QUEUE_BOT });
        Ok(())
    }

    /// Does what the queue is due to do, until the world ends.
    pub(in crate::demo) async fn work_on_queues(self) {
        let mut changes = self.changes();
        while changes.changed().await.is_ok() {
            while let Some((repo, next)) = self.read(|state| state.repos.values().find_map(due)) {
                if let Err(error) = self.go_on(&repo, next).await {
                    tracing::error!(%error, "the merge queue can't go on");
                    break;
                }
            }
        }
    }

    async fn go_on(&self, repo: &str, next: Next) -> Result<(), WorldError> {
        let _moving = self.moving().await;
        // Meanwhile somebody may have pushed to it.
        let (Next::Merge(entry) | Next::TakeOut(entry)) = &next;
        if !self.read(|state| state.repo(repo).is_some_and(|repo| repo.queue.contains(entry))) {
            return Ok(());
        }
        match next {
            Next::Merge(entry) => self.merge_group(repo, entry).await,
            Next::TakeOut(entry) => self.take_out(repo, entry, QueueNews::Dequeued).await,
        }
    }

    /// The base branch is moved to the commit of the queue.
    async fn merge_group(&self, repo: &str, entry: InQueue) -> Result<(), WorldError> {
        let InQueue { number, base_branch, head, base, .. } = &entry;
        self.git().set_ref(repo, &format!("refs/heads/{base_branch}"), head).await?;
        self.update_pull(repo, *number, |pull| {
            pull.queued = false;
            pull.merged_with = Some(MergeMethod::Merge);
            pull.phase = Phase::Merged { commit: head.clone(), by: QUEUE_BOT.into(), at: now() };
        })?;
        self.forget(repo, &entry).await?;
        self.tell(News::Pull { repo, number: *number, what: PullNews::Merged, by: QUEUE_BOT });
        self.tell(News::Queue { repo, entry: &entry, what: QueueNews::Merged, by: QUEUE_BOT });
        Box::pin(self.moved(repo, base_branch, Some(base), head, QUEUE_BOT)).await
    }

    async fn take_out(&self, repo: &str, entry: InQueue, what: QueueNews) -> Result<(), WorldError> {
        self.update_pull(repo, entry.number, |pull| pull.queued = false)?;
        let behind = self.read(|state| {
            let queue = state.repo(repo).map_or(&[][..], |repo| &repo.queue);
            let after = queue.iter().skip_while(|other| **other != entry).skip(1);
            after.filter(|other| other.base_branch == entry.base_branch).cloned().collect::<Vec<_>>()
        });
        self.forget(repo, &entry).await?;
        self.tell(News::Queue { repo, entry: &entry, what, by: QUEUE_BOT });
        for old in &behind {
            self.forget(repo, old).await?;
            self.tell(News::Queue { repo, entry: old, what: QueueNews::Invalidated, by: QUEUE_BOT });
        }
        for old in behind {
            self.make_group(repo, old.number).await?;
        }
        Ok(())
    }

    async fn forget(&self, repo: &str, entry: &InQueue) -> Result<(), WorldError> {
        self.git().drop_ref(repo, &format!("refs/heads/{}", entry.branch)).await?;
        self.change(|state| {
            if let Some(repo) = state.repo_mut(repo) {
                repo.branches.remove(&entry.branch);
                repo.queue.retain(|other| other != entry);
            }
        });
        Ok(())
    }
}

fn in_queue(repo: &Repo, number: u64) -> Result<InQueue, WorldError> {
    let there = repo.queue.iter().find(|entry| entry.number == number).cloned();
    there.ok_or_else(|| WorldError::NoSuch(format!("pull request #{number} in the queue")))
}

/// Only what is first in the queue of its branch is merged or taken out: what fails behind it may do so because of it.
fn due(repo: &Repo) -> Option<(String, Next)> {
    let is_first = |entry: &&InQueue| {
        let first = repo.queue.iter().find(|other| other.base_branch == entry.base_branch);
        first == Some(*entry)
    };
    let next = |entry: &InQueue| {
        if !repo.pulls.get(&entry.number).is_some_and(Pull::is_open) {
            return Some(Next::TakeOut(entry.clone()));
        }
        let state = |context: &String| repo.status(&entry.head, context).map_or("pending", |s| s.state.as_str());
        let states: Vec<&str> = repo.required_statuses.iter().map(state).collect();
        if states.iter().any(|state| matches!(*state, "failure" | "error")) {
            Some(Next::TakeOut(entry.clone()))
        } else {
            states.iter().all(|state| *state == "success").then(|| Next::Merge(entry.clone()))
        }
    };
    repo.queue.iter().filter(is_first).find_map(next).map(|next| (repo.path.clone(), next))
}
