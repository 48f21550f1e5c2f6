//! Version constraints as Terraform has them, which are not those of any package manager: `~> 1.5` allows 1.6, a missing
//! part is zero, `!=` exists, and a pre-release is only ever chosen by its exact name.
//!
//! Rules: <https://developer.hashicorp.com/terraform/language/expressions/version-constraints>

use semver::Version;
use std::fmt;
use std::str::FromStr;

/// A comma-separated list of conditions, all of which must hold. The empty list allows every release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Constraints {
    /// As it was written.
    text: String,
    all: Vec<Constraint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Constraint {
    operator: Operator,
    version: Version,
    /// How many parts were written: `~>` lets the last of them grow.
    parts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Pessimistic,
}

impl Operator {
    /// Longer ones first: the first that fits is the one that was meant.
    const ALL: [(&'static str, Self); 7] = [
        ("!=", Self::NotEqual),
        (">=", Self::GreaterEqual),
        ("<=", Self::LessEqual),
        ("~>", Self::Pessimistic),
        (">", Self::Greater),
        ("<", Self::Less),
        ("=", Self::Equal),
    ];
}

/// The text is not a version constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version constraint (such as `1.11.4`, `>= 1.5, < 2.0` or `~> 1.9`)")]
pub struct InvalidConstraint(String);

impl Constraints {
    #[must_use]
    pub fn allow(&self, version: &Version) -> bool {
        let named = |c: &Constraint| c.operator == Operator::Equal && c.version == *version;
        self.all.iter().all(|c| c.allows(version)) && (version.pre.is_empty() || self.all.iter().any(named))
    }

    /// The only version that can satisfy them, if they name one.
    #[must_use]
    pub fn exact(&self) -> Option<&Version> {
        self.all.iter().find(|c| c.operator == Operator::Equal).map(|c| &c.version)
    }
}

impl Constraint {
    fn allows(&self, version: &Version) -> bool {
        let floor = &self.version;
        match self.operator {
            Operator::Equal => version == floor,
            Operator::NotEqual => version != floor,
            Operator::Greater => version > floor,
            Operator::GreaterEqual => version >= floor,
            Operator::Less => version < floor,
            Operator::LessEqual => version <= floor,
            Operator::Pessimistic => {
                version >= floor
                    && (self.parts < 2 || version.major == floor.major)
                    && (self.parts < 3 || version.minor == floor.minor)
            }
        }
    }
}

impl FromStr for Constraints {
    type Err = InvalidConstraint;

    fn from_str(text: &str) -> Result<Self, InvalidConstraint> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let all: Option<Vec<Constraint>> = text.split(',').map(|part| condition(part.trim())).collect();
        let all = all.ok_or_else(|| InvalidConstraint(text.chars().take(80).collect()))?;
        Ok(Self { text: text.trim().to_owned(), all })
    }
}

fn condition(text: &str) -> Option<Constraint> {
    let (operator, rest) = Operator::ALL
        .iter()
        .find_map(|(word, operator)| text.strip_prefix(word).map(|rest| (*operator, rest)))
        .unwrap_or((Operator::Equal, text));
    let (version, parts) = loose_version(rest.trim())?;
    Some(Constraint { operator, version, parts })
}

/// A version with one to three parts, and how many there were. A leading `v` is allowed.
fn loose_version(text: &str) -> Option<(Version, usize)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let numbers_end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(numbers_end);
    let parts = numbers.split('.').count();
    let padding = match parts {
        1 => ".0.0",
        2 => ".0",
        3 => "",
        _ => return None,
    };
    Some((Version::parse(&format!("{numbers}{padding}{rest}")).ok()?, parts))
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Constraints;
    use semver::Version;

    fn allows(constraint: &str, version: &str) -> bool {
        constraint.parse::<Constraints>().unwrap().allow(&Version::parse(version).unwrap())
    }

    #[test]
    fn constraints_mean_what_terraform_says_they_mean() {
        for (constraint, allowed, refused) in [
            ("1.11.4", &["1.11.4"][..], &["1.11.5", "1.11.3"][..]),
            ("= 1.5", &["1.5.0"], &["1.5.1"]),
            ("v1.5.7", &["1.5.7"], &["1.5.8"]),
            ("!= 1.5.1", &["1.5.0", "1.5.2"], &["1.5.1"]),
            ("> 1.5", &["1.5.1", "2.0.0"], &["1.5.0"]),
            (">= 1.5, < 2.0", &["1.5.0", "1.99.0"], &["1.4.9", "2.0.0"]),
            (">=1.5,<=1.6.2", &["1.6.2"], &["1.6.3"]),
            ("~> 1.5", &["1.5.0", "1.11.4"], &["1.4.9", "2.0.0"]),
            ("~> 1.5.3", &["1.5.3", "1.5.99"], &["1.5.2", "1.6.0"]),
            ("~> 1", &["1.0.0", "2.3.4"], &["0.15.5"]),
            ("~> 1.0, != 1.9.0", &["1.9.1"], &["1.9.0"]),
            ("", &["0.12.0", "9.9.9"], &["9.9.9-rc1"]),
        ] {
            for version in allowed {
                assert!(allows(constraint, version), "`{constraint}` must allow {version}");
            }
            for version in refused {
                assert!(!allows(constraint, version), "`{constraint}` must not allow {version}");
            }
        }
    }

    #[test]
    fn a_pre_release_is_chosen_only_by_its_exact_name() {
        assert!(allows("1.12.0-beta1", "1.12.0-beta1"));
        assert!(allows("= 1.12.0-beta1", "1.12.0-beta1"));
        assert!(!allows(">= 1.11", "1.12.0-beta1"));
        assert!(!allows("~> 1.12.0-beta1", "1.12.0-beta2"));
        assert!(allows(">= 1.12.0-beta1", "1.12.0"));
    }

    #[test]
    fn one_version_is_told_from_a_range() {
        for (constraint, version) in
            [("1.5", Some("1.5.0")), (">= 1.0, = 1.2.3", Some("1.2.3")), ("~> 1.5.0", None), ("", None)]
        {
            let constraints: Constraints = constraint.parse().unwrap();
            assert_eq!(constraints.exact().map(ToString::to_string).as_deref(), version, "`{constraint}`");
        }
    }

    #[test]
    fn what_is_no_constraint_is_refused_with_examples() {
        for text in ["latest", "1.2.3.4", ">= ", "=> 1.5", "1.5,", "^1.5", "1.x", "1..2", "-1"] {
            let error = text.parse::<Constraints>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` is not a version constraint")), "{error}");
        }
    }
}
