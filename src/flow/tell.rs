//! Brings the forge to what the store says of a pull request: statuses, the live comment, comments of their own.
//!
//! One job per pull request does all of it, so that edits are coalesced and one pull request can't flood the forge. It
//! compares with what the forge was told last and tells only what differs; what failed is tried again by the queue. How
//! each thing is told once is the [`outbox`](super::outbox)'s.

use super::outbox::{LIVE, Outbox, is_shown, not_shown};
use super::texts::Told;
use super::{Flow, FlowError, now};
use crate::domain::decide::{PullState, Say};
use crate::domain::id::{PullId, RepoName, Timestamp};
use crate::domain::report;
use crate::domain::run::Run;
use crate::forge::Forge;
use crate::store::{Job, Lease, MergeWish, OutComment, Tx};

/// A refusal that an operator may mend (a permission that is missing, a conversation that is locked) is tried again for
/// some two hours, and then given up with its reason. The next change is another try.
const MOST_TRIES: u32 = 30;

/// How long those wait to be warned who change the same: many pull requests that come at once are one change of each
/// other's comments then, and none of them waits for what concerns the others.
const NEIGHBOURS_AFTER_MS: i64 = 5_000;

/// What one pull request writes without letting others pass.
const MOST_AT_ONCE: usize = 8;

/// Those who change the same see that somebody else does, or no longer does.
pub(super) async fn tell_neighbours(tx: &mut Tx, state: &PullState) -> Result<(), FlowError> {
    for overlap in &state.around.overlaps {
        tx.enqueue(&Job::Tell { pull: overlap.pull.clone() }, now().plus_ms(NEIGHBOURS_AFTER_MS)).await?;
    }
    Ok(())
}

impl Flow {
    pub(super) async fn tell(&self, lease: &Lease, id: &PullId) -> Result<(), FlowError> {
        let Some(state) = self.store.pull_state(id).await? else {
            self.store.finish(lease).await?;
            return Ok(());
        };
        let forge = self.forge(&id.repo)?;
        let comments = self.store.comments(id).await?;
        let outbox = Outbox { store: &self.store, board: forge, lease, pull: id };
        let told_of = Told::new(self, &state);
        let mut turn = Turn { flow: self, repo: &id.repo, left: MOST_AT_ONCE };
        // What one of them is refused (a conversation that is locked, a permission that is missing) must not keep the
        // others from being told.
        let mut refused = Refused::default();
        refused.unless(Thing::Reaction, self.send_reactions(lease, forge, id).await)?;
        // The comment first: it is what people wait for.
        let told = self.tell_live(&outbox, &told_of, &comments, &mut turn).await;
        let mut again = refused.unless(Thing::Comment(LIVE), told)?.flatten();
        // What has just been shown counts for what is in a merge queue.
        let fresh = match state.in_queue().next() {
            Some(_) => self.store.pull_state(id).await?,
            None => None,
        };
        let told_of = fresh.as_ref().map_or(told_of, |fresh| Told::new(self, fresh));
        if again.is_none() {
            self.explain_queue(lease, told_of.state, &comments).await?;
        }
        // A status that is green may merge by itself, so that it waits until the plans can be seen.
        let told = self.tell_statuses(&outbox, &told_of, again.is_some(), &mut turn).await;
        again = sooner(again, refused.unless(Thing::Status, told)?.flatten());
        for comment in comments.iter().filter(|comment| comment.key != LIVE) {
            let told = self.tell_own(&outbox, &state, comment, &mut turn).await;
            again = sooner(again, refused.unless(Thing::Comment(&comment.key), told)?.flatten());
        }
        again = sooner(again, self.tell_label(lease, forge, &state, &mut turn).await?);
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
        outbox: &Outbox<'_, Forge>,
        told_of: &Told<'_>,
        comments: &[OutComment],
        turn: &mut Turn<'_>,
    ) -> Result<Option<Timestamp>, FlowError> {
        let state = told_of.state;
        let known = comments.iter().find(|comment| comment.key == LIVE);
        // One that was given up, or deleted, is not there.
        let posted = known.is_some_and(|comment| comment.comment.is_some());
        let Some(due) = report::live_due(state, posted) else { return Ok(None) };
        if due > now() {
            return Ok(Some(due));
        }
        let body = told_of.live().await;
        if known.is_some_and(|comment| is_shown(comment, body)) {
            self.note_shown(outbox.lease, state).await?;
            return Ok(None);
        }
        if let Some(later) = self.pace.next_edit(outbox.pull, now()).or_else(|| turn.take()) {
            return Ok(Some(later));
        }
        let shown = outbox.show_live(known, body).await?;
        self.pace.edited(outbox.pull, now());
        if shown {
            self.note_shown(outbox.lease, state).await?;
        }
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
        let body = self.reply_text(state.pull(), &key, &Say::NotMerged { why })?;
        tx.add_comment(&state.pull().id, &key, &body, now()).await?;
        Ok(())
    }

    async fn tell_own(
        &self,
        outbox: &Outbox<'_, Forge>,
        state: &PullState,
        comment: &OutComment,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Timestamp>, FlowError> {
        if not_shown(comment).is_none() {
            return Ok(None);
        }
        if let Some(later) = turn.take() {
            return Ok(Some(later));
        }
        if outbox.show_own(comment).await? {
            self.note_result_shown(outbox.lease, state, &comment.key).await?;
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
