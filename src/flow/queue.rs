//! The forge's merge queue: what it asks about is found and planned, and why it was told no is said on the pull request.

use super::ingest::Hearing;
use super::perform::Occasion;
use super::{Flow, FlowError, now};
use crate::domain::decide::{Input, PullState, Rules, Say};
use crate::domain::id::{PullId, Timestamp};
use crate::domain::pull::{MergeGroup, Review};
use crate::domain::report::{self, QueueRefusal};
use crate::store::{DeliveryEnd, Job, Lease, OutComment};

impl Flow {
    pub(super) async fn queued(
        &self,
        hearing: Hearing<'_>,
        id: &PullId,
        group: MergeGroup,
        heard_at: Timestamp,
    ) -> Result<Option<DeliveryEnd>, FlowError> {
        let known = self.store.pull_state(id).await?;
        let is_it = |known: &PullState| known.queued.iter().any(|queued| queued.commit.group.head == group.head);
        if known.as_ref().is_some_and(is_it) {
            return Ok(Some(DeliveryEnd::Ignored("this commit of the merge queue is known already".to_owned())));
        }
        let (pull, default) = self.pull_and_default(id).await?;
        if !pull.is_open() {
            return Ok(Some(DeliveryEnd::Ignored("the pull request is not open any more".to_owned())));
        }
        tracing::info!(pull = %id, commit = %group.head, "the merge queue asks about a commit");
        let finding = self.find_queued(&pull, &group, default, hearing.lease.attempts).await?;
        let review = self.review_to_plan(&pull, &finding).await?;
        // The commit contains what it is added to, whatever the pull request's own head does.
        let review = Review { diverged: false, ..review };
        let occasion = Occasion(format!("queue-{}", group.head));
        let (found, rules) = (finding.found, finding.rules);
        self.decide_on(hearing, pull, &Input::Queued { group, heard_at, found, review }, &rules, &occasion).await?;
        Ok(None)
    }

    pub(super) async fn unqueued(
        &self,
        hearing: Hearing<'_>,
        id: &PullId,
        group: MergeGroup,
    ) -> Result<Option<DeliveryEnd>, FlowError> {
        // What becomes of the pull request, other webhooks say.
        let Hearing { lease, forge, delivery } = hearing;
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        let Some(state) = tx.pull_state(id).await? else {
            return Ok(Some(DeliveryEnd::Ignored("the merge queue of a pull request that is not known".to_owned())));
        };
        let occasion = Occasion(format!("queue-{}", group.head));
        let rules = Rules::unknown("the end of a time in the merge queue asks for none");
        let aftermath = self.follow(&mut tx, &state, &Input::Unqueued { group }, &rules, &occasion).await?;
        tx.end_delivery(forge, delivery, &DeliveryEnd::Done).await?;
        tx.finish(lease).await?;
        tx.commit().await?;
        self.settle(&aftermath);
        Ok(None)
    }

    /// Before the queue is told no: it lets go of the pull request then, and people have to learn why.
    pub(super) async fn explain_queue(
        &self,
        lease: &Lease,
        state: &PullState,
        comments: &[OutComment],
    ) -> Result<(), FlowError> {
        for (commit, refusal) in report::queue_refusals(state) {
            let key = format!("queue-{}", commit.group.head);
            if comments.iter().any(|comment| comment.key == key) {
                continue;
            }
            let commit = commit.group.head.clone();
            let say = match refusal {
                QueueRefusal::Problem(problem) => Say::QueueUnplanned { commit, problem: problem.clone() },
                QueueRefusal::Faults(faults) => {
                    let views = self.views(faults.iter().flat_map(report::Fault::runs).collect()).await;
                    let run_url = |run| self.links.run_url(run);
                    let astray = faults.iter().map(|fault| fault.astray(&views, &run_url));
                    Say::NotAsReviewed { commit, projects: astray.collect() }
                }
            };
            let pull = state.pull();
            let body = self.reply_text(pull, &key, &say)?;
            let mut tx = self.store.write(&pull.id.repo).await?;
            tx.hold(lease).await?;
            tx.add_comment(&pull.id, &key, &body, now()).await?;
            tx.enqueue(&Job::Tell { pull: pull.id.clone() }, now()).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
