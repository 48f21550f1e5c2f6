//! An attribute's path, taken apart: `tags["a b"].x[0]` is `tags`, `["a b"]`, `.x`, `[0]`.

/// The steps of a path, each as it is written; joined they are the path. Whatever the text is, nothing of it is lost.
#[must_use]
pub fn steps(path: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let (step, after) = rest.split_at(end_of_step(rest));
        found.push(step);
        rest = after;
    }
    found
}

/// Where the first step ends; never at 0.
fn end_of_step(path: &str) -> usize {
    if let Some(index) = path.strip_prefix('[') {
        let mut quoted = false;
        let mut escaped = false;
        for (at, c) in index.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                ']' if !quoted => return at + 2,
                _ => {}
            }
        }
        return path.len();
    }
    let begin = path.chars().next().map_or(0, char::len_utf8);
    path[begin..].find(['.', '[']).map_or(path.len(), |at| begin + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_taken_apart_where_it_goes_deeper() {
        let table: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("tags", &["tags"]),
            ("tags.Owner", &["tags", ".Owner"]),
            (r#"a["b.c]d"].e[0][1]"#, &["a", r#"["b.c]d"]"#, ".e", "[0]", "[1]"]),
            (r#"["q\"]"].x"#, &[r#"["q\"]"]"#, ".x"]),
            ("a[open", &["a", "[open"]),
        ];
        for (path, expected) in table {
            assert_eq!(steps(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_of_any_text_is_lost(path in ".{0,40}") {
            prop_assert_eq!(steps(&path).concat(), path);
        }
    }
}
