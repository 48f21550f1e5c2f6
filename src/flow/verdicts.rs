//! Tells the forge how a pull request stands: by statuses, or by checks where it lets us have them.
//!
//! What was told last is kept, so that only what differs is told. A commit that has a status keeps it: a check of the same
//! name beside it would be another one to the forge.

use super::outbox::{Outbox, hash, sent_status};
use super::tell::Turn;
use super::texts::Told;
use super::{Flow, FlowError};
use crate::domain::decide::PullState;
use crate::domain::id::{PullId, Timestamp};
use crate::domain::report::{self, StatusState};
use crate::forge::{Check, Checks, Forge, ForgeError, ForgeErrorKind, Status};
use crate::store::{SentCheck, SentStatus};

/// What a check says besides its title while there is nothing more to read, or where the other one has it.
const ELSEWHERE: &str = "What is planned, and what to do next, stands in the live comment on the pull request.";

/// The same of a commit in a merge queue.
const OF_QUEUE: &str = "What the queue would merge is planned, and merged only if it does what was reviewed on the pull \
                        request. If it does not, a comment there says what differs.";

impl Flow {
    /// Returns when to go on. `unseen`: the live comment does not show the plans yet; a verdict that is green may merge by
    /// itself, so that it waits.
    pub(super) async fn tell_statuses(
        &self,
        outbox: &Outbox<'_, Forge>,
        told_of: &Told<'_>,
        unseen: bool,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Timestamp>, FlowError> {
        let (id, forge, state) = (outbox.pull, outbox.board, told_of.state);
        let told = self.store.statuses(id).await?;
        let mut wanted = report::checks(state, &self.server.name);
        wanted.extend(outdated(&told, &wanted, state));
        // What a merge queue's plan is compared with is what can be seen.
        let untold = |check: &report::Check| {
            let state = check.status.state;
            unseen && (state == StatusState::Success || check.of_queue && state == StatusState::Failure)
        };
        for check in wanted.into_iter().filter(|check| !untold(check)) {
            let status = &check.status;
            let known = told.iter().find(|told| told.sha == status.sha && told.context == status.context);
            let checks = forge.checks().filter(|_| known.is_none_or(|known| known.check.is_some()));
            let (check, mut sent) = verdict(told_of, check, checks.is_some()).await;
            if known.is_some_and(|known| says_the_same(known, &sent)) {
                continue;
            }
            if let Some(later) = turn.take() {
                return Ok(Some(later));
            }
            let Some(checks) = checks else {
                outbox.show_status(&check.sha, &check.status).await?;
                continue;
            };
            let shown = self.show_verdict(forge, checks, id, &check, known, &mut sent).await;
            let given_up = match shown.map_err(FlowError::from) {
                Ok(()) => None,
                // A head that was force-pushed away: there is nothing left to show it on.
                Err(error) if error.is_final() => {
                    tracing::warn!(pull = %id, sha = %sent.sha, error = %error.chain(), "a check can't be shown");
                    Some(error.chain())
                }
                Err(error) => return Err(error),
            };
            self.store.status_sent(outbox.lease, id, &sent, given_up.as_deref()).await?;
        }
        Ok(None)
    }

    async fn show_verdict(
        &self,
        forge: &Forge,
        checks: Checks<'_>,
        pull: &PullId,
        check: &Check,
        known: Option<&SentStatus>,
        sent: &mut SentStatus,
    ) -> Result<(), ForgeError> {
        let Some(new) = sent.check.as_mut() else { return Ok(()) };
        match show_check(checks, pull, check, new, known).await {
            Ok(id) => new.id = id,
            // An App that may not write checks, or not yet.
            Err(error) if error.kind == ForgeErrorKind::Forbidden && known.is_none() => {
                tracing::warn!(%pull, %error, "the App may not write checks: statuses are set instead");
                sent.check = None;
                forge.set_status(pull, &check.sha, &check.status).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What is to be shown, and what is kept of it once it is.
async fn verdict(told_of: &Told<'_>, check: report::Check, as_check: bool) -> (Check, SentStatus) {
    let report::Check { status, buttons, annotations, of_queue } = check;
    let reads = as_check && !of_queue && status.state != StatusState::Pending && status.context.ends_with("/plan");
    let text = if reads { told_of.live().await } else { "" };
    // Without the marker, by which the live comment is found.
    let elsewhere = if of_queue { OF_QUEUE } else { ELSEWHERE };
    let summary = text.split_once('\n').map_or(elsewhere, |(_, text)| text).to_owned();
    let shown = Status { context: status.context, state: status.state, description: status.description, url: None };
    let mut sent = sent_status(&status.sha, &shown);
    let check = Check { sha: status.sha, status: shown, summary, buttons, annotations };
    if as_check {
        // While something is under way the live comment changes all the time; the summary follows at the end.
        let summary = if told_of.state.unfinished.is_empty() { check.summary.as_str() } else { "" };
        let content = serde_json::to_string(&(summary, &check.buttons, &check.annotations));
        let notes = serde_json::to_string(&check.annotations).expect("annotations are plain data");
        sent.check = Some(SentCheck {
            id: 0,
            hash: hash(&content.expect("buttons and annotations are plain data")),
            notes: (!check.annotations.is_empty()).then(|| hash(&notes)),
        });
    }
    (check, sent)
}

/// Edits the check, or makes one. Before it makes one, it looks for it: an earlier try may have succeeded without our
/// hearing of it.
async fn show_check(
    checks: Checks<'_>,
    pull: &PullId,
    check: &Check,
    new: &SentCheck,
    known: Option<&SentStatus>,
) -> Result<u64, ForgeError> {
    let old = known.and_then(|known| known.check.as_ref());
    // What is over does not begin again, and annotations are never taken back: another check takes its place.
    let begins_again = known.is_some_and(|known| {
        known.state != StatusState::Pending.as_str() && check.status.state == StatusState::Pending
    });
    let same_notes = old.is_some_and(|old| old.notes == new.notes);
    let plain = Check { annotations: Vec::new(), ..check.clone() };
    if let Some(old) = old.filter(|old| !begins_again && (same_notes || old.notes.is_none() || new.notes.is_none())) {
        match checks.edit(pull, old.id, if same_notes { &plain } else { check }).await {
            Ok(()) => return Ok(old.id),
            Err(error) if error.kind == ForgeErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let found = checks.find(pull, check).await?;
    match found.filter(|found| old.is_none_or(|old| old.id != *found)) {
        // It has its annotations from when it was made.
        Some(found) => checks.edit(pull, found, &plain).await.map(|()| found),
        None => checks.create(pull, check).await,
    }
}

fn says_the_same(known: &SentStatus, sent: &SentStatus) -> bool {
    let content = |status: &SentStatus| status.check.as_ref().map(|check| check.hash.clone());
    (&known.state, &known.description, content(known)) == (&sent.state, &sent.description, content(sent))
}

/// Statuses of older heads, and of what has left a merge queue, that would stay pending for ever.
fn outdated(told: &[SentStatus], wanted: &[report::Check], state: &PullState) -> Vec<report::Check> {
    let is_wanted = |told: &SentStatus| {
        wanted.iter().any(|check| check.status.sha == told.sha && check.status.context == told.context)
    };
    told.iter()
        .filter(|told| told.state == StatusState::Pending.as_str() && !is_wanted(told))
        .map(|told| {
            let (sha, context) = (told.sha.clone(), told.context.clone());
            let queued = report::unqueued(state, &sha);
            let newer = || (StatusState::Failure, format!("Superseded by {}", state.pull().head.short()));
            let (verdict, description) = queued.clone().unwrap_or_else(newer);
            report::Check {
                status: report::Status { sha, context, state: verdict, description },
                buttons: Vec::new(),
                annotations: Vec::new(),
                of_queue: queued.is_some(),
            }
        })
        .collect()
}
