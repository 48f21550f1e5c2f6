//! Terraform's own words, made fit for a comment: without colours, without the frame that it draws around errors, and
//! with nothing in them that steers a terminal.

use anstyle_parse::{DefaultCharAccumulator, Parser, Perform};

/// The text without escape sequences, control characters and frames. Nothing is decided by it.
#[must_use]
pub(super) fn plain(output: &[u8]) -> String {
    let mut text = Text(String::with_capacity(output.len()));
    let mut parser = Parser::<DefaultCharAccumulator>::new();
    for byte in String::from_utf8_lossy(output).bytes() {
        parser.advance(&mut text, byte);
    }
    let mut lines: Vec<&str> = text.0.lines().filter(|line| !matches!(line.trim(), "╷" | "╵")).map(unframed).collect();
    lines.dedup_by(|second, first| first.is_empty() && second.is_empty());
    lines.join("\n").trim().to_owned()
}

/// The end of a text, at most `max` bytes of whole lines where there are any.
#[must_use]
pub(super) fn tail(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = &text[text.ceil_char_boundary(text.len() - max)..];
    end.split_once('\n').map_or(end, |(_, whole)| whole)
}

fn unframed(line: &str) -> &str {
    line.strip_prefix("│ ").or_else(|| line.strip_prefix('│')).unwrap_or(line).trim_end()
}

struct Text(String);

impl Perform for Text {
    fn print(&mut self, c: char) {
        if !c.is_control() {
            self.0.push(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\n' | b'\t') {
            self.0.push(char::from(byte));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{plain, tail};

    #[test]
    fn colours_frames_and_terminal_tricks_are_gone() {
        let output = "\x1b[31m╷\x1b[0m\n\x1b[31m│\x1b[0m \x1b[1mError: \x1b[0mInvalid reference\n\
                      │ \n│ \n│   on main.tf line 1:\r\n│\x1b[0m\x1b]0;title\x07\x1b[2J\u{9b}31m\x08\n╵\n";
        insta::assert_snapshot!(plain(output.as_bytes()), @r"
        Error: Invalid reference

          on main.tf line 1:
        31m
        ");
    }

    #[test]
    fn bytes_that_are_no_text_are_no_crash() {
        assert_eq!(plain(b"a\xff\xfeb\x00c"), "a\u{fffd}\u{fffd}bc");
    }

    #[test]
    fn a_tail_begins_with_a_whole_line_and_never_inside_a_character() {
        assert_eq!(tail("short", 10), "short");
        assert_eq!(tail("first line\nsecond\nthird", 11), "third");
        assert_eq!(tail("ääää", 5), "ää");
    }
}
