//! The comment about a finished batch of applies.

use super::COMMENT_LIMIT;
use super::body::Body;
use super::engine::{Engine, value};
use super::live::{did_not_fit, icon, joined, length};
use crate::domain::report::{OutcomeRow, ResultInput, result};
use minijinja::{Error, context};

/// Kept free for line feeds and notes.
const NOTES: usize = 2500;
/// One section's first share, so that the first failure leaves something for the others.
const FIRST_SHARE: usize = 6000;

pub(super) fn render(engine: &Engine, marker: &str, input: &ResultInput<'_>) -> Result<String, Error> {
    let view = result(input);
    let values = value(&view);
    let first = view.rows.first();
    let mut parts = vec![engine.render_head(
        "result/head.md",
        marker,
        context! { marker, first => first.map(value), ..values.clone() },
    )?];
    let tail = engine.render("result/tail.md", values)?;
    let mut left = input.limit.min(COMMENT_LIMIT).saturating_sub(length(&parts[0]) + length(&tail) + NOTES);

    let mut table = String::from("| | Project | Result | Time |\n|---|---|---|--:|\n");
    let mut rows_left = left / 2;
    for (at, row) in view.rows.iter().enumerate() {
        let texts = [row_text(engine, row, true)?, row_text(engine, row, false)?];
        // The plain ones that follow need room as well.
        let reserve = (view.rows.len() - at) * 60;
        let Some(text) = texts.iter().find(|text| length(text) + reserve.min(rows_left / 2) < rows_left) else {
            let note = format!("\nand {} more, for which there is no room here\n", view.rows.len() - at);
            table.push_str(&note);
            break;
        };
        rows_left -= length(text) + 1;
        left = left.saturating_sub(length(text) + 1);
        table.push_str(text);
        table.push('\n');
    }
    parts.push(table);
    let many = view.rows.len() > 1;
    let mut left_out = Vec::new();
    for row in &view.rows {
        let Some(body) = row.detail.as_ref().and_then(Body::of) else { continue };
        let frame = length(&section(engine, row, &body, 0, many)?) + 200;
        let Some(rest) = left.checked_sub(frame) else {
            left_out.push(row);
            continue;
        };
        let (full, _) = body.sizes();
        let granted = full.min(rest).min(if many { FIRST_SHARE } else { rest });
        left = rest - granted;
        parts.push(section(engine, row, &body, granted, many)?);
    }
    if !left_out.is_empty() {
        parts.push(did_not_fit(left_out.iter().map(|row| (row.name, Some(row.url.as_str())))));
    }
    parts.push(tail);
    Ok(joined(&parts))
}

fn row_text(engine: &Engine, row: &OutcomeRow<'_>, linked: bool) -> Result<String, Error> {
    let text = engine.render("result/row.md", context! { row => value(row), linked, icon => icon(row.standing) })?;
    Ok(text.trim_end().to_owned())
}

fn section(engine: &Engine, row: &OutcomeRow<'_>, body: &Body, granted: usize, many: bool) -> Result<String, Error> {
    let (text, facts) = body.within(granted, Some(&row.url));
    let values = context! { row => value(row), many, intro => body.intro(), body => text, facts };
    engine.render("result/section.md", values)
}
