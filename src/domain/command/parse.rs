//! Comment text to commands.
//!
//! Markdown is parsed first: code, quotes and HTML never command. A command stands at the start of a line, one per
//! line. Prose that happens to begin with our name gets silence; a verb that was only mistyped gets a suggestion.

use super::arguments;
use super::typo::closest;
use super::{Command, Verb};
use pulldown_cmark::{Event, Options, Parser, Tag};
use std::ops::Range;

/// More commands than this in one comment are not carried out.
pub const MOST_COMMANDS: usize = 20;

/// A line with more words than this is prose, if its verb is none.
const MOST_WORDS_OF_A_SLIP: usize = 8;

/// What other tools have, and how it is done here.
const ELSEWHERE: [(&str, &str); 4] = [
    ("import", "write an `import` block: it is planned, reviewed and applied as everything else"),
    ("state", "write `moved` and `removed` blocks: they are planned, reviewed and applied as everything else"),
    ("approve_policies", "`approve` accepts a plan that differs from the reviewed one"),
    ("destroy", "`plan -- -destroy` plans it; what was reviewed is applied"),
];

/// The words that address us: the server's name, its short form and what the operator added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    words: Vec<String>,
    /// The account that we act as: answers to `@account` only.
    account: Option<String>,
}

impl Names {
    /// `tp` is short for the default name only, so that two servers can share a repository.
    pub fn new(name: &str, more: impl IntoIterator<Item = String>) -> Self {
        let mut words = vec![name.to_lowercase()];
        if name == "terraplane" {
            words.push("tp".to_owned());
        }
        words.extend(more.into_iter().map(|name| name.to_lowercase()));
        Self { words, account: None }
    }

    /// The same, and `@account`.
    #[must_use]
    pub fn or_account(self, account: &str) -> Self {
        Self { account: Some(account.to_lowercase()), ..self }
    }

    fn address_us(&self, word: &str) -> bool {
        let word = word.to_lowercase();
        let bare = word.strip_prefix('@');
        self.words.iter().any(|name| *name == bare.unwrap_or(&word))
            || bare.is_some_and(|bare| self.account.as_deref() == Some(bare))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    Command(Command),
    /// A verb that we don't have but that is close to one, or that another tool has.
    UnknownVerb {
        word: String,
        meant: Meant,
    },
    /// The verb is ours, an argument is not: nothing is done, so that no command does more than was meant.
    BadArgument {
        verb: Verb,
        argument: String,
        /// The end of a sentence that begins with the argument.
        why: String,
    },
    /// A command after as many as are carried out: neither it nor what comes after it is.
    OneTooMany(Verb),
}

impl Parsed {
    /// What was asked for; of a word that is no verb: what we have.
    fn verb(&self) -> Verb {
        match self {
            Self::Command(Command { verb, .. }) | Self::BadArgument { verb, .. } | Self::OneTooMany(verb) => *verb,
            Self::UnknownVerb { .. } => Verb::Help,
        }
    }
}

/// What a word that is no verb was probably meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    Verb(Verb),
    /// There is another way to what it does elsewhere.
    Instead(&'static str),
}

/// All commands of a comment with their line numbers, counted from 1.
#[must_use]
pub fn parse_comment(text: &str, names: &Names) -> Vec<(usize, Parsed)> {
    let silent = silent_ranges(text);
    let mut found = Vec::new();
    let (mut start, mut next, mut silent_until) = (0, 0, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // Both in the order of the text: each range is looked at once, however many there are.
        while let Some(range) = silent.get(next).filter(|range| range.start <= start) {
            silent_until = silent_until.max(range.end);
            next += 1;
        }
        let spoken = start >= silent_until;
        start += line.len();
        if spoken && let Some(parsed) = parse_line(line, names) {
            if found.len() == MOST_COMMANDS {
                found.push((index + 1, Parsed::OneTooMany(parsed.verb())));
                break;
            }
            found.push((index + 1, parsed));
        }
    }
    found
}

/// The parts of a comment that never command, by where they begin. Inline code and inline HTML matter only where they begin a line or span
/// several: as an argument, code is just a way to write a project's name.
fn silent_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES)
        .into_offset_iter()
        .filter_map(|(event, range)| match event {
            Event::Start(Tag::CodeBlock(_) | Tag::BlockQuote(_) | Tag::HtmlBlock | Tag::Table(_)) => Some(range),
            Event::Code(_) | Event::Html(_) | Event::InlineHtml(_) => Some(range),
            _ => None,
        })
        .collect();
    ranges.sort_by_key(|range| range.start);
    ranges
}

fn parse_line(line: &str, names: &Names) -> Option<Parsed> {
    if line.starts_with([' ', '\t']) {
        return None;
    }
    let (name, rest) = first_word(line)?;
    if !names.address_us(name) {
        return None;
    }
    let Some((word, arguments)) = first_word(rest) else {
        return Some(Parsed::Command(Command::of(Verb::Help)));
    };
    let lower = word.to_lowercase();
    if matches!(lower.as_str(), "help" | "-h" | "--help") {
        return Some(Parsed::Command(Command::of(Verb::Help)));
    }
    let Some(verb) = Verb::ALL.into_iter().find(|verb| verb.as_str() == lower) else {
        let elsewhere = ELSEWHERE.iter().find(|(verb, _)| *verb == lower);
        let prose = arguments.split_whitespace().count() > MOST_WORDS_OF_A_SLIP;
        let meant = match elsewhere {
            Some((_, instead)) => Meant::Instead(instead),
            None => Meant::Verb(closest(word).filter(|_| !prose)?),
        };
        return Some(Parsed::UnknownVerb { word: word.to_owned(), meant });
    };
    Some(match arguments::command(verb, arguments) {
        Ok(command) => Parsed::Command(command),
        Err((argument, why)) => Parsed::BadArgument { verb, argument, why },
    })
}

/// The first word of a text, and what comes after it.
fn first_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests;
