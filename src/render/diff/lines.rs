//! A text of several lines as a diff of its own: scripts, heredocs, policies that are no JSON.

use super::values::{cut_pair, cut_value};
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

/// Lines of one text that are shown.
const LINES_LIMIT: usize = 60;
/// Lines that stay and are shown around those that change.
const AROUND: usize = 2;
/// Texts with more changed lines than this are not compared line by line: it would take too long.
const MOST_COMPARED: usize = 2000;

/// Each line with its mark, without indentation; `None` if neither side has several lines.
pub(super) fn line_diff(before: &str, after: &str) -> Option<Vec<(char, String)>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    if old.len() < 2 && new.len() < 2 || old == new {
        return None;
    }
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - start;
    let end = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let changed = (old.len() - start - end).max(new.len() - start - end);
    let ops = if changed > MOST_COMPARED {
        replaced(start, end, old.len(), new.len())
    } else {
        capture_diff_slices(Algorithm::Myers, &old, &new)
    };
    let mut lines = Vec::new();
    for group in group_diff_ops(ops, AROUND) {
        let first = group.first().map_or(0, |op| op.new_range().start);
        if first > 0 || !lines.is_empty() {
            lines.push(('@', format!("@ line {} @@", first + 1)));
        }
        for op in group {
            push(&mut lines, &op, &old, &new);
        }
        if lines.len() > LINES_LIMIT {
            break;
        }
    }
    Some(cut(lines))
}

/// All lines of a text that is new or goes; `None` if it has only one.
pub(super) fn lines_of(text: &str, mark: char) -> Option<Vec<(char, String)>> {
    let lines: Vec<(char, String)> = text.lines().map(|line| (mark, line)).map(|(m, l)| (m, cut_value(l, 0))).collect();
    (lines.len() > 1).then(|| cut(lines))
}

fn replaced(start: usize, end: usize, old: usize, new: usize) -> Vec<DiffOp> {
    let (old_len, new_len) = (old - start - end, new - start - end);
    vec![
        DiffOp::Equal { old_index: 0, new_index: 0, len: start },
        DiffOp::Replace { old_index: start, old_len, new_index: start, new_len },
        DiffOp::Equal { old_index: old - end, new_index: new - end, len: end },
    ]
}

fn push(lines: &mut Vec<(char, String)>, op: &DiffOp, old: &[&str], new: &[&str]) {
    let (old, new) = (&old[op.old_range()], &new[op.new_range()]);
    match op {
        DiffOp::Equal { .. } => lines.extend(new.iter().map(|line| (' ', cut_value(line, 0)))),
        // As many as before: each beside the one in its place, so that long lines show where they differ.
        DiffOp::Replace { .. } if old.len() == new.len() && old.len() <= LINES_LIMIT => {
            let pairs = old.iter().zip(new).map(|(old, new)| cut_pair(old, new));
            let (old, new): (Vec<String>, Vec<String>) = pairs.unzip();
            lines.extend(old.into_iter().map(|line| ('-', line)));
            lines.extend(new.into_iter().map(|line| ('+', line)));
        }
        _ => {
            lines.extend(old.iter().take(LINES_LIMIT).map(|line| ('-', cut_value(line, 0))));
            if old.len() > LINES_LIMIT {
                lines.push((' ', format!("… {} more lines go", old.len() - LINES_LIMIT)));
            }
            lines.extend(new.iter().take(LINES_LIMIT + 1).map(|line| ('+', cut_value(line, 0))));
            if new.len() > LINES_LIMIT + 1 {
                lines.push((' ', format!("… {} more lines come", new.len() - LINES_LIMIT - 1)));
            }
        }
    }
}

fn cut(mut lines: Vec<(char, String)>) -> Vec<(char, String)> {
    // Both halves of what was replaced must be seen.
    let limit = 2 * LINES_LIMIT + 4;
    if lines.len() > limit {
        let more = lines.len() - limit;
        lines.truncate(limit);
        lines.push((' ', format!("… {more} more lines")));
    }
    lines
}
