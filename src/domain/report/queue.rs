//! What a forge's merge queue is told of a commit that it would merge: success only if the plan of each project at that
//! very commit is the one that was reviewed on the pull request.
//!
//! What goes into the queue together is planned together, while nothing of it is applied yet. So the second of two that
//! change the same project differs from what was reviewed, and has to wait for the first one's apply.

use super::Views;
use super::check::{Annotation, Check, annotations_of};
use super::status::{StatusState, Verdict, apply, count, problem_verdict, status};
use crate::domain::decide::{Astray, Found, Problem, ProjectState, PullState, Queued, QueuedCommit};
use crate::domain::id::{Fingerprint, RunId, Sha};
use crate::domain::plan::{PlanView, differences};
use crate::domain::project::Project;
use crate::domain::run::{Outcome, Run};

/// A project that keeps a commit from being merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault<'a> {
    project: &'a Project,
    amiss: Amiss<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Amiss<'a> {
    /// What has to be there before a plan was not there.
    NotPlanned,
    Failed(&'a Run),
    /// The pull request has shown no plan of it.
    Unreviewed(&'a Run),
    Differs {
        reviewed: RunId,
        trial: &'a Run,
    },
    /// The pull request changes it, and the commit does not.
    Gone {
        reviewed: Option<RunId>,
    },
}

/// How a commit stands.
enum Judged<'a> {
    Problem(&'a Problem),
    Planning {
        done: usize,
        of: usize,
    },
    /// The pull request's own plan is being made anew, and may turn out to be the same.
    OwnPlan,
    Faults(Vec<Fault<'a>>),
    Good {
        projects: usize,
    },
}

/// Why the queue is told no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueRefusal<'a> {
    /// Nothing could be planned.
    Problem(&'a Problem),
    Faults(Vec<Fault<'a>>),
}

/// Each commit in the queue that is told no, and why.
#[must_use]
pub fn queue_refusals(state: &PullState) -> Vec<(&QueuedCommit, QueueRefusal<'_>)> {
    let refused = state.in_queue().filter_map(|queued| {
        let refusal = match judge(state, queued) {
            Judged::Faults(faults) => QueueRefusal::Faults(faults),
            Judged::Problem(problem) => QueueRefusal::Problem(problem),
            Judged::Planning { .. } | Judged::OwnPlan | Judged::Good { .. } => return None,
        };
        Some((&queued.commit, refusal))
    });
    refused.collect()
}

/// A plan and an apply for each commit in the queue.
pub(super) fn queue_checks(state: &PullState, name: &str) -> Vec<Check> {
    let of_commit = |queued| {
        let plan = verdict(&judge(state, queued));
        let apply = match plan.0 {
            StatusState::Success => apply(state, name),
            StatusState::Pending => (StatusState::Pending, "Waits for the plans".to_owned()),
            StatusState::Failure => (StatusState::Failure, "Not merged: see the plan's status".to_owned()),
        };
        let notes = annotations_of(queued.trials.iter().map(|trial| (&trial.project, Some(trial))));
        let check = |context: &str, verdict: Verdict, annotations: Vec<Annotation>| Check {
            status: status(&queued.commit.group.head, &format!("{name}/{context}"), verdict),
            buttons: Vec::new(),
            annotations,
            of_queue: true,
        };
        [check("plan", plan, notes), check("apply", apply, Vec::new())]
    };
    state.in_queue().flat_map(of_commit).collect()
}

/// What a status of a commit says that nobody waits for any more; `None`: it was never in the queue.
#[must_use]
pub fn unqueued(state: &PullState, sha: &Sha) -> Option<Verdict> {
    let known = state.queued.iter().any(|queued| queued.commit.group.head == *sha);
    let merged = state.pull().merge_commit() == Some(sha);
    known.then(|| {
        if merged {
            (StatusState::Success, "Merged before it was planned".to_owned())
        } else {
            (StatusState::Failure, "No longer in the merge queue".to_owned())
        }
    })
}

fn judge<'a>(state: &'a PullState, queued: &'a Queued) -> Judged<'a> {
    let affected = match &queued.commit.found {
        Some(Found::Affected(affected)) => affected,
        Some(Found::Problem(problem)) => return Judged::Problem(problem),
        None => return Judged::Good { projects: 0 },
    };
    let of = affected.projects.len();
    let is_open = |project: &&Project| queued.trial(&project.key).is_some_and(|trial| !trial.state.is_over());
    let open = affected.projects.iter().map(|entry| &entry.project).filter(is_open).count();
    if open > 0 {
        return Judged::Planning { done: of - open, of };
    }
    let mut faults = Vec::new();
    for entry in &affected.projects {
        let known = state.projects.iter().find(|known| known.project.key == entry.project.key);
        let amiss = amiss(state, known, queued.trial(&entry.project.key));
        faults.extend(amiss.map(|amiss| (Fault { project: &entry.project, amiss }, known)));
    }
    let concerned = |known: &ProjectState| affected.projects.iter().any(|entry| entry.project.key == known.project.key);
    for known in state.projects.iter().filter(|known| known.target.is_some() && !concerned(known)) {
        if !known.is_settled() {
            let reviewed = reviewed(state, known).map(|(run, _)| run);
            faults.push((Fault { project: &known.project, amiss: Amiss::Gone { reviewed } }, Some(known)));
        }
    }
    if faults.is_empty() {
        return Judged::Good { projects: of };
    }
    let is_planned_anew = |known: &ProjectState| known.plan.as_ref().is_some_and(|plan| !plan.state.is_over());
    if faults.iter().any(|(_, known)| known.is_some_and(is_planned_anew)) {
        return Judged::OwnPlan;
    }
    Judged::Faults(faults.into_iter().map(|(fault, _)| fault).collect())
}

/// The plan of the present head that people saw last.
fn reviewed<'a>(state: &PullState, known: &'a ProjectState) -> Option<(RunId, &'a Fingerprint)> {
    let shown = known.shown.iter().rfind(|shown| shown.head == state.pull().head)?;
    Some((shown.run, &shown.fingerprint))
}

/// What is wrong with a project of the commit; `None`: nothing.
fn amiss<'a>(state: &PullState, known: Option<&ProjectState>, trial: Option<&'a Run>) -> Option<Amiss<'a>> {
    let Some(trial) = trial else { return Some(Amiss::NotPlanned) };
    let Some(planned) = trial.planned() else { return Some(Amiss::Failed(trial)) };
    // Applied before the merge, so that nothing is left.
    if trial.plans_nothing() && known.is_some_and(ProjectState::is_applied) {
        return None;
    }
    match known.and_then(|known| reviewed(state, known)) {
        None => Some(Amiss::Unreviewed(trial)),
        Some((_, fingerprint)) if *fingerprint == planned.fingerprint => None,
        Some((reviewed, _)) => Some(Amiss::Differs { reviewed, trial }),
    }
}

fn verdict(judged: &Judged<'_>) -> Verdict {
    use StatusState::{Failure, Pending, Success};
    match judged {
        Judged::Problem(problem) => problem_verdict(problem),
        Judged::Planning { done, of } => {
            (Pending, format!("Planning for the merge queue: {done} of {} done", count(*of, "project")))
        }
        Judged::OwnPlan => (Pending, "Waits for the pull request's own plan".to_owned()),
        Judged::Good { projects: 0 } => (Success, "No project is concerned".to_owned()),
        Judged::Good { projects } => (Success, format!("{}: as reviewed", count(*projects, "project"))),
        Judged::Faults(faults) => {
            let more = faults.len().saturating_sub(1);
            let more = if more > 0 { format!("{more} more, and ") } else { String::new() };
            let first = faults.first().map(|fault| format!("`{}` {}", fault.project.name, fault.amiss.briefly()));
            (Failure, format!("{more}{}", first.unwrap_or_default()))
        }
    }
}

impl Amiss<'_> {
    /// The end of a sentence that begins with the project.
    const fn briefly(&self) -> &'static str {
        match self {
            Self::NotPlanned => "may not be planned yet",
            Self::Failed(_) => "could not be planned",
            Self::Unreviewed(_) => "has a plan that nobody has reviewed",
            Self::Differs { .. } => "has another plan than the reviewed one",
            Self::Gone { .. } => "would no longer be changed",
        }
    }
}

impl Fault<'_> {
    /// Those whose plans are compared.
    pub fn runs(&self) -> impl Iterator<Item = RunId> + use<> {
        let (reviewed, trial) = match &self.amiss {
            Amiss::NotPlanned | Amiss::Failed(_) => (None, None),
            Amiss::Unreviewed(trial) => (None, Some(trial.id)),
            Amiss::Differs { reviewed, trial } => (Some(*reviewed), Some(trial.id)),
            Amiss::Gone { reviewed } => (*reviewed, None),
        };
        reviewed.into_iter().chain(trial)
    }

    /// As people are told of it.
    #[must_use]
    pub fn astray(&self, views: &Views, run_url: &dyn Fn(RunId) -> String) -> Astray {
        let nothing = PlanView::default();
        let compared = |reviewed: Option<RunId>, new: Option<RunId>| {
            let view = |run: Option<RunId>| run.map_or(Some(&nothing), |run| views.get(&run));
            Some(differences(view(reviewed)?, view(new)?))
        };
        let (why, trial, differences) = match &self.amiss {
            Amiss::NotPlanned => ("what the rules ask for before a plan is not there".to_owned(), None, None),
            Amiss::Failed(trial) => (failure(trial), Some(trial.id), None),
            Amiss::Unreviewed(trial) => {
                let differences = compared(None, Some(trial.id));
                ("the live comment has shown no plan of it".to_owned(), Some(trial.id), differences)
            }
            Amiss::Differs { reviewed, trial } => {
                let differences = compared(Some(*reviewed), Some(trial.id));
                ("compared with the reviewed plan".to_owned(), Some(trial.id), differences)
            }
            Amiss::Gone { reviewed } => {
                let differences = reviewed.and_then(|reviewed| compared(Some(reviewed), None));
                ("this commit would change nothing of it".to_owned(), None, differences)
            }
        };
        Astray { project: self.project.name.clone(), why, url: trial.map(run_url), differences }
    }
}

fn failure(trial: &Run) -> String {
    match &trial.outcome {
        Some(Outcome::Failed(failure)) => format!("it could not be planned: {}", failure.message),
        _ => "it could not be planned".to_owned(),
    }
}

#[cfg(test)]
mod tests;
