//! The process environment: read here and nowhere else, and laid over the server file.
//!
//! `TERRAPLANE_GITHUB__TOKEN` sets `token` in `github`; the items of a list are counted from 0
//! (`TERRAPLANE_REPOS__0__MATCH`). An empty variable counts as not set, because that is what compose files and charts
//! write for a value that nobody gave.

use super::decode::VARIABLE_PREFIX;
use super::error::Faults;
use super::source::Place;
use super::yaml::{Key, Node, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Says where the file is, and so is no key of it.
const FILE_VARIABLE: &str = "TERRAPLANE_CONFIG";

/// Names and values of the environment, as read once at the start.
pub type Environment = BTreeMap<String, String>;

/// The environment of this process. Variables that are not Unicode are left out: nothing of ours can be among them.
#[must_use]
pub fn process_environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Sets in the tree what the environment says.
pub(crate) fn overlay(root: &mut Node, environment: &Environment, faults: &mut Faults) {
    let mut settings: Vec<(Vec<Level<'_>>, &str, &str)> = environment
        .iter()
        .filter(|(name, value)| !value.is_empty() && !is_foreign(name, value))
        .filter_map(|(name, value)| Some((levels(name.strip_prefix(VARIABLE_PREFIX)?), name.as_str(), value.as_str())))
        .collect();
    // Items of a list have to come in their order: 2 before 10.
    settings.sort();
    for (levels, name, value) in settings {
        let place = Place::Variable(Arc::from(name));
        if let Err(message) = set(root, &levels, value, &place) {
            faults.add(&place, message);
        }
    }
}

/// Variables that carry our prefix by accident: Kubernetes gives every container the addresses of the services of its
/// namespace, and one of them is probably called `terraplane`.
fn is_foreign(name: &str, value: &str) -> bool {
    name == FILE_VARIABLE
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.contains("_PORT") && value.contains("://"))
        || ["_TCP_", "_UDP_", "_SCTP_"].iter().any(|protocol| name.contains("_PORT_") && name.contains(protocol))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level<'v> {
    Item(usize),
    Key(&'v str),
}

fn levels(path: &str) -> Vec<Level<'_>> {
    path.split("__").map(|level| level.parse().map_or(Level::Key(level), Level::Item)).collect()
}

fn set(node: &mut Node, levels: &[Level<'_>], value: &str, place: &Place) -> Result<(), String> {
    let Some((level, rest)) = levels.split_first() else {
        *node = Node { value: Value::Scalar(value.to_owned()), place: place.clone() };
        return Ok(());
    };
    if node.value == Value::Null {
        node.place = place.clone();
        node.value = match level {
            Level::Item(_) => Value::List(Vec::new()),
            Level::Key(_) => Value::Map(Vec::new()),
        };
    }
    match (level, &mut node.value) {
        (Level::Item(index), Value::List(items)) => {
            if *index > items.len() {
                return Err(format!(
                    "this sets item {index} of a list that has {}: count from 0, without gaps",
                    items.len()
                ));
            }
            if *index == items.len() {
                items.push(Node { value: Value::Null, place: place.clone() });
            }
            set(&mut items[*index], rest, value, place)
        }
        (Level::Key(name), Value::Map(entries)) => {
            let found = entries.iter().position(|(key, _)| key.text.eq_ignore_ascii_case(name));
            let at = found.unwrap_or_else(|| {
                let key = Key { text: (*name).to_owned(), place: place.clone() };
                entries.push((key, Node { value: Value::Null, place: place.clone() }));
                entries.len() - 1
            });
            set(&mut entries[at].1, rest, value, place)
        }
        (Level::Key(name), _) => Err(format!("this sets `{}` where there is {}", name.to_lowercase(), node.kind())),
        (Level::Item(index), _) => Err(format!("this sets item {index} where there is {}", node.kind())),
    }
}
