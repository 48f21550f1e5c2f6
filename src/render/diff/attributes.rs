//! A resource's attributes: those that belong together below one another, as blocks are in the code, each with its mark.

use super::lines::{line_diff, lines_of};
use super::values::{text_of, values};
use super::{ADDRESS_LIMIT, ATTRIBUTES_LIMIT, one_line};
use crate::domain::plan::{Action, AttributeChange, Shown, steps};

/// `before -> after` on one line up to this many characters, else on two.
const LINE_LIMIT: usize = 100;
/// So many attributes that are only known after the apply are named on one line.
const UNKNOWN_TOGETHER: usize = 3;
/// Characters of that line.
const UNKNOWN_LIMIT: usize = 200;

struct Leaf<'a> {
    steps: Vec<&'a str>,
    change: &'a AttributeChange,
    forces: bool,
}

/// All attributes, as lines with their marks in the first column.
///
/// `forced_by`: paths whose change makes the resource be replaced.
pub(super) fn attributes(all: &[AttributeChange], action: Action, forced_by: &[String]) -> Vec<String> {
    let forces = |path: &str| {
        let reaches = |forced: &String| {
            path.strip_prefix(forced.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        action == Action::Replace && forced_by.iter().any(reaches)
    };
    let (unknown, known): (Vec<_>, Vec<_>) = all.iter().partition(|change| {
        action == Action::Create && change.after == Shown::Unknown && change.before == Shown::Absent && is_plain(change)
    });
    let together = unknown.len() >= UNKNOWN_TOGETHER;
    let shown: Vec<&AttributeChange> = if together { known } else { all.iter().collect() };
    let leaves: Vec<Leaf<'_>> = shown
        .iter()
        .take(ATTRIBUTES_LIMIT)
        .map(|&change| Leaf { steps: steps(&change.path), change, forces: forces(&change.path) })
        .collect();
    let mut lines = Vec::new();
    Tree { action, lines: &mut lines }.level(&leaves, 0, 0);
    if shown.len() > ATTRIBUTES_LIMIT {
        lines.push(format!("    … {} more attributes", shown.len() - ATTRIBUTES_LIMIT));
    }
    if together {
        let names: Vec<&str> = unknown.iter().map(|change| change.path.as_str()).collect();
        lines.push(format!("+   (known after apply): {}", one_line(&names.join(", "), UNKNOWN_LIMIT)));
    }
    lines
}

fn is_plain(change: &AttributeChange) -> bool {
    steps(&change.path).len() == 1
}

/// `path: before -> after`, for plans that are compared with one another.
pub(super) fn on_one_line(attribute: &AttributeChange) -> String {
    said(&format!("{}:", one_line(&attribute.path, ADDRESS_LIMIT)), attribute)
}

fn said(name: &str, attribute: &AttributeChange) -> String {
    match values(attribute) {
        (None, Some(after)) => format!("{name} {after}"),
        (Some(before), None) => format!("{name} {before} -> (removed)"),
        (Some(before), Some(after)) => format!("{name} {before} -> {after}"),
        (None, None) => name.to_owned(),
    }
}

struct Tree<'l> {
    action: Action,
    lines: &'l mut Vec<String>,
}

impl Tree<'_> {
    /// `from`: how many steps of every path have been said already.
    fn level(&mut self, leaves: &[Leaf<'_>], from: usize, depth: usize) {
        let mut groups: Vec<(&[Leaf<'_>], usize)> = Vec::new();
        let mut rest = leaves;
        while let Some(first) = rest.first() {
            let step = first.steps.get(from);
            let alike = rest.iter().take_while(|leaf| leaf.steps.get(from) == step).count();
            let (group, after) = rest.split_at(alike);
            rest = after;
            let common = common(group);
            if group.len() > 1 && common > from {
                groups.push((group, common));
            } else {
                groups.extend(group.iter().map(|leaf| (std::slice::from_ref(leaf), leaf.steps.len())));
            }
        }
        for (group, end) in groups {
            let name = format!("{}:", name(&group[0].steps[from.min(end)..end]));
            match group {
                [leaf] => self.leaf(leaf, &name, depth),
                _ => {
                    let marker = self.shared_marker(group);
                    self.lines.push(format!("{marker}   {}{name}", indent(depth)));
                    self.level(group, end, depth + 1);
                }
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf<'_>, name: &str, depth: usize) {
        let change = leaf.change;
        let marker = self.marker(change);
        let indent = indent(depth);
        let forces = if leaf.forces { "  # forces replacement" } else { "" };
        if let Some(inner) = inner_lines(change, marker) {
            self.lines.push(format!("{marker}   {indent}{name}{forces}"));
            for (mark, line) in inner {
                let line = if mark == '@' { format!("@{line}") } else { format!("{mark}     {indent}{line}") };
                self.lines.push(line.trim_end().to_owned());
            }
            return;
        }
        let text = match (marker, values(change)) {
            ('-', (Some(before), None)) => format!("{name} {before}"),
            (_, (Some(before), Some(after))) => {
                let line = format!("{name} {before} -> {after}");
                if line.chars().count() > LINE_LIMIT {
                    self.lines.push(format!("-   {indent}{name} {before}"));
                    self.lines.push(format!("+   {indent}{name} {after}{forces}"));
                    return;
                }
                line
            }
            (_, (None, Some(after))) => format!("{name} {after}"),
            (_, (Some(before), None)) => format!("{name} {before} -> (removed)"),
            (_, (None, None)) => name.to_owned(),
        };
        self.lines.push(format!("{marker}   {indent}{text}{forces}"));
    }

    const fn marker(&self, change: &AttributeChange) -> char {
        match (self.action, &change.before, &change.after) {
            (Action::Create, _, _) => '+',
            (Action::Read, _, _) => ' ',
            (_, Shown::Absent, _) => '+',
            (_, _, Shown::Absent) => '-',
            _ => '~',
        }
    }

    /// Of what stands above several attributes: theirs if it is the same.
    fn shared_marker(&self, group: &[Leaf<'_>]) -> char {
        let first = self.marker(group[0].change);
        if group.iter().all(|leaf| self.marker(leaf.change) == first) { first } else { '~' }
    }
}

/// How many steps all of them begin with; every one keeps at least one to itself.
fn common(group: &[Leaf<'_>]) -> usize {
    let first = &group[0].steps;
    let alike = |leaf: &Leaf<'_>| first.iter().zip(&leaf.steps).take_while(|(a, b)| a == b).count();
    let shared = group.iter().map(alike).min().unwrap_or(0);
    let shortest = group.iter().map(|leaf| leaf.steps.len()).min().unwrap_or(0);
    shared.min(shortest.saturating_sub(1))
}

fn name(steps: &[&str]) -> String {
    let name = one_line(&steps.concat(), ADDRESS_LIMIT);
    name.strip_prefix('.').map_or(name.clone(), str::to_owned)
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

/// A text of several lines, line by line.
fn inner_lines(change: &AttributeChange, marker: char) -> Option<Vec<(char, String)>> {
    match (text_of(&change.before), text_of(&change.after), &change.before, &change.after) {
        (Some(before), Some(after), _, _) => line_diff(&before, &after),
        (None, Some(after), Shown::Absent, _) => lines_of(&after, marker),
        (Some(before), None, _, Shown::Absent) => lines_of(&before, marker),
        _ => None,
    }
}
