//! Masks secret values in a stream of bytes, wherever the stream happens to be cut into chunks.
//!
//! Terraform masks what it knows to be sensitive. A provisioner's `echo $TOKEN` it does not know; the server does,
//! because it handed the value out. What nobody handed out is known by its looks: see [`crate::domain::secret`].

use super::shapes::Shapes;
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

pub use crate::domain::secret::MASK;

/// Shorter values are not masked: `1` or `eu` as a "secret" would blacken the whole log and protect nothing.
const SHORTEST: usize = 5;

/// The values that must not be seen, in each form in which programs commonly print them: as they are, line by line,
/// percent-encoded, escaped for JSON, and in Base64, also as a part of something longer.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a match is never cut short by a secret that begins another.
    forms: Arc<[Vec<u8>]>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

impl Redactor {
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        for secret in secrets {
            let secret = secret.expose_secret();
            forms.push(secret.into());
            // Not what every key begins with.
            let lines = secret.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
            forms.extend(lines.map(Into::into));
            forms.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>().into());
            forms.push(percent_encoded(secret).into());
            forms.push(json_escaped(secret).into());
            // What follows the last whole group depends on how the encoded text goes on; the padding is no secret.
            forms.push(base64(secret.as_bytes()).trim_end_matches('=').into());
            for part in base64_parts(secret.as_bytes()) {
                let url_safe = part.replace('+', "-").replace('/', "_");
                forms.extend([part.into(), url_safe.into()]);
            }
        }
        Self::of_forms(forms)
    }

    fn of_forms(mut forms: Vec<Vec<u8>>) -> Self {
        forms.retain(|form| form.len() >= SHORTEST);
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms: forms.into() }
    }

    /// This one, which masks another value besides.
    #[must_use]
    pub fn and(&self, secret: &SecretString) -> Self {
        let more = Self::new([secret]);
        Self::of_forms(self.forms.iter().chain(more.forms.iter()).cloned().collect())
    }

    /// A whole text at once.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut masker = self.masker();
        let mut out = masker.push(text.as_bytes());
        out.extend(masker.finish());
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The state of masking one stream.
    #[must_use]
    pub fn masker(&self) -> Masker {
        Masker { redactor: self.clone(), held: Vec::new(), covered: 0, shapes: Shapes::default() }
    }
}

/// Masks one stream, chunk by chunk. Holds back what could be the beginning of a secret: at most the line that has begun.
#[derive(Debug)]
pub struct Masker {
    redactor: Redactor,
    held: Vec<u8>,
    /// How many of the next bytes belong to a secret whose mask is already written.
    covered: usize,
    /// What comes after: secrets that are known by their looks alone.
    shapes: Shapes,
}

impl Masker {
    /// The next bytes in, what can be shown by now out.
    #[must_use]
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        if self.redactor.forms.is_empty() {
            return self.shapes.push(chunk);
        }
        self.held.extend_from_slice(chunk);
        let known = self.advance(false);
        self.shapes.push(&known)
    }

    /// The stream is over: what was held back.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let known = self.advance(true);
        let mut out = self.shapes.push(&known);
        out.extend(self.shapes.finish());
        out
    }

    fn advance(&mut self, last: bool) -> Vec<u8> {
        let text = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(text.len());
        let mut begins = [false; 256];
        for form in self.redactor.forms.iter() {
            begins[usize::from(form[0])] = true;
        }
        for at in 0..text.len() {
            let rest = &text[at..];
            if begins[usize::from(rest[0])] {
                let undecided = |form: &Vec<u8>| rest.len() < form.len() && form.starts_with(rest);
                if !last && self.redactor.forms.iter().any(undecided) {
                    self.held = rest.to_vec();
                    return out;
                }
                // Secrets may overlap: their union is masked, with one mask.
                if let Some(form) = self.redactor.forms.iter().find(|form| rest.starts_with(form)) {
                    if self.covered == 0 {
                        out.extend_from_slice(MASK.as_bytes());
                    }
                    self.covered = self.covered.max(form.len());
                }
            }
            if self.covered > 0 {
                self.covered -= 1;
            } else {
                out.push(text[at]);
            }
        }
        out
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.trim_matches('"').to_owned()
}

/// How a text looks somewhere inside of a longer one's Base64: what of it does not depend on its neighbours, for each of
/// the three places in which it can begin.
fn base64_parts(secret: &[u8]) -> impl Iterator<Item = String> {
    (0..3).map(move |before| {
        let encoded = base64(&[&[0_u8; 2][..before], secret].concat());
        let begin = (before * 8).div_ceil(6);
        let end = (before + secret.len()) * 8 / 6;
        encoded.get(begin..end).unwrap_or_default().to_owned()
    })
}

/// Base64 with padding, RFC 4648 section 4.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (group >> (18 - 6 * digit) & 63) as usize;
            out.push(if digit <= chunk.len() { char::from(ALPHABET[value]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets: Vec<SecretString> = secrets.iter().map(|s| SecretString::from(*s)).collect();
        Redactor::new(&secrets)
    }

    /// The text masked in one piece, and in every possible pair of pieces, and byte by byte: always the same.
    fn masked(secrets: &[&str], text: &str) -> String {
        let redactor = redactor(secrets);
        let whole = redactor.text(text);
        let in_pieces = |pieces: Vec<&[u8]>| {
            let mut masker = redactor.masker();
            let mut out: Vec<u8> = pieces.into_iter().flat_map(|piece| masker.push(piece)).collect();
            out.extend(masker.finish());
            String::from_utf8(out).unwrap()
        };
        for cut in 0..=text.len() {
            let (left, right) = text.as_bytes().split_at(cut);
            assert_eq!(in_pieces(vec![left, right]), whole, "cut at {cut}");
        }
        assert_eq!(in_pieces(text.as_bytes().chunks(1).collect()), whole);
        whole
    }

    #[test]
    fn a_secret_is_masked_wherever_the_stream_is_cut() {
        assert_eq!(masked(&["s3cr3t-value"], "a s3cr3t-value b s3cr3t-valu c"), "a *** b s3cr3t-valu c");
        assert_eq!(masked(&["s3cr3t-value"], "s3cr3t-values3cr3t-value"), "******");
    }

    #[test]
    fn of_overlapping_secrets_nothing_stays_readable() {
        assert_eq!(masked(&["abcdef", "efghij"], "-abcdefghij-"), "-***-");
        assert_eq!(masked(&["abcde", "abcdefgh"], "abcdefgh abcdefg"), "*** ***fg");
    }

    #[test]
    fn encoded_forms_are_masked_too() {
        let secret = "p4ss/w\"rd+x";
        let shown = format!("{} {} {} {}", "p4ss%2Fw%22rd%2Bx", "p4ss/w\\\"rd+x", "cDRzcy93InJkK3g=", secret);
        assert_eq!(masked(&[secret], &shown), "*** *** ***= ***");
    }

    #[test]
    fn a_secret_inside_of_something_that_is_encoded_is_masked() {
        for user in ["", "u", "us", "use"] {
            let shown = masked(&["p4ssword-of-mine"], &base64(format!("{user}p4ssword-of-mine!").as_bytes()));
            assert!(shown.contains("***") && shown.len() < 14, "{user}: {shown}");
        }
        let url_safe = base64("?>?>~~~secret".as_bytes()).replace('+', "-").replace('/', "_");
        assert!(masked(&["?>?>~~~secret"], &url_safe).starts_with("***"));
    }

    #[test]
    fn what_nobody_handed_out_is_masked_by_its_looks_wherever_the_stream_is_cut() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        assert_eq!(masked(&[], &format!("uses {token}\nand goes on")), "uses ***\nand goes on");
        let key = format!("a\n-----BEGIN {0} KEY-----\nMIIabc+/=\n  MIIdef\n-----END {0} KEY-----\nb\n", "PRIVATE");
        assert_eq!(masked(&[], &key), "a\n***\nb\n");
        let open = format!("-----BEGIN {} KEY-----\nMIIabc\nError: that was no key!\n", "PRIVATE");
        assert_eq!(masked(&[], &open), "***\nError: that was no key!\n");
    }

    #[test]
    fn one_more_value_can_be_hidden() {
        let redactor = redactor(&["first-secret"]).and(&"second-secret".into());
        assert_eq!(redactor.text("first-secret second-secret"), "*** ***");
    }

    #[test]
    fn each_line_of_a_key_is_masked() {
        assert_eq!(masked(&["-----BEGIN\nabcdefgh\n-----END"], "  abcdefgh\n  done"), "  ***\n  done");
    }

    #[test]
    fn values_too_short_to_be_secret_stay() {
        assert_eq!(masked(&["1", "", "eu"], "10 in eu"), "10 in eu");
    }

    #[test]
    fn a_redactor_does_not_print_what_it_hides() {
        assert_eq!(format!("{:?}", redactor(&["hunter22"]).masker()).matches("hunter22").count(), 0);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in pairs {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
