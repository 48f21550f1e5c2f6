//! Whatever a plan or an error says: the comment stays in its limits, its fences are closed, nothing in it is a command of
//! the forge, a mention, or a marker of ours. Checked by the fuzz target and, with other bytes, by the tests.

use serde_json::json;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use terraplane::cli::render::{Example, Saved};
use terraplane::render::Renderer;

static RENDERER: LazyLock<Renderer> = LazyLock::new(Renderer::new);

/// Panics if a comment made of these bytes breaks a promise.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\u{0}').chain(std::iter::repeat(""));
    let mut next = || parts.next().unwrap_or_default();
    let (address, key, before, after, output, message, error) =
        (next(), next(), next(), next(), next(), next(), next());
    let change = |actions: &[&str]| json!({"actions": actions, "before": {key: before}, "after": {key: after, "list": [after, before]}});
    let plan = json!({
        "format_version": "1.2",
        "terraform_version": next(),
        "resource_changes": [
            {"address": address, "type": "aws_db_instance", "previous_address": key, "change": change(&["update"])},
            {"address": format!("{address}2"), "type": "aws_db_instance", "deposed": key, "change": change(&["delete", "create"])},
        ],
        "resource_drift": [{"address": after, "change": change(&["update"])}],
        "output_changes": {output: {"actions": ["create"], "after": after}},
        "checks": [{"address": {"to_display": key}, "status": "fail", "instances": [{"problems": [{"message": message}]}]}],
    });
    let files = BTreeMap::from([
        ("prod/a".to_owned(), Saved::Plan(plan.to_string().into_bytes())),
        ("prod/b".to_owned(), Saved::Error(error.to_owned())),
    ]);
    let example = Example::of(files).expect("the example is valid").expect("the plan can be read");
    keeps_its_promises(&example.comment(&RENDERER, 60_000));
}

fn keeps_its_promises(comment: &str) {
    assert!(comment.chars().count() <= 60_000);
    assert!(comment.starts_with("<!-- terraplane:live -->\n"));
    assert_eq!(comment.matches("<!--").count(), 1);
    let (mut fence, mut outside) = (None, String::new());
    for line in comment.lines() {
        let ticks = line.chars().take_while(|c| *c == '`').count();
        match fence {
            Some(length) if ticks >= length && line[ticks..].trim().is_empty() => fence = None,
            Some(_) => {}
            None if ticks >= 3 => fence = Some(ticks),
            None => {
                assert!(!line.trim_start().starts_with('/'), "a quick action: {line}");
                outside.push_str(line);
                outside.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "an open fence");
    assert_eq!(outside.matches("<details").count(), outside.matches("</details>").count());
    // Code spans are even in number on every line of ours.
    let prose: String = outside.lines().map(|line| line.split('`').step_by(2).collect::<String>() + "\n").collect();
    let mentions = |text: &str| text.chars().zip(text.chars().skip(1)).any(|(a, b)| a == '@' && b.is_alphanumeric());
    assert!(!mentions(&prose), "a mention: {prose}");
}
