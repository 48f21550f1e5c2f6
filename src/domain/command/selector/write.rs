//! A selector as it can be written in a command: what is shown is read again as the same.

use super::{Choice, Selector};
use std::fmt;

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
            Self::Word(text) => f.write_str(&quoted(text)),
            Self::Name(text) => f.write_str(&quoted(&format!("name:{text}"))),
            Self::Dir(text) => f.write_str(&quoted(&format!("dir:{text}"))),
            Self::Workspace(text) => f.write_str(&quoted(&format!("workspace:{text}"))),
            Self::AnyOf(all) => joined(all, " or ", f),
            Self::AllOf(all) => joined(all, " and ", f),
            Self::Not(choice) => {
                f.write_str("not ")?;
                choice.write(f, true)
            }
        }
    }
}

/// The word, in quotes if it would be read as something else without them.
fn quoted(text: &str) -> String {
    let odd = text.is_empty()
        || text.starts_with(['-', '#'])
        || matches!(text, "and" | "or" | "not" | "until")
        || text.contains(|c: char| c.is_whitespace() || "(),\"'`".contains(c));
    match (odd, text.contains('\''), text.contains('`')) {
        (false, ..) => text.to_owned(),
        (true, false, _) => format!("'{text}'"),
        (true, true, false) => format!("`{text}`"),
        (true, true, true) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
