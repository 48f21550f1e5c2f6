//! What will be gone: destroyed or replaced, named before everything else.

use super::live::Row;
use super::standing::Standing;
use crate::domain::plan::{PlanSummary, Stateful};
use serde::Serialize;

/// Addresses of destroyed and replaced resources that are named above everything else.
const DANGER_NAMED: usize = 15;

/// What will be gone: named above the fold, whatever else must be left out.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Danger<'a> {
    pub projects: usize,
    pub destroy: usize,
    pub replace: usize,
    /// How many of them hold data, as far as the store knows.
    pub stateful: usize,
    /// Those that hold data first.
    pub named: Vec<DangerAddress<'a>>,
    /// How many more there are.
    pub more: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct DangerAddress<'a> {
    pub project: &'a str,
    pub address: &'a str,
    /// What people would miss, where the resource holds it: `database`.
    pub what: Option<&'a str>,
}

/// Only what is still to come: what has been applied is no warning any more.
pub(super) fn danger<'a>(rows: &[Row<'a>]) -> Option<Danger<'a>> {
    let ahead = rows.iter().filter(|row| row.standing != Standing::Applied);
    let dangerous: Vec<(&str, &PlanSummary)> = ahead
        .filter_map(|row| Some((row.name, row.detail.as_ref()?.summary()?)))
        .filter(|(_, summary)| summary.destroy + summary.replace > 0)
        .collect();
    let sum = |count: fn(&PlanSummary) -> usize| dangerous.iter().map(|(_, summary)| count(summary)).sum::<usize>();
    let (destroy, replace) = (sum(|summary| summary.destroy), sum(|summary| summary.replace));
    let stateful = dangerous.iter().flat_map(|(project, summary)| {
        let named = |stateful: &'a Stateful| (stateful.address.as_str(), Some(stateful.what.as_str()));
        summary.stateful.iter().map(named).map(|(address, what)| DangerAddress { project, address, what })
    });
    let others = dangerous.iter().flat_map(|(project, summary)| {
        let holds = |address: &&String| !summary.stateful.iter().any(|stateful| stateful.address == **address);
        let plain = summary.destroyed.iter().filter(holds);
        plain.map(|address| DangerAddress { project, address: address.as_str(), what: None })
    });
    let holding = stateful.clone().count();
    let named: Vec<_> = stateful.chain(others).take(DANGER_NAMED).collect();
    let more = (destroy + replace).saturating_sub(named.len());
    let projects = dangerous.len();
    (destroy + replace > 0).then_some(Danger { projects, destroy, replace, stateful: holding, named, more })
}
