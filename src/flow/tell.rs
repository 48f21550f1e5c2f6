//! Brings the forge to what the store says of a pull request: statuses, the live comment, comments of their own.
//!
//! One job per pull request does all of it, so that edits are coalesced and one pull request can't flood the forge. It
//! compares with what the forge was told last and tells only what differs; what failed is tried again by the queue. How
//! each thing is told once is the [`outbox`](super::outbox)'s.

use super::outbox::{LIVE, Outbox, is_shown, not_shown, sent_status};
use super::{Flow, FlowError, now};
use crate::domain::decide::PullState;
use crate::domain::id::{PullId, RepoName, RunId, Timestamp};
use crate::domain::pull::Pull;
use crate::domain::report::{self, LiveInput, ResultInput, StatusState, Views};
use crate::domain::run::Run;
use crate::forge::{Forge, Status};
use crate::render::COMMENT_LIMIT;
use crate::store::{Job, Lease, OutComment, SentStatus, Tx};

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
        let outbox = Outbox { store: &self.store, board: forge, lease, pull: id };
        let mut turn = Turn { flow: self, repo: &id.repo, left: MOST_AT_ONCE };
        // What one of them is refused (a conversation that is locked, a permission that is missing) must not keep the
        // others from being told.
        let mut refused = Refused::default();
        // The comment first: it is what people wait for.
        let told = self.tell_live(&outbox, &state, &comments, &mut turn).await;
        let mut again = refused.unless(Thing::Comment(LIVE), told)?.flatten();
        let told = self.tell_statuses(&outbox, &state, &mut turn).await;
        again = sooner(again, refused.unless(Thing::Status, told)?.flatten());
        for comment in comments.iter().filter(|comment| comment.key != LIVE) {
            let told = tell_own(&outbox, comment, &mut turn).await;
            again = sooner(again, refused.unless(Thing::Comment(&comment.key), told)?.flatten());
        }
        for (thing, error) in refused.0 {
            if lease.attempts < MOST_TRIES {
                return Err(error);
            }
            tracing::error!(pull = %id, error = %error.chain(), "the forge was not told: given up");
            if let Thing::Comment(key) = thing {
                self.store.comment_given_up(lease, key, &error.chain()).await?;
            }
        }
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        if let Some(due) = again {
            tx.enqueue(&Job::Tell { pull: id.clone() }, due).await?;
        }
        tx.finish(lease).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Returns when to look again, if the comment is not yet due.
    async fn tell_live(
        &self,
        outbox: &Outbox<'_, Forge>,
        state: &PullState,
        comments: &[OutComment],
        turn: &mut Turn<'_>,
    ) -> Result<Option<Timestamp>, FlowError> {
        let known = comments.iter().find(|comment| comment.key == LIVE);
        // One that was given up, or deleted, is not there.
        let posted = known.is_some_and(|comment| comment.comment.is_some());
        let Some(due) = report::live_due(state, posted) else { return Ok(None) };
        if due > now() {
            return Ok(Some(due));
        }
        let body = self.live_text(state).await;
        if known.is_some_and(|comment| is_shown(comment, &body)) {
            return Ok(None);
        }
        if let Some(later) = self.pace.next_edit(outbox.pull, now()).or_else(|| turn.take()) {
            return Ok(Some(later));
        }
        outbox.show_live(known, &body).await?;
        self.pace.edited(outbox.pull, now());
        Ok(None)
    }

    async fn tell_statuses(
        &self,
        outbox: &Outbox<'_, Forge>,
        state: &PullState,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Timestamp>, FlowError> {
        let told = self.store.statuses(outbox.pull).await?;
        let mut wanted = report::statuses(state, &self.server.name);
        wanted.extend(outdated(&told, &wanted, state));
        for report::Status { sha, context, state, description } in wanted {
            let status = Status { context, state, description, url: None };
            if told.contains(&sent_status(&sha, &status)) {
                continue;
            }
            if let Some(later) = turn.take() {
                return Ok(Some(later));
            }
            outbox.show_status(&sha, &status).await?;
        }
        Ok(None)
    }

    async fn live_text(&self, state: &PullState) -> String {
        let plans = state.projects.iter().filter_map(|project| project.plan.as_ref());
        let applies = state.projects.iter().filter_map(|project| project.apply.as_ref());
        let views = self.views(planned(plans.chain(applies))).await;
        let run_url = |run: RunId| self.links.run_url(run);
        self.renderer.live(&LiveInput {
            state,
            views: &views,
            server: &self.server,
            run_url: &run_url,
            limit: self.comment_limit(&state.pull().id.repo),
        })
    }

    /// The comment about a batch of applies that is over.
    pub(super) async fn result_text(&self, tx: &mut Tx, pull: &Pull, batch: RunId) -> Result<String, FlowError> {
        let runs = tx.runs_of_batch(batch).await?;
        let mut reviewed = Vec::new();
        for run in &runs {
            if let Some(plan) = run.apply_order().and_then(|order| order.plan) {
                reviewed.extend(tx.run(plan).await?);
            }
        }
        let views = self.views(planned(runs.iter().chain(&reviewed))).await;
        let run_url = |run: RunId| self.links.run_url(run);
        let (runs, views) = (&runs, &views);
        let server = &self.server;
        let limit = self.comment_limit(&pull.id.repo);
        Ok(self.renderer.result(&ResultInput { pull, batch, runs, views, server, run_url: &run_url, limit }))
    }

    /// Characters of a comment.
    pub(super) fn comment_limit(&self, repo: &RepoName) -> usize {
        self.forge(repo).map_or(COMMENT_LIMIT, Forge::comment_limit)
    }

    async fn views(&self, runs: Vec<RunId>) -> Views {
        let mut views = Views::new();
        for run in runs {
            if let Some(view) = self.load_view(run).await {
                views.insert(run, view);
            }
        }
        views
    }
}

async fn tell_own(
    outbox: &Outbox<'_, Forge>,
    comment: &OutComment,
    turn: &mut Turn<'_>,
) -> Result<Option<Timestamp>, FlowError> {
    if not_shown(comment).is_none() {
        return Ok(None);
    }
    if let Some(later) = turn.take() {
        return Ok(Some(later));
    }
    outbox.show_own(comment).await?;
    Ok(None)
}

/// What one pull request may write before it goes to the end of the queue again.
struct Turn<'a> {
    flow: &'a Flow,
    repo: &'a RepoName,
    left: usize,
}

impl Turn<'_> {
    /// When to go on; `None`: now.
    fn take(&mut self) -> Option<Timestamp> {
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
    Status,
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

/// The runs that made a plan.
fn planned<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<RunId> {
    runs.filter(|run| run.made_plan().is_some()).map(|run| run.id).collect()
}

/// Statuses of older heads that would stay pending for ever.
fn outdated(told: &[SentStatus], wanted: &[report::Status], state: &PullState) -> Vec<report::Status> {
    told.iter()
        .filter(|told| told.state == StatusState::Pending.as_str())
        .filter(|told| !wanted.iter().any(|wanted| wanted.sha == told.sha && wanted.context == told.context))
        .map(|told| report::Status {
            sha: told.sha.clone(),
            context: told.context.clone(),
            state: StatusState::Failure,
            description: format!("Superseded by {}", state.pull().head.short()),
        })
        .collect()
}
