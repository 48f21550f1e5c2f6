use super::*;
use crate::domain::command::{Choice, Selector};
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
    let selector = if words.is_empty() { Selector::default() } else { Selector::any_of(words.iter().copied()) };
    Some(Parsed::Command(Command { selector, ..Command::of(verb) }))
}

fn understood(text: &str) -> Command {
    match one(text) {
        Some(Parsed::Command(command)) => command,
        other => panic!("{text}: {other:?}"),
    }
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
        let command = understood(&format!("terraplane {}", text.replace("{}", sha)));
        assert_eq!(command.sha.as_ref().map(|sha| sha.as_str()), Some(sha), "{text}");
        let selector = if text.contains("prod") { Selector::any_of(["prod"]) } else { Selector::default() };
        assert_eq!(command.selector, selector, "{text}");
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
        assert_eq!(one(text), Some(Parsed::UnknownVerb { word: word.into(), meant: Meant::Verb(suggestion) }));
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
fn selectors_flags_reasons_and_terraform_arguments() {
    for (text, selector) in [
        ("apply prod/* and not tag:db", "prod/* and not tag:db"),
        ("apply --except a,b", "not (a or b)"),
        ("apply prod/* --except=prod/db", "prod/* and not prod/db"),
        ("apply --except prod/db prod/*", "prod/* and not prod/db"),
        ("apply --failed", "--failed"),
        ("plan tag:eu --failed", "tag:eu --failed"),
        ("apply -d prod -w eu", "dir:prod and workspace:eu"),
        ("apply --project=network", "name:network"),
        ("apply", "*"),
    ] {
        assert_eq!(understood(&format!("tp {text}")).selector.to_string(), selector, "{text}");
    }
    let planned = understood("tp plan prod -- -target=a.b -var 'x=1 2'");
    assert_eq!(planned.extra, ["-target=a.b", "-var", "x=1 2"]);
    let freeze = understood("tp freeze prod until 2026-12-01T09:00Z \"change freeze\"");
    assert_eq!(freeze.selector, Selector::any_of(["prod"]));
    assert_eq!(
        (freeze.until.map(|at| at.0), freeze.reason.as_deref()),
        (Some(1_796_115_600_000), Some("change freeze"))
    );
    let unlock = understood("tp unlock #12 prod --reason \"he is ill\"");
    assert_eq!((unlock.of.map(|of| of.0), unlock.reason.as_deref()), (Some(12), Some("he is ill")));
    assert_eq!(understood("tp lock prod \"migration\"").reason.as_deref(), Some("migration"));
    assert_eq!(understood("tp plan --help").verb, Verb::Help);
}

#[test]
fn an_argument_that_is_not_understood_stops_the_command() {
    for (text, argument, why) in [
        ("apply --force", "--force", "is not understood"),
        ("apply --sha 1", "--sha", "is not understood"),
        ("unlock --failed", "--failed", "is not understood"),
        ("plan --except", "--except", "needs a value"),
        ("plan -d", "-d", "needs a value"),
        ("plan (a", "(", "is not closed"),
        ("plan a and", "and", "has nothing after it"),
        ("plan -d a b", "b", "can't stand beside `-d`, `-w` and `-p`: use one or the other"),
        ("approve -- -target=x", "--", "has no meaning for `approve`"),
        ("unlock #1 #2", "#2", "stands there twice"),
        ("unlock #x", "#x", "is not the number of a pull request"),
        (
            "freeze until tomorrow",
            "until",
            "needs a time with its zone, such as `2026-12-01T09:00Z`, and `tomorrow` is none",
        ),
        ("plan \"a", "\"a", "can't be read: a quote has no second one"),
        ("version 2", "2", "is not understood"),
    ] {
        let parsed = one(&format!("terraplane {text}"));
        let Some(Parsed::BadArgument { argument: found, why: said, .. }) = parsed else { panic!("{text}: {parsed:?}") };
        assert_eq!((found.as_str(), said.as_str()), (argument, why), "{text}");
    }
}

#[test]
fn what_another_tool_has_is_answered_with_the_way_it_is_done_here() {
    for word in ["import", "state", "approve_policies", "destroy"] {
        let parsed = one(&format!("atlantis {word} some.address"));
        assert!(matches!(parsed, Some(Parsed::UnknownVerb { meant: Meant::Instead(_), .. })), "{word}: {parsed:?}");
    }
}

#[test]
fn the_account_is_addressed_by_a_mention_only() {
    let names = Names::new("terraplane", []).or_account("Infra-Bot");
    assert_eq!(parse_comment("@infra-bot plan", &names).len(), 1);
    assert!(parse_comment("infra-bot plan", &names).is_empty());
}

mod atlantis {
    use super::*;
    use crate::domain::command::permitted_extra;
    use serde::Deserialize;
    use serde_json::Value;

    const CASES: &str = include_str!("../../../../tests/data/atlantis/comments.json");

    /// What is different here, and why.
    const DIFFERENT: [(&str, &str); 11] = [
        ("ignored-004", "several lines are several commands"),
        ("help-001", "`run` alone addresses nobody"),
        ("trim_backticks", "code never commands"),
        ("unused_arguments-003", "words are selectors"),
        ("unused_arguments-007", "words are selectors"),
        ("unused_arguments-008", "words are selectors; an apply is refused its arguments later"),
        ("unlock_flags-001", "unlock takes selectors too"),
        ("did_you_mean-", "prose gets silence"),
        ("invalid_command-002", "far from every verb: prose gets silence"),
        ("glob_dir-007", "there is no `import`"),
        ("workspace_metachars", "see below"),
    ];

    #[derive(Deserialize)]
    struct Case {
        id: String,
        input: String,
        expect: Value,
        name: Option<String>,
        user: Option<String>,
    }

    fn parsed(case: &Case) -> Option<Parsed> {
        let names = Names::new("terraplane", [case.name.clone().unwrap_or_else(|| "atlantis".into())]);
        let names = names.or_account(case.user.as_deref().unwrap_or("github-user"));
        let all = parse_comment(&case.input, &names);
        assert!(all.len() <= 1, "{}: {all:?}", case.id);
        all.into_iter().next().map(|(_, parsed)| parsed)
    }

    /// Verbs that there are not here: they are answered with the way to do it, and nothing runs.
    fn is_of_another_verb(case: &Case) -> bool {
        [" import ", " state ", " approve_policies "].iter().any(|verb| case.input.contains(verb))
    }

    #[test]
    fn comments_for_atlantis_work_as_they_are() {
        let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
        let mut looked_at = 0;
        for case in cases.iter().filter(|case| !DIFFERENT.iter().any(|(id, _)| case.id.starts_with(id))) {
            looked_at += 1;
            let (id, parsed, expect) = (&case.id, parsed(case), &case.expect);
            if is_of_another_verb(case) {
                assert!(matches!(parsed, Some(Parsed::UnknownVerb { .. })), "{id}: {parsed:?}");
                continue;
            }
            match expect["outcome"].as_str().unwrap() {
                "ignore" | "ignore_or_no_response" => assert_eq!(parsed, None, "{id}"),
                "command" => {
                    let Some(Parsed::Command(command)) = parsed else { panic!("{id}: {parsed:?}") };
                    is_as_expected(id, &command, expect);
                }
                _ => match parsed {
                    Some(Parsed::Command(command)) if command.verb == Verb::Help => {}
                    Some(Parsed::Command(command)) => {
                        assert!(permitted_extra(&command.extra).is_err(), "{id}: {command:?} would run");
                    }
                    other => assert!(other.is_some(), "{id} is not answered"),
                },
            }
        }
        assert!(looked_at > 100, "{looked_at}");
    }

    fn is_as_expected(id: &str, command: &Command, expect: &Value) {
        let text = |key: &str| expect[key].as_str().unwrap_or_default();
        if !text("command").is_empty() {
            assert_eq!(command.verb.as_str(), text("command"), "{id}");
        }
        let project = text("project_unasserted_upstream");
        let wanted: Vec<Choice> = [
            (text("dir"), Choice::Dir as fn(String) -> Choice),
            (text("workspace"), Choice::Workspace),
            (project, Choice::Name),
        ]
        .into_iter()
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, choice)| choice(text.to_owned()))
        .collect();
        let mut words = match command.selector.choice.clone() {
            Some(Choice::AllOf(all)) => all,
            choice => choice.into_iter().collect(),
        };
        words.sort_by_key(|word| wanted.iter().position(|wanted| wanted == word));
        assert_eq!(words, wanted, "{id}");
        if let Some(extra) = expect["extra_args_joined"].as_str() {
            assert_eq!(command.extra.join(" "), extra, "{id}");
        }
    }

    #[test]
    fn odd_workspaces_are_only_compared_with_those_that_there_are() {
        let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
        for case in cases.iter().filter(|case| case.id.starts_with("workspace_metachars")) {
            assert!(matches!(parsed(case), Some(Parsed::Command(_))), "{}", case.id);
        }
    }
}

#[test]
fn several_lines_are_several_commands_with_their_line_numbers() {
    let parsed = parse_comment("hello\n\nterraplane plan a\nterraplane plan b\n", &names());
    assert_eq!(parsed.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4]);
    let many = "terraplane plan\n".repeat(50);
    let all = parse_comment(&many, &names());
    assert_eq!(all.len(), MOST_COMMANDS + 1);
    assert_eq!(all.last(), Some(&(21, Parsed::OneTooMany(Verb::Plan))), "said, and not left out in silence");
}

#[test]
fn a_comment_of_nothing_but_code_is_read_in_one_go() {
    let text = "`a`\n".repeat(250_000);
    let begun = std::time::Instant::now();
    assert!(parse_comment(&text, &names()).is_empty());
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    let inside = "> `a`\n> terraplane plan\n\n`terraplane plan`\n\nterraplane plan a";
    assert_eq!(parse_comment(inside, &names()).len(), 1);
}

#[test]
fn help_names_the_flag_that_it_does_not_take() {
    let parsed = parse_comment("terraplane version -d prod", &names()).remove(0).1;
    assert_eq!(
        parsed,
        Parsed::BadArgument { verb: Verb::Version, argument: "dir:prod".into(), why: "is not understood".into() }
    );
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
        prop_assert!(parse_comment(&text, &names()).len() <= MOST_COMMANDS + 1);
    }

    #[test]
    fn nothing_in_a_fence_commands(inner in "[a-z \n]{0,80}") {
        let text = format!("~~~~~~\nterraplane apply\n{inner}\nterraplane apply\n~~~~~~\n");
        prop_assert!(parse_comment(&text, &names()).is_empty());
    }
}
