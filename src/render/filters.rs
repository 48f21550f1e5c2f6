//! Hostile text into Markdown.
//!
//! Addresses, plan values, error messages, branch and file names come from whoever wrote the pull request. Nothing of it
//! may mention people, refer to other issues, close a fence, begin a quick action, hide itself (control and bidirectional
//! characters), or pass for a marker of ours. Every value in a template goes through one of these.

use std::fmt::Write as _;

/// Breaks what forges would turn into a mention, a reference or a link, and can't be seen.
const BREAK: char = '\u{200b}';

/// Longest text in a code span, in characters: enough for an address, too short to fill a comment.
const CODE_LIMIT: usize = 200;

const COMMAND_LIMIT: usize = 400;

/// Backticks in a row inside of a fence.
const LONGEST_RUN: usize = 40;

/// Longest prose, in characters.
const TEXT_LIMIT: usize = 600;

/// Text without terminal sequences and without characters that can't be seen or that reorder others; those stay visible
/// as `<U+202E>`. Line feeds and tabs stay, `<!--` is broken so that no marker of ours can be imitated. Nothing printable is ever removed: a sequence that is not a plain one loses
/// only its escape character.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                if let Some(after) = after_sequence(rest.as_str()) {
                    rest = after.chars();
                }
            }
            '\n' | '\t' => out.push(c),
            '\r' => {}
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(out, "<U+{:04X}>", u32::from(c));
            }
            '-' if out.ends_with("<!") => out.push_str(" -"),
            c => out.push(c),
        }
    }
    out
}

/// What follows a control sequence (`[`, parameters, a letter) whose escape character has been read.
fn after_sequence(text: &str) -> Option<&str> {
    let body = text.strip_prefix('[')?;
    let end = body.find(|c: char| !matches!(c, '0'..='9' | ';' | ':' | '?' | ' '))?;
    body[end..].starts_with(|c: char| c.is_ascii_alphabetic()).then(|| &body[end + 1..])
}

const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The first `limit` characters, with a mark if there were more.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// One line, as code: a code span where that is safe also in a table, else `<code>` with entities.
pub(super) fn code(text: &str) -> String {
    code_within(text, CODE_LIMIT)
}

/// A command to be copied: as [`code`], and long enough for many project names.
pub(super) fn command(text: &str) -> String {
    code_within(text, COMMAND_LIMIT)
}

fn code_within(text: &str, limit: usize) -> String {
    let line = one_line(text, limit);
    let plain = !line.is_empty()
        && !line.contains(['`', '|', '<', '>', '&', '\\'])
        && !line.starts_with(' ')
        && !line.ends_with(' ');
    if plain { format!("`{line}`") } else { element(&line) }
}

/// One line, as code inside of an HTML block, where Markdown is not read.
pub(super) fn html_code(text: &str) -> String {
    element(&one_line(text, CODE_LIMIT))
}

fn element(line: &str) -> String {
    format!("<code>{}</code>", entities(line))
}

fn one_line(text: &str, limit: usize) -> String {
    shortened(&clean(text), limit).replace(['\n', '\t'], " ")
}

/// Everything that Markdown or HTML could read in some way, as entities.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'a'..='z'
            | 'A'..='Z'
            | '0'..='9'
            | ' '
            | '.'
            | '-'
            | '/'
            | ','
            | '='
            | '"'
            | '\''
            | '('
            | ')'
            | '?'
            | ';' => out.push(c),
            c if c.is_ascii() => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

fn entity(c: char) -> String {
    format!("&#{};", u32::from(c))
}

/// Neither Markdown nor HTML reads anything into it.
fn is_harmless(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || " .-/,='\"()?;:".contains(c)
}

/// One line of prose. What stands between backticks becomes code, all else is shown as it is written and does nothing.
pub(super) fn text(text: &str) -> String {
    let line = one_line(text, TEXT_LIMIT);
    let parts: Vec<&str> = line.trim().split('`').collect();
    let paired = parts.len() % 2 == 1;
    let shown = parts.iter().enumerate().map(|(i, part)| match (i % 2 == 1 && paired, part.is_empty()) {
        (true, false) => code(part),
        (true, true) => "&#96;&#96;".into(),
        (false, _) => inert(part, i == 0),
    });
    shown.collect::<Vec<_>>().join(if paired { "" } else { "&#96;" })
}

/// As [`text`], inside of an HTML block.
pub(super) fn html_text(text: &str) -> String {
    let line = one_line(text, TEXT_LIMIT);
    let parts: Vec<&str> = line.trim().split('`').collect();
    let paired = parts.len() % 2 == 1;
    let shown = parts
        .iter()
        .enumerate()
        .map(|(i, part)| if i % 2 == 1 && paired { html_code(part) } else { inert(part, i == 0) });
    shown.collect::<Vec<_>>().join(if paired { "" } else { "&#96;" })
}

/// `starts`: whether this is the beginning of a text, and so perhaps of a line.
fn inert(text: &str, starts: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for (i, c) in text.char_indices() {
        let after = |word: &str| text[..i].to_ascii_lowercase().ends_with(word);
        match c {
            // Mentions and references of some forge; they are looked for after the entities have been read.
            '@' | '#' | '!' | '~' | '%' | '&' | '$' | '^' | '*' => {
                let _ = write!(out, "&#{};{BREAK}", u32::from(c));
            }
            // At the beginning of a line it could be a quick action, a list, a quotation.
            c if starts && i == 0 && c.is_ascii() && !c.is_ascii_alphabetic() => out.push_str(&entity(c)),
            // `://` and `//` would become links, and so would `www.`; `GH-12` is a reference.
            '/' if before == ':' || before == '/' => out.extend([BREAK, '/']),
            '.' if after("www") => out.extend([BREAK, '.']),
            '-' if after("gh") => out.extend([BREAK, '-']),
            c if is_harmless(c) => out.push(c),
            c => out.push_str(&entity(c)),
        }
        before = c;
    }
    out
}

/// Prose in a table's cell: as [`text`], which leaves no `|`.
pub(super) fn cell(value: &str) -> String {
    text(value)
}

/// Text in a fence that nothing in it can close.
pub(super) fn fence(body: &str, language: &str) -> String {
    let body = broken_runs(&clean(body));
    let ticks = "`".repeat(longest_run(&body).max(2) + 1);
    let body = body.trim_end_matches('\n');
    format!("{ticks}{language}\n{body}\n{ticks}")
}

/// A fence grows with the backticks in it, so those must not be endless: after many, a space.
fn broken_runs(text: &str) -> String {
    let run = "`".repeat(LONGEST_RUN);
    if text.contains(&run) { text.replace(&run, &format!("{run} ")) } else { text.to_owned() }
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A link's address, fit for Markdown and for an HTML attribute.
pub(super) fn href(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '(' | ')' | '<' | '>' | '"' | '\'' | '`' | '|' | '\\' | ' ' | '[' | ']' | '*' => {
                let _ = write!(out, "%{:02X}", u32::from(c));
            }
            '&' => out.push_str("&amp;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
