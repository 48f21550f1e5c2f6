//! The story of the demo, played by itself: the proof that everything works, in one command. Each step waits, bounded
//! in time, for what a person would wait for on the page, and says what was expected if it does not come.

use super::scenario::{self, AUTHOR, REPO, REVIEWER};
use super::state::{Answer, Comment, MergeMethod, Pull, ReviewState, State, Status};
use super::wait::NotReached;
use super::world::{World, WorldError};
use crate::domain::id::Sha;
use std::time::Duration;

const LIVE: &str = "<!-- terraplane:live -->";
const PLAN: &str = "terraplane/plan";
const APPLY: &str = "terraplane/apply";

#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error(transparent)]
    World(#[from] WorldError),
    #[error(transparent)]
    NotReached(#[from] NotReached),
    /// Something came, and it was wrong.
    #[error("expected {expected}, but there was:\n{there}")]
    Unexpected { expected: String, there: String },
}

/// Where a step's line goes.
pub type Say<'a> = &'a mut (dyn FnMut(&str) + Send);

/// What came before the demo begins: the first pull request is planned, approved, merged and applied, so that the second
/// one has something to change. Returns its number.
///
/// # Errors
/// When a step does not come to its end `within` this time.
pub async fn history(world: &World, within: Duration, say: Say<'_>) -> Result<u64, ScriptError> {
    let number = scenario::open_first(world).await?;
    let mut story = Story { world, number, within, say };
    story.opened().await?;
    story.planned(&["prod/network", "prod/shop", "staging/shop"]).await?;
    story.approved_and_merged().await?;
    story.applied().await?;
    Ok(number)
}

/// The story of the open pull request, from its opening to the apply after the merge.
///
/// # Errors
/// When a step does not come to its end `within` this time, or ends otherwise than told.
pub async fn play(world: &World, within: Duration, say: Say<'_>) -> Result<(), ScriptError> {
    let number = scenario::open_second(world).await?;
    let mut story = Story { world, number, within, say };
    story.opened().await?;
    let first = story.planned(&["prod/network", "prod/shop", "staging/shop"]).await?;
    story.show(&first.body);
    story.asked_for_help().await?;
    story.second_commit(&first).await?;
    story.approved_and_merged().await?;
    let result = story.applied().await?;
    story.show(&result.body);
    Ok(())
}

struct Story<'a> {
    world: &'a World,
    number: u64,
    within: Duration,
    say: Say<'a>,
}

impl Story<'_> {
    fn say(&mut self, text: &str) {
        (self.say)(text);
    }

    /// A comment's text as it is, set apart.
    fn show(&mut self, text: &str) {
        for line in text.lines() {
            self.say(&format!("    │ {line}"));
        }
    }

    fn pull(&self) -> Result<Pull, ScriptError> {
        let pull = self.world.read(|state| state.pull(REPO, self.number).cloned());
        pull.ok_or_else(|| WorldError::NoSuch(format!("pull request #{}", self.number)).into())
    }

    async fn wait<T>(&self, wanted: &str, look: impl FnMut(&State) -> Option<T>) -> Result<T, ScriptError> {
        Ok(self.world.wait_until(wanted, self.within, look).await?)
    }

    async fn opened(&mut self) -> Result<(), ScriptError> {
        let pull = self.pull()?;
        self.say(&format!("{AUTHOR} opens pull request #{} “{}”", pull.number, pull.title));
        let answered = |state: &State| {
            let sent = state.deliveries.iter().rev().find(|d| d.kind == "pull_request")?;
            (sent.answer != Answer::None).then(|| (sent.id.clone(), sent.answer.clone()))
        };
        let (id, answer) = self.wait("answer to the webhook `pull_request`", answered).await?;
        match answer {
            Answer::Status(202) => self.say(&format!("webhook `pull_request` {id} was recorded: 202")),
            other => return Err(unexpected("the answer 202 to the webhook", format!("{other:?}"))),
        }
        Ok(())
    }

    /// A status of a commit, when it is no longer pending.
    async fn settled(&self, sha: &Sha, context: &str) -> Result<Status, ScriptError> {
        let wanted = format!("settled status `{context}` on {}", sha.short());
        let look = |state: &State| state.repo(REPO)?.status(sha, context).filter(|s| s.state != "pending").cloned();
        let status = self.wait(&wanted, look).await?;
        if status.state == "success" {
            return Ok(status);
        }
        let there = self.pull()?.comments.iter().map(|c| c.body.clone()).collect::<Vec<_>>().join("\n\n");
        Err(unexpected(&format!("`{context}` to succeed"), format!("{status:#?}\n{there}")))
    }

    /// The present head is planned, and the live comment speaks of these projects. Returns the live comment.
    async fn planned(&mut self, projects: &[&str]) -> Result<Comment, ScriptError> {
        let head = self.pull()?.head;
        let number = self.number;
        let status = self.settled(&head, PLAN).await?;
        self.say(&said(&status));
        let look = |state: &State| {
            let live = state.pull(REPO, number)?.comment_marked(LIVE)?;
            let whole = projects.iter().all(|p| live.body.contains(p)) && live.body.contains(head.short());
            whole.then(|| live.clone())
        };
        let wanted = format!("live comment about {} at {}", projects.join(", "), head.short());
        let live = self.wait(&wanted, look).await?;
        self.say(&format!("the live comment shows the plans of {} at {}", projects.join(", "), head.short()));
        Ok(live)
    }

    async fn asked_for_help(&mut self) -> Result<(), ScriptError> {
        let number = self.number;
        let asked = self.world.comment(REPO, number, REVIEWER, "terraplane help")?;
        self.say(&format!("{REVIEWER} comments `terraplane help`"));
        let look = |state: &State| {
            let comments = &state.pull(REPO, number)?.comments;
            comments
                .iter()
                .find(|c| c.id > asked && c.author != REVIEWER && c.body.contains("terraplane apply"))
                .cloned()
        };
        let answer = self.wait("answer to `terraplane help`", look).await?;
        self.say(&format!("{} answers with what {REVIEWER} can do", answer.author));
        Ok(())
    }

    async fn second_commit(&mut self, before: &Comment) -> Result<(), ScriptError> {
        let head = self.world.push_ready_commit(REPO, self.number).await?;
        self.say(&format!("{AUTHOR} pushes {} “Shop 1.5 in staging too”", head.short()));
        let live = self.planned(&["prod/network", "prod/shop", "staging/shop"]).await?;
        if live.id != before.id {
            return Err(unexpected("the live comment to be edited in place", "a second live comment".into()));
        }
        self.say("the same comment was edited in place");
        Ok(())
    }

    async fn approved_and_merged(&mut self) -> Result<(), ScriptError> {
        self.world.review(REPO, self.number, REVIEWER, ReviewState::Approved)?;
        self.say(&format!("{REVIEWER} approves"));
        let commit = self.world.merge(REPO, self.number, REVIEWER, MergeMethod::Merge).await?;
        self.say(&format!("{REVIEWER} merges: {} is on main", commit.short()));
        Ok(())
    }

    /// The merge commit is applied, and a comment of its own says so. Returns that comment.
    async fn applied(&mut self) -> Result<Comment, ScriptError> {
        let pull = self.pull()?;
        let merged = pull.merge_commit().cloned();
        let merged = merged.ok_or_else(|| unexpected("a merged pull request", format!("{:?}", pull.phase)))?;
        let status = self.settled(&merged, APPLY).await?;
        self.say(&said(&status));
        let number = self.number;
        let look = |state: &State| {
            let comments = &state.pull(REPO, number)?.comments;
            comments.iter().find(|c| c.body.starts_with("<!-- terraplane:run ")).cloned()
        };
        let result = self.wait("comment with the result of the apply", look).await?;
        self.say("the result of the apply is a comment of its own");
        Ok(result)
    }
}

fn said(status: &Status) -> String {
    let description = status.description.as_deref().unwrap_or_default();
    format!("{} is {} at {}: {description}", status.context, status.state, status.sha.short())
}

fn unexpected(expected: &str, there: String) -> ScriptError {
    ScriptError::Unexpected { expected: expected.into(), there }
}

#[cfg(test)]
mod tests;
