//! Plans as a diff, from the plan's data: `+` create, `-` destroy, `!` replace, `~` update, always in the first column.
//!
//! A diff is given a number of characters and keeps to it: every resource gets its own line before any gets its
//! attributes, and what was left out is counted.

use super::filters::{clean, shortened};
use crate::domain::plan::{Action, AttributeChange, Difference, OutputView, PlanView, ResourceView, Shown};
use serde_json::Value;

/// Longer values are cut, with their length told.
const VALUE_LIMIT: usize = 160;
/// `before -> after` on one line up to this many characters, else on two.
const LINE_LIMIT: usize = 100;
/// Characters that are alike and are shown before the first one that differs.
const CONTEXT: usize = 30;
const ADDRESS_LIMIT: usize = 250;
const ATTRIBUTES_LIMIT: usize = 40;
/// Changed lines of one multi-line string.
const LINES_LIMIT: usize = 30;
/// Addresses are padded up to this width, so that the actions stand in a column.
const COLUMN: usize = 48;

/// One resource or output: a line of its own and what is indented below it.
struct Block {
    line: String,
    details: Vec<String>,
}

/// What came out, without a fence around it.
pub(super) struct Diff {
    pub(super) text: String,
    /// Resources and outputs whose attributes did not fit.
    pub(super) shortened: usize,
    /// Resources and outputs that are not even named.
    pub(super) left_out: usize,
}

/// A diff before it is known how much room there is.
pub(super) struct Draft(Vec<Block>);

impl Draft {
    /// Destroys first: what must not be missed must not be cut off either.
    pub(super) fn of_plan(view: &PlanView) -> Self {
        let mut resources: Vec<&ResourceView> = view.resources.iter().collect();
        resources.sort_by_key(|resource| risk(resource.action));
        let width = resources.iter().map(|resource| resource.address.chars().count());
        let width = width.chain(view.outputs.iter().map(|output| output.name.chars().count() + "output ".len()));
        let width = width.max().unwrap_or(0).min(COLUMN);
        let mut blocks: Vec<Block> = resources.into_iter().map(|resource| resource_block(resource, width)).collect();
        blocks.extend(view.outputs.iter().map(|output| output_block(output, width)));
        Self(blocks)
    }

    /// What the new plan destroys and the reviewed one did not comes first.
    pub(super) fn of_differences(differences: &[Difference]) -> Self {
        let mut sorted: Vec<&Difference> = differences.iter().collect();
        sorted.sort_by_key(|difference| !destroys_unseen(difference));
        Self(sorted.into_iter().map(difference_block).collect())
    }

    pub(super) const fn empty() -> Self {
        Self(Vec::new())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Characters of all of it.
    pub(super) fn full(&self) -> usize {
        self.0.iter().map(|block| line_length(&block.line) + block.details_length()).sum()
    }

    /// Characters of the lines without their attributes.
    pub(super) fn addresses(&self) -> usize {
        self.0.iter().map(|block| line_length(&block.line)).sum()
    }

    /// Lines of all of it.
    pub(super) fn lines(&self) -> usize {
        self.0.iter().map(|block| 1 + block.details.len()).sum()
    }

    /// As much of it as fits in so many characters.
    pub(super) fn within(&self, room: usize) -> Diff {
        let mut left = room;
        let mut named = 0;
        for block in &self.0 {
            let Some(rest) = left.checked_sub(line_length(&block.line)) else { break };
            left = rest;
            named += 1;
        }
        let mut diff = Diff { text: String::new(), shortened: 0, left_out: self.0.len() - named };
        if diff.left_out > 0 {
            left = 0;
        }
        for block in &self.0[..named] {
            push_line(&mut diff.text, &block.line);
            match left.checked_sub(block.details_length()) {
                Some(rest) => {
                    left = rest;
                    block.details.iter().for_each(|line| push_line(&mut diff.text, line));
                }
                None => diff.shortened += 1,
            }
        }
        diff
    }
}

impl Block {
    fn details_length(&self) -> usize {
        self.details.iter().map(|line| line_length(line)).sum()
    }
}

fn line_length(line: &str) -> usize {
    line.chars().count() + 1
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

const fn risk(action: Action) -> u8 {
    match action {
        Action::Delete => 0,
        Action::Replace => 1,
        Action::Forget => 2,
        Action::Update => 3,
        Action::Create => 4,
        Action::NoOp => 5,
        Action::Read => 6,
    }
}

const fn marker(action: Action) -> char {
    match action {
        Action::Delete => '-',
        Action::Replace | Action::Forget => '!',
        Action::Update | Action::NoOp => '~',
        Action::Create => '+',
        Action::Read => ' ',
    }
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Delete => "destroy",
        Action::Replace => "replace",
        Action::Forget => "forget",
        Action::Update => "update",
        Action::Create => "create",
        Action::NoOp => "",
        Action::Read => "read during the apply",
    }
}

fn resource_block(resource: &ResourceView, width: usize) -> Block {
    let line = format!("{} {:width$}  {}", marker(resource.action), address(resource), said(resource));
    let details = match resource.action {
        // All of it goes; its address says what it is.
        Action::Delete | Action::Forget | Action::NoOp => Vec::new(),
        _ => attributes(&resource.attributes, resource.action),
    };
    Block { line, details }
}

fn address(resource: &ResourceView) -> String {
    let address = one_line(&resource.address, ADDRESS_LIMIT);
    match &resource.deposed {
        Some(key) => format!("{address} (deposed {})", one_line(key, 20)),
        None => address,
    }
}

/// The action in words, with what must be known of it.
fn said(resource: &ResourceView) -> String {
    let mut words = Vec::new();
    if resource.action != Action::NoOp {
        words.push(word(resource.action).to_owned());
    }
    if resource.importing {
        words.push("import".into());
    }
    if let Some(from) = &resource.moved_from {
        words.push(format!("moved from {}", one_line(from, ADDRESS_LIMIT)));
    }
    if resource.action == Action::Forget {
        words.push("stays, and is no longer managed".into());
    }
    let mut text = words.join(", ");
    if !resource.forces_replacement.is_empty() {
        let paths: Vec<String> = resource.forces_replacement.iter().take(5).map(|path| one_line(path, 60)).collect();
        text.push_str(&format!(" (forced by {})", paths.join(", ")));
    }
    text
}

fn output_block(output: &OutputView, width: usize) -> Block {
    let name = format!("output {}", one_line(&output.name, ADDRESS_LIMIT));
    let (said, details) = match output.attributes.as_slice() {
        // The whole output: its value belongs on its line.
        [only] if only.path.is_empty() => {
            let said = match values(only) {
                (Some(before), Some(after)) => format!("{before} -> {after}"),
                (None, Some(after)) => after,
                _ => word(output.action).to_owned(),
            };
            (said, Vec::new())
        }
        many => (word(output.action).to_owned(), attributes(many, output.action)),
    };
    Block { line: format!("{} {name:width$}  {said}", marker(output.action)), details }
}

const fn destroys_unseen(difference: &Difference) -> bool {
    match difference {
        Difference::OnlyReviewed { .. } => false,
        Difference::OnlyNew { resource } => resource.action.destroys(),
        Difference::Changed { reviewed, new } => new.action.destroys() && !reviewed.action.destroys(),
    }
}

fn difference_block(difference: &Difference) -> Block {
    match difference {
        Difference::OnlyReviewed { resource } => Block {
            line: format!("- {}  {}  (only in the reviewed plan)", address(resource), said(resource)),
            details: Vec::new(),
        },
        Difference::OnlyNew { resource } => Block {
            // A green plus before a destroy would look harmless.
            line: format!(
                "{} {}  {}  (only in the new plan)",
                if destroys_unseen(difference) { '!' } else { '+' },
                address(resource),
                said(resource)
            ),
            details: attributes(&resource.attributes, Action::Update),
        },
        Difference::Changed { reviewed, new } => {
            let line = if said(reviewed) == said(new) {
                format!("! {}  {}", address(new), said(new))
            } else {
                format!("! {}  {}, reviewed: {}", address(new), said(new), said(reviewed))
            };
            let only = |some: &ResourceView, other: &ResourceView, marker: char| -> Vec<String> {
                let own = some.attributes.iter().filter(|attribute| !other.attributes.contains(attribute));
                own.map(|attribute| format!("{marker}   {}", on_one_line(attribute))).collect()
            };
            let mut details = only(reviewed, new, '-');
            details.extend(only(new, reviewed, '+'));
            cut(&mut details, 2 * ATTRIBUTES_LIMIT);
            Block { line, details }
        }
    }
}

fn attributes(all: &[AttributeChange], action: Action) -> Vec<String> {
    let mut lines: Vec<String> =
        all.iter().take(ATTRIBUTES_LIMIT).flat_map(|attribute| attribute_lines(attribute, action)).collect();
    if all.len() > ATTRIBUTES_LIMIT {
        lines.push(format!("    … {} more attributes", all.len() - ATTRIBUTES_LIMIT));
    }
    lines
}

fn cut(lines: &mut Vec<String>, limit: usize) {
    if lines.len() > limit {
        let more = lines.len() - limit;
        lines.truncate(limit);
        lines.push(format!("    … {more} more lines"));
    }
}

fn attribute_lines(attribute: &AttributeChange, action: Action) -> Vec<String> {
    if action == Action::Create {
        return vec![format!("+   {}", on_one_line(attribute))];
    }
    if let Some(lines) = text_lines(attribute) {
        return lines;
    }
    let whole = on_one_line(attribute);
    match values(attribute) {
        (Some(before), Some(after)) if whole.chars().count() > LINE_LIMIT => {
            let path = path(attribute);
            vec![format!("-   {path}: {before}"), format!("+   {path}: {after}")]
        }
        _ => vec![format!("    {whole}")],
    }
}

fn path(attribute: &AttributeChange) -> String {
    one_line(&attribute.path, ADDRESS_LIMIT)
}

fn on_one_line(attribute: &AttributeChange) -> String {
    let path = path(attribute);
    match values(attribute) {
        (None, Some(after)) => format!("{path}: {after}"),
        (Some(before), None) => format!("{path}: {before} -> (removed)"),
        (Some(before), Some(after)) => format!("{path}: {before} -> {after}"),
        (None, None) => path,
    }
}

/// Both sides. Where long values are alike at their beginning, that is left out, so that what differs is seen.
fn values(attribute: &AttributeChange) -> (Option<String>, Option<String>) {
    match (&attribute.before, &attribute.after) {
        (Shown::Value(before), Shown::Value(after)) => {
            let (before, after) = cut_pair(before, after);
            (Some(before), Some(after))
        }
        (before, after) => (value(before), value(after)),
    }
}

fn cut_pair(before: &str, after: &str) -> (String, String) {
    let longest = before.chars().count().max(after.chars().count());
    let alike = before.chars().zip(after.chars()).take_while(|(a, b)| a == b).count();
    let skip = if longest > VALUE_LIMIT { alike.saturating_sub(CONTEXT) } else { 0 };
    (cut_value(before, skip), cut_value(after, skip))
}

/// The value from its `skip`th character on, as long as it may be.
fn cut_value(value: &str, skip: usize) -> String {
    let length = value.chars().count();
    let rest: String = value.chars().skip(skip).collect();
    let shown = format!("{}{}", if skip > 0 { "…" } else { "" }, one_line(&rest, VALUE_LIMIT));
    if skip > 0 || length > VALUE_LIMIT { format!("{shown} ({length} characters)") } else { shown }
}

fn value(shown: &Shown) -> Option<String> {
    match shown {
        Shown::Absent => None,
        Shown::Value(json) => Some(cut_value(json, 0)),
        Shown::Unknown => Some("(known after apply)".into()),
        Shown::Sensitive => Some("(sensitive)".into()),
    }
}

/// A text of several lines, line by line: what both sides begin and end with is left out.
fn text_lines(attribute: &AttributeChange) -> Option<Vec<String>> {
    let (before, after) = (lines_of(&attribute.before)?, lines_of(&attribute.after)?);
    if before.len() < 2 && after.len() < 2 {
        return None;
    }
    let start = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let most = before.len().min(after.len()) - start;
    let end = before.iter().rev().zip(after.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let (old, new) = (&before[start..before.len() - end], &after[start..after.len() - end]);
    let (old, new): (Vec<String>, Vec<String>) = if old.len() == new.len() {
        old.iter().zip(new).map(|(old, new)| cut_pair(old, new)).unzip()
    } else {
        let cut = |lines: &[String]| lines.iter().map(|line| cut_value(line, 0)).collect();
        (cut(old), cut(new))
    };
    let marked = |lines: Vec<String>, marker: char| {
        lines.into_iter().map(move |line| format!("{marker}     {line}").trim_end().to_owned())
    };
    let mut inner: Vec<String> = marked(old, '-').chain(marked(new, '+')).collect();
    cut(&mut inner, LINES_LIMIT);
    let mut lines = vec![format!("    {}: (from line {})", path(attribute), start + 1)];
    lines.extend(inner);
    Some(lines)
}

fn lines_of(shown: &Shown) -> Option<Vec<String>> {
    let Shown::Value(json) = shown else { return None };
    let Ok(Value::String(text)) = serde_json::from_str(json) else { return None };
    Some(text.split('\n').map(str::to_owned).collect())
}

fn one_line(text: &str, limit: usize) -> String {
    shortened(&clean(text), limit).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests;
