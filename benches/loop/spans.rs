//! Listens to the server's own spans, to say where the time goes that is not the bare commands'.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// What a moment is spent on. Where several go on at once, the first of this list has it: what happens beside terraform
/// costs no time.
const PARTS: [&str; 11] = [
    "terraform init",
    "terraform plan",
    "terraform show",
    "git fetch",
    "checkout",
    "merge and survey",
    "requests to the forge",
    "archive",
    "webhook",
    "store",
    "everything else",
];
const ELSE: usize = PARTS.len() - 1;

/// Collects spans as they end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Spent>>>);

#[derive(Debug, Clone)]
struct Spent {
    part: usize,
    from: Instant,
    to: Instant,
}

/// A span that goes on.
struct Begun {
    part: usize,
    at: Instant,
}

impl Recorder {
    /// What each moment between the two was spent on; forgets what was collected.
    pub(crate) fn between(&self, from: Instant, to: Instant) -> BTreeMap<&'static str, Duration> {
        let spans = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut marks: Vec<Instant> = spans.iter().flat_map(|span| [span.from, span.to]).chain([from, to]).collect();
        marks.retain(|mark| (from..=to).contains(mark));
        marks.sort();
        let mut parts = BTreeMap::new();
        for pair in marks.windows(2) {
            let going_on = spans.iter().filter(|span| span.from <= pair[0] && span.to >= pair[1]);
            let part = going_on.map(|span| span.part).min().unwrap_or(ELSE);
            *parts.entry(PARTS[part]).or_default() += pair[1] - pair[0];
        }
        parts
    }

    pub(crate) fn parts() -> impl Iterator<Item = &'static str> {
        PARTS.into_iter()
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut words = Words::default();
        attributes.record(&mut words);
        let Some(part) = part(attributes.metadata().name(), &words) else { return };
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Begun { part, at: Instant::now() });
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(Begun { part, at }) = span.extensions_mut().remove() {
            let spent = Spent { part, from: at, to: Instant::now() };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(spent);
        }
    }
}

/// Which of [`PARTS`] a span is.
fn part(span: &str, words: &Words) -> Option<usize> {
    let part = match (span, words.program.as_str(), words.command.as_str()) {
        ("process", "terraform", "init") => "terraform init",
        ("process", "terraform", "plan") => "terraform plan",
        ("process", "terraform", "show") => "terraform show",
        ("process", "git", "fetch") => "git fetch",
        ("process", "git", "read-tree") => "checkout",
        // The forge's own git, in the same process as the server here, has no span that counts.
        ("process", "git", "http-backend") => return None,
        ("process", "git", _) => "merge and survey",
        ("request", ..) => "requests to the forge",
        ("archive", ..) => "archive",
        ("http", ..) => "webhook",
        ("transaction", ..) => "store",
        _ => return None,
    };
    PARTS.iter().position(|known| *known == part)
}

/// The fields of a process' span.
#[derive(Default)]
struct Words {
    program: String,
    command: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let word = match field.name() {
            "program" => &mut self.program,
            "command" => &mut self.command,
            _ => return,
        };
        *word = format!("{value:?}").trim_matches('"').to_owned();
    }
}
