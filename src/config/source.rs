//! The text that configuration was read from, kept so that an error can show the very line that it is about.
//!
//! What must not be printed (a secret that somebody wrote into the file) is hidden here, at the one place where source
//! text turns into output.

use std::ops::Range;
use std::sync::Arc;

/// Longest part of a line that is shown.
const SHOWN_COLUMNS: usize = 100;

/// A text with the name that people know it by.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    /// The file may hold secrets, so a line that could not be understood is shown up to its first value only.
    pub(crate) holds_secrets: bool,
}

/// Where a key or value was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// The file as a whole: something that should be there is not.
    #[default]
    Whole,
    /// Bytes of the file.
    Bytes(Range<usize>),
    /// An environment variable.
    Variable(Arc<str>),
}

/// A line with a marked part, ready to be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snippet {
    /// Counted from 1, as is `column`, which counts characters.
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) text: String,
    /// Characters of `text` before the mark, and under it.
    pub(crate) before: usize,
    pub(crate) marked: usize,
}

impl Source {
    /// The line that holds `at`, with the bytes in `hidden` replaced.
    pub(crate) fn snippet(&self, at: &Range<usize>, hidden: &[Range<usize>]) -> Snippet {
        let column_at = self.boundary(at.start);
        let head = &self.text[..column_at];
        let line_start = head.rfind('\n').map_or(0, |newline| newline + 1);
        // A mark within a hidden part moves to its beginning, and the column stays true.
        let covering = hidden.iter().find(|part| part.contains(&column_at));
        let start = covering.map_or(column_at, |part| part.start.max(line_start));
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let end = self.boundary(at.end).max(covering.map_or(0, |part| part.end)).clamp(start, line_end);
        let before = self.shown(line_start..start, hidden);
        let mut marked = self.shown(start..end, hidden);
        let after = self.shown(end..line_end, hidden);
        let skipped = before.len().saturating_sub(SHOWN_COLUMNS / 2);
        let mut text: Vec<char> = before[skipped..].to_vec();
        if skipped > 0 {
            text[0] = '…';
        }
        let offset = text.len();
        marked.truncate(SHOWN_COLUMNS.saturating_sub(offset));
        text.extend(&marked);
        text.extend(after);
        if text.len() > SHOWN_COLUMNS {
            text.truncate(SHOWN_COLUMNS - 1);
            text.push('…');
        }
        Snippet {
            line: head.matches('\n').count() + 1,
            column: self.text[line_start..column_at].chars().count() + 1,
            text: text.into_iter().collect::<String>().trim_end().to_owned(),
            before: offset,
            marked: marked.len().max(1),
        }
    }

    /// `file:line`, or the variable's name.
    pub(crate) fn origin(&self, place: &Place) -> String {
        match place {
            Place::Whole => self.name.clone(),
            Place::Variable(name) => name.to_string(),
            Place::Bytes(bytes) => {
                format!("{}:{}", self.name, self.text[..self.boundary(bytes.start)].matches('\n').count() + 1)
            }
        }
    }

    /// The bytes of a line's values: everything behind its first `: `.
    pub(crate) fn values_of_line(&self, byte: usize) -> Option<Range<usize>> {
        let byte = self.boundary(byte);
        let start = self.text[..byte].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        let colon = self.text[start..end].find(':')?;
        Some(start + colon + 1..end)
    }

    fn boundary(&self, byte: usize) -> usize {
        self.text.floor_char_boundary(byte.min(self.text.len()))
    }

    /// One printable character for each character, and one `[hidden]` for each hidden part.
    fn shown(&self, range: Range<usize>, hidden: &[Range<usize>]) -> Vec<char> {
        let mut out = Vec::new();
        let mut inside = None;
        for (offset, character) in self.text[range.clone()].char_indices() {
            let byte = range.start + offset;
            let covering = hidden.iter().position(|part| part.contains(&byte));
            match covering {
                Some(_) if covering == inside => {}
                Some(_) => out.extend("[hidden]".chars()),
                None => out.push(printable(character)),
            }
            inside = covering;
        }
        out
    }
}

/// Control characters and the marks that reorder text would make an error message lie about the file.
pub(crate) fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' => '\u{FFFD}',
        c if c.is_control() => '\u{FFFD}',
        c => c,
    }
}
