//! Configuration errors: all of them at once, each with the place it is about and what to do.
//!
//! The text is plain, so that it reads the same on a terminal and in the code fence of a comment. It never holds a
//! secret's value.

use super::source::{Place, Snippet, Source, printable};
use super::yaml::{Key, Node};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// More than these help nobody; the rest is counted.
const MAX_ERRORS: usize = 50;

/// Longest part of a foreign text that a message repeats.
const MAX_QUOTED: usize = 80;

/// Everything that is wrong with a configuration. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    omitted: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    message: String,
    place: Shown,
    help: Option<String>,
}

/// Where it is, as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    File { name: String },
    Line { name: String, snippet: Snippet },
    Variable { name: String },
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// An error about a file as a whole, such as one that cannot be read.
    #[must_use]
    pub fn about_file(name: &str, message: impl Into<String>, help: Option<String>) -> Self {
        let place = Shown::File { name: name.to_owned() };
        Self { errors: vec![ConfigError { message: message.into(), place, help }], omitted: 0 }
    }

    /// The errors in the order in which they were found.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl ConfigError {
    /// One sentence, without its place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line of the file, counted from 1, if the error is about one.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match &self.place {
            Shown::Line { snippet, .. } => Some(snippet.line),
            Shown::File { .. } | Shown::Variable { .. } => None,
        }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.errors.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            writeln!(f, "{error}")?;
        }
        let total = self.errors.len() + self.omitted;
        if self.omitted > 0 {
            write!(f, "\n{total} errors, of which the first {} are shown", self.errors.len())?;
        } else if total > 1 {
            write!(f, "\n{total} errors")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        let mut gutter = 1;
        match &self.place {
            Shown::File { name } => write!(f, "\n --> {name}")?,
            Shown::Variable { name } => write!(f, "\n --> the environment variable {name}")?,
            Shown::Line { name, snippet } => {
                let Snippet { line, column, text, before, marked } = snippet;
                let number = line.to_string();
                gutter = number.len();
                let edge = " ".repeat(gutter);
                write!(f, "\n{edge}--> {name}:{line}:{column}\n{edge} |\n{number} | {text}\n{edge} | ")?;
                write!(f, "{}{}", " ".repeat(*before), "^".repeat(*marked))?;
            }
        }
        match &self.help {
            Some(help) => write!(f, "\n{} = {help}", " ".repeat(gutter)),
            None => Ok(()),
        }
    }
}

/// Collects what is wrong while a source is read, so that reading can go on.
#[derive(Debug)]
pub(crate) struct Faults {
    source: Arc<Source>,
    found: Vec<(Place, String, Option<String>)>,
    omitted: usize,
    hidden: Vec<Range<usize>>,
}

impl Faults {
    pub(crate) const fn new(source: Arc<Source>) -> Self {
        Self { source, found: Vec::new(), omitted: 0, hidden: Vec::new() }
    }

    pub(crate) const fn source(&self) -> &Arc<Source> {
        &self.source
    }

    pub(crate) const fn count(&self) -> usize {
        self.found.len() + self.omitted
    }

    pub(crate) fn add(&mut self, place: &Place, message: impl Into<String>) {
        self.add_with(place, message, None);
    }

    pub(crate) fn add_help(&mut self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        self.add_with(place, message, Some(help.into()));
    }

    pub(crate) fn add_with(&mut self, place: &Place, message: impl Into<String>, help: Option<String>) {
        if self.found.len() < MAX_ERRORS {
            self.found.push((place.clone(), message.into(), help));
        } else {
            self.omitted += 1;
        }
    }

    /// Every scalar of this value stays out of every message.
    pub(crate) fn hide(&mut self, node: &Node) {
        if !self.source.holds_secrets {
            return;
        }
        node.for_each_scalar(&mut |place| {
            if let Place::Bytes(bytes) = place {
                self.hidden.push(bytes.clone());
            }
        });
    }

    /// A key inside a message. `None`: it is no name, and may be a part of the file that a quote has swallowed, with
    /// whatever stands in it.
    pub(crate) fn key(&mut self, key: &Key) -> Option<String> {
        if !self.source.holds_secrets || is_name(&key.text) {
            return Some(quoted(&key.text));
        }
        if let Place::Bytes(bytes) = &key.place {
            self.hidden.push(bytes.clone());
        }
        None
    }

    pub(crate) fn hide_bytes(&mut self, bytes: Range<usize>) {
        self.hidden.push(bytes);
    }

    /// # Errors
    /// With everything that was found.
    pub(crate) fn finish(self) -> Result<(), ConfigErrors> {
        if self.found.is_empty() {
            return Ok(());
        }
        let Self { source, mut found, omitted, hidden } = self;
        found.sort_by_key(|(place, _, _)| match place {
            Place::Whole => (0, 0),
            Place::Bytes(bytes) => (1, bytes.start),
            Place::Variable(_) => (2, 0),
        });
        let shown = |place| match place {
            Place::Whole => Shown::File { name: source.name.clone() },
            Place::Variable(name) => Shown::Variable { name: name.to_string() },
            Place::Bytes(bytes) => Shown::Line { name: source.name.clone(), snippet: source.snippet(&bytes, &hidden) },
        };
        let error = |(place, message, help)| ConfigError { message, place: shown(place), help };
        Err(ConfigErrors { errors: found.into_iter().map(error).collect(), omitted })
    }
}

/// A foreign text inside a message: bounded and printable.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED).map(printable).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// As all keys and variables are written.
pub(super) fn is_name(text: &str) -> bool {
    const LONGEST: usize = 60;
    text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-. ".contains(&b))
}

/// The candidate that was probably meant: at most a third of its letters differ.
pub(crate) fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if text.chars().count() > MAX_QUOTED {
        return None;
    }
    let lower = text.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two short texts: insertions, deletions, replacements, and exchanges of neighbours count one each.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}
