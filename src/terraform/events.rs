//! What an apply did, read from the events that `apply -json` prints as it goes.
//!
//! Format: <https://developer.hashicorp.com/terraform/internals/machine-readable-ui>. One JSON object per line: the planned
//! changes first, then the start and the end of each, and a summary if all went well. The lines' messages are what people
//! read in the log.

use super::words::{plain, tail};
use crate::domain::run::{self, ResourceOutcome};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[cfg(test)]
mod tests;

/// A longer line is left out: it is output of a provisioner, or a diagnostic that nobody could read.
const LONGEST_LINE: usize = 1 << 20;
/// How much of the diagnostics is kept for the message, in bytes.
const LONGEST_ERRORS: usize = 16 << 10;
/// How many errors are kept as data, and how many characters of each text in them.
pub(super) const MOST_DIAGNOSTICS: usize = 10;
const LONGEST_WORDS: usize = 1000;

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "@message")]
    message: String,
    #[serde(rename = "type")]
    kind: String,
    change: Option<Value>,
    hook: Option<Value>,
    diagnostic: Option<Diagnostic>,
}

/// A `planned_change`'s change, or an operation's hook: both name a resource and an action.
#[derive(Debug, Deserialize)]
struct Change {
    resource: Resource,
    action: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resource {
    addr: String,
}

/// As Terraform prints it; `validate -json` prints the same.
#[derive(Debug, Deserialize)]
pub(super) struct Diagnostic {
    severity: String,
    summary: String,
    #[serde(default)]
    detail: String,
    address: Option<String>,
    range: Option<Range>,
    snippet: Option<Snippet>,
}

#[derive(Debug, Deserialize)]
struct Range {
    filename: String,
    start: Position,
}

#[derive(Debug, Deserialize)]
struct Position {
    line: u64,
}

#[derive(Debug, Deserialize)]
struct Snippet {
    context: Option<String>,
    code: String,
    start_line: u64,
}

/// One resource and one of terraform's actions on it; a replacement is two of them.
type Operation = (String, String);

/// Collects the events of one apply.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    /// How many bytes of a line that is too long were let go.
    skipped: usize,
    planned: Vec<Operation>,
    started: Vec<Operation>,
    completed: BTreeMap<Operation, usize>,
    /// Something was begun, be it a change of a resource or not.
    begun: bool,
    /// Not everything that was said could be read.
    garbled: bool,
    errors: String,
    diagnostics: Vec<run::Diagnostic>,
}

/// What came of every resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) done: Vec<ResourceOutcome>,
    pub(super) not_done: Vec<ResourceOutcome>,
    /// Of what is not done, that which was begun: it may be there by half.
    pub(super) uncertain: Vec<ResourceOutcome>,
    /// More may have begun than the lists say: an action without a resource, or what stood in a line that is not readable.
    pub(super) unclear: bool,
    /// The errors in terraform's words, without control characters.
    pub(super) errors: String,
    /// The same as data.
    pub(super) diagnostics: Vec<run::Diagnostic>,
}

impl Events {
    /// Takes the next bytes of the output, cut anywhere; returns what the log gets of them.
    pub(super) fn push(&mut self, chunk: &[u8]) -> String {
        let mut log = String::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.hold(&rest[..end]);
            rest = &rest[end + 1..];
            self.end_line(&mut log);
        }
        self.hold(rest);
        log
    }

    /// The output is over: what the log gets of an unfinished line.
    pub(super) fn finish(&mut self) -> String {
        let mut log = String::new();
        if self.skipped > 0 || !self.line.is_empty() {
            self.end_line(&mut log);
        }
        log
    }

    fn hold(&mut self, bytes: &[u8]) {
        if self.skipped > 0 || self.line.len() + bytes.len() > LONGEST_LINE {
            self.skipped += self.line.len() + bytes.len();
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, log: &mut String) {
        let line = std::mem::take(&mut self.line);
        let skipped = std::mem::take(&mut self.skipped);
        if skipped > 0 {
            self.garbled = true;
            let _ = writeln!(log, "[A line of {skipped} bytes is left out.]");
            return;
        }
        match serde_json::from_slice::<Event>(&line) {
            Ok(event) => self.event(event, log),
            // Not an event: a crash, for example. People shall see it.
            Err(_) => {
                self.garbled = true;
                let _ = writeln!(log, "{}", String::from_utf8_lossy(&line));
            }
        }
    }

    fn event(&mut self, event: Event, log: &mut String) {
        let Event { message, kind, change, hook, diagnostic } = event;
        if let Some(diagnostic) = diagnostic {
            let text = diagnostic.to_string();
            let _ = writeln!(log, "{text}");
            if diagnostic.severity == "error" {
                let _ = writeln!(self.errors, "{}\n", plain(text.as_bytes()));
                self.errors = tail(&self.errors, LONGEST_ERRORS).to_owned();
                if self.diagnostics.len() < MOST_DIAGNOSTICS {
                    self.diagnostics.extend(diagnostic.kept());
                }
            }
            return;
        }
        let _ = writeln!(log, "{message}");
        match kind.as_str() {
            "planned_change" => self.planned.extend(change.and_then(operation)),
            "apply_start" => self.started.extend(hook.and_then(operation)),
            "apply_complete" => {
                if let Some(operation) = hook.and_then(operation) {
                    *self.completed.entry(operation).or_default() += 1;
                }
            }
            // Of actions (Terraform 1.14) and provisioners.
            "action_start" | "provision_start" => self.begun = true,
            _ => {}
        }
    }

    /// Compares what was planned with what was reported; `complete`: the whole apply is done.
    ///
    /// Terraform says nothing of an operation that only concerns the state (`remove`): it counts as done when the whole
    /// apply is. A replacement that came half-way is named by its halves.
    pub(super) fn tally(mut self, complete: bool) -> Tally {
        let mut tally = Tally {
            done: Vec::new(),
            not_done: Vec::new(),
            uncertain: Vec::new(),
            unclear: !complete && (self.begun || self.garbled),
            errors: self.errors.trim().to_owned(),
            diagnostics: std::mem::take(&mut self.diagnostics),
        };
        let mut open = self.started.clone();
        for (address, action) in std::mem::take(&mut self.planned) {
            let halves: &[&str] = if action == "replace" { &["delete", "create"] } else { &[action.as_str()] };
            let (done, not_done): (Vec<Operation>, Vec<Operation>) = halves
                .iter()
                .map(|half| (address.clone(), (*half).to_owned()))
                .partition(|operation| self.take_completed(operation));
            for operation in &done {
                remove_first(&mut open, operation);
            }
            if not_done.is_empty() || complete {
                tally.done.push(outcome((address, action)));
            } else if done.is_empty() {
                let begun = not_done.iter().any(|operation| remove_first(&mut open, operation));
                tally.uncertain.extend(begun.then(|| outcome((address.clone(), action.clone()))));
                tally.not_done.push(outcome((address, action)));
            } else {
                tally.done.extend(done.into_iter().map(outcome));
                let begun = not_done.iter().filter(|operation| remove_first(&mut open, operation)).cloned();
                tally.uncertain.extend(begun.map(outcome));
                tally.not_done.extend(not_done.into_iter().map(outcome));
            }
        }
        // What was done without having been announced, such as the deletion of an object that was left over.
        for operation in open {
            if self.take_completed(&operation) {
                tally.done.push(outcome(operation));
            } else {
                tally.not_done.push(outcome(operation.clone()));
                tally.uncertain.push(outcome(operation));
            }
        }
        tally
    }

    fn take_completed(&mut self, operation: &Operation) -> bool {
        match self.completed.get_mut(operation) {
            Some(count @ 1..) => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

impl Diagnostic {
    /// What is kept of an error, for people; `None` of a warning.
    pub(super) fn kept(&self) -> Option<run::Diagnostic> {
        let words = |text: &str| plain(text.as_bytes()).chars().take(LONGEST_WORDS).collect::<String>();
        let place = self.range.as_ref().map(|Range { filename, start }| (words(filename), start.line));
        (self.severity == "error").then(|| run::Diagnostic {
            summary: words(&self.summary),
            detail: words(&self.detail),
            address: self.address.as_deref().map(words),
            place,
        })
    }
}

/// `None` for what changes nothing.
fn operation(of: Value) -> Option<Operation> {
    let Change { resource, action } = serde_json::from_value(of).ok()?;
    let action = action?;
    (!matches!(action.as_str(), "read" | "noop")).then_some((resource.addr, action))
}

fn outcome((address, action): Operation) -> ResourceOutcome {
    ResourceOutcome { address, action }
}

fn remove_first(from: &mut Vec<Operation>, operation: &Operation) -> bool {
    let found = from.iter().position(|other| other == operation);
    found.map(|index| from.remove(index)).is_some()
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if self.severity == "error" { "Error" } else { "Warning" };
        write!(f, "\n{name}: {}", self.summary)?;
        if let Some(address) = &self.address {
            write!(f, "\n\n  with {address}")?;
        }
        if let Some(Range { filename, start }) = &self.range {
            write!(f, "\n\n  on {filename} line {}", start.line)?;
            if let Some(snippet) = &self.snippet {
                if let Some(context) = &snippet.context {
                    write!(f, ", in {context}")?;
                }
                f.write_str(":")?;
                for (line, code) in (snippet.start_line..).zip(snippet.code.lines()) {
                    write!(f, "\n  {line}: {code}")?;
                }
            }
        }
        if !self.detail.is_empty() {
            write!(f, "\n\n{}", self.detail.trim_end())?;
        }
        f.write_str("\n")
    }
}
