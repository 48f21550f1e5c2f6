//! Templates of the operator's: used where they can be, and never able to break a comment.

use super::*;

fn with(files: &[(&str, &str)]) -> (Renderer, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Renderer::with_templates(dir.path())
}

fn live_with(files: &[(&str, &str)]) -> String {
    let (state, views) = regions();
    with(files).0.live(&live_input(&state, &views, &server()))
}

fn live_plain() -> String {
    let (state, views) = regions();
    live(&state, &views)
}

#[test]
fn an_override_takes_the_place_of_ours_and_may_include_the_others() {
    let comment = live_with(&[("live/tail.md", "Ask {{ name | code }}.\n{% include \"hints.md\" %}")]);
    assert!(comment.contains("\n\nAsk `terraplane`.\nMerging this pull request applies 4 plans."), "{comment}");
    let answer = with(&[("say.md", "{{ marker }}\nhello\n")]).0;
    let (pull, server) = (pull(), server());
    let input = SayInput { pull: &pull, key: "77-1", server: &server, limit: COMMENT_LIMIT };
    let said = answer.say(&Say::Help { to: login("sam"), verbs: Vec::new() }, &input).unwrap();
    assert_eq!(said, "<!-- terraplane:reply 77-1 -->\nhello");
}

#[test]
fn an_override_that_does_not_parse_is_named_and_ours_is_used() {
    let files = [("live/row.md", "{% for %}"), ("hints.md", "{{ nothing ")];
    let (_, wrong) = with(&files);
    assert_eq!(wrong.len(), 2);
    assert!(wrong.iter().all(|problem| problem.contains(".md is no template: ")), "{wrong:?}");
    assert_eq!(live_with(&files), live_plain());
}

#[test]
fn an_override_that_fails_at_its_values_gives_way_to_ours() {
    for broken in [
        "{{ no_such_variable }}",
        "{{ name.first.second }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}{{ b }}{% endfor %}{% endfor %}",
        "{% include \"gone.md\" %}",
        "{% include \"live/tail.md\" %}",
    ] {
        assert_eq!(live_with(&[("live/tail.md", broken)]), live_plain(), "{broken}");
    }
}

#[test]
fn a_head_without_the_marker_would_lose_the_comment_and_is_not_used() {
    assert_eq!(live_with(&[("live/head.md", "### Plans\n")]), live_plain());
}

#[test]
fn overrides_that_make_a_comment_too_long_are_not_used() {
    let long = format!("{{{{ marker }}}}\n{}", "x".repeat(70_000));
    assert_eq!(live_with(&[("live/head.md", &long)]), live_plain());
}
