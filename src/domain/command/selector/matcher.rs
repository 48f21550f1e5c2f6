//! A choice that is ready to be asked of many projects: its globs are compiled once.

use super::Choice;
use crate::domain::project::{Project, glob};
use globset::GlobSet;

#[derive(Debug)]
pub struct Matcher(Ready);

#[derive(Debug)]
enum Ready {
    Everything,
    /// The word without a slash at its end.
    Word(String, Option<GlobSet>),
    Tag(String),
    Name(String),
    Dir(String, Option<GlobSet>),
    Workspace(String),
    AnyOf(Vec<Self>),
    AllOf(Vec<Self>),
    Not(Box<Self>),
}

impl Matcher {
    #[must_use]
    pub fn of(choice: Option<&Choice>) -> Self {
        Self(choice.map_or(Ready::Everything, Ready::of))
    }

    /// A name, a directory, a glob over both, or `tag:x`.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        Self(Ready::word(word))
    }

    #[must_use]
    pub fn matches(&self, project: &Project) -> bool {
        self.0.matches(project)
    }
}

impl Ready {
    fn of(choice: &Choice) -> Self {
        let all = |choices: &[Choice]| choices.iter().map(Self::of).collect();
        match choice {
            Choice::Word(word) => Self::word(word),
            Choice::Name(name) => Self::Name(name.clone()),
            Choice::Dir(dir) => Self::Dir(dir.clone(), glob(dir)),
            Choice::Workspace(workspace) => Self::Workspace(workspace.clone()),
            Choice::AnyOf(choices) => Self::AnyOf(all(choices)),
            Choice::AllOf(choices) => Self::AllOf(all(choices)),
            Choice::Not(choice) => Self::Not(Box::new(Self::of(choice))),
        }
    }

    fn word(word: &str) -> Self {
        match word.strip_prefix("tag:") {
            Some(tag) => Self::Tag(tag.to_owned()),
            None => {
                let plain = word.strip_suffix('/').unwrap_or(word);
                Self::Word(plain.to_owned(), glob(plain))
            }
        }
    }

    fn matches(&self, project: &Project) -> bool {
        let (name, dir) = (project.name.as_str(), project.key.dir.as_str());
        let fits = |glob: &Option<GlobSet>, text| glob.as_ref().is_some_and(|glob| glob.is_match(text));
        match self {
            Self::Everything => true,
            Self::Word(word, glob) => word == name || word == dir || fits(glob, dir) || fits(glob, name),
            Self::Tag(tag) => project.tags.contains(tag),
            Self::Name(wanted) => wanted == name,
            Self::Dir(wanted, glob) => wanted == dir || fits(glob, dir),
            Self::Workspace(workspace) => workspace == project.key.workspace.as_str(),
            Self::AnyOf(all) => all.iter().any(|one| one.matches(project)),
            Self::AllOf(all) => all.iter().all(|one| one.matches(project)),
            Self::Not(one) => !one.matches(project),
        }
    }
}
