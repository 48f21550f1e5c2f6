use super::*;
use crate::domain::plan::{AttributeChange, Shown};
use crate::domain::report::sample::{resource, value};
use serde_json::Value;

fn shown(resource: ResourceView) -> String {
    let view = PlanView { resources: vec![resource], outputs: Vec::new(), ..PlanView::default() };
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
    let view = PlanView { resources, outputs: Vec::new(), ..PlanView::default() };
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
    ~   a: 1 -> 2
    +   b: 2
    -   c: 1
    ~   d: (sensitive) -> (sensitive)
    ~   e: 1 -> (known after apply)
    ");
}

#[test]
fn texts_of_several_lines_are_compared_by_line() {
    insta::assert_snapshot!(update("one\ntwo\nthree\n", "one\n2\n2b\nthree\n"), @r"
    ~ a.b  update
    ~   x:
          one
    -     two
    +     2
    +     2b
          three
    ");
    insta::assert_snapshot!(update("a\na\n", "a\na\na\n"), @r"
    ~ a.b  update
    ~   x:
          a
          a
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
    let names: Vec<String> = (0..110).map(|i| format!("a{i:03}")).collect();
    let attributes: Vec<_> = names.iter().map(|name| (name.as_str(), Shown::Absent, value("1"))).collect();
    let text = shown(resource("x.y", Action::Create, &attributes));
    assert!(text.ends_with("    … 10 more attributes"), "{text}");
    let lines = update("a\n", &"line\n".repeat(100));
    assert!(lines.ends_with("more lines come"), "{lines}");
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
    let view = PlanView { outputs, ..PlanView::default() };
    insta::assert_snapshot!(Draft::of_plan(&view).within(10_000).text, @r"
    + output o  1
    ~ output o  1 -> (known after apply)
    - output o  destroy
    ~ output o  update
    ~   k: 1 -> 2
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
    let view = PlanView { resources: resources.collect(), outputs: Vec::new(), ..PlanView::default() };
    let draft = Draft::of_plan(&view);
    for room in 0..draft.full() + 10 {
        let diff = draft.within(room);
        assert!(diff.text.chars().count() <= room);
        assert!(diff.left_out == 0 || !diff.text.contains("x:"), "{}", diff.text);
    }
    assert_eq!(draft.within(draft.addresses()).left_out, 0);
    assert_eq!(draft.within(draft.full()).shortened, 0);
}

#[test]
fn attributes_that_belong_together_stand_together() {
    let attributes = [
        ("ami", value("\"ami-1\""), value("\"ami-2\"")),
        ("ebs[0].size", value("10"), value("20")),
        ("ebs[0].type", Shown::Absent, value("\"gp3\"")),
        ("ebs[1].size", value("1"), Shown::Absent),
        ("tags.Name", value("\"a\""), value("\"b\"")),
    ];
    let mut replaced = resource("aws_instance.web", Action::Replace, &attributes);
    replaced.forces_replacement = vec!["ami".into(), "ebs[0]".into()];
    insta::assert_snapshot!(shown(replaced), @r#"
    ! aws_instance.web  replace (forced by ami, ebs[0])
    ~   ami: "ami-1" -> "ami-2"  # forces replacement
    ~   ebs:
    ~     [0]:
    ~       size: 10 -> 20  # forces replacement
    +       type: "gp3"  # forces replacement
    -     [1].size: 1
    ~   tags.Name: "a" -> "b"
    "#);
}

#[test]
fn of_something_new_what_is_not_known_yet_takes_one_line_and_texts_are_written_out() {
    let attributes = [
        ("arn", Shown::Absent, Shown::Unknown),
        ("id", Shown::Absent, Shown::Unknown),
        ("name", Shown::Absent, value("\"web\"")),
        ("owner", Shown::Absent, Shown::Unknown),
        ("user_data", Shown::Absent, value("\"#!/bin/sh\\necho hi\\n\"")),
    ];
    insta::assert_snapshot!(shown(resource("aws_instance.web", Action::Create, &attributes)), @r#"
    + aws_instance.web  create
    +   name: "web"
    +   user_data:
    +     #!/bin/sh
    +     echo hi
    +   (known after apply): arn, id, owner
    "#);
}

#[test]
fn of_a_long_text_only_what_changes_is_shown_with_what_stands_around_it() {
    let lines: Vec<String> = (1..=40).map(|n| format!("line {n}")).collect();
    let mut changed = lines.clone();
    changed[9] = "line ten".into();
    changed.remove(29);
    insta::assert_snapshot!(update(&lines.join("\n"), &changed.join("\n")), @r"
    ~ a.b  update
    ~   x:
    @@ line 8 @@
          line 8
          line 9
    -     line 10
    +     line ten
          line 11
          line 12
    @@ line 28 @@
          line 28
          line 29
    -     line 30
          line 31
          line 32
    ");
}

#[test]
fn the_reason_is_said_where_the_attributes_do_not_tell_it() {
    let because = |reason: &str, action| ResourceView { because: Some(reason.into()), ..resource("a.b", action, &[]) };
    let text = shown(because("replace_because_tainted", Action::Replace));
    assert_eq!(text, "! a.b  replace (it is tainted: its creation had failed, or somebody marked it)");
    let text = shown(because("delete_because_no_resource_config", Action::Delete));
    assert_eq!(text, "- a.b  destroy (no longer in the code)");
    assert_eq!(shown(because("replace_because_cannot_update", Action::Replace)), "! a.b  replace");
}
