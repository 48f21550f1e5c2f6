//! Projects whose plans are the same, told as one: forty regions of one application are one change to read.

use super::live::{Detail, Row};
use crate::domain::id::Fingerprint;
use serde::Serialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A project of several whose plans are the same.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Member<'a> {
    pub name: &'a str,
    pub url: Option<String>,
}

impl<'a> Row<'a> {
    /// What makes two rows read as one: the same plan, and nothing that must be said of only one of them.
    fn shape(&self) -> Option<&'a Fingerprint> {
        let Some(Detail::Plan { summary, view: Some(_), since: None }) = &self.detail else { return None };
        let plain = self.standing.waits_to_be_applied() && self.held_by.is_none() && !self.nowhere;
        summary.shape.as_ref().filter(|_| plain)
    }
}

/// Rows whose plans are the same, told as one, at the place of the first.
pub(super) fn grouped(rows: Vec<Row<'_>>) -> Vec<Row<'_>> {
    let mut places: HashMap<&Fingerprint, usize> = HashMap::new();
    let mut told: Vec<Row<'_>> = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(shape) = row.shape() else {
            told.push(row);
            continue;
        };
        match places.entry(shape) {
            Entry::Vacant(place) => {
                place.insert(told.len());
                told.push(row);
            }
            Entry::Occupied(place) => {
                let first = &mut told[*place.get()];
                if first.same.is_empty() {
                    first.same.push(Member { name: first.name, url: first.url.clone() });
                }
                first.same.push(Member { name: row.name, url: row.url });
            }
        }
    }
    for row in told.iter_mut().filter(|row| !row.same.is_empty()) {
        row.pattern = pattern(row.same.iter().map(|member| member.name));
    }
    told
}

/// What all of the names begin and end with, with a `*` for what is between.
fn pattern<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let Some(first) = names.clone().next() else { return String::new() };
    let alike = |a: &str, b: &str| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    let begin = names.clone().map(|name| alike(first, name)).min().unwrap_or(0);
    let end = names.clone().map(|name| alike(&reversed(first), &reversed(name))).min().unwrap_or(0);
    let shortest = names.map(|name| name.chars().count()).min().unwrap_or(0);
    let end = end.min(shortest.saturating_sub(begin));
    let count = first.chars().count();
    let head: String = first.chars().take(begin).collect();
    let tail: String = first.chars().skip(count - end).collect();
    format!("{head}*{tail}")
}
