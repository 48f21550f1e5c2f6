//! The words that choose projects: names, directories, globs, `tag:x`, put together with `and`, `or`, `not` and
//! parentheses.
//!
//! ```text
//! any  = all { [ "or" | "," ] all }        words beside each other: any of them
//! all  = one { "and" one }
//! one  = "not" one | "(" any ")" | word
//! ```

use super::words::Word;
use crate::domain::project::{Project, glob};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Parentheses and `not`s within each other; more are not read.
const DEEPEST: usize = 20;

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

    /// Whether it names this project, leaving aside what has run.
    #[must_use]
    pub fn matches(&self, project: &Project) -> bool {
        self.choice.as_ref().is_none_or(|choice| choice.matches(project))
    }

    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.choice.is_none() && !self.failed
    }

    /// Every word that is in it, each as a choice of its own: whoever carries out a command sees to it that each names
    /// something, for a slip in a `not` would do more than was meant.
    #[must_use]
    pub fn words(&self) -> Vec<&Choice> {
        let mut words = Vec::new();
        if let Some(choice) = &self.choice {
            choice.collect(&mut words);
        }
        words
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
    #[must_use]
    pub fn matches(&self, project: &Project) -> bool {
        match self {
            Self::Word(word) => word_matches(word, project),
            Self::Name(name) => project.name.as_str() == name,
            Self::Dir(dir) => path_matches(dir, project.key.dir.as_str()),
            Self::Workspace(workspace) => project.key.workspace.as_str() == workspace,
            Self::AnyOf(all) => all.iter().any(|choice| choice.matches(project)),
            Self::AllOf(all) => all.iter().all(|choice| choice.matches(project)),
            Self::Not(choice) => !choice.matches(project),
        }
    }

    fn collect<'a>(&'a self, words: &mut Vec<&'a Self>) {
        match self {
            Self::AnyOf(all) | Self::AllOf(all) => all.iter().for_each(|choice| choice.collect(words)),
            Self::Not(choice) => choice.collect(words),
            word => words.push(word),
        }
    }
}

/// As it can be written in a command.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choice {
            Some(choice) => choice.write(f, false)?,
            None if self.failed => {}
            None => return f.write_str("*"),
        }
        match (self.failed, &self.choice) {
            (true, Some(_)) => f.write_str(" --failed"),
            (true, None) => f.write_str("--failed"),
            (false, _) => Ok(()),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

impl Choice {
    fn write(&self, f: &mut fmt::Formatter<'_>, within: bool) -> fmt::Result {
        let joined = |all: &[Self], between: &str, f: &mut fmt::Formatter<'_>| {
            f.write_str(if within { "(" } else { "" })?;
            for (index, choice) in all.iter().enumerate() {
                f.write_str(if index > 0 { between } else { "" })?;
                choice.write(f, true)?;
            }
            f.write_str(if within { ")" } else { "" })
        };
        match self {
            Self::Word(text) | Self::Name(text) | Self::Dir(text) => {
                let plain = !text.contains(|c: char| c.is_whitespace() || "(),\"'`".contains(c)) && !is_operator(text);
                if plain { f.write_str(text) } else { write!(f, "'{text}'") }
            }
            Self::Workspace(text) => write!(f, "-w {text}"),
            Self::AnyOf(all) => joined(all, " or ", f),
            Self::AllOf(all) => joined(all, " and ", f),
            Self::Not(choice) => {
                f.write_str("not ")?;
                choice.write(f, true)
            }
        }
    }
}

/// Whether a word names this project: by name, by directory, by a glob over either, or by `tag:x`.
#[must_use]
pub fn word_matches(word: &str, project: &Project) -> bool {
    if let Some(tag) = word.strip_prefix("tag:") {
        return project.tags.iter().any(|t| t == tag);
    }
    let plain = word.strip_suffix('/').unwrap_or(word);
    plain == project.name.as_str()
        || path_matches(plain, project.key.dir.as_str())
        || glob(plain).is_some_and(|glob| glob.is_match(project.name.as_str()))
}

fn path_matches(wanted: &str, dir: &str) -> bool {
    wanted == dir || glob(wanted).is_some_and(|glob| glob.is_match(dir))
}

fn is_operator(text: &str) -> bool {
    matches!(text, "and" | "or" | "not")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    And,
    Or,
    Not,
    Comma,
    Open,
    Close,
}

/// Words to a choice; `None` if there are none.
///
/// # Errors
/// What is wrong, as the end of a sentence that begins with the word.
pub(super) fn choice(words: &[Word]) -> Result<Option<Choice>, (String, &'static str)> {
    let tokens: Vec<Token> = words.iter().flat_map(tokens).collect();
    if tokens.iter().all(|token| *token == Token::Comma) {
        return Ok(None);
    }
    let mut reader = Reader { tokens: &tokens, at: 0 };
    let choice = reader.any(0)?;
    match reader.peek() {
        None => Ok(Some(choice)),
        Some(token) => Err((token.text(), "closes nothing")),
    }
}

/// Parentheses and commas stand for themselves, also without white space around them.
fn tokens(word: &Word) -> Vec<Token> {
    if word.quote.is_some() && word.text != "," {
        return vec![Token::Word(word.text.clone())];
    }
    let mut found = Vec::new();
    let mut text = String::new();
    let end = |text: &mut String, found: &mut Vec<Token>| {
        let word = std::mem::take(text);
        match word.as_str() {
            "" => {}
            "and" => found.push(Token::And),
            "or" => found.push(Token::Or),
            "not" => found.push(Token::Not),
            _ => found.push(Token::Word(word)),
        }
    };
    let mut braces = 0_usize;
    for c in word.text.chars() {
        match c {
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
        let token = match c {
            '(' => Token::Open,
            ')' => Token::Close,
            // Within braces it is a glob's: `{a,b}/*`.
            ',' if braces == 0 => Token::Comma,
            c => {
                text.push(c);
                continue;
            }
        };
        end(&mut text, &mut found);
        found.push(token);
    }
    end(&mut text, &mut found);
    found
}

impl Token {
    fn text(&self) -> String {
        match self {
            Self::Word(text) => text.clone(),
            Self::And => "and".into(),
            Self::Or => "or".into(),
            Self::Not => "not".into(),
            Self::Comma => ",".into(),
            Self::Open => "(".into(),
            Self::Close => ")".into(),
        }
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Result<Choice, (String, &'static str)> {
        while self.take(&Token::Comma) {}
        let mut all = vec![self.all(depth)?];
        loop {
            let mut separated = false;
            while self.take(&Token::Comma) {
                separated = true;
            }
            match self.peek() {
                None | Some(Token::Close) => break,
                Some(Token::Not) if !separated => {
                    return Err(("not".into(), "can't stand here: write `and not`, or `or not`"));
                }
                Some(Token::Or) => {
                    self.at += 1;
                    all.push(self.all(depth)?);
                }
                Some(_) => all.push(self.all(depth)?),
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Choice::AnyOf(all) })
    }

    fn all(&mut self, depth: usize) -> Result<Choice, (String, &'static str)> {
        let mut all = vec![self.one(depth)?];
        while self.take(&Token::And) {
            all.push(self.one(depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Choice::AllOf(all) })
    }

    fn one(&mut self, depth: usize) -> Result<Choice, (String, &'static str)> {
        if depth == DEEPEST {
            return Err(("(".into(), "goes deeper than anybody can read"));
        }
        let Some(token) = self.peek().cloned() else {
            let last = self.tokens.last().map(Token::text).unwrap_or_default();
            return Err((last, "has nothing after it"));
        };
        self.at += 1;
        match token {
            Token::Word(text) => Ok(Choice::Word(text)),
            Token::Not => Ok(Choice::Not(Box::new(self.one(depth + 1)?))),
            Token::Open => {
                let choice = self.any(depth + 1)?;
                if self.take(&Token::Close) { Ok(choice) } else { Err(("(".into(), "is not closed")) }
            }
            Token::And | Token::Or | Token::Close | Token::Comma => Err((token.text(), "has nothing before it")),
        }
    }
}

#[cfg(test)]
mod tests;
