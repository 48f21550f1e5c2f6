//! Text that is a secret by its looks: the tokens of well-known services, private keys, and random text under a name that
//! only secrets have.
//!
//! What Terraform marks as sensitive and what the server itself handed out is known to be secret and is masked as such,
//! elsewhere. This is for all that nobody said: a password that a provider echoes, a key in an error message. It may take
//! something harmless for a secret, which costs a few stars; so its patterns are narrow.

use regex::bytes::Regex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

#[cfg(test)]
mod tests;

/// What is written in a secret's place.
pub const MASK: &str = "***";

/// Masked as a whole. Sources: the services' own documentation of their token formats.
const SHAPES: &[&str] = &[
    // AWS access key ids: IAM "unique identifiers".
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b",
    // GitHub, all prefixes of "authentication token formats".
    r"\bgh[pousr]_[A-Za-z0-9]{30,255}\b",
    r"\bgithub_pat_[A-Za-z0-9_]{22,255}\b",
    // GitLab, "token prefixes".
    r"\bgl(?:pat|dt|ptt|ft|rt|cbt|soat|imt|agent|oas|ffct)-[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)*",
    // Slack tokens and incoming webhooks.
    r"\bxox[abeposr]-[A-Za-z0-9-]{10,}",
    r"hooks\.slack\.com/services/[A-Za-z0-9/_-]{20,}",
    // Google API keys, OAuth tokens and client secrets.
    r"\bAIza[0-9A-Za-z_-]{35}",
    r"\bya29\.[0-9A-Za-z_-]{20,}",
    r"\bGOCSPX-[A-Za-z0-9_-]{20,}",
    // Stripe, SendGrid, npm, PyPI, Docker Hub, DigitalOcean, OpenAI and Anthropic.
    r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}",
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"\bnpm_[A-Za-z0-9]{36}\b",
    r"\bpypi-AgE[A-Za-z0-9_-]{50,}",
    r"\bdckr_[a-z]{3}_[A-Za-z0-9_-]{20,}",
    r"\bdo[opr]_v1_[a-f0-9]{64}\b",
    r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}",
    // HCP Terraform and Vault.
    r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,}",
    r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}",
    // This server's own tokens for managed state.
    r"\b(?:read|write)\.[0-9]{13}\.[0-9a-f]{64}\b",
    // JSON Web Tokens, RFC 7519.
    r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    // Private keys, RFC 7468; one that does not end is masked to the end.
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
];

/// Only the group `v` is masked.
const PARTS: &[&str] = &[
    // The password in an address.
    r"[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^/\s:@]{0,100}:(?P<v>[^/\s@]{3,200})@",
    r"(?i)\bauthorization[\x22']?[ \t]*[:=][ \t]*[\x22']?(?:basic|bearer|token)[ \t]+(?P<v>[A-Za-z0-9._~+/=-]{8,})",
    // Azure: storage keys in connection strings, and shared access signatures.
    r"(?i)\b(?:AccountKey|SharedAccessKey)=(?P<v>[A-Za-z0-9+/]{20,}={0,2})",
    r"[?&]sig=(?P<v>[A-Za-z0-9%+/=]{20,})",
];

/// `name = value`, where the name may be a secret's: whether it is one is decided after.
const NAMED: &str = r#"(?i)(?P<n>[a-z0-9_.-]{0,80}(?:passw|passphrase|secret|token|key|credential)[a-z0-9_.-]{0,40})\\?["']?[ \t]{0,9}(?:[:=]|=>|->)[ \t]{0,9}\\?["']?(?P<v>[^\s"'\\,;]{8,500})"#;

static WHOLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(&SHAPES.join("|")).expect("our own patterns are valid"));
static PART: LazyLock<Vec<Regex>> =
    LazyLock::new(|| PARTS.iter().map(|part| Regex::new(part).expect("our own patterns are valid")).collect());
static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(NAMED).expect("our own patterns are valid"));

/// Where in a text there are secrets by their looks, in order, none overlapping another.
#[must_use]
pub fn spans(text: &[u8]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = WHOLE.find_iter(text).map(|found| found.range()).collect();
    for part in PART.iter() {
        found.extend(part.captures_iter(text).filter_map(|all| Some(all.name("v")?.range())));
    }
    for all in NAME.captures_iter(text) {
        let (Some(name), Some(value)) = (all.name("n"), all.name("v")) else { continue };
        let (Ok(name), Ok(text)) = (std::str::from_utf8(name.as_bytes()), std::str::from_utf8(value.as_bytes())) else {
            continue;
        };
        let kind = Name::of(name);
        let hides = kind == Name::Secret && is_random(text)
            || kind == Name::Password && text.bytes().any(|byte| byte.is_ascii_digit());
        found.extend(hides.then(|| value.range()));
    }
    found.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for span in found {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// The text with [`MASK`] in the place of every secret.
#[must_use]
pub fn masked(text: &str) -> Cow<'_, str> {
    let spans = spans(text.as_bytes());
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for span in spans {
        // The patterns match ASCII alone at their ends, or whole characters.
        out.push_str(text.get(at..span.start).unwrap_or_default());
        out.push_str(MASK);
        at = span.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(out)
}

/// What a name says of the value under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Plain,
    /// A secret, if it is random: `token = "none"` is not.
    Secret,
    /// A secret whatever it looks like.
    Password,
}

impl Name {
    /// Of the last part of an attribute's path, or of a variable's name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        const PASSWORDS: &[&str] = &["password", "passwd", "passphrase"];
        const SECRETS: &[&str] = &[
            "secret",
            "token",
            "api_key",
            "apikey",
            "access_key",
            "accesskey",
            "private_key",
            "privatekey",
            "secret_key",
            "auth_key",
            "client_key",
            "account_key",
            "shared_key",
            "signing_key",
            "encryption_key",
            "credential",
            "passw",
        ];
        /// `secret_arn` is where a secret is, not what it is.
        const ABOUT: &[&str] = &[
            "_id",
            "_ids",
            "_arn",
            "_arns",
            "_name",
            "_names",
            "_version",
            "_path",
            "_url",
            "_uri",
            "_ttl",
            "_type",
            "_length",
            "_policy",
            "_enabled",
            "_version_id",
            "_file",
            "_ref",
            "_count",
            "_algorithm",
            "_at",
        ];
        let last = name.trim_end_matches(|c: char| "]\"0123456789[".contains(c));
        let last = last.rsplit(['.', '[', '"']).next().unwrap_or(last).to_ascii_lowercase().replace('-', "_");
        if ABOUT.iter().any(|about| last.ends_with(about)) {
            Self::Plain
        } else if PASSWORDS.iter().any(|word| last.ends_with(word)) {
            Self::Password
        } else if SECRETS.iter().any(|word| last.contains(word)) {
            Self::Secret
        } else {
            Self::Plain
        }
    }

    /// Whether this value under such a name must not be shown.
    #[must_use]
    pub fn hides(self, value: &str) -> bool {
        match self {
            Self::Plain => false,
            Self::Secret => is_random(value),
            Self::Password => !value.is_empty(),
        }
    }
}

/// Long, of several kinds of characters, and no two alike more often than chance has it. Addresses, paths and names that
/// people give are not.
fn is_random(text: &str) -> bool {
    const LEAST: usize = 16;
    /// Bits for each character, as they are distributed in the text itself.
    const LEAST_ENTROPY: f64 = 3.0;
    let bytes = text.as_bytes();
    let has = |test: fn(&u8) -> bool| bytes.iter().any(test);
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let place = text.starts_with("arn:") || text.contains("://") || text.starts_with(['/', '.', '$', '(', '*']);
    let wordy = text.contains(char::is_whitespace);
    if bytes.len() < LEAST || !mixed || place || wordy {
        return false;
    }
    let mut counts: HashMap<u8, f64> = HashMap::new();
    bytes.iter().take(500).for_each(|byte| *counts.entry(*byte).or_default() += 1.0);
    #[expect(clippy::cast_precision_loss, reason = "at most 500")]
    let of = bytes.len().min(500) as f64;
    counts.values().map(|count| -(count / of) * (count / of).log2()).sum::<f64>() >= LEAST_ENTROPY
}
