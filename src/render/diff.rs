//! Plans as a diff, from the plan's data: `+` create, `-` destroy, `!` replace, `~` update, always in the first column.
//! Below a resource its attributes have marks of their own: put in, taken out, changed.
//!
//! A diff is given a number of characters and keeps to it: every resource gets its own line before any gets its
//! attributes, and what was left out is counted.

mod attributes;
mod lines;
mod values;

use super::filters::{clean, shortened};
use crate::domain::plan::{Action, Difference, OutputView, PlanView, ResourceView};
use attributes::{attributes, on_one_line};
use values::values;

const ADDRESS_LIMIT: usize = 250;
const ATTRIBUTES_LIMIT: usize = 100;
/// Addresses are padded up to this width, so that the actions stand in a column.
const COLUMN: usize = 48;
/// Once there is so much, in characters, no attributes of further resources are looked at: they would not fit anywhere.
const ENOUGH: usize = 150_000;

/// One resource or output: a line of its own and what is indented below it.
struct Block {
    line: String,
    /// `None`: there is more than enough before it.
    details: Option<Vec<String>>,
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
        Self::of(&view.resources, &view.outputs)
    }

    /// What was changed outside of Terraform; empty if nothing was.
    pub(super) fn of_drift(view: &PlanView) -> Self {
        Self::of(&view.drift, &[])
    }

    fn of(resources: &[ResourceView], outputs: &[OutputView]) -> Self {
        let mut resources: Vec<&ResourceView> = resources.iter().collect();
        resources.sort_by_key(|resource| risk(resource.action));
        let width = resources.iter().map(|resource| resource.address.chars().count());
        let width = width.chain(outputs.iter().map(|output| output.name.chars().count() + "output ".len()));
        let width = width.max().unwrap_or(0).min(COLUMN);
        let mut made = 0;
        let mut blocks: Vec<Block> = Vec::with_capacity(resources.len() + outputs.len());
        for resource in resources {
            let block = resource_block(resource, width, made < ENOUGH);
            made += block.details_length();
            blocks.push(block);
        }
        blocks.extend(outputs.iter().map(|output| output_block(output, width)));
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
        self.0.iter().map(|block| 1 + block.details.as_ref().map_or(0, Vec::len)).sum()
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
            match (&block.details, left.checked_sub(block.details_length())) {
                (Some(details), Some(rest)) => {
                    left = rest;
                    details.iter().for_each(|line| push_line(&mut diff.text, line));
                }
                _ => diff.shortened += 1,
            }
        }
        diff
    }
}

impl Block {
    fn details_length(&self) -> usize {
        self.details.iter().flatten().map(|line| line_length(line)).sum()
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

fn resource_block(resource: &ResourceView, width: usize, whole: bool) -> Block {
    let line = format!("{} {:width$}  {}", marker(resource.action), address(resource), said(resource));
    let details = match resource.action {
        // All of it goes; its address says what it is.
        Action::Delete | Action::Forget | Action::NoOp => Some(Vec::new()),
        _ => whole.then(|| attributes(&resource.attributes, resource.action, &resource.forces_replacement)),
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
    if let Some(because) = resource.because.as_deref().filter(|_| resource.action != Action::Forget).and_then(because) {
        text.push_str(&format!(" ({because})"));
    }
    if !resource.forces_replacement.is_empty() {
        let paths: Vec<String> = resource.forces_replacement.iter().take(5).map(|path| one_line(path, 60)).collect();
        text.push_str(&format!(" (forced by {})", paths.join(", ")));
    }
    text
}

/// Terraform's reasons, where the attributes don't tell them.
/// <https://developer.hashicorp.com/terraform/internals/json-format#change-representation>
fn because(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "replace_because_tainted" => "it is tainted: its creation had failed, or somebody marked it",
        "replace_by_request" => "somebody asked for it",
        "replace_by_triggers" => "by its `replace_triggered_by`",
        "delete_because_no_resource_config" => "no longer in the code",
        "delete_because_no_module" => "its module is no longer in the code",
        "delete_because_wrong_repetition" => "the code has or lost its `count` or `for_each`",
        "delete_because_count_index" => "beyond its `count`",
        "delete_because_each_key" => "its key is no longer in `for_each`",
        "delete_because_no_move_target" => "it was moved to what is not in the code",
        _ => return None,
    })
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
        many => (word(output.action).to_owned(), attributes(many, output.action, &[])),
    };
    Block { line: format!("{} {name:width$}  {said}", marker(output.action)), details: Some(details) }
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
            details: Some(Vec::new()),
        },
        Difference::OnlyNew { resource } => Block {
            // A green plus before a destroy would look harmless.
            line: format!(
                "{} {}  {}  (only in the new plan)",
                if destroys_unseen(difference) { '!' } else { '+' },
                address(resource),
                said(resource)
            ),
            details: Some(attributes(&resource.attributes, resource.action, &resource.forces_replacement)),
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
            Block { line, details: Some(details) }
        }
    }
}

fn cut(lines: &mut Vec<String>, limit: usize) {
    if lines.len() > limit {
        let more = lines.len() - limit;
        lines.truncate(limit);
        lines.push(format!("    … {more} more lines"));
    }
}

fn one_line(text: &str, limit: usize) -> String {
    shortened(&clean(text), limit).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests;
