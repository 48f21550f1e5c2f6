//! A line's words, as a shell would see them: white space separates, quotes keep together.

use std::fmt;

/// More words than this are not read: nobody types them.
const MOST_WORDS: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// All of it stood in quotes of this kind (`"`, `'` or a backtick): it has no other meaning than its text.
    pub(super) quote: Option<char>,
}

impl Word {
    pub(super) fn is(&self, text: &str) -> bool {
        self.quote.is_none() && self.text == text
    }
}

/// The line can't be divided into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Quote(char),
    TooLong,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quote('`') => f.write_str("a backtick has no second one"),
            Self::Quote(_) => f.write_str("a quote has no second one"),
            Self::TooLong => write!(f, "more than {MOST_WORDS} words are not read"),
        }
    }
}

/// A backtick quotes only where a word begins, as Markdown's code does; the others quote anywhere, as in
/// `-var='a=b c'`.
pub(super) fn words(line: &str) -> Result<Vec<Word>, Unreadable> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    while let Some(first) = rest.peek().copied() {
        if first.is_whitespace() {
            rest.next();
            continue;
        }
        if words.len() == MOST_WORDS {
            return Err(Unreadable::TooLong);
        }
        // As in `a`,`b`, and in ('a' or b).
        if let Some(sign) = rest.next_if(|c| matches!(c, ',' | '(' | ')')) {
            words.push(Word { text: sign.to_string(), quote: None });
            continue;
        }
        let (mut text, mut quotes, mut bare) = (String::new(), Vec::new(), false);
        while let Some(c) = rest.next_if(|c| !c.is_whitespace()) {
            let opens = matches!(c, '"' | '\'') || c == '`' && text.is_empty() && !bare;
            if !opens {
                bare = true;
                text.push(c);
                continue;
            }
            quotes.push(c);
            loop {
                match rest.next() {
                    Some(closing) if closing == c => break,
                    Some('\\') if c == '"' && matches!(rest.peek(), Some('"' | '\\')) => text.extend(rest.next()),
                    Some(inner) => text.push(inner),
                    None => return Err(Unreadable::Quote(c)),
                }
            }
            // `a`, b: what separates is no part of a quoted word.
            if matches!(rest.peek(), Some(',' | ')')) && !bare {
                break;
            }
        }
        let quote = quotes.first().copied().filter(|_| quotes.len() == 1 && !bare);
        words.push(Word { text, quote });
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        words(line).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn quotes_keep_together() {
        for (line, expected) in [
            ("a  b\tc", &["a", "b", "c"][..]),
            ("\"dir with space\" 'x y'", &["dir with space", "x y"]),
            ("-var='a=b c' -var=\"d=\\\"e\\\"\"", &["-var=a=b c", "-var=d=\"e\""]),
            ("`prod/network`, tag:eu", &["prod/network", ",", "tag:eu"]),
            ("`a`,`b`", &["a", ",", "b"]),
            ("some[\"addr\"] 'some[\"addr\"]'", &["some[addr]", "some[\"addr\"]"]),
            ("a`id`b", &["a`id`b"]),
            ("", &[]),
        ] {
            assert_eq!(texts(line), expected, "{line}");
        }
        assert_eq!(words("don't"), Err(Unreadable::Quote('\'')));
        assert_eq!(words("`a"), Err(Unreadable::Quote('`')));
        assert_eq!(words(&"a ".repeat(201)), Err(Unreadable::TooLong));
        assert_eq!(words("\"why\" why").unwrap().iter().map(|word| word.quote).collect::<Vec<_>>(), [Some('"'), None]);
    }
}
