//! The live comment, fitted to its size: every project gets its row before any gets its addresses, and all get their
//! addresses before any gets its whole diff. What is left out is counted and linked, never cut in the middle.

use super::COMMENT_LIMIT;
use super::body::Body;
use super::engine::{Engine, value};
use super::filters;
use crate::domain::report::{Counts, Detail, LiveInput, LiveView, Row, Standing, Tally, live};
use crate::domain::run::Failure;
use minijinja::{Error, Value, context};

/// Kept free for line feeds, table heads and the notes about what was left out.
const NOTES: usize = 2500;
/// Rows may take so much for links and messages; beyond it they are plain.
const LINKED_ROWS: usize = 20_000;
/// The first share of one section, so that the first ones leave something for the others.
const FIRST_SHARE: usize = 4000;
/// Below this a section would say nothing.
const LEAST_SHARE: usize = 300;
/// Names of unchanged projects, in characters.
const UNCHANGED_LIMIT: usize = 3000;
/// Projects with the same plan that a row names; its section names the others.
const NAMED_IN_A_ROW: usize = 8;
/// Names and links of what was left out, in characters.
const LEFT_OUT_LIMIT: usize = 1200;

pub(super) fn render(engine: &Engine, marker: &str, input: &LiveInput<'_>) -> Result<String, Error> {
    let limit = input.limit.min(COMMENT_LIMIT);
    let mut view = live(input);
    let comment = fitted(engine, marker, &view, limit)?;
    if length(&comment) <= limit {
        return Ok(comment);
    }
    // What stands above and below the table is too long by itself: names made of what must be escaped.
    if let Some(danger) = &mut view.danger {
        danger.more += danger.named.len().saturating_sub(2);
        danger.named.truncate(2);
    }
    view.hints.truncate(2);
    view.footer.tools.truncate(1);
    fitted(engine, marker, &view, limit)
}

fn fitted(engine: &Engine, marker: &str, view: &LiveView<'_>, limit: usize) -> Result<String, Error> {
    let mut parts = vec![head(engine, marker, view)?];
    let tail = engine.render("live/tail.md", value(view))?;
    let mut room = limit.saturating_sub(length(&parts[0]) + length(&tail) + NOTES);
    if view.problem.is_none() {
        let (unchanged, rows): (Vec<&Row<'_>>, Vec<&Row<'_>>) =
            view.rows.iter().partition(|row| row.standing == Standing::Unchanged && row.approved_other.is_none());
        if let ([only], 1) = (view.rows.as_slice(), view.tally.projects) {
            parts.extend(sections(engine, &[only], room, true)?);
        } else {
            for part in [table(engine, &rows, room)?, unchanged_list(&unchanged)] {
                room = room.saturating_sub(length(&part));
                parts.push(part);
            }
            parts.extend(sections(engine, &rows, room, false)?);
        }
    }
    parts.push(tail);
    Ok(joined(&parts))
}

/// The parts, each with an empty line before it: Markdown's blocks need one.
pub(super) fn joined(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
    format!("{}\n", parts.join("\n\n"))
}

fn head(engine: &Engine, marker: &str, view: &LiveView<'_>) -> Result<String, Error> {
    let first = view.rows.first();
    let title = engine.render("live/title.md", context! { first => first.map(value), ..value(view) })?;
    let icon = headline_icon(&view.tally);
    let head =
        engine.render_head("live/head.md", marker, context! { marker, title => title.trim(), icon, ..value(view) })?;
    Ok(head)
}

/// Silent while nothing needs anybody.
const fn headline_icon(tally: &Tally) -> &'static str {
    if tally.failed > 0 {
        "❌ "
    } else if tally.differ > 0 {
        "⚠️ "
    } else if tally.waiting + tally.applying > 0 {
        "⏳ "
    } else if tally.applied > 0 && tally.applied + tally.unchanged == tally.projects {
        "✅ "
    } else {
        ""
    }
}

pub(super) const fn icon(standing: Standing) -> &'static str {
    match standing {
        Standing::ApplyFailed | Standing::Interrupted | Standing::PlanFailed => "❌",
        Standing::Differs => "⚠️",
        Standing::Destroys => "🔴",
        Standing::Changes => "🟡",
        Standing::WaitsForLock
        | Standing::WaitsToPlan
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
    // The last column is for words, and mostly there are none.
    let wordless = plain.iter().take(kept).all(|row| without_last_cell(row).is_some());
    let mut out = String::from(if wordless {
        "| | Project | + | ~ | ± | − |\n|---|---|--:|--:|--:|--:|\n"
    } else {
        "| | Project | + | ~ | ± | − | |\n|---|---|--:|--:|--:|--:|---|\n"
    });
    for (row, plain) in rows.iter().zip(&plain).take(kept) {
        let linked = row_text(engine, row, true)?;
        let text = match (length(&linked)).checked_sub(length(plain)) {
            Some(more) if more > left => plain,
            more => {
                left -= more.unwrap_or(0);
                &linked
            }
        };
        out.push_str(if wordless { without_last_cell(text).unwrap_or(text) } else { text });
        out.push('\n');
    }
    if kept < rows.len() {
        let more: usize = rows[kept..].iter().map(|row| row.same.len().max(1)).sum();
        out.push_str(&format!("\nand {more} more projects, for which there is no room here\n"));
    }
    Ok(out)
}

/// A row of a table whose last cell is empty, without it. A bar that an operator's template escapes ends no cell.
fn without_last_cell(row: &str) -> Option<&str> {
    let before = row.strip_suffix('|')?.trim_end();
    (before.ends_with('|') && !before.ends_with("\\|")).then_some(before)
}

/// The first error with its place, where Terraform has told it.
fn why(failure: &Failure) -> String {
    let Some(first) = failure.diagnostics.first() else { return failure.message.clone() };
    let place = first.place_text().map(|place| format!(" (`{}`)", place.replace('`', "'"))).unwrap_or_default();
    let more = match failure.diagnostics.len() {
        1 => String::new(),
        errors => format!(", and {} more", errors - 1),
    };
    format!("{}{place}{more}", filters::shortened(&first.summary, 80))
}

fn row_text(engine: &Engine, row: &Row<'_>, linked: bool) -> Result<String, Error> {
    let message = match &row.detail {
        Some(Detail::Failure { failure, .. }) => Some(filters::shortened(&why(failure), 120)),
        _ => None,
    };
    let others = row.counts.as_ref().map(Counts::others).unwrap_or_default();
    let named = row.same.iter().take(if linked { NAMED_IN_A_ROW } else { usize::MAX });
    let same: Vec<Value> = named.map(value).collect();
    let more = row.same.len() - same.len();
    let values = context! {
        row => value(row), linked, message, others, icon => icon(row.standing), same, more,
    };
    let text = engine.render("live/row.md", values)?;
    Ok(text.trim_end().to_owned())
}

fn unchanged_list(unchanged: &[&Row<'_>]) -> String {
    if unchanged.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = unchanged.iter().map(|row| row.name).collect();
    let names = names_within(&names, UNCHANGED_LIMIT);
    format!("<details><summary>{} unchanged</summary>\n\n{names}\n\n</details>", unchanged.len())
}

fn sections(engine: &Engine, rows: &[&Row<'_>], room: usize, single: bool) -> Result<Vec<String>, Error> {
    struct Section<'a> {
        row: &'a Row<'a>,
        body: Body,
        granted: usize,
    }
    let mut left = room;
    let mut wanted: Vec<Section<'_>> = Vec::new();
    let mut left_out: Vec<&Row<'_>> = Vec::new();
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
            _ => left_out.push(row),
        }
    }
    for section in &mut wanted {
        let (full, _) = section.body.sizes();
        let more = full.saturating_sub(section.granted).min(left);
        section.granted += more;
        left -= more;
    }
    let mut parts = Vec::new();
    for Section { row, body, granted } in &wanted {
        parts.push(section(engine, row, body, *granted, single)?);
    }
    if !left_out.is_empty() {
        parts.push(did_not_fit(left_out.iter().map(|row| (row.name, row.url.as_deref()))));
    }
    Ok(parts)
}

/// The names of the projects that a section speaks of, if they are several.
fn same_plan(row: &Row<'_>) -> Option<String> {
    let names: Vec<&str> = row.same.iter().map(|member| member.name).collect();
    (!names.is_empty()).then(|| names_within(&names, UNCHANGED_LIMIT))
}

fn names_within(all: &[&str], limit: usize) -> String {
    let mut names = String::new();
    for (named, name) in all.iter().enumerate() {
        let name = filters::code(name);
        if length(&names) + length(&name) > limit {
            names.push_str(&format!(" and {} more", all.len() - named));
            break;
        }
        if named > 0 {
            names.push_str(", ");
        }
        names.push_str(&name);
    }
    names
}

/// What was left out, by name and with a link where there is room for that.
pub(super) fn did_not_fit<'a>(rows: impl ExactSizeIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let all = rows.len();
    let mut named = String::new();
    let mut count = 0;
    for (name, url) in rows {
        let name = filters::code(name);
        let link = url.map_or_else(|| name.clone(), |url| format!("[{name}]({})", filters::href(url)));
        if length(&named) + length(&link) > LEFT_OUT_LIMIT {
            break;
        }
        if count > 0 {
            named.push_str(", ");
        }
        named.push_str(&link);
        count += 1;
    }
    let more = if count < all { format!(" and {} more, linked from the table", all - count) } else { String::new() };
    format!("<sub>{all} more did not fit here; the run pages have them: {named}{more}</sub>")
}

fn section(engine: &Engine, row: &Row<'_>, body: &Body, granted: usize, single: bool) -> Result<String, Error> {
    let (text, facts) = body.within(granted, row.url.as_deref());
    let step = match &row.detail {
        Some(Detail::Failure { failure, .. }) => Some(failure.step.as_str()),
        _ => None,
    };
    let counts = row.counts.as_ref().map(ToString::to_string).filter(|counts| !counts.is_empty());
    let values = context! { row => value(row), step, counts, open => body.opens(single), same => same_plan(row), intro => body.intro(), body => text, facts };
    engine.render("live/section.md", values)
}
