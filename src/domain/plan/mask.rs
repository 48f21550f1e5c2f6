//! Attribute changes without the sensitive values.
//!
//! A place is masked if either side marks it: when somebody marks a variable sensitive, the value before is the same
//! secret, not yet marked. Besides, every longer string that is marked anywhere in the plan is masked wherever it turns
//! up again, because providers echo their input in attributes that they don't mark (`terraform_data` does: `input` is
//! marked, `output` is not).

use super::items::pairs;
use super::{AttributeChange, Shown};
use crate::domain::secret::{self, Name};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashSet};

/// Shorter strings ("on", "1") are too common to be masked by value; where they are marked they are masked all the same.
const SECRET_LENGTH: usize = 4;

/// Longer texts, in bytes, are kept in part: nobody reads them, and every comment would have to carry them along.
const LONGEST_TEXT: usize = 64 << 10;

/// Characters that are alike on both sides and are kept before the first that differs.
const BEFORE_PART: usize = 400;

/// What stands in the place of a sensitive part inside a larger value.
const SENSITIVE: &str = "(sensitive)";

/// The two sides of a change and what is marked of them. `None` stands for absent and for JSON's null.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    unknown: Option<&'a Value>,
    before_sensitive: Option<&'a Value>,
    after_sensitive: Option<&'a Value>,
}

impl<'a> Sides<'a> {
    /// From a `change` object of the plan JSON.
    pub(super) fn of(change: &'a Value) -> Self {
        Self {
            before: present(change.get("before")),
            after: present(change.get("after")),
            unknown: change.get("after_unknown"),
            before_sensitive: change.get("before_sensitive"),
            after_sensitive: change.get("after_sensitive"),
        }
    }

    fn values(before: Option<&'a Value>, after: Option<&'a Value>) -> Self {
        Self { before, after, unknown: None, before_sensitive: None, after_sensitive: None }
    }

    fn key(&self, key: &str) -> Self {
        self.map(|value| value.get(key))
    }

    fn index(&self, before: Option<usize>, after: Option<usize>) -> Self {
        let at = |value: Option<&'a Value>, index: Option<usize>| value.and_then(|value| value.get(index?));
        Self {
            before: present(at(self.before, before)),
            after: present(at(self.after, after)),
            unknown: at(self.unknown, after),
            before_sensitive: at(self.before_sensitive, before),
            after_sensitive: at(self.after_sensitive, after),
        }
    }

    fn map(&self, step: impl Fn(&'a Value) -> Option<&'a Value>) -> Self {
        Self {
            before: present(self.before.and_then(&step)),
            after: present(self.after.and_then(&step)),
            unknown: self.unknown.and_then(&step),
            before_sensitive: self.before_sensitive.and_then(&step),
            after_sensitive: self.after_sensitive.and_then(&step),
        }
    }

    fn is_masked(&self) -> bool {
        is_true(self.before_sensitive) || is_true(self.after_sensitive)
    }

    /// Something of it, at whatever depth, is sensitive.
    fn is_marked(&self) -> bool {
        [self.before_sensitive, self.after_sensitive].into_iter().flatten().any(holds_true)
    }
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn is_true(value: Option<&Value>) -> bool {
    value == Some(&Value::Bool(true))
}

fn holds_true(value: &Value) -> bool {
    match value {
        Value::Bool(marked) => *marked,
        Value::Array(items) => items.iter().any(holds_true),
        Value::Object(map) => map.values().any(holds_true),
        _ => false,
    }
}

/// Every longer string that the plan marks as sensitive somewhere.
pub(super) struct Secrets<'a>(HashSet<&'a str>);

impl<'a> Secrets<'a> {
    pub(super) fn of(plan: &'a Value) -> Self {
        let mut found = HashSet::new();
        let resources = ["resource_changes", "resource_drift"].into_iter().filter_map(|key| plan[key].as_array());
        let changes = resources.flatten().filter_map(|resource| resource.get("change"));
        let outputs = plan["output_changes"].as_object().into_iter().flat_map(Map::values);
        for change in changes.chain(outputs) {
            collect_marked(&change["before"], &change["before_sensitive"], &mut found);
            collect_marked(&change["after"], &change["after_sensitive"], &mut found);
        }
        for (name, variable) in plan["configuration"]["root_module"]["variables"].as_object().into_iter().flatten() {
            if is_true(variable.get("sensitive")) {
                collect(&plan["variables"][name.as_str()]["value"], &mut found);
            }
        }
        Self(found)
    }

    fn holds(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}

fn collect_marked<'a>(value: &'a Value, mark: &Value, found: &mut HashSet<&'a str>) {
    match (mark, value) {
        (Value::Bool(true), value) => collect(value, found),
        (Value::Object(marks), Value::Object(map)) => {
            for (key, mark) in marks {
                if let Some(value) = map.get(key) {
                    collect_marked(value, mark, found);
                }
            }
        }
        (Value::Array(marks), Value::Array(items)) => {
            for (mark, value) in marks.iter().zip(items) {
                collect_marked(value, mark, found);
            }
        }
        _ => {}
    }
}

fn collect<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
    match value {
        Value::String(text) if text.chars().count() >= SECRET_LENGTH => {
            found.insert(text);
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// The attributes that differ, each with its path, in the order of their names.
pub(super) fn attribute_changes(sides: &Sides<'_>, secrets: &Secrets<'_>) -> Vec<AttributeChange> {
    let mut walk = Walk { secrets, found: Vec::new() };
    walk.visit(String::new(), sides, true);
    walk.found
}

struct Walk<'a> {
    secrets: &'a Secrets<'a>,
    found: Vec<AttributeChange>,
}

impl Walk<'_> {
    /// `into_json`: whether strings that hold JSON are opened, which is done once and not inside of one another.
    fn visit(&mut self, path: String, sides: &Sides<'_>, into_json: bool) {
        let unknown = is_true(sides.unknown) || (sides.is_masked() && sides.unknown.is_some_and(holds_true));
        if sides.is_masked() || unknown {
            if unknown || sides.before != sides.after {
                self.push(path, sides, unknown);
            }
            return;
        }
        match (sides.before, sides.after) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                self.object(&path, sides, [before, after], into_json);
            }
            (None, Some(Value::Object(map))) | (Some(Value::Object(map)), None) if !map.is_empty() => {
                self.object(&path, sides, [map, &Map::new()], into_json);
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                self.array(&path, sides, before, after, into_json);
            }
            (None, Some(Value::Array(items))) if !items.is_empty() => self.array(&path, sides, &[], items, into_json),
            (Some(Value::Array(items)), None) if !items.is_empty() => self.array(&path, sides, items, &[], into_json),
            (before, after) if before == after => self.only_unknown(&path, sides, into_json),
            (Some(Value::String(before)), Some(Value::String(after))) if into_json => {
                let found = self.found.len();
                if let (false, Some(before), Some(after)) = (self.is_secret(before, after), json(before), json(after)) {
                    self.visit(path.clone(), &Sides::values(Some(&before), Some(&after)), false);
                }
                // No JSON, or the same JSON written in another way.
                if self.found.len() == found {
                    self.push(path, sides, false);
                }
            }
            (Some(Value::String(text)), None) | (None, Some(Value::String(text))) if into_json => {
                let found = self.found.len();
                if let Some(inner) = json(text).filter(|_| !self.secrets.holds(text)) {
                    let inner = sides.map(|_| Some(&inner));
                    self.visit(path.clone(), &Sides { unknown: None, ..inner }, false);
                }
                if self.found.len() == found {
                    self.push(path, sides, false);
                }
            }
            _ => self.push(path, sides, false),
        }
    }

    fn is_secret(&self, before: &str, after: &str) -> bool {
        self.secrets.holds(before) || self.secrets.holds(after)
    }

    /// Nothing is known of either side, but something below will be.
    fn only_unknown(&mut self, path: &str, sides: &Sides<'_>, into_json: bool) {
        if sides.before.is_none()
            && let Some(Value::Object(map)) = sides.unknown
        {
            self.object(path, sides, [map, &Map::new()], into_json);
        }
    }

    fn object(&mut self, path: &str, sides: &Sides<'_>, maps: [&Map<String, Value>; 2], into_json: bool) {
        let mut keys: BTreeSet<&String> = maps.iter().flat_map(|map| map.keys()).collect();
        // What is unknown is left out of `after`.
        keys.extend(sides.unknown.and_then(Value::as_object).into_iter().flat_map(Map::keys));
        for key in keys {
            self.visit(join_key(path, key), &sides.key(key), into_json);
        }
    }

    /// Items are compared with those that they were before; where marks of sensitive values hang on places, place by place:
    /// who marks only one side must not have the other side shown beside it.
    fn array(&mut self, path: &str, sides: &Sides<'_>, before: &[Value], after: &[Value], into_json: bool) {
        let unknown: &[Value] = sides.unknown.and_then(Value::as_array).map_or(&[], Vec::as_slice);
        if sides.is_marked() || unknown.len() > after.len() {
            let (last_before, last_after) = (before.len(), after.len().max(unknown.len()));
            for index in 0..last_before.max(last_after) {
                let item = sides.index((index < last_before).then_some(index), (index < last_after).then_some(index));
                self.visit(format!("{path}[{index}]"), &item, into_json);
            }
            if last_before.max(last_after) == 0 && sides.before.is_some() != sides.after.is_some() {
                self.push(path.to_owned(), sides, false);
            }
            return;
        }
        let settled = |place: usize| !unknown.get(place).is_some_and(holds_true);
        let Some(pairs) = pairs(before, after, settled) else {
            self.push(path.to_owned(), sides, false);
            return;
        };
        let found = self.found.len();
        for (old, new) in pairs {
            let place = new.or(old).unwrap_or_default();
            self.visit(format!("{path}[{place}]"), &sides.index(old, new), into_json);
        }
        if self.found.len() == found && before.is_empty() != after.is_empty() {
            self.push(path.to_owned(), sides, false);
        }
    }

    fn push(&mut self, path: String, sides: &Sides<'_>, unknown: bool) {
        let marks = [sides.before_sensitive, sides.after_sensitive];
        let named = Name::of(&path);
        let before = sides.before.map(|value| self.redact(value, marks, named));
        let after = sides.after.map(|value| self.redact(value, marks, named));
        let alike = match (&before, &after) {
            (Some(Some(Value::String(before))), Some(Some(Value::String(after)))) if !unknown => {
                before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count()
            }
            _ => 0,
        };
        let after = if unknown { Shown::Unknown } else { shown(after, alike) };
        self.found.push(AttributeChange { path, before: shown(before, alike), after });
    }

    /// `None`: all of it is sensitive.
    ///
    /// `named`: it stands under a name that secrets have.
    fn redact(&self, value: &Value, marks: [Option<&Value>; 2], named: Name) -> Option<Value> {
        if marks.into_iter().any(is_true) {
            return None;
        }
        let inner = |value, marks, named| self.redact(value, marks, named).unwrap_or_else(|| SENSITIVE.into());
        match value {
            Value::String(text) if self.secrets.holds(text) => None,
            Value::String(text) if named.hides(text) => None,
            Value::String(text) => Some(secret::masked(text).into_owned().into()),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                Some(items.map(|(i, item)| inner(item, marks.map(|mark| mark.and_then(|m| m.get(i))), named)).collect())
            }
            Value::Object(map) => {
                let entries = map.iter();
                let redacted = entries.map(|(key, item)| {
                    let named = named.max(Name::of(key));
                    (key.clone(), inner(item, marks.map(|mark| mark.and_then(|m| m.get(key))), named))
                });
                Some(Value::Object(redacted.collect()))
            }
            other => Some(other.clone()),
        }
    }
}

/// `alike`: how many characters both sides begin with.
fn shown(value: Option<Option<Value>>, alike: usize) -> Shown {
    match value {
        None => Shown::Absent,
        Some(None) => Shown::Sensitive,
        Some(Some(Value::String(text))) if text.len() > LONGEST_TEXT => part(&text, alike.saturating_sub(BEFORE_PART)),
        Some(Some(value)) => {
            let json = value.to_string();
            if json.len() > LONGEST_TEXT { part(&json, 0) } else { Shown::Value(json) }
        }
    }
}

/// What is kept of a long text: from its `skipped`th character on.
fn part(text: &str, skipped: usize) -> Shown {
    let kept: String = text.chars().skip(skipped).take(LONGEST_TEXT / 4).collect();
    Shown::Part {
        json: Value::from(kept).to_string(),
        skipped,
        length: text.chars().count(),
        digest: hex::encode(&Sha256::digest(text.as_bytes())[..16]),
    }
}

/// The object or list that a string holds as JSON.
fn json(text: &str) -> Option<Value> {
    text.starts_with(['{', '[']).then(|| serde_json::from_str(text).ok()).flatten()
}

/// A `replace_paths` entry as text.
pub(super) fn path_text(path: &Value) -> String {
    path.as_array().into_iter().flatten().fold(String::new(), |path, step| match step {
        Value::String(key) => join_key(&path, key),
        other => format!("{path}[{other}]"),
    })
}

fn join_key(path: &str, key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{}]", Value::from(key)),
    }
}
