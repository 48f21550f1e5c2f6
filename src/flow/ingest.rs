//! A recorded delivery becomes an event, the event an input, and the input what follows from it.
//!
//! Everything that needs the forge or git happens before the transaction; within it, what is known is loaded, the core
//! is asked and its answer performed, so that two events of one pull request can't be decided on the same knowledge.

use super::asking::Wanted;
use super::find::Finding;
use super::perform::Occasion;
use super::worker::caught;
use super::{Flow, FlowError};
use crate::domain::command::{Call, Origin, Parsed, Surface, Verb, parse_comment};
use crate::domain::decide::{Input, PullRecord, Rules};
use crate::domain::event::{Called, Comment, Event, PullChange, Reaction};
use crate::domain::id::{Branch, CommentId, DeliveryId, ForgeKind, ProjectKey, PullId, Timestamp};
use crate::domain::pull::{Actor, Phase, Pull, Review, Role};
use crate::store::{DeliveryEnd, Job, Lease, NewDelivery};

/// A delivery that is being listened to, under the lease of its job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hearing<'a> {
    pub(super) lease: &'a Lease,
    pub(super) forge: ForgeKind,
    pub(super) delivery: &'a DeliveryId,
}

impl Flow {
    pub(super) async fn ingest(&self, lease: &Lease, forge: ForgeKind, delivery: &DeliveryId) -> Result<(), FlowError> {
        let Some(stored) = self.store.delivery(forge, delivery).await? else {
            self.store.finish(lease).await?;
            return Ok(());
        };
        let hearing = Hearing { lease, forge, delivery };
        let end = match caught(Box::pin(self.hear(hearing, &stored.delivery))).await {
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
            | Event::Called { pull, .. }
            | Event::Reviewed { pull }
            | Event::Queued { pull, .. }
            | Event::Unqueued { pull, .. } => pull.clone(),
        };
        if self.config.policy(&pull.repo).is_none() {
            return Ok(Some(DeliveryEnd::Ignored(format!("no entry of `repos` matches {}", pull.repo))));
        }
        match event {
            Event::PullChanged { change, .. } => self.changed(hearing, &pull, change).await,
            Event::Commented { comment, .. } => {
                self.commented(hearing, &pull, &comment, delivered.received_at).await.map(Some)
            }
            Event::CommentGone { comment, .. } => self.comment_gone(hearing.lease, &pull, comment).await.map(Some),
            Event::Called { called, .. } => self.called(hearing, &pull, called, delivered.received_at).await,
            Event::Reviewed { .. } => self.reviewed(hearing, &pull).await,
            Event::Queued { group, .. } => self.queued(hearing, &pull, group, delivered.received_at).await,
            Event::Unqueued { group, .. } => self.unqueued(hearing, &pull, group).await,
            Event::Ignored { reason, .. } => Ok(Some(DeliveryEnd::Ignored(reason))),
        }
    }

    /// What a delivery means, whether a forge sent it or we found it; the inner error: it can't be read.
    fn event(&self, forge: ForgeKind, delivered: &NewDelivery) -> Result<Result<Event, String>, FlowError> {
        if delivered.event_name == NewDelivery::MADE_HERE {
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
            Phase::Open => self.look_and_plan(hearing, pull, default, &occasion).await?,
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

    /// An open pull request may have to be planned.
    pub(super) async fn look_and_plan(
        &self,
        hearing: Hearing<'_>,
        pull: Pull,
        default: Branch,
        occasion: &Occasion,
    ) -> Result<(), FlowError> {
        let finding = self.find(&pull, default, None, hearing.lease.attempts).await?;
        let review = self.review_to_plan(&pull, &finding).await?;
        let Finding { found, rules, .. } = finding;
        self.decide_on(hearing, pull, &Input::Changed { found, review }, &rules, occasion).await
    }

    /// Somebody else applied something of a project that this pull request plans too.
    pub(super) async fn replan(
        &self,
        lease: &Lease,
        id: &PullId,
        project: &ProjectKey,
        at: Timestamp,
    ) -> Result<(), FlowError> {
        let (pull, default) = self.pull_and_default(id).await?;
        if !pull.is_open() {
            self.store.finish(lease).await?;
            return Ok(());
        }
        let finding = self.find(&pull, default, None, lease.attempts).await?;
        let review = self.review_to_plan(&pull, &finding).await?;
        let Finding { found, rules, .. } = finding;
        let input = Input::Overtaken { found, review, project: project.clone(), at };
        let occasion = Occasion(format!("change-{}", pull.head));
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        let state = self.known(&mut tx, pull).await?;
        let aftermath = self.follow(&mut tx, &state, &input, &rules, &occasion).await?;
        tx.finish(lease).await?;
        tx.commit().await?;
        self.settle(&aftermath);
        Ok(())
    }

    async fn merged(&self, hearing: Hearing<'_>, pull: Pull, default: Branch) -> Result<(), FlowError> {
        let finding = self.find(&pull, default, None, hearing.lease.attempts).await?;
        let (kept, _) = self.kept(&pull.id).await?;
        let wanted = Wanted::of(Some(&finding.found), kept.as_ref(), &finding.rules);
        let by = self.merger(&pull, &wanted).await?;
        let review = self.review(&pull, Some(&finding), &wanted).await?;
        let occasion = Occasion(format!("merge-{}", pull.head));
        let Finding { found, rules, .. } = finding;
        let input = Input::Merged { review, by, found };
        self.decide_on(hearing, pull, &input, &rules, &occasion).await
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

    /// People see at once that they were heard.
    async fn acknowledge(&self, lease: &Lease, id: &PullId, comment: CommentId) -> Result<(), FlowError> {
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        tx.want_reaction(id, comment, Reaction::Seen, super::now()).await?;
        tx.enqueue(&Job::Tell { pull: id.clone() }, super::now()).await?;
        tx.commit().await?;
        self.wake.notify_waiters();
        Ok(())
    }

    async fn commented(
        &self,
        hearing: Hearing<'_>,
        id: &PullId,
        comment: &Comment,
        heard_at: Timestamp,
    ) -> Result<DeliveryEnd, FlowError> {
        let forge = self.forge(&id.repo)?;
        let me = forge.me().await?;
        let lines = parse_comment(&comment.body, &self.names().or_account(me.as_str()));
        if lines.is_empty() {
            return Ok(DeliveryEnd::Ignored("no command in it".to_owned()));
        }
        if comment.by_bot || comment.author.same_as(&me) {
            return Ok(DeliveryEnd::Ignored("bots don't command".to_owned()));
        }
        let role = forge.role(&id.repo, &comment.author).await?;
        self.acknowledge(hearing.lease, id, comment.id).await?;
        for (line, parsed) in lines {
            let (author, at) = (comment.author.clone(), comment.created_at);
            let origin = Origin { surface: Surface::Comment { id: comment.id, line }, author, at, heard_at };
            // Read again for every line: the line before may have changed something.
            let (pull, default) = self.pull_and_default(id).await?;
            self.command(hearing, (pull, default), parsed, origin, role).await?;
        }
        Ok(DeliveryEnd::Done)
    }

    /// A button or a call of the API: the same door, and the answer is a comment too.
    async fn called(
        &self,
        hearing: Hearing<'_>,
        id: &PullId,
        Called { by, text, head, seen }: Called,
        heard_at: Timestamp,
    ) -> Result<Option<DeliveryEnd>, FlowError> {
        let name = &self.server.name;
        let Some((_, parsed)) = parse_comment(&format!("{name} {text}"), &self.names()).into_iter().next() else {
            return Ok(Some(DeliveryEnd::Ignored("no command in it".to_owned())));
        };
        let role = self.forge(&id.repo)?.role(&id.repo, &by).await?;
        let call = Call { key: hearing.delivery.to_string(), head, seen };
        let origin = Origin { surface: Surface::Call(call), author: by, at: heard_at, heard_at };
        let (pull, default) = self.pull_and_default(id).await?;
        self.command(hearing, (pull, default), parsed, origin, role).await?;
        Ok(None)
    }

    /// Of a call it ends the delivery as well, in one transaction with what follows.
    async fn command(
        &self,
        Hearing { lease, forge, delivery }: Hearing<'_>,
        (pull, default): (Pull, Branch),
        parsed: Parsed,
        origin: Origin,
        role: Role,
    ) -> Result<(), FlowError> {
        let id = pull.id.clone();
        let command = match &parsed {
            Parsed::Command(command) => Some(command),
            Parsed::UnknownVerb { .. } | Parsed::BadArgument { .. } | Parsed::OneTooMany(_) => None,
        };
        let (kept, kept_rules) = self.kept(&id).await?;
        let finding = match command {
            Some(command) if must_look(command.verb, &pull, role, &origin, kept.as_ref()) => {
                // Only who may write can vouch for what others wrote, whatever else a rule gives them.
                let vouched_for = command.sha.as_ref().filter(|_| role >= Role::Write);
                let mut finding = self.find(&pull, default, vouched_for, lease.attempts).await?;
                if command.verb == Verb::Freeze {
                    finding.rules.repository = self.projects_of_repository(&id.repo, &finding);
                }
                Some(finding)
            }
            _ => None,
        };
        let rules = finding.as_ref().map_or(&kept_rules, |finding| &finding.rules);
        let wanted = Wanted::of(finding.as_ref().map(|finding| &finding.found), kept.as_ref(), rules);
        let actor = match command {
            Some(_) => self.actor(&id.repo, &origin.author, role, &wanted).await?,
            None => Actor::new(origin.author.clone(), role),
        };
        let depends = |verb| matches!(verb, Verb::Plan | Verb::Apply | Verb::Approve | Verb::Help | Verb::Why);
        let review = match command {
            Some(command) if depends(command.verb) => self.review(&pull, finding.as_ref(), &wanted).await?,
            _ => Review::default(),
        };
        let (found, rules) = match finding {
            Some(finding) => (Some(finding.found), finding.rules),
            None => (None, kept_rules),
        };
        let occasion = Occasion(match &origin.surface {
            Surface::Comment { id, line } => format!("reply-{id}-{line}"),
            Surface::Call(call) => format!("reply-{}", call.key),
        });
        let input = Input::Commanded { parsed, origin: origin.clone(), actor, review, found };
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        match origin.surface {
            // The same comment may come in several webhooks.
            Surface::Comment { id: comment, line } => {
                if !tx.first_time(&id.repo, comment, line, super::now()).await? {
                    return Ok(());
                }
            }
            Surface::Call(_) => {
                tx.end_delivery(forge, delivery, &DeliveryEnd::Done).await?;
                tx.finish(lease).await?;
            }
        }
        let state = self.known(&mut tx, pull).await?;
        let aftermath = self.follow(&mut tx, &state, &input, &rules, &occasion).await?;
        tx.commit().await?;
        self.settle(&aftermath);
        Ok(())
    }

    /// Decides and ends the delivery, in one transaction.
    pub(super) async fn decide_on(
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

    /// The pull request and whose rules hold for it, asked side by side.
    pub(super) async fn pull_and_default(&self, id: &PullId) -> Result<(Pull, Branch), FlowError> {
        let forge = self.forge(&id.repo)?;
        Ok(tokio::try_join!(forge.pull(id), forge.default_branch(&id.repo))?)
    }
}

/// Nobody makes the server fetch who could not command it.
fn must_look(verb: Verb, pull: &Pull, role: Role, origin: &Origin, kept: Option<&PullRecord>) -> bool {
    let about_rules = matches!(verb, Verb::Freeze | Verb::Thaw);
    let about_locks = matches!(verb, Verb::Unlock | Verb::Lock | Verb::Cancel) && pull.phase != Phase::Closed;
    // What stands in the way stands there now, under the rules of now.
    let about_now = matches!(verb, Verb::Why | Verb::Help) && pull.phase != Phase::Closed;
    if !(verb.is_about_code() || about_rules || about_locks || about_now) {
        return false;
    }
    let somebody = Actor::new(origin.author.clone(), role);
    let projects = kept.and_then(|record| record.affected.as_ref()).into_iter().flat_map(|affected| &affected.projects);
    role >= Role::Write || projects.into_iter().any(|entry| entry.project.can.may_name(&somebody))
}
