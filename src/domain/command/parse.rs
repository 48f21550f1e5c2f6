//! Comment text to commands.
//!
//! Markdown is parsed first: code, quotes and HTML never command. A command stands at the start of a line, one per
//! line. Prose that happens to begin with our name gets silence; a verb that was only mistyped gets a suggestion.

use super::{Command, Selector, Verb};
use pulldown_cmark::{Event, Options, Parser, Tag};
use std::ops::Range;

/// More commands than this in one comment are not carried out.
const MOST_COMMANDS: usize = 20;

/// The words that address us: the server's name, its short form and what the operator added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// `tp` is short for the default name only, so that two servers can share a repository.
    pub fn new(name: &str, more: impl IntoIterator<Item = String>) -> Self {
        let mut names = vec![name.to_lowercase()];
        if name == "terraplane" {
            names.push("tp".to_owned());
        }
        names.extend(more.into_iter().map(|name| name.to_lowercase()));
        Self(names)
    }

    fn address_us(&self, word: &str) -> bool {
        let word = word.strip_prefix('@').unwrap_or(word).to_lowercase();
        self.0.contains(&word)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    Command(Command),
    /// A verb that we don't have but that is close to one.
    UnknownVerb {
        word: String,
        suggestion: Verb,
    },
    /// The verb is ours, an argument is not: nothing is done, so that no command does more than was meant.
    BadArgument {
        verb: Verb,
        argument: String,
    },
}

/// All commands of a comment with their line numbers, counted from 1.
#[must_use]
pub fn parse_comment(text: &str, names: &Names) -> Vec<(usize, Parsed)> {
    let silent = silent_ranges(text);
    let mut found = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let spoken = !silent.iter().any(|range| range.contains(&start));
        start += line.len();
        if spoken && let Some(parsed) = parse_line(line, names) {
            found.push((index + 1, parsed));
            if found.len() == MOST_COMMANDS {
                break;
            }
        }
    }
    found
}

/// The parts of a comment that never command. Inline code and inline HTML matter only where they begin a line or span
/// several: as an argument, code is just a way to write a project's name.
fn silent_ranges(text: &str) -> Vec<Range<usize>> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES)
        .into_offset_iter()
        .filter_map(|(event, range)| match event {
            Event::Start(Tag::CodeBlock(_) | Tag::BlockQuote(_) | Tag::HtmlBlock | Tag::Table(_)) => Some(range),
            Event::Code(_) | Event::Html(_) | Event::InlineHtml(_) => Some(range),
            _ => None,
        })
        .collect()
}

fn parse_line(line: &str, names: &Names) -> Option<Parsed> {
    let mut words = line.split_whitespace();
    if line.starts_with([' ', '\t']) || !names.address_us(words.next()?) {
        return None;
    }
    let Some(word) = words.next() else {
        return Some(Parsed::Command(Command { verb: Verb::Help, selector: Selector::default(), sha: None }));
    };
    let Some(verb) = Verb::ALL.into_iter().find(|verb| verb.as_str().eq_ignore_ascii_case(word)) else {
        let suggestion = closest(word)?;
        return Some(Parsed::UnknownVerb { word: word.to_owned(), suggestion });
    };
    let (mut any_of, mut sha) = (Vec::new(), None);
    while let Some(argument) = words.next() {
        let bare = argument.trim_end_matches(',').trim_matches('`');
        if let Some(value) = flag(bare, "--sha").filter(|_| verb == Verb::Plan && sha.is_none()) {
            let Some(whole) = value.or_else(|| words.next()).and_then(|text| text.trim_matches('`').parse().ok())
            else {
                return Some(Parsed::BadArgument { verb, argument: argument.to_owned() });
            };
            sha = Some(whole);
            continue;
        }
        if bare.starts_with('-') {
            return Some(Parsed::BadArgument { verb, argument: argument.to_owned() });
        }
        if !bare.is_empty() {
            any_of.push(bare.to_owned());
        }
    }
    Some(Parsed::Command(Command { verb, selector: Selector { any_of }, sha }))
}

/// `--name` (`Some(None)`: its value is the next word) or `--name=value`.
fn flag<'a>(word: &'a str, name: &str) -> Option<Option<&'a str>> {
    match word.strip_prefix(name)? {
        "" => Some(None),
        rest => rest.strip_prefix('=').map(Some),
    }
}

/// The verb that somebody most likely meant: at most two slips away, and at most half of the word.
fn closest(word: &str) -> Option<Verb> {
    let word = word.to_lowercase();
    if word.chars().count() > 12 {
        return None;
    }
    Verb::ALL
        .into_iter()
        .map(|verb| (slips(&word, verb.as_str()), verb))
        .filter(|(slips, verb)| *slips <= 2 && slips * 2 <= verb.as_str().len())
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, verb)| verb)
}

/// Damerau–Levenshtein distance (adjacent swaps count once): letters inserted, left out, changed or swapped.
fn slips(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let changed = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests;
