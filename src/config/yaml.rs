//! YAML to a tree in which every key and value knows its place, so that decoding can go on after an error and report
//! them all.
//!
//! Repository files are written by whoever opens a pull request: size, depth, nodes and aliases are bounded.

use super::error::{Faults, is_name, quoted};
use super::source::{Place, Source};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy, MessageFormatter as _, Spanned};
use std::fmt;

/// Larger files are refused before they are parsed.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// A value and where it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Value {
    #[default]
    Null,
    /// As written: `1.10` stays `1.10`. Whoever decodes it says what it should be.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) place: Place,
}

impl Key {
    /// Names of variables are upper case, so a key that came from one is compared without regard to case.
    pub(crate) fn is(&self, name: &str) -> bool {
        match self.place {
            Place::Variable(_) => self.text.eq_ignore_ascii_case(name),
            Place::Whole | Place::Bytes(_) => self.text == name,
        }
    }
}

impl Node {
    pub(crate) fn for_each_scalar(&self, visit: &mut impl FnMut(&Place)) {
        match &self.value {
            Value::Null => {}
            Value::Scalar(_) => visit(&self.place),
            Value::List(items) => items.iter().for_each(|item| item.for_each_scalar(visit)),
            Value::Map(entries) => entries.iter().for_each(|(_, node)| node.for_each_scalar(visit)),
        }
    }

    /// What the value is, for people.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The tree of a file; an empty one is [`Value::Null`]. `None` if it could not be read at all.
pub(crate) fn parse(faults: &mut Faults) -> Option<Node> {
    let source = faults.source().clone();
    if source.text.len() > MAX_BYTES {
        faults.add(&Place::Whole, format!("the file is larger than {} KiB", MAX_BYTES / 1024));
        return None;
    }
    let error = match read(&source, DuplicateKeyPolicy::Error) {
        Ok(node) => return Some(node),
        Err(error) => error,
    };
    let place = error.location().map_or(Place::Whole, |location| bytes(&source, location));
    if source.holds_secrets
        && let Place::Bytes(at) = &place
        && let Some(values) = source.values_of_line(at.start)
    {
        faults.hide_bytes(values);
    }
    if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error.without_snippet() {
        let key = key.as_deref().filter(|key| !source.holds_secrets || is_name(key));
        let key = key.map_or_else(|| "this key".to_owned(), quoted);
        faults.add(&place, format!("{key} stands here for the second time"));
        // The file can still be read for other errors.
        return read(&source, DuplicateKeyPolicy::LastWins).ok();
    }
    let formatter = serde_saphyr::DefaultMessageFormatter;
    faults.add(&place, formatter.format_message(error.without_snippet()));
    None
}

fn read(source: &Source, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: 32,
            max_events: 200_000,
            max_nodes: 50_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    };
    if source.text.trim().is_empty() {
        return Ok(Node::default());
    }
    let tree: Spanned<Tree> = serde_saphyr::from_str_with_options(&source.text, options)?;
    Ok(tree.value.placed(source, tree.defined))
}

/// What the parser hands over; numbers are read again from the source, because `1.10` is a version and not 1.1.
enum Tree {
    Null,
    Typed(String),
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl Tree {
    fn placed(self, source: &Source, location: serde_saphyr::Location) -> Node {
        let place = bytes(source, location);
        let value = match self {
            Self::Null => Value::Null,
            Self::Text(text) => Value::Scalar(text),
            Self::Typed(meaning) => Value::Scalar(written(source, &place).unwrap_or(meaning)),
            Self::List(items) => {
                Value::List(items.into_iter().map(|item| item.value.placed(source, item.defined)).collect())
            }
            Self::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, node)| {
                        let key = Key { place: bytes(source, key.defined), text: key.value };
                        (key, node.value.placed(source, node.defined))
                    })
                    .collect(),
            ),
        };
        Node { value, place }
    }
}

fn written(source: &Source, place: &Place) -> Option<String> {
    let Place::Bytes(bytes) = place else { return None };
    let text = source.text.get(bytes.clone())?.trim();
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
    plain.then(|| text.to_owned())
}

fn bytes(source: &Source, location: serde_saphyr::Location) -> Place {
    let span = location.span();
    if let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) {
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(source.text.len());
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        return Place::Bytes(start..start.saturating_add(length).min(source.text.len()));
    }
    if location.line() == 0 {
        return Place::Whole;
    }
    let line = usize::try_from(location.line()).unwrap_or(usize::MAX);
    let column = usize::try_from(location.column()).unwrap_or(1).max(1);
    let Some(text) = source.text.split_inclusive('\n').nth(line - 1) else { return Place::Whole };
    let line_start: usize = source.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let within = text.char_indices().nth(column - 1).map_or(text.trim_end().len(), |(offset, _)| offset);
    Place::Bytes(line_start + within..line_start + within)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_none<E>(self) -> Result<Tree, E> {
                Ok(Tree::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Typed(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Typed(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Typed(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Typed(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Text(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Tree, E> {
                Ok(Tree::Text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Map(entries))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}
