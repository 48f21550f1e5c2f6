//! The name of a host, which is never an address in disguise.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A DNS name in lower case, without a final dot: what may be asked for, listed and compared.
///
/// System resolvers take `127.1`, `0x7f000001` and `2130706433` for addresses, so a name whose last label is a number is
/// none, as in the URL standard (<https://url.spec.whatwg.org/#ends-in-a-number-checker>).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// Why a text is not the name of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("is an address, and addresses are never reachable by number: give it a name")]
    Number,
    #[error(
        "is not a host name: letters, digits, `-` and `_` in labels of 1 to 63 characters, 253 in all (an international \
             name in its `xn--` form)"
    )]
    Malformed,
}

impl HostName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has at least one label more than `suffix`, and ends in it.
    #[must_use]
    pub fn is_below(&self, suffix: &Self) -> bool {
        self.0.strip_suffix(&suffix.0).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }

    pub(super) fn has_one_label(&self) -> bool {
        !self.0.contains('.')
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.contains([':', '[', ']']) {
            return Err(InvalidName::Number);
        }
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if name.len() > 253 || !name.split('.').all(label) {
            return Err(InvalidName::Malformed);
        }
        let name = name.to_ascii_lowercase();
        let last = name.rsplit('.').next().unwrap_or_default();
        let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if hexadecimal || last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidName::Number);
        }
        Ok(Self(name))
    }
}

impl TryFrom<String> for HostName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_in_lower_case_and_without_the_final_dot() {
        let cases = [
            ("api.example.com", "api.example.com"),
            ("API.Example.COM.", "api.example.com"),
            ("minio", "minio"),
            ("my_service.internal", "my_service.internal"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("4.example.com", "4.example.com"),
            ("0xcafe.example.com", "0xcafe.example.com"),
        ];
        for (text, name) in cases {
            assert_eq!(text.parse::<HostName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn an_address_is_no_name_however_it_is_written() {
        let addresses = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.0x1",
            "0177.0.0.1",
            "1.2.3.4.",
            "169.254.169.254",
            "::1",
            "[::1]",
            "[fd00:ec2::254]",
            "::ffff:127.0.0.1",
            "example.123",
            "0x",
        ];
        for text in addresses {
            assert_eq!(text.parse::<HostName>(), Err(InvalidName::Number), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        let long_label = "a".repeat(64);
        let long_name = format!("{}com", "abcdefgh.".repeat(28));
        let texts = [
            "",
            ".",
            "..",
            "a..b",
            ".example.com",
            "-a.example.com",
            "a-.example.com",
            "exa mple.com",
            "user@example.com",
            "example.com/",
            "bücher.example",
            "example.com\0",
            "example.com\r\n",
            "*.example.com",
            "%65xample.com",
            &long_label,
            &long_name,
        ];
        for text in texts {
            assert_eq!(text.parse::<HostName>(), Err(InvalidName::Malformed), "{text}");
        }
    }

    #[test]
    fn below_means_whole_labels() {
        let suffix: HostName = "example.org".parse().unwrap();
        for (text, below) in [
            ("a.example.org", true),
            ("a.b.example.org", true),
            ("example.org", false),
            ("badexample.org", false),
            ("example.org.evil.com", false),
        ] {
            assert_eq!(text.parse::<HostName>().unwrap().is_below(&suffix), below, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_read_reads_the_same_again(text in ".{0,80}|[a-z0-9.x_-]{1,40}") {
            if let Ok(name) = text.parse::<HostName>() {
                prop_assert_eq!(name.as_str().parse::<HostName>(), Ok(name.clone()));
                prop_assert!(name.as_str().parse::<std::net::IpAddr>().is_err());
            }
        }
    }
}
