//! The words that choose projects: names, directories, globs, `tag:x`, put together with `and`, `or`, `not` and
//! parentheses.

mod matcher;
mod read;
mod write;

pub use matcher::Matcher;
pub(super) use read::choice;

use crate::domain::id::ProjectDir;
use crate::domain::project::{Project, glob};
use serde::{Deserialize, Serialize};

/// Which projects are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selector {
    /// `None`: all.
    pub choice: Option<Choice>,
    /// Only those whose last run failed. What has run is not known here, so this is for whoever knows it.
    #[serde(default)]
    pub failed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// A name, a directory, a glob over both, or `tag:x`.
    Word(String),
    /// Exactly this name (Atlantis' `-p`).
    Name(String),
    /// Exactly this directory, or a glob over directories (Atlantis' `-d`).
    Dir(String),
    /// Exactly this workspace (Atlantis' `-w`).
    Workspace(String),
    AnyOf(Vec<Self>),
    AllOf(Vec<Self>),
    Not(Box<Self>),
}

impl Selector {
    /// Any of these words.
    pub fn any_of<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Self {
        let mut words: Vec<Choice> = words.into_iter().map(|word| Choice::Word(word.into())).collect();
        let choice = if words.len() > 1 { Some(Choice::AnyOf(words)) } else { words.pop() };
        Self { choice, failed: false }
    }

    /// Which projects it names, leaving aside what has run.
    #[must_use]
    pub fn matcher(&self) -> Matcher {
        Matcher::of(self.choice.as_ref())
    }

    /// Whether it names this project, leaving aside what has run. For more than one, see [`Self::matcher`].
    #[must_use]
    pub fn matches(&self, project: &Project) -> bool {
        self.matcher().matches(project)
    }

    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.choice.is_none() && !self.failed
    }

    /// The words in it that name none of these projects, as they are written. A slip in a `not` would do more than was
    /// meant, so whoever carries out a command refuses it if there are any.
    pub fn words_without<'p>(&self, projects: impl IntoIterator<Item = &'p Project> + Clone) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(choice) = &self.choice {
            choice.collect(&mut words);
        }
        let names_none = |word: &&&Choice| {
            let matcher = Matcher::of(Some(word));
            !projects.clone().into_iter().any(|project| matcher.matches(project))
        };
        words.iter().filter(names_none).map(ToString::to_string).collect()
    }

    /// What it leaves, and only of that which `other` chooses too.
    pub(super) fn and(&mut self, other: Choice) {
        self.choice = Some(match self.choice.take() {
            None => other,
            Some(Choice::AllOf(mut all)) => {
                all.push(other);
                Choice::AllOf(all)
            }
            Some(choice) => Choice::AllOf(vec![choice, other]),
        });
    }
}

impl Choice {
    fn collect<'a>(&'a self, words: &mut Vec<&'a Self>) {
        match self {
            Self::AnyOf(all) | Self::AllOf(all) => all.iter().for_each(|choice| choice.collect(words)),
            Self::Not(choice) => choice.collect(words),
            word => words.push(word),
        }
    }
}

/// Whether a word names this project: by name, by directory, by a glob over either, or by `tag:x`.
#[must_use]
pub fn word_matches(word: &str, project: &Project) -> bool {
    Matcher::of_word(word).matches(project)
}

/// A directory or a glob of directories, from the root of the repository.
///
/// # Errors
/// Why it is none, as the end of a sentence.
pub(super) fn dir(text: &str) -> Result<String, &'static str> {
    let plain = text.trim_start_matches('/');
    if plain.is_empty() {
        return Ok(".".to_owned());
    }
    if plain.contains(['*', '?', '[', '{']) {
        let inside = !plain.split('/').any(|part| part == "..");
        let plain = plain.trim_start_matches("./");
        let sound = inside && glob(plain).is_some();
        return sound.then(|| plain.to_owned()).ok_or("needs a glob of directories inside the repository");
    }
    let dir: Option<ProjectDir> = inside(plain).and_then(|dir| dir.parse().ok());
    dir.map(|dir| dir.to_string()).ok_or("needs a directory inside the repository")
}

/// `a/b/../c` as `a/c`; `None` if it leads out.
fn inside(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// As Atlantis checks it: no path, nothing that a shell or a home directory would make of it.
///
/// # Errors
/// Why it is none, as the end of a sentence.
pub(super) fn workspace(text: &str) -> Result<String, &'static str> {
    let odd = text.contains("..") || text.contains(['/', '$']) || text.starts_with('~');
    if odd { Err("needs the name of a workspace") } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests;
