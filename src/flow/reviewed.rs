//! People review: a plan may have waited for that, and what stands in the live comment may be approved by it.

use super::asking::Wanted;
use super::find::Finding;
use super::ingest::Hearing;
use super::perform::Occasion;
use super::{Flow, FlowError, now};
use crate::domain::decide::{Affected, Found, PullState};
use crate::domain::id::PullId;
use crate::domain::pull::{Pull, Review};
use crate::store::{DeliveryEnd, Job, Lease};

impl Flow {
    pub(super) async fn reviewed(&self, hearing: Hearing<'_>, id: &PullId) -> Result<Option<DeliveryEnd>, FlowError> {
        let Some(state) = self.store.pull_state(id).await? else {
            return Ok(Some(DeliveryEnd::Ignored("a review of a pull request that is not known".to_owned())));
        };
        self.note_approvals(hearing.lease, &state).await?;
        // A plan may have waited for it.
        if state.pull().is_open() && asks_before_plans(state.record.affected.as_ref()) {
            let (pull, default) = self.pull_and_default(id).await?;
            if pull.is_open() {
                let occasion = Occasion(format!("change-{}", pull.head));
                self.look_and_plan(hearing, pull, default, &occasion).await?;
                return Ok(None);
            }
        }
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(hearing.lease).await?;
        tx.enqueue(&Job::Tell { pull: id.clone() }, now()).await?;
        tx.commit().await?;
        self.wake.notify_waiters();
        Ok(Some(DeliveryEnd::Done))
    }

    /// Which of the plans that stand there people approved: what a newer plan is compared with.
    async fn note_approvals(&self, lease: &Lease, state: &PullState) -> Result<(), FlowError> {
        if state.projects.iter().all(|project| project.shown.is_empty()) {
            return Ok(());
        }
        let id = &state.pull().id;
        let approved = state.newly_approved(&self.forge(&id.repo)?.approvals(id).await?);
        if approved.is_empty() {
            return Ok(());
        }
        let mut tx = self.store.write(&id.repo).await?;
        tx.hold(lease).await?;
        for (run, by) in approved {
            tx.plan_approved(id, run, &by).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Most plans depend on nothing that reviewers say.
    pub(super) async fn review_to_plan(&self, pull: &Pull, finding: &Finding) -> Result<Review, FlowError> {
        if !asks_before_plans(match &finding.found {
            Found::Affected(affected) => Some(affected),
            Found::Problem(_) => None,
        }) {
            return Ok(Review::default());
        }
        self.review(pull, Some(finding), &Wanted::of(Some(&finding.found), None, &finding.rules)).await
    }
}

/// A rule wants something to be there before a plan.
fn asks_before_plans(affected: Option<&Affected>) -> bool {
    let mut projects = affected.into_iter().flat_map(|affected| &affected.projects);
    projects.any(|entry| !entry.project.require_plan.is_empty())
}
