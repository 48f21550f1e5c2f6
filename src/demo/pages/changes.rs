//! A unified diff, taken apart for the page.

/// More lines of one file than this are not shown: the page is for looking, not for archives.
const MOST_LINES: usize = 2000;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ChangedFile {
    pub(super) path: String,
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// `add`, `del`, `same` or `hunk`.
    pub(super) kind: &'static str,
    pub(super) old: Option<usize>,
    pub(super) new: Option<usize>,
    pub(super) text: String,
}

/// Reads what `git diff` wrote.
pub(super) fn read(diff: &str) -> Vec<ChangedFile> {
    let mut files: Vec<ChangedFile> = Vec::new();
    let (mut old, mut new, mut in_hunk) = (0, 0, false);
    for line in diff.lines() {
        if let Some(names) = line.strip_prefix("diff --git ") {
            in_hunk = false;
            files.push(ChangedFile { path: path_of(names), ..ChangedFile::default() });
            continue;
        }
        let Some(file) = files.last_mut() else { continue };
        if let Some(rest) = line.strip_prefix("@@ ") {
            in_hunk = true;
            (old, new) = starts(rest);
            file.push(Line { kind: "hunk", old: None, new: None, text: line.into() });
        } else if in_hunk {
            let text = line.get(1..).unwrap_or_default().to_owned();
            match line.as_bytes().first() {
                Some(b'+') => {
                    file.added += 1;
                    file.push(Line { kind: "add", old: None, new: Some(new), text });
                    new += 1;
                }
                Some(b'-') => {
                    file.removed += 1;
                    file.push(Line { kind: "del", old: Some(old), new: None, text });
                    old += 1;
                }
                Some(b' ') => {
                    file.push(Line { kind: "same", old: Some(old), new: Some(new), text });
                    (old, new) = (old + 1, new + 1);
                }
                _ => {}
            }
        }
    }
    files
}

impl ChangedFile {
    fn push(&mut self, line: Line) {
        if self.lines.len() < MOST_LINES {
            self.lines.push(line);
        }
    }
}

/// The path of `a/PATH b/PATH`. Renames are not asked for, so both are the same.
fn path_of(names: &str) -> String {
    let half = names.len() / 2;
    let second = names.get(half + 1..).unwrap_or(names).trim_matches('"');
    second.strip_prefix("b/").unwrap_or(second).to_owned()
}

/// The first lines of `-1,4 +1,6 @@ …`.
fn starts(text: &str) -> (usize, usize) {
    let mut words = text.split(' ');
    let mut next = || {
        let word = words.next()?.trim_start_matches(['-', '+']);
        word.split(',').next()?.parse().ok()
    };
    (next().unwrap_or(1), next().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_has_its_path_its_counts_and_its_line_numbers() {
        let diff = "diff --git a/prod/main.tf b/prod/main.tf\nindex 1..2 100644\n--- a/prod/main.tf\n+++ b/prod/main.tf\n@@ -3,3 +3,3 @@ locals {\n same\n-old\n+new\n--- dashes\n";
        let files = read(diff);
        assert_eq!(files.len(), 1);
        assert_eq!((files[0].path.as_str(), files[0].added, files[0].removed), ("prod/main.tf", 1, 2));
        let numbers: Vec<_> = files[0].lines.iter().map(|l| (l.kind, l.old, l.new)).collect();
        assert_eq!(
            numbers,
            [
                ("hunk", None, None),
                ("same", Some(3), Some(3)),
                ("del", Some(4), None),
                ("add", None, Some(4)),
                ("del", Some(5), None)
            ]
        );
    }
}
