//! A recorded delivery becomes an event, the event an input, and the input what follows from it.
//!
//! Everything that needs the forge or git happens before the transaction; within it, what is known is loaded, the core
//! is asked and its answer performed, so that two events of one pull request can't be decided on the same knowledge.

use super::catch_up::FOUND;
use super::find::Finding;
use super::perform::Occasion;
use super::{Flow, FlowError};
use crate::domain::command::{Origin, Parsed, Verb, parse_comment};
use crate::domain::decide::{Input, Rules};
use crate::domain::event::{Comment, Event, PullChange};
use crate::domain::id::{Branch, CommentId, DeliveryId, ForgeKind, PullId, Timestamp};
use crate::domain::permission::authorize;
use crate::domain::pull::{Actor, Phase, Pull, Review, Role};
use crate::store::{DeliveryEnd, Job, Lease, NewDelivery};

/// A delivery that is being listened to, under the lease of its job.
#[derive(Debug, Clone, Copy)]
struct Hearing<'a> {
    lease: &'a Lease,
    forge: ForgeKind,
    delivery: &'a DeliveryId,
}

impl Flow {
    pub(super) async fn ingest(&self, lease: &Lease, forge: ForgeKind, delivery: &DeliveryId) -> Result<(), FlowError> {
        let Some(stored) = self.store.delivery(forge, delivery).await? else {
            self.store.finish(lease).await?;
            return Ok(());
        };
        let hearing = Hearing { lease, forge, delivery };
        let end = match self.hear(hearing, &stored.delivery).await {
            Ok(end) => end,
            Err(error) if error.is_hopeless(lease.attempts) => {
                tracing::error!(delivery = %delivery, error = %error.chain(), "a delivery is given up");
                Some(DeliveryEnd::Failed(error.chain()))
            }
            Err(error) => return Err(error),
        };
        if let Some(end) = end {
            self.store.end_delivery(lease, forge, delivery, end).await?;
        }
        Ok(())
    }

    /// What becomes of the delivery; `None` if that is written already, together with what followed from it.
    async fn hear(&self, hearing: Hearing<'_>, delivered: &NewDelivery) -> Result<Option<DeliveryEnd>, FlowError> {
        let event = match self.event(hearing.forge, delivered)? {
            Ok(event) => event,
            Err(malformed) => {
                tracing::warn!(delivery = %delivered.id, error = malformed, "a delivery can't be read");
                return Ok(Some(DeliveryEnd::Failed(malformed)));
            }
        };
        let pull = match &event {
            Event::Ignored { reason, .. } => return Ok(Some(DeliveryEnd::Ignored(reason.clone()))),
            Event::PullChanged { pull, .. }
            | Event::Commented { pull, .. }
            | Event::CommentGone { pull, .. }
            | Event::Reviewed { pull } => pull.clone(),
        };
        if self.config.policy(&pull.repo).is_none() {
            return Ok(Some(DeliveryEnd::Ignored(format!("no entry of `repos` matches {}", pull.repo))));
        }
        match event {
            Event::PullChanged { change, .. } => self.changed(hearing, &pull, change).await,
            Event::Commented { comment, .. } => {
                self.commented(hearing.lease, &pull, &comment, delivered.received_at).await.map(Some)
            }
            Event::CommentGone { comment, .. } => self.comment_gone(hearing.lease, &pull, comment).await.map(Some),
            Event::Reviewed { .. } => self.reviewed(hearing.lease, &pull).await.map(Some),
            Event::Ignored { reason, .. } => Ok(Some(DeliveryEnd::Ignored(reason))),
        }
    }

    /// What a delivery means, whether a forge sent it or we found it; the inner error: it can't be read.
    fn event(&self, forge: ForgeKind, delivered: &NewDelivery) -> Result<Result<Event, String>, FlowError> {
        if delivered.event_name == FOUND {
            return Ok(serde_json::from_str(&delivered.body).map_err(|error| error.to_string()));
        }
        let host = self.host_of(forge)?;
        let event = crate::forge::event(forge, &delivered.event_name, &delivered.body, host);
        Ok(event.map_err(|malformed| malformed.to_string()))
    }

    async fn changed(
        &self,
        hearing: Hearing<'_>,
        id: &PullId,
        change: PullChange,
    ) -> Result<Option<DeliveryEnd>, FlowError> {
        // What the delivery said may be old by now; what the forge says is not.
        let (pull, default) = self.pull_and_default(id).await?;
        tracing::info!(pull = %id, head = %pull.head, ?change, "the pull request changed");
        let occasion = Occasion(format!("change-{}", pull.head));
        match pull.phase {
            Phase::Open => {
                let found = self.find(&pull, default, None, hearing.lease.attempts).await?;
                self.decide_on(hearing, pull, &Input::Changed(found.found), &found.rules, &occasion).await?;
            }
            Phase::Closed => {
                if self.store.pull_state(id).await?.is_none() {
                    return Ok(Some(DeliveryEnd::Ignored("closed before it was ever heard of".to_owned())));
                }
                self.decide_on(hearing, pull, &Input::Closed, &Rules::unknown("it is closed"), &occasion).await?;
            }
            Phase::Merged { .. } => self.merged(hearing, pull, default).await?,
        }
        Ok(None)
    }

    async fn merged(&self, hearing: Hearing<'_>, pull: Pull, default: Branch) -> Result<(), FlowError> {
        let merged_by = match &pull.phase {
            Phase::Merged { by, .. } => by.clone().unwrap_or_else(|| pull.author.clone()),
            Phase::Open | Phase::Closed => pull.author.clone(),
        };
        let forge = self.forge(&pull.id.repo)?;
        // The forge let this account merge: that is the right to write, whatever a role look-up says of a merge bot.
        let role = forge.role(&pull.id.repo, &merged_by).await?.max(Role::Write);
        let by = Actor { login: merged_by, role };
        let found = self.find(&pull, default, None, hearing.lease.attempts).await?;
        let review = Review { approvals: forge.approvals(&pull.id).await?, ..Review::default() };
        let occasion = Occasion(format!("merge-{}", pull.head));
        let input = Input::Merged { review, by, found: found.found };
        self.decide_on(hearing, pull, &input, &found.rules, &occasion).await
    }

    async fn reviewed(&self, lease: &Lease, id: &PullId) -> Result<DeliveryEnd, FlowError> {
        if self.store.pull_state(id).await?.is_none() {
            return Ok(DeliveryEnd::Ignored("a review of a pull request that is not known".to_owned()));
        }
        // What the comment offers may depend on it: it is computed anew.
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        tx.enqueue(&Job::Tell { pull: id.clone() }, super::now()).await?;
        tx.commit().await?;
        self.wake.notify_waiters();
        Ok(DeliveryEnd::Done)
    }

    /// The live comment is there as long as there is something to show.
    async fn comment_gone(&self, lease: &Lease, id: &PullId, comment: CommentId) -> Result<DeliveryEnd, FlowError> {
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        if !tx.forget_live_comment(id, comment).await? {
            return Ok(DeliveryEnd::Ignored("not the live comment".to_owned()));
        }
        tx.enqueue(&Job::Tell { pull: id.clone() }, super::now()).await?;
        tx.commit().await?;
        self.wake.notify_waiters();
        Ok(DeliveryEnd::Done)
    }

    async fn commented(
        &self,
        lease: &Lease,
        id: &PullId,
        comment: &Comment,
        heard_at: Timestamp,
    ) -> Result<DeliveryEnd, FlowError> {
        let forge = self.forge(&id.repo)?;
        let lines = parse_comment(&comment.body, &self.names());
        if lines.is_empty() {
            return Ok(DeliveryEnd::Ignored("no command in it".to_owned()));
        }
        if comment.by_bot || comment.author.same_as(&forge.me().await?) {
            return Ok(DeliveryEnd::Ignored("bots don't command".to_owned()));
        }
        let role = forge.role(&id.repo, &comment.author).await?;
        let actor = Actor { login: comment.author.clone(), role };
        for (line, parsed) in lines {
            let (author, at) = (comment.author.clone(), comment.created_at);
            let origin = Origin { comment: comment.id, line, author, at, heard_at };
            // Read again for every line: the line before may have changed something.
            let (pull, default) = self.pull_and_default(id).await?;
            self.command(lease, (pull, default), parsed, origin, actor.clone()).await?;
        }
        Ok(DeliveryEnd::Done)
    }

    async fn command(
        &self,
        lease: &Lease,
        (pull, default): (Pull, Branch),
        parsed: Parsed,
        origin: Origin,
        actor: Actor,
    ) -> Result<(), FlowError> {
        let id = pull.id.clone();
        let allowed = match &parsed {
            Parsed::Command(command) => Some(command).filter(|command| authorize(command.verb, &actor).is_ok()),
            _ => None,
        };
        let verb = allowed.map(|command| command.verb);
        // Nobody makes the server fetch who could not command it.
        let finding = if matches!(verb, Some(Verb::Plan | Verb::Apply | Verb::Approve)) {
            let asked_for = allowed.and_then(|command| command.sha.as_ref());
            Some(self.find(&pull, default, asked_for, lease.attempts).await?)
        } else {
            None
        };
        let review = match (&finding, verb) {
            (Some(finding), Some(Verb::Apply | Verb::Approve)) => self.review(&pull, finding).await?,
            _ => Review::default(),
        };
        let (found, rules) = match finding {
            Some(finding) => (Some(finding.found), finding.rules),
            None => (None, Rules::unknown("nobody asked for them")),
        };
        let occasion = Occasion(format!("reply-{}-{}", origin.comment, origin.line));
        let input = Input::Commanded { parsed, origin: origin.clone(), actor, review, found };
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        // The same comment may come in several webhooks.
        if !tx.first_time(&id.repo, origin.comment, origin.line, super::now()).await? {
            return Ok(());
        }
        let state = self.known(&mut tx, pull).await?;
        let aftermath = self.follow(&mut tx, &state, &input, &rules, &occasion).await?;
        tx.commit().await?;
        self.settle(&aftermath);
        Ok(())
    }

    /// Decides and ends the delivery, in one transaction.
    async fn decide_on(
        &self,
        Hearing { lease, forge, delivery }: Hearing<'_>,
        pull: Pull,
        input: &Input,
        rules: &Rules,
        occasion: &Occasion,
    ) -> Result<(), FlowError> {
        let mut tx = self.store.write(&pull.id.repo).await?;
        tx.hold(lease).await?;
        let state = self.known(&mut tx, pull).await?;
        let aftermath = self.follow(&mut tx, &state, input, rules, occasion).await?;
        tx.end_delivery(forge, delivery, &DeliveryEnd::Done).await?;
        tx.finish(lease).await?;
        tx.commit().await?;
        self.settle(&aftermath);
        Ok(())
    }

    /// What the requirements are about, as it is now.
    async fn review(&self, pull: &Pull, found: &Finding) -> Result<Review, FlowError> {
        let forge = self.forge(&pull.id.repo)?;
        let (approvals, mergeable, diverged) = tokio::try_join!(
            async { Ok::<_, FlowError>(forge.approvals(&pull.id).await?) },
            async { Ok(forge.mergeable(&pull.id).await?) },
            found.diverged(&pull.head)
        )?;
        Ok(Review { approvals, mergeable, diverged })
    }

    /// The pull request and whose rules hold for it, asked side by side.
    async fn pull_and_default(&self, id: &PullId) -> Result<(Pull, Branch), FlowError> {
        let forge = self.forge(&id.repo)?;
        Ok(tokio::try_join!(forge.pull(id), forge.default_branch(&id.repo))?)
    }
}
