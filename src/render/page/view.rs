//! The words of a run's page: what each fact is called and how it reads.

use super::RunFacts;
use crate::domain::id::{Login, Timestamp};
use crate::domain::plan::PlanSummary;
use crate::domain::run::{Applied, Failure, Left, LeftLock, Outcome, Planned, ResourceOutcome, Run, RunState};
use crate::domain::sandbox::{Level, Network};
use serde::Serialize;

/// Addresses in one list of the page; the log has them all.
const LISTED: usize = 200;

#[derive(Debug, Serialize)]
pub(super) struct RunView {
    title: String,
    kind: &'static str,
    project: String,
    state: &'static str,
    state_words: &'static str,
    /// The page looks again by itself until then.
    over: bool,
    banner: Option<&'static str>,
    /// What people must know first: why it failed, or why it stopped.
    message: Option<String>,
    facts: Vec<Fact>,
    lists: Vec<List>,
    has_log: bool,
    log_left_out: Option<String>,
}

#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    href: Option<String>,
    /// Ids and the like.
    code: bool,
}

#[derive(Debug, Serialize)]
struct List {
    name: &'static str,
    /// Something is or will be gone.
    alarming: bool,
    items: Vec<String>,
    more: usize,
}

impl RunView {
    pub(super) fn of(facts: &RunFacts<'_>) -> Self {
        let run = facts.run;
        let kind = run.work.kind();
        let project = run.project.name.to_string();
        Self {
            title: format!("{kind} of {project}"),
            kind,
            project,
            state: run.state.as_str(),
            state_words: state_words(run.state),
            over: run.state.is_over(),
            banner: run.level.and_then(Level::banner),
            message: message(run),
            facts: rows(facts),
            lists: lists(run),
            has_log: facts.log_bytes > 0,
            log_left_out: (facts.log_left_out > 0).then(|| size(facts.log_left_out)),
        }
    }
}

const fn state_words(state: RunState) -> &'static str {
    match state {
        RunState::Queued => "queued",
        RunState::Waiting => "waits for another pull request to let go of the project",
        RunState::Running => "running",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Differs => "stopped: the new plan is not the reviewed one; nothing was changed",
        RunState::Superseded => "superseded: a newer push or the end of the pull request made it pointless",
        RunState::Interrupted => "interrupted: it lost its server, and nobody knows how far it came",
    }
}

fn message(run: &Run) -> Option<String> {
    match run.outcome.as_ref()? {
        Outcome::Failed(failure) => {
            let changed = match (run.is_apply(), failure.changed_something) {
                (false, _) => "",
                (true, true) => " Some changes were made before it failed.",
                (true, false) => " Nothing was changed.",
            };
            Some(format!("{}: {}{changed}", failure.step.as_str(), failure.message))
        }
        Outcome::Differs(differs) => Some(differs.because.clone()),
        Outcome::Planned(_) | Outcome::Applied(_) => None,
    }
}

fn rows(facts: &RunFacts<'_>) -> Vec<Fact> {
    let run = facts.run;
    let mut rows = Vec::new();
    rows.push(Fact::plain("Project", run.project.name.to_string()));
    if run.project.key.to_string() != run.project.name.as_str() {
        rows.push(Fact::code("Directory", run.project.key.to_string()));
    }
    rows.push(pull(facts));
    // What a merge queue would merge is no head of the pull request.
    let head = if run.is_trial() { "Merge queue's commit" } else { "Head" };
    rows.push(Fact::code(head, run.target.head.to_string()));
    let base = facts.pull.map_or_else(String::new, |pull| format!(" ({})", pull.base_branch));
    rows.push(Fact::code("Base", format!("{}{base}", run.target.base)));
    if let Some(order) = run.apply_order() {
        rows.extend(order.merge_commit.as_ref().map(|commit| Fact::code("Merge commit", commit.to_string())));
        rows.push(Fact::plain("Ordered by", order.ordered_by.to_string()));
        if !order.approved_by.is_empty() {
            let approvers: Vec<&str> = order.approved_by.iter().map(Login::as_str).collect();
            rows.push(Fact::plain("Approved by", approvers.join(", ")));
        }
    }
    rows.extend(times(run, facts.now));
    if let Some(terraform) = terraform(facts) {
        rows.push(Fact::plain("Terraform", terraform.to_owned()));
    }
    let network = if run.network == Some(Network::Host) { ", with the network of the host" } else { "" };
    rows.extend(run.level.map(|level| Fact::plain("Sandbox", format!("{level}{network}"))));
    rows.extend(result(run));
    rows.extend(run.left.as_ref().map(|left| Fact::plain("State", left_state(left))));
    rows.extend(facts.not_told.iter().map(|why| Fact::plain("Not shown on the pull request", why.clone())));
    rows.push(Fact::code("Run", run.id.to_string()));
    rows
}

fn pull(facts: &RunFacts<'_>) -> Fact {
    let id = facts.run.pull.to_string();
    let Some(pull) = facts.pull else { return Fact::plain("Pull request", id) };
    // The address comes from the forge's payload: only a web address becomes a link.
    let is_web = ["https://", "http://"].iter().any(|scheme| pull.html_url.starts_with(scheme));
    Fact {
        name: "Pull request",
        value: format!("{id} {}", pull.title),
        href: is_web.then(|| pull.html_url.clone()),
        code: false,
    }
}

fn times(run: &Run, now: Timestamp) -> Vec<Fact> {
    let mut rows = vec![Fact::plain("Created", moment(run.created_at))];
    rows.extend(run.started_at.map(|at| Fact::plain("Started", moment(at))));
    rows.extend(run.finished_at.map(|at| Fact::plain("Finished", moment(at))));
    match (run.started_at, run.finished_at) {
        (Some(started), Some(finished)) => rows.push(Fact::plain("Took", duration(finished.since(started)))),
        (Some(started), None) if !run.state.is_over() => {
            rows.push(Fact::plain("Running for", duration(now.since(started))));
        }
        _ => {}
    }
    rows
}

/// The version that ran, as far as the record tells: a saved plan only ever runs with the version that made it.
fn terraform<'a>(facts: &RunFacts<'a>) -> Option<&'a str> {
    let planned = match facts.run.outcome.as_ref()? {
        Outcome::Planned(planned) => planned,
        Outcome::Differs(differs) => &differs.planned,
        Outcome::Applied(applied) if applied.used_saved_plan => facts.reviewed?.planned()?,
        Outcome::Applied(_) | Outcome::Failed(_) => return None,
    };
    Some(&planned.identity.terraform)
}

fn result(run: &Run) -> Vec<Fact> {
    match &run.outcome {
        Some(Outcome::Planned(planned)) => plan_rows("Plan", planned),
        Some(Outcome::Differs(differs)) => plan_rows("New plan", &differs.planned),
        Some(Outcome::Applied(applied)) => applied_rows(applied),
        Some(Outcome::Failed(_)) | None => Vec::new(),
    }
}

/// What a lost apply has left.
fn left_state(left: &Left) -> String {
    let serial = |serial: Option<u64>| serial.map_or_else(|| "unknown".to_owned(), |serial| serial.to_string());
    let lock = match &left.lock {
        LeftLock::Free => "not locked".to_owned(),
        LeftLock::Held(id) => format!("still locked ({id})"),
        LeftLock::Unknown => "whether it is locked is not known".to_owned(),
    };
    format!("serial {} before, {} afterwards; {lock}", serial(left.before), serial(left.after))
}

fn plan_rows(name: &'static str, planned: &Planned) -> Vec<Fact> {
    vec![Fact::plain(name, counts(&planned.summary)), Fact::code("Fingerprint", planned.fingerprint.short())]
}

fn applied_rows(applied: &Applied) -> Vec<Fact> {
    let how = if applied.used_saved_plan {
        "the reviewed plan itself"
    } else {
        "a new plan that changes the same things as the reviewed one"
    };
    let changes = match applied.done.len() {
        0 => "no resources changed".to_owned(),
        1 => "1 resource changed".to_owned(),
        n => format!("{n} resources changed"),
    };
    vec![Fact::plain("Applied", format!("{how}; {changes}")), Fact::code("Fingerprint", applied.fingerprint.short())]
}

/// "1 to destroy, 2 to replace, 3 to add": what can't be undone first.
fn counts(summary: &PlanSummary) -> String {
    let counted = [
        (summary.destroy, "to destroy"),
        (summary.replace, "to replace"),
        (summary.change, "to change"),
        (summary.add, "to add"),
        (summary.import, "to import"),
        (summary.moved, "moved"),
        (summary.forget, "to forget"),
        (summary.outputs, if summary.outputs == 1 { "output changes" } else { "outputs change" }),
    ];
    let parts: Vec<String> =
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if parts.is_empty() { "no changes".to_owned() } else { parts.join(", ") }
}

fn lists(run: &Run) -> Vec<List> {
    let lists = match &run.outcome {
        Some(Outcome::Planned(planned)) => vec![destroyed(planned)],
        Some(Outcome::Differs(differs)) => vec![destroyed(&differs.planned)],
        Some(Outcome::Applied(applied)) => vec![List::of("Done", false, resources(&applied.done))],
        Some(Outcome::Failed(Failure { done, not_done, .. })) => {
            vec![
                List::of("Done before it failed", true, resources(done)),
                List::of("Not done", true, resources(not_done)),
            ]
        }
        None => Vec::new(),
    };
    let blocked = List::of("Blocked", false, run.blocked.iter().map(ToString::to_string).collect());
    lists.into_iter().chain([blocked]).filter(|list| !list.items.is_empty()).collect()
}

fn destroyed(planned: &Planned) -> List {
    let mut list = List::of("Destroys or replaces", true, planned.summary.destroyed.clone());
    // The summary itself names only the first ones.
    let all = planned.summary.destroy + planned.summary.replace;
    list.more = all.saturating_sub(list.items.len());
    list
}

fn resources(outcomes: &[ResourceOutcome]) -> Vec<String> {
    outcomes.iter().map(|resource| format!("{} ({})", resource.address, resource.action)).collect()
}

impl Fact {
    const fn plain(name: &'static str, value: String) -> Self {
        Self { name, value, href: None, code: false }
    }

    const fn code(name: &'static str, value: String) -> Self {
        Self { name, value, href: None, code: true }
    }
}

impl List {
    fn of(name: &'static str, alarming: bool, mut items: Vec<String>) -> Self {
        let more = items.len().saturating_sub(LISTED);
        items.truncate(LISTED);
        Self { name, alarming, items, more }
    }
}

/// `2026-11-24 01:53:07 UTC`. Without scripts a page doesn't know its reader's time zone.
fn moment(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| format!("{} ms since 1970", at.0), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// `4 s`, `3 min 5 s`, `2 h 10 min`.
fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes >= MIB { format!("{} MiB", bytes.div_ceil(MIB)) } else { format!("{} KiB", bytes.div_ceil(1024)) }
}
