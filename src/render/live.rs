//! The live comment, fitted to its size: every project gets its row before any gets its addresses, and all get their
//! addresses before any gets its whole diff. What is left out is counted and linked, never cut in the middle.

use super::COMMENT_LIMIT;
use super::diff::Draft;
use super::engine::{Engine, value};
use super::filters;
use crate::domain::plan::PlanSummary;
use crate::domain::report::{Detail, LiveInput, LiveView, Row, Standing, live};
use minijinja::{Error, context};

/// Kept free for line feeds, table heads and the notes about what was left out.
const NOTES: usize = 1500;
/// Rows may take so much for links and messages; beyond it they are plain.
const LINKED_ROWS: usize = 20_000;
/// A diff of so many lines is shown open when it is the only one.
const OPEN_LINES: usize = 40;
/// The first share of one section, so that the first ones leave something for the others.
const FIRST_SHARE: usize = 4000;
/// Below this a section would say nothing.
const LEAST_SHARE: usize = 300;
/// All that is ever shown of a failed run's output; the end of it, where terraform puts its errors.
const OUTPUT_LIMIT: usize = 12_000;
/// Names of unchanged projects, in characters.
const UNCHANGED_LIMIT: usize = 3000;

pub(super) fn render(engine: &Engine, marker: &str, input: &LiveInput<'_>) -> Result<String, Error> {
    let view = live(input);
    let mut out = head(engine, marker, &view)?;
    let tail = engine.render("live/tail.md", value(&view))?;
    let mut room = COMMENT_LIMIT.saturating_sub(length(&out) + length(&tail) + NOTES);
    if view.problem.is_none() {
        let (unchanged, rows): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
            view.rows.iter().partition(|row| row.standing == Standing::Unchanged);
        if view.rows.len() > 1 {
            let table = table(engine, &rows, room)?;
            let listed = unchanged_list(&unchanged);
            room = room.saturating_sub(length(&table) + length(&listed));
            out.push_str(&table);
            out.push_str(&listed);
        }
        let single = view.rows.len() == 1;
        let shown = if single { &view.rows.iter().collect() } else { &rows };
        out.push_str(&sections(engine, shown, room, single)?);
    }
    out.push('\n');
    out.push_str(&tail);
    Ok(out)
}

fn head(engine: &Engine, marker: &str, view: &LiveView<'_>) -> Result<String, Error> {
    let first = view.rows.first();
    let title = engine.render("live/title.md", context! { first => first.map(value), ..value(view) })?;
    let icon = match first.map(|row| row.standing) {
        Some(standing @ (Standing::Applied | Standing::Unchanged)) if view.tally.applied > 0 => {
            icon(standing.min(Standing::Applied))
        }
        Some(
            standing @ (Standing::ApplyFailed
            | Standing::Interrupted
            | Standing::Differs
            | Standing::PlanFailed
            | Standing::WaitsForLock
            | Standing::Applying
            | Standing::ApplyQueued),
        ) => icon(standing),
        _ => "",
    };
    let icon = if icon.is_empty() { String::new() } else { format!("{icon} ") };
    let mut head = engine.render("live/head.md", context! { marker, title => title.trim(), icon, ..value(view) })?;
    head.push('\n');
    Ok(head)
}

pub(super) const fn icon(standing: Standing) -> &'static str {
    match standing {
        Standing::ApplyFailed | Standing::Interrupted | Standing::PlanFailed => "❌",
        Standing::Differs => "⚠️",
        Standing::Destroys => "🔴",
        Standing::Changes => "🟡",
        Standing::WaitsForLock
        | Standing::Applying
        | Standing::ApplyQueued
        | Standing::Planning
        | Standing::PlanQueued => "⏳",
        Standing::Applied => "✅",
        Standing::Unchanged | Standing::NotPlanned => "⚪",
    }
}

pub(super) fn length(text: &str) -> usize {
    text.chars().count()
}

/// One row for each project: all of them plainly first, then with links and messages while there is room.
fn table(engine: &Engine, rows: &[&Row<'_>], room: usize) -> Result<String, Error> {
    if rows.is_empty() {
        return Ok(String::new());
    }
    let plain: Vec<String> = rows.iter().map(|row| row_text(engine, row, false)).collect::<Result<_, _>>()?;
    let mut used = 0;
    let fitting = plain.iter().take_while(|row| {
        used += length(row) + 1;
        used <= room
    });
    let kept = fitting.count();
    let mut left = LINKED_ROWS.min(room).saturating_sub(plain[..kept].iter().map(|row| length(row) + 1).sum());
    let mut out = String::from("\n| | Project | + | ~ | ± | − | |\n|---|---|--:|--:|--:|--:|---|\n");
    for (row, plain) in rows.iter().zip(&plain).take(kept) {
        let linked = row_text(engine, row, true)?;
        let text = match (length(&linked)).checked_sub(length(plain)) {
            Some(more) if more > left => plain,
            more => {
                left -= more.unwrap_or(0);
                &linked
            }
        };
        out.push_str(text);
        out.push('\n');
    }
    if kept < rows.len() {
        out.push_str(&format!("\nand {} more projects, for which there is no room here\n", rows.len() - kept));
    }
    Ok(out)
}

fn row_text(engine: &Engine, row: &Row<'_>, linked: bool) -> Result<String, Error> {
    let message = match &row.detail {
        Some(Detail::Failure(failure)) => Some(filters::shortened(&failure.message, 120)),
        _ => None,
    };
    let others = row.counts.as_ref().map(crate::domain::report::Counts::others).unwrap_or_default();
    let text = engine
        .render("live/row.md", context! { row => value(row), linked, message, others, icon => icon(row.standing) })?;
    Ok(text.trim_end().to_owned())
}

fn unchanged_list(unchanged: &[&Row<'_>]) -> String {
    if unchanged.is_empty() {
        return String::new();
    }
    let mut names = String::new();
    let mut named = 0;
    for row in unchanged {
        let name = filters::code(row.name);
        if length(&names) + length(&name) > UNCHANGED_LIMIT {
            break;
        }
        if named > 0 {
            names.push_str(", ");
        }
        names.push_str(&name);
        named += 1;
    }
    if named < unchanged.len() {
        names.push_str(&format!(" and {} more", unchanged.len() - named));
    }
    format!("\n<details><summary>{} unchanged</summary>\n\n{names}\n\n</details>\n", unchanged.len())
}

/// What stands below one row, before it is known how much of it fits.
pub(super) enum Body {
    Diff { draft: Draft, summary: PlanSummary, intro: Option<String> },
    Output { intro: String, output: String },
}

impl Body {
    pub(super) fn of(detail: &Detail<'_>) -> Option<Self> {
        match detail {
            Detail::Failure(failure) => Some(Self::Output {
                intro: filters::text(&failure.message),
                output: filters::clean(&failure.output).trim_end().to_owned(),
            }),
            Detail::Lost => Some(Self::Output {
                intro: "The server was lost before the run could tell how it ended. Nobody knows how much was done."
                    .into(),
                output: String::new(),
            }),
            Detail::Plan { summary, view } => {
                Some(Self::Diff { draft: Draft::of_plan((*view)?), summary: (*summary).clone(), intro: None })
            }
            Detail::Differs { because, differences, view, summary } => {
                let because = filters::text(because);
                let (draft, intro) = match (differences, view) {
                    (Some(differences), _) if differences.is_empty() => (
                        Draft::of_differences(&[]),
                        format!(
                            "{because} What differs is not visible: a sensitive value, or code behind a value that is only known after the apply."
                        ),
                    ),
                    (Some(differences), _) => {
                        (Draft::of_differences(differences), format!("{because} Compared with the reviewed plan:"))
                    }
                    (None, Some(view)) => (Draft::of_plan(view), format!("{because} This is what would be done now:")),
                    (None, None) => (Draft::of_differences(&[]), because),
                };
                Some(Self::Diff { draft, summary: (*summary).clone(), intro: Some(intro) })
            }
        }
    }

    /// Characters of all of it, and of what should be shown at the least.
    pub(super) fn sizes(&self) -> (usize, usize) {
        match self {
            Self::Diff { draft, .. } => (draft.full(), draft.addresses()),
            Self::Output { output, .. } => {
                let full = length(output).min(OUTPUT_LIMIT);
                (full, full)
            }
        }
    }

    fn opens(&self, single: bool) -> bool {
        match self {
            Self::Diff { intro: Some(_), .. } | Self::Output { .. } => true,
            Self::Diff { draft, .. } => single && draft.lines() <= OPEN_LINES,
        }
    }

    pub(super) fn intro(&self) -> Option<&str> {
        match self {
            Self::Diff { intro, .. } => intro.as_deref(),
            Self::Output { intro, .. } => Some(intro),
        }
    }

    /// The fenced text and a line of facts.
    pub(super) fn within(&self, room: usize) -> (String, String) {
        match self {
            Self::Diff { draft, summary, .. } => {
                let diff = draft.within(room);
                let body = if draft.is_empty() { String::new() } else { filters::fence(&diff.text, "diff") };
                (body, facts(summary, diff.shortened, diff.left_out))
            }
            Self::Output { output, .. } => {
                let (left_out, end) = end_of(output, room.min(OUTPUT_LIMIT));
                let facts = if left_out > 0 {
                    format!("{left_out} characters before this are only in the log")
                } else {
                    String::new()
                };
                (if end.is_empty() { String::new() } else { filters::fence(end, "text") }, facts)
            }
        }
    }
}

/// How many characters were left out, and the last `limit` of them, from the beginning of a line if there is one.
fn end_of(text: &str, limit: usize) -> (usize, &str) {
    let total = length(text);
    if total <= limit {
        return (0, text);
    }
    let start = text.char_indices().nth(total - limit).map_or(text.len(), |(at, _)| at);
    let end = &text[start..];
    let end = end.split_once('\n').map_or(end, |(_, lines)| lines);
    (total - length(end), end)
}

fn facts(summary: &PlanSummary, shortened: usize, left_out: usize) -> String {
    let mut facts = Vec::new();
    if summary.unchanged > 0 {
        facts.push(format!("{} unchanged", summary.unchanged));
    }
    if summary.drifted > 0 {
        facts.push(format!("{} changed outside of Terraform", summary.drifted));
    }
    if shortened > 0 {
        facts.push(format!("{shortened} shown without attributes"));
    }
    if left_out > 0 {
        facts.push(format!("{left_out} more not shown"));
    }
    if shortened + left_out > 0 {
        facts.push("the log has all of it".into());
    }
    facts.join(" · ")
}

fn sections(engine: &Engine, rows: &[&Row<'_>], room: usize, single: bool) -> Result<String, Error> {
    struct Section<'a> {
        row: &'a Row<'a>,
        body: Body,
        granted: usize,
    }
    let mut left = room;
    let mut wanted: Vec<Section<'_>> = Vec::new();
    let mut left_out = 0;
    for row in rows {
        let Some(body) = row.detail.as_ref().and_then(Body::of) else { continue };
        let (_, least) = body.sizes();
        let frame = length(&section(engine, row, &body, 0, single)?) + 200;
        let share = least.min(FIRST_SHARE);
        match left.checked_sub(frame) {
            Some(rest) if rest >= share.min(LEAST_SHARE) => {
                let granted = share.min(rest);
                left = rest - granted;
                wanted.push(Section { row, body, granted });
            }
            _ => left_out += 1,
        }
    }
    for section in &mut wanted {
        let (full, _) = section.body.sizes();
        let more = full.saturating_sub(section.granted).min(left);
        section.granted += more;
        left -= more;
    }
    let mut out = String::new();
    for Section { row, body, granted } in &wanted {
        out.push('\n');
        out.push_str(&section(engine, row, body, *granted, single)?);
    }
    if left_out > 0 {
        out.push_str(&format!("\n<sub>{left_out} more did not fit here; the run pages have them.</sub>\n"));
    }
    Ok(out)
}

fn section(engine: &Engine, row: &Row<'_>, body: &Body, granted: usize, single: bool) -> Result<String, Error> {
    let (text, facts) = body.within(granted);
    let step = match &row.detail {
        Some(Detail::Failure(failure)) => Some(failure.step.as_str()),
        _ => None,
    };
    let counts = row.counts.as_ref().map(ToString::to_string).filter(|counts| !counts.is_empty());
    let values = context! { row => value(row), step, counts, open => body.opens(single), intro => body.intro(), body => text, facts };
    engine.render("live/section.md", values)
}
