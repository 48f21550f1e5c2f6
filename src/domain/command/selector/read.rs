//! Words to a choice.
//!
//! ```text
//! any  = all { [ "or" | "," ] all }        words beside each other: any of them
//! all  = one { "and" one }
//! one  = "not" one | "(" any ")" | word
//! ```

use super::Choice;
use crate::domain::command::words::Word;

/// Parentheses and `not`s within each other; more are not read.
const DEEPEST: usize = 20;

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
pub(in crate::domain::command) fn choice(words: &[Word]) -> Result<Option<Choice>, (String, &'static str)> {
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
            Token::Word(text) => exactly(text),
            Token::Not => Ok(Choice::Not(Box::new(self.one(depth + 1)?))),
            Token::Open => {
                let choice = self.any(depth + 1)?;
                if self.take(&Token::Close) { Ok(choice) } else { Err(("(".into(), "is not closed")) }
            }
            Token::And | Token::Or | Token::Close | Token::Comma => Err((token.text(), "has nothing before it")),
        }
    }
}

/// `dir:x`, `name:x` and `workspace:x` name one thing only, as `-d`, `-p` and `-w` do.
fn exactly(text: String) -> Result<Choice, (String, &'static str)> {
    let (kind, value) = text.split_once(':').filter(|(_, value)| !value.is_empty()).unwrap_or_default();
    match kind {
        "name" => Ok(Choice::Name(value.to_owned())),
        "dir" => super::dir(value).map(Choice::Dir).map_err(|why| (text.clone(), why)),
        "workspace" => super::workspace(value).map(Choice::Workspace).map_err(|why| (text.clone(), why)),
        _ => Ok(Choice::Word(text)),
    }
}
