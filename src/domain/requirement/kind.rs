//! The conditions that rules can ask for, as they are written.

use crate::domain::id::TeamName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A condition that must hold before a plan or an apply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Requirement {
    /// People with write permission, not the author, have approved the current head since its plan was shown.
    Approved(Approvals),
    /// The forge would merge it, our own statuses left out.
    Mergeable,
    /// The head contains the tip of the base branch.
    Undiverged,
    /// Everything else that reports on the head is green.
    Checks,
}

/// Whose approvals, and how many.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Approvals {
    /// At least one.
    Count(u8),
    OfTeam {
        count: u8,
        team: TeamName,
    },
    /// As the forge judges.
    CodeOwners,
}

impl Requirement {
    /// One approval.
    pub const APPROVED: Self = Self::Approved(Approvals::Count(1));

    /// One of each kind, for tables.
    pub const PLAIN: [Self; 4] = [Self::APPROVED, Self::Mergeable, Self::Undiverged, Self::Checks];

    /// Its kind in one word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Approved(_) => "approved",
            Self::Mergeable => "mergeable",
            Self::Undiverged => "undiverged",
            Self::Checks => "checks",
        }
    }

    /// The team that has to be asked about.
    #[must_use]
    pub fn team(&self) -> Option<&TeamName> {
        match self {
            Self::Approved(Approvals::OfTeam { team, .. }) => Some(team),
            _ => None,
        }
    }

    /// Whether the forge has to be asked for its own rules.
    #[must_use]
    pub const fn asks_the_forge(&self) -> bool {
        matches!(self, Self::Mergeable | Self::Checks | Self::Approved(Approvals::CodeOwners))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Approved(Approvals::Count(count)) if *count > 1 => write!(f, " by {count}"),
            Self::Approved(Approvals::OfTeam { count: 1, team }) => write!(f, " by team:{team}"),
            Self::Approved(Approvals::OfTeam { count, team }) => write!(f, " by {count} of team:{team}"),
            Self::Approved(Approvals::CodeOwners) => f.write_str(" by codeowners"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let count = |text: &str| text.parse().ok().filter(|count| (1..=20).contains(count));
        let team = |text: &str| text.strip_prefix("team:").and_then(|team| team.parse().ok());
        let read = match words.as_slice() {
            ["approved"] => Some(Self::APPROVED),
            ["mergeable"] => Some(Self::Mergeable),
            ["undiverged"] => Some(Self::Undiverged),
            ["checks"] => Some(Self::Checks),
            ["approved", "by", "codeowners"] => Some(Self::Approved(Approvals::CodeOwners)),
            ["approved", "by", one] => match team(one) {
                Some(team) => Some(Self::Approved(Approvals::OfTeam { count: 1, team })),
                None => count(one).map(|count| Self::Approved(Approvals::Count(count))),
            },
            ["approved", "by", number, "of", name] => {
                count(number).zip(team(name)).map(|(count, team)| Self::Approved(Approvals::OfTeam { count, team }))
            }
            _ => None,
        };
        read.ok_or_else(|| {
            format!(
                "`{text}` is no requirement: there are `approved`, `approved by 2`, `approved by team:NAME`, `approved by 2 of \
                 team:NAME`, `approved by codeowners`, `mergeable`, `undiverged` and `checks`"
            )
        })
    }
}

impl From<Requirement> for String {
    fn from(requirement: Requirement) -> Self {
        requirement.to_string()
    }
}

impl TryFrom<String> for Requirement {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_written_as_they_are_read() {
        for text in [
            "approved",
            "approved by 2",
            "approved by team:sre",
            "approved by 2 of team:acme/sre",
            "approved by codeowners",
            "mergeable",
            "undiverged",
            "checks",
        ] {
            let requirement: Requirement = text.parse().unwrap();
            assert_eq!(requirement.to_string(), text);
            let json = serde_json::to_string(&requirement).unwrap();
            assert_eq!(serde_json::from_str::<Requirement>(&json).unwrap(), requirement);
        }
        assert_eq!("approved by 1".parse(), Ok(Requirement::APPROVED));
        for text in [
            "",
            "Approved",
            "approved by",
            "approved by 0",
            "approved by 300",
            "approved by sre",
            "approved by 2 of sre",
            "merged",
        ] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }
}
