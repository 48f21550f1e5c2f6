//! A run's log as HTML. The log is what a stranger's code printed, so it is an attack until it is proven text:
//!
//! 1. Only colours and type styles (SGR, ECMA-48 §8.3.117) are kept, as classes of our own style sheet; every other
//!    escape sequence and control character is dropped.
//! 2. Every character that means something in HTML is escaped.
//! 3. Characters that reorder or hide text are shown by their number.
//! 4. No escape sequence reaches past the end of its line, so that nothing can swallow the rest of the log.
//!
//! The converter is fed in pieces and keeps no text, so that a page of any length costs little memory.

use anstyle_parse::{Params, Parser, Perform};
use std::fmt::Write as _;

/// Turns pieces of a log into HTML, in order. What [`AnsiHtml::push`] has written so far is well-formed except for at most
/// one open `<span>`, which [`AnsiHtml::finish`] closes.
#[derive(Debug, Default)]
pub struct AnsiHtml {
    parser: Parser,
    pen: Pen,
}

impl AnsiHtml {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the HTML of the next bytes of the log to `out`. Bytes that are not UTF-8 become U+FFFD.
    pub fn push(&mut self, log: &[u8], out: &mut String) {
        for &byte in log {
            let mut sheet = Sheet { pen: &mut self.pen, out };
            if byte == b'\n' {
                self.parser = Parser::default();
                sheet.line_feed();
            } else {
                self.parser.advance(&mut sheet, byte);
            }
        }
    }

    /// Closes what is open. The converter is as new afterwards.
    pub fn finish(&mut self, out: &mut String) {
        Sheet { pen: &mut self.pen, out }.close();
        *self = Self::default();
    }
}

/// What the sequences asked for, and what the open `<span>` says.
#[derive(Debug, Default)]
struct Pen {
    wanted: Style,
    open: Style,
    /// A carriage return was the last character: together with a line feed it is one line's end, alone it is one too.
    carriage_return: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Style {
    bold: bool,
    faint: bool,
    italic: bool,
    underlined: bool,
    crossed_out: bool,
    reversed: bool,
    /// 0 to 7, and 8 to 15 for the bright ones.
    foreground: Option<u8>,
    background: Option<u8>,
}

impl Style {
    fn write_classes(self, out: &mut String) {
        let switches = [
            (self.bold, "bold"),
            (self.faint, "faint"),
            (self.italic, "italic"),
            (self.underlined, "underlined"),
            (self.crossed_out, "crossed-out"),
            (self.reversed, "reversed"),
        ];
        let mut gap = "";
        for (_, class) in switches.into_iter().filter(|(on, _)| *on) {
            out.push_str(gap);
            out.push_str(class);
            gap = " ";
        }
        for (prefix, colour) in [("fg", self.foreground), ("bg", self.background)] {
            if let Some(colour) = colour {
                write!(out, "{gap}{prefix}{colour}").expect("writing to a string can't fail");
                gap = " ";
            }
        }
    }

    /// Applies one `CSI … m`. Unknown parameters are skipped; colours beyond the first sixteen are left out, their
    /// parameters included.
    fn apply(&mut self, params: &Params) {
        let mut params = params.iter();
        while let Some(group) = params.next() {
            let Some(&code) = group.first() else { continue };
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.faint = true,
                3 => self.italic = true,
                4 => self.underlined = group.get(1) != Some(&0),
                7 => self.reversed = true,
                9 => self.crossed_out = true,
                21 | 22 => (self.bold, self.faint) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                27 => self.reversed = false,
                29 => self.crossed_out = false,
                30..=37 => self.foreground = basic(code, 30),
                39 => self.foreground = None,
                40..=47 => self.background = basic(code, 40),
                49 => self.background = None,
                90..=97 => self.foreground = basic(code, 82),
                100..=107 => self.background = basic(code, 92),
                38 | 48 => {
                    let colour = if group.len() > 1 { indexed(&group[1..]) } else { following(&mut params) };
                    *(if code == 38 { &mut self.foreground } else { &mut self.background }) = colour;
                }
                _ => {}
            }
        }
    }
}

fn basic(code: u16, first: u16) -> Option<u8> {
    u8::try_from(code - first).ok()
}

/// `5;N`: one of 256 colours, of which the first sixteen are ours.
fn indexed(selection: &[u16]) -> Option<u8> {
    match selection {
        [5, colour @ 0..=15, ..] => u8::try_from(*colour).ok(),
        _ => None,
    }
}

/// The colour of `38;5;N` or `38;2;R;G;B`, written with semicolons: its parameters are groups of their own.
fn following<'a>(params: &mut impl Iterator<Item = &'a [u16]>) -> Option<u8> {
    let mut next = || params.next().and_then(|group| group.first().copied());
    match next()? {
        5 => indexed(&[5, next()?]),
        2 => {
            for _ in 0..3 {
                next()?;
            }
            None
        }
        _ => None,
    }
}

/// The pen on the paper: receives what the parser found.
struct Sheet<'a> {
    pen: &'a mut Pen,
    out: &'a mut String,
}

impl Sheet<'_> {
    fn line_feed(&mut self) {
        self.pen.carriage_return = false;
        self.out.push('\n');
    }

    fn end_carriage_return(&mut self) {
        if self.pen.carriage_return {
            self.line_feed();
        }
    }

    fn close(&mut self) {
        if self.pen.open != Style::default() {
            self.out.push_str("</span>");
            self.pen.open = Style::default();
        }
    }

    /// Opens and closes only where a character is about to be written: sequences without text cost nothing.
    fn ready(&mut self) {
        self.end_carriage_return();
        if self.pen.open != self.pen.wanted {
            self.close();
            if self.pen.wanted != Style::default() {
                self.out.push_str("<span class=\"");
                self.pen.wanted.write_classes(self.out);
                self.out.push_str("\">");
                self.pen.open = self.pen.wanted;
            }
        }
    }
}

impl Perform for Sheet<'_> {
    fn print(&mut self, c: char) {
        // C1 controls that came as UTF-8, and DEL.
        if c.is_control() {
            return;
        }
        self.ready();
        match c {
            '&' => self.out.push_str("&amp;"),
            '<' => self.out.push_str("&lt;"),
            '>' => self.out.push_str("&gt;"),
            '"' => self.out.push_str("&quot;"),
            '\'' => self.out.push_str("&#39;"),
            c if is_deceptive(c) => {
                write!(self.out, "<b class=\"odd\">U+{:04X}</b>", u32::from(c))
                    .expect("writing to a string can't fail");
            }
            c => self.out.push(c),
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => {
                self.end_carriage_return();
                self.pen.carriage_return = true;
            }
            b'\t' => {
                self.ready();
                self.out.push('\t');
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if action == b'm' && intermediates.is_empty() && !ignore {
            self.pen.wanted.apply(params);
        }
    }
}

/// A short text with the characters that reorder or hide others written by number. Not escaped for HTML.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) || (c.is_control() && c != '\n') {
            write!(out, "[U+{:04X}]", u32::from(c)).expect("writing to a string can't fail");
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that change the order of others, or that nobody sees: text could read as what it is not
/// (<https://trojansource.codes>).
const fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{061C}' // Arabic letter mark
            | '\u{200B}' // zero width space
            | '\u{200E}' | '\u{200F}' // left-to-right and right-to-left mark
            | '\u{2028}'..='\u{202E}' // line and paragraph separator, embeddings and overrides
            | '\u{2060}'..='\u{2069}' // word joiner, invisible operators, isolates
            | '\u{FEFF}' // zero width no-break space
            | '\u{E0000}'..='\u{E007F}' // tags
    )
}

#[cfg(test)]
mod tests;
