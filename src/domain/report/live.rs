//! What the live comment says: the present state of one pull request, riskiest first.

use super::danger::{Danger, danger};
use super::group::{Member, grouped};
use super::hint::{Hint, hints};
use super::notice::{Notice, notices};
use super::standing::{Counts, Standing, Tally, current_apply, differs, seconds};
use super::{LiveInput, Server, Views};
use crate::domain::decide::{Hold, Problem, ProjectState, PullState, hold};
use crate::domain::egress::Refusal;
use crate::domain::id::{Fingerprint, Login, ProjectKey, PullId, RepoName, RunId, Timestamp};
use crate::domain::plan::{Difference, PlanSummary, PlanView, differences};
use crate::domain::project::StateKind;
use crate::domain::pull::Phase;
use crate::domain::run::{Failure, Left, Outcome, Planned, Run};
use crate::domain::sandbox::Network;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// How long the first project may take before the comment appears without it. Milliseconds.
const PATIENCE: i64 = 5000;

/// How long the comment may show an older plan after a newer one was begun. Milliseconds.
const PATIENCE_POSTED: i64 = 1000;

#[derive(Debug, Serialize)]
pub struct LiveView<'a> {
    pub name: &'a str,
    pub phase: PhaseWord,
    /// The merge commit, shortened.
    pub merge_commit: Option<&'a str>,
    pub problem: Option<&'a Problem>,
    pub tally: Tally,
    /// The sum of all plans that are shown.
    pub totals: Option<String>,
    pub danger: Option<Danger<'a>>,
    /// Riskiest first; those without changes at the end.
    #[serde(skip)]
    pub rows: Vec<Row<'a>>,
    pub hints: Vec<Hint>,
    /// What people should know before they act: freezes, other pull requests that change the same, changed rules.
    pub notices: Vec<Notice>,
    pub footer: Footer<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseWord {
    Open,
    Closed,
    Merged,
}

#[derive(Debug, Serialize)]
pub struct Row<'a> {
    pub name: &'a str,
    /// The page of the run that the row is about.
    pub url: Option<String>,
    pub standing: Standing,
    pub counts: Option<Counts>,
    pub seconds: Option<i64>,
    /// Why the pull request concerns the project.
    pub reason: &'a str,
    /// What its rules ask for before it is planned, where that is what it waits for.
    pub needs: Vec<String>,
    /// What it waits for, if that is no other pull request.
    pub waits_for: Option<String>,
    /// Who holds the project, and this pull request's place among those that wait.
    pub held_by: Option<String>,
    pub position: Option<usize>,
    /// Planned, and never applied.
    pub nowhere: bool,
    /// Kinds of what would be lost: `database`.
    pub stateful: Vec<&'a str>,
    /// All projects with the very same plan, this one first; empty where it is the only one.
    pub same: Vec<Member<'a>>,
    /// What their names have in common, as a glob: `prod/app-*`.
    pub pattern: String,
    /// Who approved another plan of it than the one that is shown.
    pub approved_other: Option<&'a str>,
    #[serde(skip)]
    pub detail: Option<Detail<'a>>,
}

/// What stands below a row, if there is room.
#[derive(Debug)]
pub enum Detail<'a> {
    Failure {
        failure: &'a Failure,
        /// What the run was not let reach.
        blocked: &'a [Refusal],
    },
    /// A run that ended without saying anything, and what was found in its place.
    Lost(Option<&'a Left>),
    Plan {
        summary: &'a PlanSummary,
        view: Option<&'a PlanView>,
        since: Option<Since<'a>>,
    },
    Differs {
        because: &'a str,
        /// What the reviewed and the new plan don't treat alike; `None` when nothing had been reviewed, or one of the
        /// plans is no longer there.
        differences: Option<Vec<Difference>>,
        /// The new plan, for when there is nothing to compare it with.
        view: Option<&'a PlanView>,
        summary: &'a PlanSummary,
        /// The new plan's, shortened: what `approve` accepts.
        fingerprint: String,
    },
}

/// What is shown is no longer what somebody approved.
#[derive(Debug)]
pub struct Since<'a> {
    pub approved_by: &'a Login,
    /// The approved plan's, shortened.
    pub fingerprint: String,
    /// What the two plans don't treat alike; `None`: the approved one is no longer there.
    pub differences: Option<Vec<Difference>>,
}

#[derive(Debug, Serialize)]
pub struct Footer<'a> {
    pub head: &'a str,
    pub base: &'a str,
    pub base_branch: &'a str,
    /// `terraform 1.11.4`; several when projects differ in it.
    pub tools: Vec<&'a str>,
    /// The short fingerprint when there is one plan.
    pub fingerprint: Option<String>,
    pub level: &'a str,
    /// A run that is shown had the network of the server's host.
    pub host_network: bool,
    /// Put into people's way where the level is nothing to rely on.
    pub banner: Option<&'a str>,
}

/// When the live comment should say what is now; a moment in the past: at once; `None`: there is nothing to show.
///
/// A comment that is there (`posted`) is always kept up to date: it must not go on showing what an older head planned.
/// Only for news that a plan is under way it waits a moment, for most plans are over soon.
#[must_use]
pub fn live_due(state: &PullState, posted: bool) -> Option<Timestamp> {
    const AT_ONCE: Timestamp = Timestamp(0);
    match &state.record.problem {
        // A comment of its own says it, once.
        Some(Problem::Fork) => return None,
        Some(_) => return Some(AT_ONCE),
        None => {}
    }
    let plans = || state.projects.iter().filter_map(|project| project.plan.as_ref());
    let applies = state.projects.iter().any(|project| project.apply.is_some());
    let waits = |project: &ProjectState| Standing::of(state, project) == Standing::WaitsToPlan;
    if applies || state.projects.iter().any(waits) || plans().any(|plan| plan.state.is_over()) {
        return Some(AT_ONCE);
    }
    let patience = if posted { PATIENCE_POSTED } else { PATIENCE };
    let nothing_comes = posted.then_some(AT_ONCE);
    plans().map(|plan| plan.created_at.plus_ms(patience)).min().or(nothing_comes)
}

#[must_use]
pub fn live<'a>(input: &LiveInput<'a>) -> LiveView<'a> {
    let state = input.state;
    let pull = state.pull();
    let mut rows: Vec<Row<'a>> = state.projects.iter().map(|project| row(input, project)).collect();
    // Stable: where the risk is the same, the order of the configuration stays.
    rows.sort_by_key(|row| (row.standing, Reverse(row.risk())));
    let tally = Tally::of(rows.iter().map(|row| row.standing));
    let summaries = || rows.iter().filter_map(|row| row.detail.as_ref().and_then(Detail::summary));
    LiveView {
        name: &input.server.name,
        phase: match pull.phase {
            Phase::Open => PhaseWord::Open,
            Phase::Closed => PhaseWord::Closed,
            Phase::Merged { .. } => PhaseWord::Merged,
        },
        merge_commit: pull.merge_commit().map(|commit| commit.short()),
        problem: state.record.problem.as_ref(),
        tally,
        totals: Tally::counts(summaries()).map(|counts| counts.to_string()),
        danger: danger(&rows),
        hints: hints(state, &input.server.name),
        notices: notices(input),
        footer: footer(state, input.server),
        rows: grouped(rows),
    }
}

impl Row<'_> {
    /// How much would be lost: what holds data counts before everything else.
    fn risk(&self) -> (usize, usize) {
        let summary = self.detail.as_ref().and_then(Detail::summary);
        summary.map_or((0, 0), |summary| (summary.stateful.len(), summary.destroy + summary.replace))
    }
}

impl<'a> Detail<'a> {
    pub(super) const fn summary(&self) -> Option<&'a PlanSummary> {
        match self {
            Self::Plan { summary, .. } | Self::Differs { summary, .. } => Some(summary),
            Self::Failure { .. } | Self::Lost(_) => None,
        }
    }

    const fn since(&self) -> Option<&Since<'a>> {
        match self {
            Self::Plan { since, .. } => since.as_ref(),
            _ => None,
        }
    }
}

fn row<'a>(input: &LiveInput<'a>, project: &'a ProjectState) -> Row<'a> {
    let state = input.state;
    let standing = Standing::of(state, project);
    let apply = current_apply(state, project);
    let shown = apply.or(project.plan.as_ref());
    let detail = detail(standing, project, apply, input.views);
    let waits = standing == Standing::WaitsForLock;
    let hold = apply.filter(|_| waits).and_then(|apply| hold(state, &apply.project, input.now));
    let held = project.lock.as_ref().filter(|lock| waits && lock.held_by != state.pull().id);
    Row {
        name: project.project.name.as_str(),
        url: shown.map(|run| (input.run_url)(run.id)),
        standing,
        counts: detail.as_ref().and_then(Detail::summary).map(Counts::of),
        seconds: shown.and_then(seconds),
        reason: &project.project.reason,
        needs: match standing {
            Standing::WaitsToPlan => project.project.require_plan.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        },
        waits_for: match hold.as_ref() {
            Some(Hold::After(first)) => Some(format!("after {first}")),
            Some(Hold::Frozen(_)) => Some("frozen".to_owned()),
            Some(Hold::Lock(_)) | None => None,
        },
        held_by: held.map(|lock| pull_text(&lock.held_by, &state.pull().id.repo)),
        position: held.map(|_| project.queue_position),
        nowhere: project.project.state == StateKind::Nowhere && standing.waits_to_be_applied(),
        stateful: detail.as_ref().and_then(Detail::summary).map(kinds).unwrap_or_default(),
        same: Vec::new(),
        pattern: String::new(),
        approved_other: detail.as_ref().and_then(Detail::since).map(|since| since.approved_by.as_str()),
        detail,
    }
}

fn kinds(summary: &PlanSummary) -> Vec<&str> {
    let kinds: BTreeSet<&str> = summary.stateful.iter().map(|stateful| stateful.what.as_str()).collect();
    kinds.into_iter().collect()
}

fn detail<'a>(
    standing: Standing,
    project: &'a ProjectState,
    apply: Option<&'a Run>,
    views: &'a Views,
) -> Option<Detail<'a>> {
    let plan = project.plan.as_ref();
    match standing {
        Standing::ApplyFailed => Some(failure(apply?)),
        Standing::Interrupted => Some(Detail::Lost(apply.and_then(|apply| apply.left.as_ref()))),
        Standing::PlanFailed => Some(failure(plan?)),
        Standing::Differs => differs_detail(apply?, views),
        Standing::WaitsToPlan | Standing::Planning | Standing::PlanQueued | Standing::NotPlanned => None,
        _ => {
            let plan = plan?;
            let planned = plan.planned()?;
            let view = views.get(&plan.id);
            // What an apply has to do with approvals, its own detail says.
            let since = if apply.is_none() { since_approved(project, view, views) } else { None };
            Some(Detail::Plan { summary: &planned.summary, view, since })
        }
    }
}

fn since_approved<'a>(project: &'a ProjectState, view: Option<&PlanView>, views: &Views) -> Option<Since<'a>> {
    let (approved, approved_by) = project.approved_another()?;
    let differences = views.get(&approved.run).zip(view).map(|(approved, now)| differences(approved, now));
    Some(Since { approved_by, fingerprint: approved.fingerprint.short(), differences })
}

pub(super) fn failure(run: &Run) -> Detail<'_> {
    match &run.outcome {
        Some(Outcome::Failed(failure)) => Detail::Failure { failure, blocked: &run.blocked },
        _ => Detail::Lost(run.left.as_ref()),
    }
}

pub(super) fn differs_detail<'a>(apply: &'a Run, views: &'a Views) -> Option<Detail<'a>> {
    let found = differs(apply)?;
    let view = views.get(&apply.id);
    let reviewed: Option<RunId> = apply.apply_order().and_then(|order| order.plan);
    let differences = match (reviewed.and_then(|id| views.get(&id)), view) {
        (Some(reviewed), Some(new)) => Some(differences(reviewed, new)),
        _ => None,
    };
    let planned = &found.planned;
    let fingerprint = planned.fingerprint.short();
    Some(Detail::Differs { because: &found.because, differences, view, summary: &planned.summary, fingerprint })
}

/// `#12` in the same repository, else with the repository.
#[must_use]
pub fn pull_text(pull: &PullId, here: &RepoName) -> String {
    if pull.repo == *here { format!("#{}", pull.number) } else { pull.to_string() }
}

fn footer<'a>(state: &'a PullState, server: &'a Server) -> Footer<'a> {
    let pull = state.pull();
    let (head, base) = match &state.record.affected {
        Some(affected) => (&affected.head, &affected.base),
        None => (&pull.head, &pull.base),
    };
    let planned: Vec<_> = state.projects.iter().filter_map(|project| shown_plan(state, project)).collect();
    let tools: BTreeSet<&str> = planned.iter().map(|planned| planned.identity.terraform.as_str()).collect();
    Footer {
        head: head.short(),
        base: base.short(),
        base_branch: pull.base_branch.as_str(),
        tools: tools.into_iter().take(4).collect(),
        fingerprint: match planned.as_slice() {
            [one] if state.projects.len() == 1 => Some(one.fingerprint.short()),
            _ => None,
        },
        level: server.level.as_str(),
        host_network: state
            .projects
            .iter()
            .flat_map(|project| [&project.plan, &project.apply])
            .flatten()
            .any(|run| run.network == Some(Network::Host)),
        banner: server.level.banner(),
    }
}

/// Every plan that the comment shows, with the run that made it.
#[must_use]
pub fn shown_plans(state: &PullState) -> Vec<(ProjectKey, RunId, Fingerprint)> {
    let shown = |project: &ProjectState| {
        let apply = current_apply(state, project).filter(|apply| differs(apply).is_some());
        let run = apply.or(project.plan.as_ref())?;
        let planned = run.made_plan()?;
        Some((project.project.key.clone(), run.id, planned.fingerprint.clone()))
    };
    state.projects.iter().filter_map(shown).collect()
}

/// Stands for the head and the plans that are shown, so that a button is bound to what stood beside it: 12 characters.
#[must_use]
pub fn mark(state: &PullState) -> String {
    let mut hash = Sha256::new();
    hash.update(state.pull().head.as_str());
    for (project, run, _) in shown_plans(state) {
        hash.update(format!("\n{project} {run}"));
    }
    hex::encode(&hash.finalize()[..6])
}

/// The plan that the comment is about: the new one where it differs from the reviewed one.
fn shown_plan<'a>(state: &PullState, project: &'a ProjectState) -> Option<&'a Planned> {
    match current_apply(state, project).and_then(differs) {
        Some(differs) => Some(&differs.planned),
        None => project.plan.as_ref()?.planned(),
    }
}

#[cfg(test)]
mod tests;
