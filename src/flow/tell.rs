//! Brings the forge to what the store says of a pull request: statuses, the live comment, comments of their own.
//!
//! One job per pull request does all of it, so that edits are coalesced and one pull request can't flood the forge. It
//! compares with what the forge was told last and tells only what differs; what failed is tried again by the queue.
//! Creating is never repeated blindly: a comment whose creation may have happened is looked for by its marker first.

use super::{Flow, FlowError, now};
use crate::domain::decide::{PullState, Say};
use crate::domain::id::{CommentId, PullId, RepoName, Timestamp};
use crate::domain::report;
use crate::domain::run::Run;
use crate::forge::{Forge, ForgeErrorKind};
use crate::render::SayInput;
use crate::store::{Job, Lease, MergeWish, OutComment, Tx};
use sha2::{Digest as _, Sha256};

/// The key of the live comment in the outbox.
const LIVE: &str = "live";

/// A refusal that an operator may mend (a permission that is missing, a conversation that is locked) is tried again for
/// some two hours, and then given up with its reason. The next change is another try.
const MOST_TRIES: u32 = 30;

/// What one pull request writes without letting others pass.
const MOST_AT_ONCE: usize = 8;

impl Flow {
    pub(super) async fn tell(&self, lease: &Lease, id: &PullId) -> Result<(), FlowError> {
        let Some(state) = self.store.pull_state(id).await? else {
            self.store.finish(lease).await?;
            return Ok(());
        };
        let forge = self.forge(&id.repo)?;
        let comments = self.store.comments(id).await?;
        let mut turn = Turn { flow: self, repo: &id.repo, left: MOST_AT_ONCE };
        // What one of them is refused (a conversation that is locked, a permission that is missing) must not keep the
        // others from being told.
        let mut refused = Refused::default();
        refused.unless(Thing::Reaction, self.send_reactions(lease, forge, id).await)?;
        // The comment first: it is what people wait for.
        let told = self.tell_live(lease, forge, &state, &comments, &mut turn).await;
        let mut again = refused.unless(Thing::Comment(LIVE), told)?.flatten();
        // A status that is green may merge by itself, so that it waits until the plans can be seen.
        let told = self.tell_statuses(lease, forge, &state, again.is_some(), &mut turn).await;
        again = sooner(again, refused.unless(Thing::Status, told)?.flatten());
        for comment in comments.iter().filter(|comment| comment.key != LIVE) {
            let told = self.tell_own(lease, forge, &state, comment, &mut turn).await;
            again = sooner(again, refused.unless(Thing::Comment(&comment.key), told)?.flatten());
        }
        // Not before the statuses are told that a merge may need.
        let answered = match again {
            None => refused.unless(Thing::Merge, self.merge_if_wanted(forge, &state).await)?.flatten(),
            Some(_) => None,
        };
        for (thing, error) in refused.0 {
            if lease.attempts < MOST_TRIES {
                return Err(error);
            }
            tracing::error!(pull = %id, error = %error.chain(), "the forge was not told: given up");
            if let Thing::Comment(key) = thing {
                self.store.comment_given_up(lease, key, &error.chain()).await?;
            }
        }
        // A freeze ends and a window opens without anybody doing anything.
        again = sooner(again, report::notices_change_at(&state, now()));
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        if let Some(due) = again {
            tx.enqueue(&Job::Tell { pull: id.clone() }, due).await?;
        }
        if let Some((wish, refusal)) = answered {
            tx.end_merge(id, &wish, refusal.as_deref().unwrap_or("merged")).await?;
            if let Some(why) = refusal {
                self.say_not_merged(&mut tx, &state, &wish, why).await?;
                tx.enqueue(&Job::Tell { pull: id.clone() }, now()).await?;
            }
        }
        tx.finish(lease).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Returns when to look again, if the comment is not yet due.
    async fn tell_live(
        &self,
        lease: &Lease,
        forge: &Forge,
        state: &PullState,
        comments: &[OutComment],
        turn: &mut Turn<'_>,
    ) -> Result<Option<Timestamp>, FlowError> {
        let known = comments.iter().find(|comment| comment.key == LIVE);
        // One that was given up, or deleted, is not there.
        let posted = known.filter(|comment| comment.comment.is_some());
        let Some(due) = report::live_due(state, posted.is_some()) else { return Ok(None) };
        if due > now() {
            return Ok(Some(due));
        }
        let body = self.live_text(state).await;
        let hash = hash(&body);
        if posted.is_some_and(|comment| comment.sent_hash.as_deref() == Some(&hash)) {
            self.note_shown(lease, state).await?;
            return Ok(None);
        }
        if let Some(later) = self.pace.next_edit(&state.pull().id, now()).or_else(|| turn.take()) {
            return Ok(Some(later));
        }
        let number = match self.show(forge, &state.pull().id, posted.and_then(|comment| comment.comment), &body).await {
            Ok(number) => number,
            // The next change is another try; nothing else is held up by it.
            Err(error) if error.is_final() => {
                tracing::error!(pull = %state.pull().id, error = %error.chain(), "the live comment can't be shown");
                self.store.comment_given_up(lease, LIVE, &error.chain()).await?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.pace.edited(&state.pull().id, now());
        self.store.comment_sent(lease, LIVE, number, &hash).await?;
        self.note_shown(lease, state).await?;
        Ok(None)
    }

    /// From now on, whoever comments can have seen these plans.
    async fn note_shown(&self, lease: &Lease, state: &PullState) -> Result<(), FlowError> {
        let mut shown = report::shown_plans(state);
        shown.retain(|(project, run, _)| {
            let known = state.projects.iter().find(|known| known.project.key == *project);
            known.is_none_or(|known| known.shown_run(*run).is_none())
        });
        if let Some(affected) = state.record.affected.as_ref().filter(|_| !shown.is_empty()) {
            self.store.plans_shown(lease, &affected.head, &shown, now()).await?;
        }
        Ok(())
    }

    async fn send_reactions(&self, lease: &Lease, forge: &Forge, id: &PullId) -> Result<(), FlowError> {
        for (comment, with) in self.store.reactions_to_send(id).await? {
            match forge.react(id, comment, with).await {
                Ok(()) => {}
                // A comment that is gone, or a permission that is missing: nobody waits for a reaction.
                Err(error) if !error.is_transient() => {
                    tracing::warn!(pull = %id, %comment, error = %error, "a reaction can't be sent");
                }
                Err(error) => return Err(error.into()),
            }
            self.store.reaction_sent(lease, id, (comment, with), now()).await?;
        }
        Ok(())
    }

    /// The merge that the rules want, if any is open: what the forge answered, `None` for a merge.
    async fn merge_if_wanted(
        &self,
        forge: &Forge,
        state: &PullState,
    ) -> Result<Option<(MergeWish, Option<String>)>, FlowError> {
        let pull = state.pull();
        let Some(wish) = self.store.merge_wanted(&pull.id).await? else { return Ok(None) };
        if !pull.is_open() {
            return Ok(Some((wish, None)));
        }
        match forge.merge(&pull.id, &wish.head, wish.how).await {
            Ok(()) => Ok(Some((wish, None))),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => Ok(Some((wish, Some(error.message)))),
        }
    }

    async fn say_not_merged(
        &self,
        tx: &mut Tx,
        state: &PullState,
        wish: &MergeWish,
        why: String,
    ) -> Result<(), FlowError> {
        let key = format!("automerge-{}", wish.head);
        let limit = self.comment_limit(&state.pull().id.repo);
        let input = SayInput { pull: state.pull(), key: &key, server: &self.server, limit };
        let body = self.renderer.say(&Say::NotMerged { why }, &input);
        let body = body.ok_or_else(|| FlowError::Broken("no reply says why it was not merged".to_owned()))?;
        tx.add_comment(&state.pull().id, &key, &body, now()).await?;
        Ok(())
    }

    async fn tell_own(
        &self,
        lease: &Lease,
        forge: &Forge,
        state: &PullState,
        comment: &OutComment,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Timestamp>, FlowError> {
        let id = &state.pull().id;
        let (None, None, Some(body)) = (comment.comment, &comment.given_up, &comment.body) else { return Ok(None) };
        if let Some(later) = turn.take() {
            return Ok(Some(later));
        }
        match self.show(forge, id, None, body).await {
            Ok(number) => {
                self.store.comment_sent(lease, &comment.key, number, &hash(body)).await?;
                self.note_result_shown(lease, state, &comment.key).await?;
            }
            Err(error) if error.is_final() => {
                tracing::error!(pull = %id, key = %comment.key, error = %error.chain(), "a comment is given up");
                self.store.comment_given_up(lease, &comment.key, &error.chain()).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// The result of an apply shows the plan that it stopped at, perhaps before the live comment does.
    async fn note_result_shown(&self, lease: &Lease, state: &PullState, key: &str) -> Result<(), FlowError> {
        let of_batch = |run: &Run| run.batch.is_some_and(|batch| format!("run {batch}") == key);
        let mut shown = Vec::new();
        for project in &state.projects {
            let apply = project.apply.as_ref().filter(|apply| of_batch(apply) && project.shown_run(apply.id).is_none());
            if let Some((apply, planned)) = apply.and_then(|apply| Some((apply, apply.made_plan()?))) {
                shown.push((project.project.key.clone(), apply.id, planned.fingerprint.clone()));
            }
        }
        if let Some(affected) = state.record.affected.as_ref().filter(|_| !shown.is_empty()) {
            self.store.plans_shown(lease, &affected.head, &shown, now()).await?;
        }
        Ok(())
    }

    /// Edits the comment, or creates it if there is none (any more). Before it creates, it looks for one with the same
    /// marker: an earlier try may have succeeded without our hearing of it.
    async fn show(
        &self,
        forge: &Forge,
        pull: &PullId,
        known: Option<CommentId>,
        body: &str,
    ) -> Result<CommentId, FlowError> {
        let marker = body.lines().next().unwrap_or_default();
        let existing = match known {
            Some(number) => Some(number),
            None => forge.find_comment(pull, marker).await?,
        };
        if let Some(number) = existing {
            match forge.edit_comment(pull, number, body).await {
                Ok(()) => return Ok(number),
                // Somebody deleted it: it is posted again.
                Err(error) if error.kind == ForgeErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(forge.create_comment(pull, body).await?)
    }
}

/// What one pull request may write before it goes to the end of the queue again.
pub(super) struct Turn<'a> {
    flow: &'a Flow,
    repo: &'a RepoName,
    left: usize,
}

impl Turn<'_> {
    /// When to go on; `None`: now.
    pub(super) fn take(&mut self) -> Option<Timestamp> {
        if self.left == 0 {
            return Some(now());
        }
        let later = self.flow.pace.write(self.repo, now());
        self.left -= usize::from(later.is_none());
        later
    }
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

/// What the forge did not take.
#[derive(Clone, Copy)]
enum Thing<'a> {
    Reaction,
    Status,
    Merge,
    /// By its key.
    Comment(&'a str),
}

/// Refusals that an operator may mend; what else there is to tell is told all the same.
#[derive(Default)]
struct Refused<'a>(Vec<(Thing<'a>, FlowError)>);

impl<'a> Refused<'a> {
    /// The error is one that would meet the others as well.
    fn unless<T>(&mut self, thing: Thing<'a>, told: Result<T, FlowError>) -> Result<Option<T>, FlowError> {
        match told {
            Ok(told) => Ok(Some(told)),
            Err(FlowError::Forge(error)) if !error.is_transient() => {
                self.0.push((thing, error.into()));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

pub(super) fn hash(body: &str) -> String {
    hex::encode(Sha256::digest(body.as_bytes()))
}
