//! Values in a diff: on one line, as long as somebody would read, and where two differ, the place where they do.

use super::one_line;
use crate::domain::plan::{AttributeChange, Shown};
use serde_json::Value;

/// Longer values are cut, with their length told.
const VALUE_LIMIT: usize = 160;
/// Longer values are cut where the new one is not known.
const OLD_LIMIT: usize = 60;
/// Characters that are alike and are shown before the first one that differs.
const CONTEXT: usize = 30;

/// Both sides. Where long values are alike at their beginning, that is left out, so that what differs is seen.
pub(super) fn values(attribute: &AttributeChange) -> (Option<String>, Option<String>) {
    match (&attribute.before, &attribute.after) {
        (Shown::Value(before), Shown::Value(after)) => {
            let (before, after) = cut_pair(before, after);
            (Some(before), Some(after))
        }
        (Shown::Part { json: before, length: one, .. }, Shown::Part { json: after, length: other, .. }) => {
            let (before, after) = cut_pair(before, after);
            (Some(of_length(&before, *one)), Some(of_length(&after, *other)))
        }
        // What it was is of little interest when nobody knows what it will be.
        (Shown::Value(before), Shown::Unknown) if before.chars().count() > OLD_LIMIT => {
            let length = before.chars().count();
            let shown = format!("{} ({length} characters)", one_line(before, OLD_LIMIT));
            (Some(shown), value(&attribute.after))
        }
        (before, after) => (value(before), value(after)),
    }
}

/// Two texts, each as long as it may be, from shortly before they differ.
pub(super) fn cut_pair(before: &str, after: &str) -> (String, String) {
    let longest = before.chars().count().max(after.chars().count());
    let alike = before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count();
    let skip = if longest > VALUE_LIMIT { alike.saturating_sub(CONTEXT) } else { 0 };
    (cut_value(before, skip), cut_value(after, skip))
}

/// The value from its `skip`th character on, as long as it may be.
pub(super) fn cut_value(value: &str, skip: usize) -> String {
    let length = value.chars().count();
    let rest: String = value.chars().skip(skip).take(VALUE_LIMIT + 1).collect();
    let shown = format!("{}{}", if skip > 0 { "…" } else { "" }, one_line(&rest, VALUE_LIMIT));
    if skip > 0 || length > VALUE_LIMIT { of_length(&shown, length) } else { shown }
}

fn of_length(shown: &str, length: usize) -> String {
    // Cut already: only the length of the whole is of interest.
    let shown = shown.rsplit_once(" (").filter(|_| shown.ends_with(" characters)")).map_or(shown, |(shown, _)| shown);
    format!("{shown} ({length} characters)")
}

fn value(shown: &Shown) -> Option<String> {
    match shown {
        Shown::Absent => None,
        Shown::Value(json) => Some(cut_value(json, 0)),
        Shown::Part { json, length, .. } => Some(of_length(&cut_value(json, 0), *length)),
        Shown::Unknown => Some("(known after apply)".into()),
        Shown::Sensitive => Some("(sensitive)".into()),
    }
}

/// The text of a string value, as far as it was kept.
pub(super) fn text_of(shown: &Shown) -> Option<String> {
    let (Shown::Value(json) | Shown::Part { json, .. }) = shown else { return None };
    match serde_json::from_str(json) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}
