//! From the tree to values, by hand: every function reports what is wrong to [`Faults`] and lets reading go on.

use super::error::{Faults, nearest, quoted};
use super::source::Place;
use super::yaml::{Key, Node, Value};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;
use url::Url;

/// The prefix of every environment variable that sets a key.
pub(crate) const VARIABLE_PREFIX: &str = "TERRAPLANE_";

/// A mapping whose keys are known: whoever asks for a key makes it known, and [`Fields::finish`] reports the others.
pub(crate) struct Fields<'n> {
    entries: &'n [(Key, Node)],
    place: Place,
    /// Keys from the root to here, for messages.
    path: Vec<String>,
    known: Vec<&'static str>,
    /// Keys that have to be there and are not, with what to do about it.
    missing: Vec<(&'static str, String)>,
}

impl<'n> Fields<'n> {
    /// The mapping at the root of a file; an empty file is an empty mapping.
    pub(crate) fn root(node: &'n Node, faults: &mut Faults) -> Option<Self> {
        Self::new(node, Vec::new(), Place::Whole, faults)
    }

    /// An item of the list `name`.
    pub(crate) fn item(node: &'n Node, parent: &[String], faults: &mut Faults) -> Option<Self> {
        Self::new(node, parent.to_vec(), node.place.clone(), faults)
    }

    fn new(node: &'n Node, path: Vec<String>, place: Place, faults: &mut Faults) -> Option<Self> {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            Value::Scalar(_) | Value::List(_) => {
                faults.hide(node);
                let what = path.last().map_or_else(|| "the file".to_owned(), |key| format!("`{key}`"));
                faults.add(&node.place, format!("{what} must be a mapping (`key: value`), and is {}", node.kind()));
                return None;
            }
        };
        Some(Self { entries, place, path, known: Vec::new(), missing: Vec::new() })
    }

    /// The mapping below a key; `None` if it is not there or not a mapping.
    pub(crate) fn below(&mut self, key: &'static str, faults: &mut Faults) -> Option<Fields<'n>> {
        let (written, node) = self.entry(key)?;
        Fields::new(node, self.path_of(key), written.place.clone(), faults)
    }

    /// The value of a key; `None` if it is missing or empty.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|(_, node)| node)
    }

    fn entry(&mut self, key: &'static str) -> Option<(&'n Key, &'n Node)> {
        self.known.push(key);
        let (written, node) = self.entries.iter().rev().find(|(written, _)| written.is(key))?;
        (node.value != Value::Null).then_some((written, node))
    }

    /// The decoded value of a key that may be missing.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
        decode: impl FnOnce(&Node, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        decode(self.get(key)?, faults)
    }

    /// The decoded value of a key that must be there; `advice` says how to set it.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        advice: &str,
        faults: &mut Faults,
        decode: impl FnOnce(&Node, &mut Faults) -> Option<T>,
    ) -> Option<T> {
        let found = self.get(key);
        if found.is_none() {
            self.missing(key, advice);
        }
        decode(found?, faults)
    }

    /// Has [`Fields::finish`] report that a key is missing.
    pub(crate) fn missing(&mut self, key: &'static str, advice: &str) {
        self.missing.push((key, advice.to_owned()));
    }

    pub(crate) fn path_of(&self, key: &str) -> Vec<String> {
        self.path.iter().cloned().chain([key.to_owned()]).collect()
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }

    /// Reports every key that nobody asked for, and those that are missing: unless one of the former is the misspelt
    /// latter.
    pub(crate) fn finish(mut self, faults: &mut Faults) {
        let within = self.path.last().map_or_else(String::new, |parent| format!(" in `{parent}`"));
        for (key, node) in self.entries {
            if self.known.iter().any(|known| key.is(known)) {
                continue;
            }
            faults.hide(node);
            let meant = nearest(&key.text, self.known.iter().copied());
            self.missing.retain(|(missing, _)| meant != Some(missing));
            if let Place::Variable(name) = &key.place {
                let help = meant.map(|meant| format!("did you mean `{}`?", self.variable(name, meant)));
                faults.add_with(&key.place, format!("`{name}` is not a setting"), help);
                continue;
            }
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known keys: {}", self.known.join(", ")),
            };
            let named =
                faults.key(key).map_or_else(|| "a key that is no name".to_owned(), |key| format!("unknown key {key}"));
            faults.add_help(&key.place, format!("{named}{within}"), help);
        }
        for (key, advice) in self.missing {
            faults.add_help(&self.place, format!("`{key}` is missing{within}"), advice);
        }
    }

    /// The variable's name with the key at this level replaced.
    fn variable(&self, name: &str, meant: &str) -> String {
        let mut levels: Vec<String> = name.trim_start_matches(VARIABLE_PREFIX).split("__").map(str::to_owned).collect();
        // Items of lists are a level of variables too, and are in no path.
        let level = levels.iter().enumerate().filter(|(_, text)| text.parse::<usize>().is_err()).nth(self.path.len());
        if let Some((at, _)) = level {
            levels[at] = meant.to_uppercase();
        }
        format!("{VARIABLE_PREFIX}{}", levels.join("__"))
    }
}

/// A single value as it was written.
pub(crate) fn text<'n>(node: &'n Node, faults: &mut Faults) -> Option<&'n str> {
    match &node.value {
        Value::Scalar(text) => Some(text),
        Value::Null | Value::List(_) | Value::Map(_) => {
            faults.hide(node);
            faults.add(&node.place, format!("this must be a single value, and is {}", node.kind()));
            None
        }
    }
}

/// A value of a type that can say itself what is wrong with a text.
pub(crate) fn parsed<T: FromStr<Err: Display>>(node: &Node, faults: &mut Faults) -> Option<T> {
    match text(node, faults)?.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            faults.add(&node.place, error.to_string());
            None
        }
    }
}

/// A value of which `wanted` is the description, if `read` accepts the text.
pub(crate) fn checked<T>(
    node: &Node,
    wanted: &str,
    faults: &mut Faults,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let text = text(node, faults)?;
    let value = read(text);
    if value.is_none() {
        faults.add(&node.place, format!("{} is not {wanted}", quoted(text)));
    }
    value
}

/// An address without query, fragment and credentials, if `accept` has nothing against it.
pub(crate) fn address(node: &Node, wanted: &str, faults: &mut Faults, accept: impl Fn(&Url) -> bool) -> Option<Url> {
    let text = text(node, faults)?;
    if text.contains('@') {
        faults.hide(node);
        faults.add(&node.place, "an address must not hold a user or password");
        return None;
    }
    checked(node, wanted, faults, |text| {
        let url = Url::parse(text).ok()?;
        (url.has_host() && url.query().is_none() && url.fragment().is_none() && accept(&url)).then_some(url)
    })
}

/// One of a few words.
pub(crate) fn one_of<T: Copy>(node: &Node, words: &[(&str, T)], faults: &mut Faults) -> Option<T> {
    let text = text(node, faults)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let all = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let wanted = if words.len() == 1 { all } else { format!("one of {all}") };
    let help = nearest(text, words.iter().map(|(word, _)| *word)).map(|meant| format!("did you mean `{meant}`?"));
    faults.add_with(&node.place, format!("{} is not {wanted}", quoted(text)), help);
    None
}

pub(crate) fn boolean(node: &Node, faults: &mut Faults) -> Option<bool> {
    checked(node, "`true` or `false`", faults, |text| text.parse().ok())
}

/// `90s`, `10m`, `1h 30m`: more than nothing, at most a week.
pub(crate) fn duration(node: &Node, faults: &mut Faults) -> Option<Duration> {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
    checked(node, "a duration such as `90s`, `10m` or `1h 30m` (more than 0, at most 7 days)", faults, |text| {
        let duration: jiff::SignedDuration = text.parse().ok()?;
        Duration::try_from(duration).ok().filter(|d| !d.is_zero() && *d <= WEEK)
    })
}

/// `512MiB`, `4GiB`: bytes, at least a mebibyte.
pub(crate) fn size(node: &Node, faults: &mut Faults) -> Option<u64> {
    checked(node, "a size such as `512MiB` or `4GiB` (at least 1MiB)", faults, |text| {
        let (number, shift) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB"), text.strip_suffix("TiB")) {
            (Some(number), ..) => (number, 20),
            (_, Some(number), _) => (number, 30),
            (.., Some(number)) => (number, 40),
            _ => return None,
        };
        let number: u64 = number.trim().parse().ok()?;
        (1..=1 << 20).contains(&number).then_some(number << shift)
    })
}

/// A list; from an environment variable, its items are separated by commas.
pub(crate) fn list<T>(
    node: &Node,
    faults: &mut Faults,
    mut decode: impl FnMut(&Node, &mut Faults) -> Option<T>,
) -> Option<Vec<T>> {
    match (&node.value, &node.place) {
        (Value::List(items), _) => Some(items.iter().filter_map(|item| decode(item, faults)).collect()),
        (Value::Scalar(text), Place::Variable(_)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let node = |item: &str| Node { value: Value::Scalar(item.to_owned()), place: node.place.clone() };
            Some(items.filter_map(|item| decode(&node(item), faults)).collect())
        }
        _ => {
            faults.hide(node);
            faults.add_help(&node.place, format!("this must be a list, and is {}", node.kind()), "write `[a, b]`");
            None
        }
    }
}
