//! What people should know before they act: freezes, other pull requests that change the same, changed rules.

use super::LiveInput;
use super::live::pull_text;
use crate::domain::decide::{ProjectState, PullState};
use crate::domain::freeze::{changes_at, frozen};
use crate::domain::id::Timestamp;
use crate::domain::project::Project;
use crate::domain::pull::Phase;
use crate::domain::run::RunState;
use serde::Serialize;

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// Nothing of this would be applied as the rules are.
    HeldBack {
        why: String,
    },
    Frozen {
        projects: Vec<String>,
        why: String,
    },
    Overlap {
        pull: String,
        project: String,
        addresses: Vec<String>,
        more: usize,
    },
    /// Merging changes the rules.
    Rules {
        changes: Vec<String>,
        more: usize,
    },
    /// Planned with arguments that a comment gave.
    Arguments {
        project: String,
        arguments: String,
    },
}

/// Addresses, projects and lesser changes of rules that are named.
const NOTICED: usize = 10;

pub(super) fn notices(input: &LiveInput<'_>) -> Vec<Notice> {
    let state = input.state;
    let mut notices = Vec::new();
    if shows_none(state) {
        return notices;
    }
    let affected = state.record.affected.as_ref();
    if let Some(why) = affected.and_then(|affected| affected.held_back.clone()) {
        notices.push(Notice::HeldBack { why });
    }
    let mut frozen_alike: Vec<(String, Vec<String>)> = Vec::new();
    for project in state.projects.iter().filter(|project| !project.is_settled()) {
        let Some(why) = frozen(rules_of(project), &state.around.freezes, input.now) else { continue };
        let (why, name) = (why.to_string(), project.project.name.to_string());
        match frozen_alike.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => frozen_alike.push((why, vec![name])),
        }
    }
    let all = state.projects.len();
    notices.extend(frozen_alike.into_iter().map(|(why, projects)| Notice::Frozen {
        projects: if projects.len() == all { Vec::new() } else { projects.into_iter().take(NOTICED).collect() },
        why,
    }));
    for project in &state.projects {
        let extra = project.plan.as_ref().map(|plan| plan.extra.join(" ")).filter(|extra| !extra.is_empty());
        let name = project.project.name.to_string();
        notices.extend(extra.map(|arguments| Notice::Arguments { project: name, arguments }));
    }
    if !state.pull().is_open() {
        return notices;
    }
    notices.extend(state.around.overlaps.iter().take(NOTICED).map(|overlap| Notice::Overlap {
        pull: pull_text(&overlap.pull, &state.pull().id.repo),
        project: overlap.project.to_string(),
        addresses: overlap.addresses.iter().take(NOTICED).cloned().collect(),
        more: overlap.addresses.len().saturating_sub(NOTICED),
    }));
    if let Some(affected) = affected {
        // Nothing may push what people gain out of sight.
        let shown = affected.grants.iter().chain(affected.config_changes.iter().take(NOTICED));
        let changes: Vec<String> = shown.cloned().collect();
        let more = affected.config_changes.len().saturating_sub(NOTICED);
        if !changes.is_empty() {
            notices.push(Notice::Rules { changes, more });
        }
    }
    notices
}

/// When a notice comes or goes without anything having happened.
#[must_use]
pub fn notices_change_at(state: &PullState, now: Timestamp) -> Option<Timestamp> {
    let told = state.projects.iter().filter(|project| !shows_none(state) && !project.is_settled());
    told.filter_map(|project| changes_at(rules_of(project), &state.around.freezes, now)).min()
}

fn shows_none(state: &PullState) -> bool {
    state.record.problem.is_some() || matches!(state.pull().phase, Phase::Closed)
}

/// Of what waits, by the rules that it has met last.
fn rules_of(project: &ProjectState) -> &Project {
    let apply = project.apply.as_ref().filter(|apply| apply.state == RunState::Waiting);
    apply.map_or(&project.project, |apply| &apply.project)
}
