//! Every id is a type of its own, so that a head can't be passed where a base is wanted, and so that nothing that came
//! from outside travels unchecked.
//!
//! A forge's host is part of a repository's name everywhere: two forges may hold the same `owner/name`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Why a text is not the id that it should be. The message is fit for a person to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct InvalidId {
    text: String,
    wanted: &'static str,
}

impl InvalidId {
    fn new(text: &str, wanted: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), wanted }
    }
}

/// Unix milliseconds. The core never asks for the time; it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0 + ms)
    }

    /// Whether what has been there since this moment was there at a time of a forge's clock, which counts whole seconds.
    #[must_use]
    pub const fn was_there_at(self, at: Self) -> bool {
        self.0.div_euclid(1000) <= at.0.div_euclid(1000)
    }

    /// Milliseconds from `earlier` to this moment; negative if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

/// A kind of forge. What the kinds differ in stays in `forge/<name>`; here it is only a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForgeKind {
    Github,
    Gitlab,
    /// Gitea and Forgejo.
    Gitea,
}

impl ForgeKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
        }
    }

    /// As people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Github => "GitHub",
            Self::Gitlab => "GitLab",
            Self::Gitea => "Gitea",
        }
    }
}

impl fmt::Display for ForgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `host/owner/name`, for example `github.com/acme/infra`. The host carries its port if that is not the default one;
/// the owner may have several levels on forges that nest groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName {
    host: String,
    owner: String,
    name: String,
}

impl RepoName {
    /// # Errors
    /// When a part is empty, or holds white space, control characters, `#`, or a `.`/`..` path segment.
    pub fn new(host: &str, owner: &str, name: &str) -> Result<Self, InvalidId> {
        let whole = format!("{host}/{owner}/{name}");
        let clean = |segment: &str| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && !segment.starts_with('-')
                && segment.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"#?\\\"'`<>".contains(c))
        };
        if clean(host) && owner.split('/').all(clean) && clean(name) && !name.contains('/') {
            Ok(Self { host: host.to_lowercase(), owner: owner.into(), name: name.into() })
        } else {
            Err(InvalidId::new(&whole, "a repository name (host/owner/name)"))
        }
    }

    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `owner/name`, as the forge itself writes it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.host, self.owner, self.name)
    }
}

impl FromStr for RepoName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new(text, "a repository name (host/owner/name)");
        let (host, path) = text.split_once('/').ok_or_else(invalid)?;
        let (owner, name) = path.rsplit_once('/').ok_or_else(invalid)?;
        Self::new(host, owner, name)
    }
}

/// A pull request: its repository and number. Written `host/owner/name#12`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PullId {
    pub repo: RepoName,
    pub number: PullNumber,
}

impl fmt::Display for PullId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repo, self.number)
    }
}

impl FromStr for PullId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new(text, "a pull request (host/owner/name#number)");
        let (repo, number) = text.rsplit_once('#').ok_or_else(invalid)?;
        Ok(Self { repo: repo.parse()?, number: PullNumber(number.parse().map_err(|_| invalid())?) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PullNumber(pub u64);

impl fmt::Display for PullNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The forge's number of a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommentId(pub u64);

impl fmt::Display for CommentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text id with a rule: generates `parse`, `as_str`, `Display` and serde through the rule.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $wanted:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let rule: fn(&str) -> Option<String> = $rule;
                rule(text).map(Self).ok_or_else(|| InvalidId::new(text, $wanted))
            }
        }

        string_serde!($name);
    };
}

/// Conversions that serde's `try_from`/`into` need.
macro_rules! string_serde {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

// Below the macros, which it uses.
mod project;

pub use project::{ProjectDir, ProjectKey, ProjectName, Workspace};

string_serde!(RepoName);
string_serde!(PullId);

fn object_id(text: &str) -> Option<String> {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (hex && matches!(text.len(), 40 | 64)).then(|| text.to_owned())
}

fn short_text(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= 200 && !text.chars().any(|c| c.is_control());
    fits.then(|| text.to_owned())
}

checked_text!(
    /// A git commit.
    Sha,
    "a commit id (40 or 64 hexadecimal digits)",
    object_id
);

checked_text!(
    /// A git tree: equal trees hold equal files, whatever the commits are.
    TreeId,
    "a tree id (40 or 64 hexadecimal digits)",
    object_id
);

impl Sha {
    /// The first seven digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

checked_text!(
    /// The forge's id of one webhook request.
    DeliveryId,
    "a delivery id",
    short_text
);

checked_text!(
    /// A branch, without `refs/heads/`. Not trusted: always passed to git behind `--end-of-options` or as a full ref.
    Branch,
    "a branch name",
    |text| short_text(text).filter(|t| !t.starts_with('-') && !t.contains("..") && !t.contains([' ', '~', '^', ':', '\\', '?', '*', '[']))
);

checked_text!(
    /// An account's name on the forge. Forges compare these without regard to case, so the text is kept and
    /// [`Login::same_as`] compares.
    Login,
    "an account name",
    short_text
);

impl Login {
    /// Whoever a forge does not name. No rule is about them, and they are nobody's author: not even of a pull request
    /// whose author's account is gone, which forges call `ghost`.
    #[must_use]
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }

    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

checked_text!(
    /// A team (on GitLab a group) as it stands in addresses: `sre`, or with its organisation `acme/sre`. Without one it is
    /// of the organisation that the repository belongs to.
    TeamName,
    "the name of a team",
    |text| short_text(text).filter(|t| t.split('/').all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains(' ')))
);

impl TeamName {
    /// The organisation and the name in it; `owner`: that of the repository.
    #[must_use]
    pub fn within<'a>(&'a self, owner: &'a str) -> (&'a str, &'a str) {
        self.0.rsplit_once('/').unwrap_or((owner, &self.0))
    }
}

checked_text!(
    /// Equal fingerprints change the same things in the same way. 64 hexadecimal digits.
    Fingerprint,
    "a fingerprint",
    object_id
);

impl Fingerprint {
    /// What people see: `p_` and eight digits.
    #[must_use]
    pub fn short(&self) -> String {
        format!("p_{}", &self.0[..8])
    }
}

/// Ids that we make ourselves: version 7 UUIDs, so that they sort by time.
macro_rules! own_id {
    ($(#[$doc:meta])* $name:ident, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_simple().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId::new(text, $wanted))
            }
        }
    };
}

own_id!(
    /// One plan or apply of one project.
    RunId,
    "a run id"
);
own_id!(
    /// One piece of queued work.
    JobId,
    "a job id"
);
