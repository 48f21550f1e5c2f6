//! What stands below a project's row: a diff, or the end of a failed run's output.

use super::diff::{Diff, Draft};
use super::filters;
use super::live::length;
use crate::domain::egress::{Reason, Refusal};
use crate::domain::plan::{CheckView, PlanSummary};
use crate::domain::report::{Counts, Detail, Since};
use crate::domain::run::{Diagnostic, Failure, Left, LeftLock};

/// A diff of so many lines is shown open when it is the only one.
const OPEN_LINES: usize = 40;
/// All that is ever shown of a failed run's output; the end of it, where terraform puts its errors.
const OUTPUT_LIMIT: usize = 12_000;
/// So many things that were blocked are named.
const MOST_BLOCKED: usize = 5;
/// So many checks that don't hold are named.
const MOST_CHECKS: usize = 5;
/// So many errors are named.
const MOST_ERRORS: usize = 5;
pub(super) const INVISIBLE: &str = "What differs can't be shown: a sensitive value, or the code behind a value that is only known \
     after the apply.";
const LOST: &str = "The server was lost before the run could tell how it ended. Nobody knows how much of it was done.";

/// What stands below one row, before it is known how much of it fits.
pub(super) enum Body {
    Diff {
        draft: Draft,
        drift: Draft,
        since: Option<Box<Changed>>,
        summary: PlanSummary,
        intro: Option<String>,
        opens: bool,
    },
    Output {
        intro: String,
        output: String,
        made: Option<String>,
    },
}

/// What is different since the plan that somebody approved. It stands before the plan.
pub(super) struct Changed {
    title: String,
    draft: Draft,
}

impl Changed {
    fn of(since: &Since<'_>) -> Self {
        let Since { approved_by, fingerprint, differences } = since;
        let (by, plan) = (filters::code(approved_by.as_str()), filters::code(fingerprint));
        let (title, draft) = match differences.as_deref() {
            Some([]) => (format!("Not the plan that {by} approved ({plan}). {INVISIBLE}"), Draft::empty()),
            Some(differences) => {
                (format!("**Changed since the plan that {by} approved** ({plan}):"), Draft::of_differences(differences))
            }
            None => (format!("Not the plan that {by} approved ({plan}), which is no longer kept."), Draft::empty()),
        };
        Self { title, draft }
    }

    /// In at most so many characters, as far as the plan itself gets its own; with the characters that it took.
    fn within(&self, room: usize) -> (String, usize) {
        let diff = self.draft.within(room);
        let mut parts = vec![self.title.clone()];
        if !self.draft.is_empty() {
            parts.push(filters::fence(&diff.text, "diff"));
        }
        if diff.left_out + diff.shortened > 0 {
            parts.push(format!(
                "<sub>{} of these not shown, or without attributes</sub>",
                diff.left_out + diff.shortened
            ));
        }
        (parts.join("\n\n") + "\n\n", length(&diff.text))
    }
}

impl Body {
    pub(super) fn of(detail: &Detail<'_>) -> Option<Self> {
        match detail {
            Detail::Failure { failure, blocked } => Some(Self::Output {
                intro: format!("{}{}{}", filters::text(&failure.message), errors(failure), not_reached(blocked)),
                output: filters::clean(&failure.output).trim_end().to_owned(),
                made: made(failure),
            }),
            Detail::Lost(left) => {
                let intro = format!("{LOST}{}", left.map(found).unwrap_or_default());
                Some(Self::Output { intro, output: String::new(), made: None })
            }
            Detail::Plan { summary, view, since } => {
                let view = (*view)?;
                Some(Self::Diff {
                    draft: Draft::of_plan(view),
                    drift: Draft::of_drift(view),
                    since: since.as_ref().map(|since| Box::new(Changed::of(since))),
                    summary: (*summary).clone(),
                    intro: failed_checks(&view.checks),
                    opens: false,
                })
            }
            Detail::Differs { because, differences, view, summary, fingerprint } => {
                let counts = Counts::of(summary).to_string();
                let counts = if counts.is_empty() { "no changes".into() } else { counts };
                let new =
                    format!("{} The plan is now {} ({counts})", filters::text(because), filters::code(fingerprint));
                let (draft, intro) = match (differences, view) {
                    (Some(differences), _) if differences.is_empty() => (Draft::empty(), format!("{new}. {INVISIBLE}")),
                    (Some(differences), _) => {
                        (Draft::of_differences(differences), format!("{new}. Compared with the reviewed plan:"))
                    }
                    (None, Some(view)) => (Draft::of_plan(view), format!("{new}:")),
                    (None, None) => (Draft::empty(), format!("{new}.")),
                };
                let (drift, summary) = (Draft::empty(), (*summary).clone());
                Some(Self::Diff { draft, drift, since: None, summary, intro: Some(intro), opens: true })
            }
        }
    }

    /// Characters of all of it, and of what should be shown at the least.
    pub(super) fn sizes(&self) -> (usize, usize) {
        match self {
            Self::Diff { draft, drift, since, .. } => {
                let (full, least) =
                    since.as_ref().map_or((0, 0), |since| (since.draft.full(), since.draft.addresses()));
                (draft.full() + drift_length(drift) + full, draft.addresses() + least)
            }
            Self::Output { output, .. } => {
                let full = length(output).min(OUTPUT_LIMIT);
                (full, full)
            }
        }
    }

    pub(super) fn opens(&self, single: bool) -> bool {
        match self {
            Self::Diff { opens: true, .. } | Self::Output { .. } => true,
            Self::Diff { draft, .. } => single && draft.lines() <= OPEN_LINES,
        }
    }

    pub(super) fn intro(&self) -> Option<&str> {
        match self {
            Self::Diff { intro, .. } => intro.as_deref(),
            Self::Output { intro, .. } => Some(intro),
        }
    }

    /// The fenced text and a line of facts. `url`: of the page that has all of it.
    pub(super) fn within(&self, room: usize, url: Option<&str>) -> (String, String) {
        match self {
            Self::Diff { draft, drift, since, summary, .. } => {
                // The new plan's addresses come before anything else; what changed is read before all of it.
                let spare = room.saturating_sub(draft.addresses());
                let (mut body, taken) = since.as_ref().map_or_else(Default::default, |since| since.within(spare));
                let room = room.saturating_sub(taken);
                let diff = draft.within(room);
                if draft.is_empty() && since.is_some() {
                    body.push_str("It changes nothing now.");
                } else if !draft.is_empty() {
                    body.push_str(if since.is_some() { "All of it:\n\n" } else { "" });
                    body.push_str(&filters::fence(&diff.text, "diff"));
                }
                let left = room.saturating_sub(length(&diff.text));
                let drifts = !drift.is_empty() && drift_length(drift) <= left;
                if drifts {
                    body.push_str(&outside(drift, summary.drifted));
                }
                (body, facts(summary, &diff, drifts, url))
            }
            Self::Output { output, made, .. } => {
                let (left_out, end) = end_of(output, room.min(OUTPUT_LIMIT));
                let mut facts: Vec<String> = made.iter().cloned().collect();
                if left_out > 0 {
                    facts.push(format!("{left_out} characters before this are only in {}", link("the log", url)));
                }
                (if end.is_empty() { String::new() } else { filters::fence(end, "text") }, facts.join(" · "))
            }
        }
    }
}

/// How many characters were left out, and the last `limit` of them, from the beginning of a line if there is one.
fn end_of(text: &str, limit: usize) -> (usize, &str) {
    let total = length(text);
    if total <= limit {
        return (0, text);
    }
    let start = text.char_indices().nth(total - limit).map_or(text.len(), |(at, _)| at);
    let end = &text[start..];
    let end = end.split_once('\n').map_or(end, |(_, lines)| lines);
    (total - length(end), end)
}

fn facts(summary: &PlanSummary, diff: &Diff, drifts: bool, url: Option<&str>) -> String {
    let mut facts = Vec::new();
    if summary.unchanged > 0 {
        facts.push(format!("{} unchanged", summary.unchanged));
    }
    if summary.drifted > 0 && !drifts {
        facts.push(format!("{} changed outside of Terraform", summary.drifted));
    }
    if diff.shortened > 0 {
        facts.push(format!("{} shown without attributes", diff.shortened));
    }
    if diff.left_out > 0 {
        facts.push(format!("{} more not shown", diff.left_out));
    }
    if diff.shortened + diff.left_out > 0 {
        facts.push(format!("{} has all of it", link("the log", url)));
    }
    facts.join(" · ")
}

/// Kept apart from what the plan does: nothing of it is done by an apply, unless the plan says so too.
fn outside(drift: &Draft, drifted: usize) -> String {
    let fence = filters::fence(&drift.within(usize::MAX).text, "diff");
    format!("\n\n<details><summary>{drifted} changed outside of Terraform</summary>\n\n{fence}\n\n</details>")
}

/// With what stands around it.
fn drift_length(drift: &Draft) -> usize {
    if drift.is_empty() { 0 } else { drift.full() + 150 }
}

fn link(text: &str, url: Option<&str>) -> String {
    url.map_or_else(|| text.to_owned(), |url| format!("[{text}]({})", filters::href(url)))
}

fn failed_checks(checks: &[CheckView]) -> Option<String> {
    let line = |check: &CheckView| {
        let why: Vec<String> = check.messages.iter().take(3).map(|message| filters::text(message)).collect();
        let colon = if why.is_empty() { "" } else { ": " };
        let said = if check.status == "error" { "could not be checked" } else { "does not hold" };
        format!("- ⚠️ {} {said}{colon}{}", filters::code(&check.address), why.join(" "))
    };
    let mut lines: Vec<String> = checks.iter().take(MOST_CHECKS).map(line).collect();
    if checks.len() > MOST_CHECKS {
        lines.push(format!("- and {} more", checks.len() - MOST_CHECKS));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What a lost apply has left, in sentences.
fn found(left: &Left) -> String {
    let serial = match (left.before, left.after) {
        (Some(before), Some(after)) if before == after => {
            format!(" The state's serial is {after}, as before: nothing of it was written to the state.")
        }
        (Some(before), Some(after)) => format!(" The state's serial was {before} before, and is {after} now."),
        (None, Some(after)) => format!(" The state's serial is {after} now."),
        (Some(before), None) => {
            format!(" The state's serial was {before} before; what it is now could not be read.")
        }
        (None, None) => String::new(),
    };
    let lock = match &left.lock {
        LeftLock::Free => " Nobody holds Terraform's lock on the state.".to_owned(),
        LeftLock::Held(id) => format!(
            " It left Terraform's lock on the state behind ({}); the next apply takes it over.",
            filters::code(id)
        ),
        LeftLock::Unknown => {
            " Whether it left Terraform's lock on the state behind is shown by the next apply, with the lock's id."
                .to_owned()
        }
    };
    format!("{serial}{lock}")
}

/// What the run wanted to reach and was not let, with the entry that lets it.
fn not_reached(blocked: &[Refusal]) -> String {
    let line = |refusal: &Refusal| {
        let Refusal { host, port, reason, .. } = refusal;
        let what = filters::code(&format!("{host}:{port}"));
        let why = if *reason == Reason::NotListed {
            String::new()
        } else {
            format!(" ({})", filters::text(&reason.to_string()))
        };
        let help = match (refusal.entry(), refusal.help()) {
            (Some(entry), _) => format!("; allow it under `sandbox.egress`: {}", filters::code(&entry.to_string())),
            (None, Some(help)) => format!("; {}", filters::text(&help)),
            (None, None) => String::new(),
        };
        format!("\n- blocked: {what}{why}{help}")
    };
    let mut lines: String = blocked.iter().take(MOST_BLOCKED).map(line).collect();
    if blocked.len() > MOST_BLOCKED {
        lines.push_str(&format!("\n- and {} more, which the run's page names", blocked.len() - MOST_BLOCKED));
    }
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Where Terraform found what is wrong. Its own words, with the lines of the code, stand below.
fn errors(failure: &Failure) -> String {
    let line = |diagnostic: &Diagnostic| {
        let place = diagnostic.place_text().map(|place| format!("{}: ", filters::code(&place))).unwrap_or_default();
        let about = diagnostic.address.as_deref().map(|address| format!(" ({})", filters::code(address)));
        format!("\n- {place}**{}**{}", filters::text(&diagnostic.summary), about.unwrap_or_default())
    };
    let mut lines: String = failure.diagnostics.iter().take(MOST_ERRORS).map(line).collect();
    if failure.diagnostics.len() > MOST_ERRORS {
        lines.push_str(&format!("\n- and {} more", failure.diagnostics.len() - MOST_ERRORS));
    }
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// How much of a failed apply was done.
fn made(failure: &Failure) -> Option<String> {
    let (done, all) = (failure.done.len(), failure.done.len() + failure.not_done.len());
    match (failure.changed_something, all) {
        (false, _) => None,
        (true, 0) => Some("something may have been changed".into()),
        (true, _) => Some(format!("{done} of {all} changes were made")),
    }
}
