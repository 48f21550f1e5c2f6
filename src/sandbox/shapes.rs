//! Masks in a stream what is a secret by its looks, line by line: no shape reaches over the end of a line, except for
//! private keys, which are followed from their first line to their last.

use crate::domain::secret::{MASK, spans};

/// A line longer than this many bytes is looked at in parts, so that an endless line is not held in memory.
const LONGEST_LINE: usize = 16 * 1024;
/// Lines of the longest key (an RSA key of 16,384 bits has about 200).
const LONGEST_KEY: usize = 300;

#[derive(Debug, Default)]
pub(super) struct Shapes {
    /// The line that has begun.
    held: Vec<u8>,
    /// Lines of a private key that have been let go, while one goes on.
    key: Option<usize>,
}

impl Shapes {
    /// The next bytes in, whole lines out.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let end = match self.held.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            // No token is half as long as this; between two words none is cut.
            None if self.held.len() > LONGEST_LINE => {
                self.held.iter().rposition(|byte| *byte == b' ').map_or(self.held.len(), |at| at + 1)
            }
            None => return Vec::new(),
        };
        let rest = self.held.split_off(end);
        let lines = std::mem::replace(&mut self.held, rest);
        self.masked(&lines)
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.held);
        self.masked(&rest)
    }

    fn masked(&mut self, lines: &[u8]) -> Vec<u8> {
        if self.key.is_none() && !holds(lines, b"PRIVATE KEY") {
            let mut out = Vec::with_capacity(lines.len());
            mask(lines, &mut out);
            return out;
        }
        let mut out = Vec::new();
        lines.split_inclusive(|byte| *byte == b'\n').for_each(|line| self.line(line, &mut out));
        out
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        if let Some(gone) = self.key {
            let goes_on = gone < LONGEST_KEY && is_of_a_key(line);
            self.key = (goes_on && !holds(line, b"-----END")).then_some(gone + 1);
            if goes_on {
                return;
            }
        }
        mask(line, out);
        if holds(line, b"-----BEGIN") && holds(line, b"PRIVATE KEY") && !holds(line, b"-----END") {
            self.key = Some(0);
            // The mask took the line's end along.
            if line.ends_with(b"\n") && !out.ends_with(b"\n") {
                out.push(b'\n');
            }
        }
    }
}

fn mask(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    for span in spans(text) {
        out.extend_from_slice(&text[at..span.start]);
        out.extend_from_slice(MASK.as_bytes());
        at = span.end;
    }
    out.extend_from_slice(&text[at..]);
}

/// Base64, or a header such as `Proc-Type: 4,ENCRYPTED`, perhaps in the frame that Terraform draws.
fn is_of_a_key(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let text = text.trim().trim_start_matches(['│', '|', ' ']).trim();
    text.len() <= 130 && text.chars().all(|c| c.is_ascii_alphanumeric() || "+/=:,-. ".contains(c)) && !is_prose(text)
}

fn is_prose(text: &str) -> bool {
    !text.starts_with("-----") && text.split(' ').count() > 3
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
