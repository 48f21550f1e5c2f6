//! What comments say: rendered from what the store and the archive hold.

use super::{Flow, FlowError, now};
use crate::domain::decide::{PullState, Say};
use crate::domain::id::{RepoName, RunId};
use crate::domain::pull::Pull;
use crate::domain::report::{LiveInput, ResultInput, Views};
use crate::domain::run::Run;
use crate::forge::Forge;
use crate::render::{COMMENT_LIMIT, SayInput};
use crate::store::Tx;
use tokio::sync::OnceCell;

/// A pull request that is told of, with the live comment: its check has the same text, and it is made once.
pub(super) struct Told<'a> {
    flow: &'a Flow,
    pub(super) state: &'a PullState,
    live: OnceCell<String>,
}

impl<'a> Told<'a> {
    pub(super) fn new(flow: &'a Flow, state: &'a PullState) -> Self {
        Self { flow, state, live: OnceCell::new() }
    }

    pub(super) async fn live(&self) -> &str {
        self.live.get_or_init(|| self.flow.live_text(self.state)).await
    }
}

impl Flow {
    /// The live comment, as the store and the archive have it.
    async fn live_text(&self, state: &PullState) -> String {
        let plans = state.projects.iter().filter_map(|project| project.plan.as_ref());
        let applies = state.projects.iter().filter_map(|project| project.apply.as_ref());
        let mut wanted = planned(plans.chain(applies));
        let approved = state.projects.iter().filter_map(|project| project.approved_another());
        // What they are compared with.
        wanted.extend(approved.map(|(shown, _)| shown.run));
        let views = self.views(wanted).await;
        let run_url = |run: RunId| self.links.run_url(run);
        let limit = self.comment_limit(&state.pull().id.repo);
        self.renderer.live(&LiveInput {
            state,
            views: &views,
            server: &self.server,
            run_url: &run_url,
            now: now(),
            limit,
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

    /// A reply, under the key that it is kept by.
    pub(super) fn reply_text(&self, pull: &Pull, key: &str, say: &Say) -> Result<String, FlowError> {
        let limit = self.comment_limit(&pull.id.repo);
        let input = SayInput { pull, key, server: &self.server, limit };
        self.renderer.say(say, &input).ok_or_else(|| FlowError::Broken(format!("no reply says {say:?}")))
    }

    /// Characters of a comment.
    pub(super) fn comment_limit(&self, repo: &RepoName) -> usize {
        self.forge(repo).map_or(COMMENT_LIMIT, Forge::comment_limit)
    }

    pub(super) async fn views(&self, runs: Vec<RunId>) -> Views {
        let mut views = Views::new();
        for run in runs {
            if let Some(view) = self.load_view(run).await {
                views.insert(run, view);
            }
        }
        views
    }
}

/// The runs that made a plan.
fn planned<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<RunId> {
    runs.filter(|run| run.made_plan().is_some()).map(|run| run.id).collect()
}
