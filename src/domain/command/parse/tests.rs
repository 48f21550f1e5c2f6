use super::*;
use proptest::prelude::*;

fn names() -> Names {
    Names::new("terraplane", ["atlantis".to_owned()])
}

fn one(text: &str) -> Option<Parsed> {
    let mut all = parse_comment(text, &names());
    assert!(all.len() <= 1, "{all:?}");
    all.pop().map(|(_, parsed)| parsed)
}

fn command(verb: Verb, words: &[&str]) -> Option<Parsed> {
    let any_of = words.iter().map(|word| (*word).to_owned()).collect();
    Some(Parsed::Command(Command { verb, selector: Selector { any_of }, sha: None }))
}

#[test]
fn commands_are_understood() {
    for (text, expected) in [
        ("terraplane plan", command(Verb::Plan, &[])),
        ("Terraplane Plan", command(Verb::Plan, &[])),
        ("tp apply prod/network", command(Verb::Apply, &["prod/network"])),
        ("@terraplane apply `prod/network`, tag:eu", command(Verb::Apply, &["prod/network", "tag:eu"])),
        ("atlantis unlock", command(Verb::Unlock, &[])),
        ("terraplane approve\r\n", command(Verb::Approve, &[])),
        ("terraplane", command(Verb::Help, &[])),
        ("looks fine\n\nterraplane apply\n\nthanks", command(Verb::Apply, &[])),
        ("see\nterraplane apply", command(Verb::Apply, &[])),
    ] {
        assert_eq!(one(text), expected, "{text:?}");
    }
}

#[test]
fn a_plan_may_name_the_commit_that_is_meant() {
    let sha = "0123456789abcdef0123456789abcdef01234567";
    for text in ["plan --sha {}", "plan --sha={}", "plan prod --sha `{}`", "plan --sha {} prod"] {
        let Some(Parsed::Command(command)) = one(&format!("terraplane {}", text.replace("{}", sha))) else {
            panic!("{text}")
        };
        assert_eq!(command.sha.as_ref().map(|sha| sha.as_str()), Some(sha), "{text}");
        assert_eq!(command.selector.any_of, ["prod"].repeat(usize::from(text.contains("prod"))), "{text}");
    }
    for text in [
        "plan --sha",
        "plan --sha 0123456",
        "plan --sha=main",
        "plan --sha {} --sha {}",
        "apply --sha {}",
        "plan --shar {}",
    ] {
        let parsed = one(&format!("terraplane {}", text.replace("{}", sha)));
        assert!(matches!(parsed, Some(Parsed::BadArgument { .. })), "{text}: {parsed:?}");
    }
}

#[test]
fn a_mistyped_verb_gets_one_suggestion() {
    for (text, word, suggestion) in [
        ("terraplane aply", "aply", Verb::Apply),
        ("terraplane paln", "paln", Verb::Plan),
        ("terraplane aprove", "aprove", Verb::Approve),
        ("terraplane hlep", "hlep", Verb::Help),
    ] {
        assert_eq!(one(text), Some(Parsed::UnknownVerb { word: word.into(), suggestion }));
    }
}

#[test]
fn code_quotes_html_and_prose_are_silent() {
    for text in [
        "",
        "terraplane is a great tool",
        "terraplane, please",
        "I would say terraplane apply",
        "`terraplane apply`",
        "```\nterraplane apply\n```",
        "~~~sh\nterraplane apply\n~~~",
        "    terraplane apply",
        "> terraplane apply",
        "> somebody wrote\nterraplane apply",
        "<!-- terraplane apply -->",
        "<!--\nterraplane apply\n-->",
        "<details>\nterraplane apply\n</details>",
        "text <!-- a\nterraplane apply\n-->",
        "text `code\nterraplane apply\n` more",
        " terraplane apply",
        "- terraplane apply",
    ] {
        assert_eq!(one(text), None, "{text:?}");
    }
}

#[test]
fn an_argument_that_is_not_understood_stops_the_command() {
    assert_eq!(
        one("terraplane apply --except prod"),
        Some(Parsed::BadArgument { verb: Verb::Apply, argument: "--except".into() })
    );
    assert_eq!(
        one("terraplane plan -- -destroy"),
        Some(Parsed::BadArgument { verb: Verb::Plan, argument: "--".into() })
    );
}

#[test]
fn several_lines_are_several_commands_with_their_line_numbers() {
    let parsed = parse_comment("hello\n\nterraplane plan a\nterraplane plan b\n", &names());
    assert_eq!(parsed.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4]);
    let many = "terraplane plan\n".repeat(50);
    assert_eq!(parse_comment(&many, &names()).len(), MOST_COMMANDS);
}

#[test]
fn another_name_makes_the_default_one_silent() {
    let names = Names::new("staging-plane", []);
    assert!(parse_comment("terraplane apply\ntp apply", &names).is_empty());
    assert_eq!(parse_comment("staging-plane apply", &names).len(), 1);
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_a_panic(text in "(terraplane |apply|`|>|\n|```|<!--|-->|\\PC){0,60}") {
        prop_assert!(parse_comment(&text, &names()).len() <= MOST_COMMANDS);
    }

    #[test]
    fn nothing_in_a_fence_commands(inner in "[a-z \n]{0,80}") {
        let text = format!("~~~~~~\nterraplane apply\n{inner}\nterraplane apply\n~~~~~~\n");
        prop_assert!(parse_comment(&text, &names()).is_empty());
    }
}
