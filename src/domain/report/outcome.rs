//! What the comment about a finished batch of applies says: what was done, what was not, and what to do next.

use super::ResultInput;
use super::hint::{Hint, command_for, few};
use super::live::{Detail, differs_detail, failure};
use super::standing::{Standing, Tally, seconds};
use crate::domain::command::Verb;
use crate::domain::pull::Phase;
use crate::domain::run::{Applied, Outcome, ResourceOutcome, Run, RunState};
use serde::Serialize;
use std::collections::BTreeMap;

/// Addresses that are named of what was done and of what was not.
const NAMED: usize = 15;

#[derive(Debug, Serialize)]
pub struct ResultView<'a> {
    pub name: &'a str,
    pub merged: bool,
    pub tally: Tally,
    #[serde(skip)]
    pub rows: Vec<OutcomeRow<'a>>,
    pub ordered_by: Option<&'a str>,
    pub approved_by: Vec<&'a str>,
    /// The commit of the base branch that was applied, shortened.
    pub commit: Option<&'a str>,
    pub hints: Vec<Hint>,
    pub banner: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub struct OutcomeRow<'a> {
    pub name: &'a str,
    pub url: String,
    pub standing: Standing,
    pub seconds: Option<i64>,
    /// `2 created, 1 deleted`: terraform's words.
    pub result: String,
    pub done: Named<'a>,
    pub not_done: Named<'a>,
    /// Whether the saved plan ran, or a new one that was equal to it.
    pub used_saved_plan: bool,
    /// A new plan changes nothing.
    pub nothing_left: bool,
    pub fingerprint: Option<String>,
    #[serde(skip)]
    pub detail: Option<Detail<'a>>,
}

#[derive(Debug, Default, Serialize)]
pub struct Named<'a> {
    pub addresses: Vec<&'a str>,
    pub more: usize,
    pub total: usize,
}

#[must_use]
pub fn result<'a>(input: &ResultInput<'a>) -> ResultView<'a> {
    let mut rows: Vec<OutcomeRow<'a>> = input.runs.iter().map(|run| row(input, run)).collect();
    rows.sort_by(|a, b| (a.standing, a.name).cmp(&(b.standing, b.name)));
    let order = input.runs.iter().find_map(Run::apply_order);
    let mut approved_by: Vec<&str> = Vec::new();
    for login in input.runs.iter().filter_map(Run::apply_order).flat_map(|order| &order.approved_by) {
        if !approved_by.contains(&login.as_str()) {
            approved_by.push(login.as_str());
        }
    }
    approved_by.truncate(5);
    ResultView {
        name: &input.server.name,
        merged: matches!(input.pull.phase, Phase::Merged { .. }),
        tally: Tally::of(rows.iter().map(|row| row.standing)),
        ordered_by: order.map(|order| order.ordered_by.as_str()),
        approved_by,
        commit: order.and_then(|order| order.merge_commit.as_ref()).map(|commit| commit.short()),
        hints: hints(input, &rows),
        banner: input.server.level.banner(),
        rows,
    }
}

fn row<'a>(input: &ResultInput<'a>, run: &'a Run) -> OutcomeRow<'a> {
    let (standing, detail) = match run.state {
        RunState::Succeeded => (Standing::Applied, None),
        RunState::Failed => (Standing::ApplyFailed, Some(failure(run))),
        RunState::Differs => (Standing::Differs, differs_detail(run, input.views)),
        RunState::Interrupted => (Standing::Interrupted, Some(Detail::Lost(run.left.as_ref()))),
        RunState::Waiting => (Standing::WaitsForLock, None),
        RunState::Running => (Standing::Applying, None),
        RunState::Queued => (Standing::ApplyQueued, None),
        RunState::Superseded => (Standing::NotPlanned, None),
    };
    let (done, not_done): (&[ResourceOutcome], &[ResourceOutcome]) = match &run.outcome {
        Some(Outcome::Applied(applied)) => (&applied.done, &[]),
        Some(Outcome::Failed(failure)) => (&failure.done, &failure.not_done),
        _ => (&[], &[]),
    };
    let applied: Option<&Applied> = match &run.outcome {
        Some(Outcome::Applied(applied)) => Some(applied),
        _ => None,
    };
    OutcomeRow {
        name: run.project.name.as_str(),
        url: (input.run_url)(run.id),
        standing,
        seconds: seconds(run),
        result: by_action(done),
        done: named(done),
        not_done: named(not_done),
        used_saved_plan: applied.is_some_and(|applied| applied.used_saved_plan),
        nothing_left: applied.is_some_and(|applied| applied.nothing_left),
        fingerprint: applied.map(|applied| applied.fingerprint.short()),
        detail,
    }
}

fn named(outcomes: &[ResourceOutcome]) -> Named<'_> {
    let addresses: Vec<&str> = outcomes.iter().take(NAMED).map(|outcome| outcome.address.as_str()).collect();
    Named { more: outcomes.len() - addresses.len(), total: outcomes.len(), addresses }
}

fn by_action(done: &[ResourceOutcome]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for outcome in done {
        *counts.entry(past(&outcome.action)).or_default() += 1;
    }
    let shown: Vec<String> = counts.iter().map(|(action, n)| format!("{n} {action}")).collect();
    if shown.is_empty() { "no resource changed".into() } else { shown.join(", ") }
}

fn past(action: &str) -> &'static str {
    match action {
        "create" => "created",
        "update" => "changed",
        "delete" => "destroyed",
        "replace" => "replaced",
        "read" => "read",
        "import" => "imported",
        _ => "done",
    }
}

fn hints(input: &ResultInput<'_>, rows: &[OutcomeRow<'_>]) -> Vec<Hint> {
    let merged = matches!(input.pull.phase, Phase::Merged { .. });
    let name = &input.server.name;
    let chosen = |wanted: &[Standing]| -> Vec<&str> {
        rows.iter().filter(|row| wanted.contains(&row.standing)).map(|row| row.name).collect()
    };
    // The batch need not be all of the pull request's projects, so each is named.
    let command = |verb, names: &[&str]| command_for(name, verb, names, usize::MAX);
    let broken = chosen(&[Standing::ApplyFailed, Standing::Interrupted]);
    let mut hints = Vec::new();
    hints.extend(command(Verb::Approve, &chosen(&[Standing::Differs])).map(|command| Hint::Approve { command }));
    hints.extend(command(Verb::Apply, &broken).map(|command| Hint::Retry { command, merged }));
    hints.extend(command(Verb::Unlock, &broken).map(|command| Hint::Unlock { command }));
    few(hints)
}
