use super::*;
use crate::domain::command::words::words;
use crate::domain::decide::fixture;
use proptest::prelude::*;

fn read(text: &str) -> Result<Option<Choice>, String> {
    choice(&words(text).unwrap()).map_err(|(word, why)| format!("`{word}` {why}"))
}

fn projects() -> Vec<Project> {
    [("prod/network", &["prod", "eu"][..]), ("prod/db", &["prod", "db", "eu"]), ("dev/db", &["db", "us"]), ("a b", &[])]
        .iter()
        .map(|(dir, tags)| {
            let name = dir.replace(' ', "_");
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            Project { key: dir.parse().unwrap(), name: name.parse().unwrap(), tags, ..fixture::project("x") }
        })
        .collect()
}

fn chosen(text: &str) -> Vec<String> {
    let selector = Selector { choice: read(text).unwrap_or_else(|why| panic!("{text}: {why}")), failed: false };
    let all = projects();
    all.iter().filter(|project| selector.matches(project)).map(|project| project.name.to_string()).collect()
}

#[test]
fn words_choose_projects() {
    for (text, expected) in [
        ("", &["prod/network", "prod/db", "dev/db", "a_b"][..]),
        ("prod/db", &["prod/db"]),
        ("prod/db/", &["prod/db"]),
        ("prod/*", &["prod/network", "prod/db"]),
        ("*", &["a_b"]),
        ("**", &["prod/network", "prod/db", "dev/db", "a_b"]),
        ("{prod,dev}/db", &["prod/db", "dev/db"]),
        ("tag:db", &["prod/db", "dev/db"]),
        ("prod/db dev/db", &["prod/db", "dev/db"]),
        ("prod/db, dev/db", &["prod/db", "dev/db"]),
        ("`prod/db`,`dev/db`", &["prod/db", "dev/db"]),
        ("prod/db or dev/db", &["prod/db", "dev/db"]),
        ("tag:eu and tag:db", &["prod/db"]),
        ("tag:eu and not tag:db", &["prod/network"]),
        ("not tag:db", &["prod/network", "a_b"]),
        ("not (tag:db or prod/network)", &["a_b"]),
        ("(prod/* or dev/*) and tag:db", &["prod/db", "dev/db"]),
        ("prod/network or dev/* and tag:db", &["prod/network", "dev/db"]),
        ("not not prod/db", &["prod/db"]),
        ("'a b'", &["a_b"]),
        ("(((prod/db)))", &["prod/db"]),
        ("dir:prod/* and workspace:default", &["prod/network", "prod/db"]),
        ("name:prod/db", &["prod/db"]),
        ("name:prod/*", &[]),
    ] {
        assert_eq!(chosen(text), expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_said() {
    for (text, why) in [
        ("and", "`and` has nothing before it"),
        ("prod and", "`and` has nothing after it"),
        ("prod or", "`or` has nothing after it"),
        ("not", "`not` has nothing after it"),
        ("(prod", "`(` is not closed"),
        ("prod)", "`)` closes nothing"),
        ("()", "`)` has nothing before it"),
        ("dir:../x", "`dir:../x` needs a directory inside the repository"),
        ("prod not dev", "`not` can't stand here: write `and not`, or `or not`"),
    ] {
        assert_eq!(read(text).unwrap_err(), why, "{text}");
    }
    assert!(read(&"(".repeat(150)).is_err());
    assert!(read(&"not ".repeat(150)).is_err());
}

fn any_choice() -> impl Strategy<Value = Choice> {
    let word = prop_oneof![
        "[a-z]{1,4}(/[a-z*]{1,3})?".prop_map(Choice::Word),
        Just(Choice::Word("tag:db".into())),
        Just(Choice::Word("and".into())),
        Just(Choice::Word("a b".into())),
        "[-#a '`\"(),\\\\{}*]{0,4}".prop_filter("a comma separates", |text| text != ",").prop_map(Choice::Word),
        "[a-z ']{1,4}".prop_map(Choice::Name),
        "[a-z]{1,4}(/[a-z*]{1,3})?".prop_map(Choice::Dir),
        "[a-z ]{1,4}".prop_map(Choice::Workspace),
    ];
    word.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Choice::AnyOf),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Choice::AllOf),
            inner.prop_map(|choice| Choice::Not(Box::new(choice))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_as_the_same(choice in any_choice()) {
        let text = choice.to_string();
        let again = read(&text).unwrap().unwrap();
        prop_assert_eq!(&again, &choice, "{}", text);
        let json = serde_json::to_string(&choice).unwrap();
        prop_assert_eq!(serde_json::from_str::<Choice>(&json).unwrap(), choice);
    }

    #[test]
    fn any_words_are_read_without_a_panic(text in "(and |or |not |\\(|\\)|,|tag:a|[a-z*{}\\[]{1,3}| ){0,60}") {
        if let Ok(words) = words(&text) {
            let _ = choice(&words);
        }
    }
}
