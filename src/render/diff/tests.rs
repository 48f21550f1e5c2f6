use super::*;
use crate::domain::report::sample::{resource, value};

fn shown(resource: ResourceView) -> String {
    let view = PlanView { resources: vec![resource], outputs: Vec::new() };
    Draft::of_plan(&view).within(10_000).text.trim_end().to_owned()
}

fn update(before: &str, after: &str) -> String {
    let json = |text: &str| Shown::Value(Value::from(text).to_string());
    shown(resource("a.b", Action::Update, &[("x", json(before), json(after))]))
}

#[test]
fn destroys_come_first_whatever_the_order_of_the_plan() {
    let all =
        [Action::Read, Action::NoOp, Action::Create, Action::Update, Action::Forget, Action::Replace, Action::Delete];
    let mut resources: Vec<ResourceView> = all.iter().map(|action| resource("a.b", *action, &[])).collect();
    resources[1].moved_from = Some("a.old".into());
    resources[1].importing = true;
    resources[5].forces_replacement = vec!["engine".into(), "tags.x".into()];
    resources[6].deposed = Some("00ff".into());
    let view = PlanView { resources, outputs: Vec::new() };
    insta::assert_snapshot!(Draft::of_plan(&view).within(10_000).text, @r"
    - a.b (deposed 00ff)  destroy
    ! a.b  replace (forced by engine, tags.x)
    ! a.b  forget, stays, and is no longer managed
    ~ a.b  update
    + a.b  create
    ~ a.b  import, moved from a.old
      a.b  read during the apply
    ");
}

#[test]
fn both_sides_of_an_attribute_are_shown() {
    let attributes = [
        ("a", value("1"), value("2")),
        ("b", Shown::Absent, value("2")),
        ("c", value("1"), Shown::Absent),
        ("d", Shown::Sensitive, Shown::Sensitive),
        ("e", value("1"), Shown::Unknown),
    ];
    insta::assert_snapshot!(shown(resource("x.y", Action::Update, &attributes)), @r"
    ~ x.y  update
        a: 1 -> 2
        b: 2
        c: 1 -> (removed)
        d: (sensitive) -> (sensitive)
        e: 1 -> (known after apply)
    ");
}

#[test]
fn texts_of_several_lines_are_compared_by_line() {
    insta::assert_snapshot!(update("one\ntwo\nthree\n", "one\n2\n2b\nthree\n"), @r"
    ~ a.b  update
        x: (from line 2)
    -     two
    +     2
    +     2b
    ");
    insta::assert_snapshot!(update("a\na\n", "a\na\na\n"), @r"
    ~ a.b  update
        x: (from line 3)
    +     a
    ");
}

#[test]
fn a_difference_deep_inside_a_long_value_is_seen() {
    let long = "v".repeat(1000);
    let text = update(&format!("{long}-old"), &format!("{long}-new"));
    assert!(text.contains("-old\"") && text.contains("-new\""), "{text}");
    assert!(text.contains("\n-   x: …vvv") && text.contains("(1006 characters)"), "{text}");
    let lines = update(&format!("{long}-old\nb"), &format!("{long}-new\nb"));
    assert!(lines.contains("-old") && lines.contains("-new"), "{lines}");
}

#[test]
fn many_attributes_are_cut_and_counted() {
    let names: Vec<String> = (0..50).map(|i| format!("a{i:02}")).collect();
    let attributes: Vec<_> = names.iter().map(|name| (name.as_str(), Shown::Absent, value("1"))).collect();
    let text = shown(resource("x.y", Action::Create, &attributes));
    assert!(text.ends_with("    … 10 more attributes"), "{text}");
    let lines = update("a\n", &"line\n".repeat(100));
    assert!(lines.ends_with("more lines"), "{lines}");
}

#[test]
fn outputs_stand_on_one_line_when_they_are_one_value() {
    let output = |action, path: &str, before, after| OutputView {
        name: "o".into(),
        action,
        attributes: vec![AttributeChange { path: path.into(), before, after }],
    };
    let outputs = vec![
        output(Action::Create, "", Shown::Absent, value("1")),
        output(Action::Update, "", value("1"), Shown::Unknown),
        output(Action::Delete, "", value("1"), Shown::Absent),
        output(Action::Update, "k", value("1"), value("2")),
    ];
    let view = PlanView { resources: Vec::new(), outputs };
    insta::assert_snapshot!(Draft::of_plan(&view).within(10_000).text, @r"
    + output o  1
    ~ output o  1 -> (known after apply)
    - output o  destroy
    ~ output o  update
        k: 1 -> 2
    ");
}

#[test]
fn a_destroy_that_nobody_reviewed_comes_first_and_is_not_green() {
    let new = |action| Difference::OnlyNew { resource: resource("a.new", action, &[]) };
    let worse = Difference::Changed {
        reviewed: resource("a.worse", Action::Update, &[("x", value("1"), value("2"))]),
        new: resource("a.worse", Action::Replace, &[("x", value("1"), value("3"))]),
    };
    let gone = Difference::OnlyReviewed { resource: resource("a.gone", Action::Delete, &[]) };
    insta::assert_snapshot!(Draft::of_differences(&[gone, new(Action::Create), new(Action::Delete), worse]).within(10_000).text, @r"
    ! a.new  destroy  (only in the new plan)
    ! a.worse  replace, reviewed: update
    -   x: 1 -> 2
    +   x: 1 -> 3
    - a.gone  destroy  (only in the reviewed plan)
    + a.new  create  (only in the new plan)
    ");
}

#[test]
fn every_resource_is_named_before_any_is_told_of() {
    let resources =
        (0..10).map(|i| resource(&format!("a.b[{i}]"), Action::Create, &[("x", Shown::Absent, value("1"))]));
    let view = PlanView { resources: resources.collect(), outputs: Vec::new() };
    let draft = Draft::of_plan(&view);
    for room in 0..draft.full() + 10 {
        let diff = draft.within(room);
        assert!(diff.text.chars().count() <= room);
        assert!(diff.left_out == 0 || !diff.text.contains("x:"), "{}", diff.text);
    }
    assert_eq!(draft.within(draft.addresses()).left_out, 0);
    assert_eq!(draft.within(draft.full()).shortened, 0);
}
