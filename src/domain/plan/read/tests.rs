use super::*;
use proptest::prelude::*;
use serde_json::json;

const CREATE: &[u8] = include_bytes!("../../../../tests/data/plans/create.json");
const UPDATE: &[u8] = include_bytes!("../../../../tests/data/plans/update.json");

fn plan(resources: &Value) -> PlanFacts {
    read(json!({"format_version": "1.2", "resource_changes": resources}).to_string().as_bytes()).unwrap()
}

fn one(change: Value) -> PlanFacts {
    plan(&json!([{"address": "a.b", "change": change}]))
}

fn update(before: Value, after: Value) -> Vec<AttributeChange> {
    one(json!({"actions": ["update"], "before": before, "after": after})).view.resources.remove(0).attributes
}

/// `path: before -> after`, one a line.
fn lines(attributes: &[AttributeChange]) -> String {
    let shown = |shown: &Shown| match shown {
        Shown::Absent => "absent".to_owned(),
        Shown::Value(json) => json.clone(),
        Shown::Part { json, skipped, length, .. } => format!("{} of {length} from {skipped}", json.len()),
        Shown::Unknown => "unknown".to_owned(),
        Shown::Sensitive => "sensitive".to_owned(),
    };
    let line = |a: &AttributeChange| format!("{}: {} -> {}", a.path, shown(&a.before), shown(&a.after));
    attributes.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn of<'a>(facts: &'a PlanFacts, address: &str) -> &'a ResourceView {
    facts.view.resources.iter().find(|resource| resource.address == address).unwrap()
}

#[test]
fn a_first_plan_is_all_creations() {
    let facts = read(CREATE).unwrap();
    assert_eq!((facts.summary.add, facts.summary.outputs, facts.summary.is_empty()), (8, 3, false));
    insta::assert_snapshot!(lines(&of(&facts, "terraform_data.plain").attributes), @r#"
    id: absent -> unknown
    input.list[0]: absent -> "a"
    input.list[1]: absent -> "b"
    input.text: absent -> "l1\nl2\nl3\n"
    input.word: absent -> "one"
    output: absent -> unknown
    "#);
}

#[test]
fn real_changes_are_counted_by_what_they_do() {
    let facts = read(UPDATE).unwrap();
    let expected = PlanSummary {
        change: 3,
        replace: 1,
        destroy: 1,
        moved: 1,
        outputs: 2,
        unchanged: 2,
        destroyed: vec!["terraform_data.gone".into(), "terraform_data.rep".into()],
        ..PlanSummary::default()
    };
    assert_eq!(facts.summary, expected);
    assert_eq!(of(&facts, "terraform_data.rep").forces_replacement, ["triggers_replace"]);
    assert_eq!(of(&facts, "terraform_data.new").moved_from.as_deref(), Some("terraform_data.old"));
    assert_eq!(of(&facts, "terraform_data.new").action, Action::NoOp);
    insta::assert_snapshot!(lines(&of(&facts, "terraform_data.plain").attributes), @r#"
    input.word: "one" -> "two"
    output: {"list":["a","b"],"text":"l1\nl2\nl3\n","word":"one"} -> unknown
    "#);
}

#[test]
fn a_real_secret_is_nowhere_in_the_view_although_terraform_marks_only_some_of_its_places() {
    for json in [CREATE, UPDATE] {
        let shown = serde_json::to_string(&read(json).unwrap().view).unwrap();
        assert!(!shown.contains("hunter2") && !shown.contains("correct horse"), "{shown}");
    }
    let facts = read(UPDATE).unwrap();
    insta::assert_snapshot!(lines(&of(&facts, "terraform_data.nested").attributes), @r#"
    input.password: sensitive -> sensitive
    output: {"password":"(sensitive)","user":"u"} -> unknown
    "#);
    insta::assert_snapshot!(lines(&facts.view.outputs[0].attributes), @": sensitive -> sensitive");
}

#[test]
fn facts_print_no_values() {
    assert!(!format!("{:?}", read(UPDATE).unwrap()).contains("hunter2"));
}

#[test]
fn a_value_that_only_one_side_marks_is_masked_on_both() {
    let change = json!({"actions": ["update"], "before": {"p": "a b c"}, "after": {"p": "a b c d"}, "after_sensitive": {"p": true}});
    assert_eq!(lines(&one(change).view.resources[0].attributes), "p: sensitive -> sensitive");
}

#[test]
fn a_marked_parent_hides_all_that_is_below_it() {
    let change = json!({
        "actions": ["update"],
        "before": {"block": [{"user": "u", "n": 7}], "on": true},
        "after": {"block": [{"user": "v", "n": 8}, {"user": "w"}], "on": false},
        "before_sensitive": {"block": true},
        "after_sensitive": {"block": [{"user": true}, {}]},
    });
    assert_eq!(lines(&one(change).view.resources[0].attributes), "block: sensitive -> sensitive\non: true -> false");
    let whole = json!({"actions": ["create"], "before": null, "after": {"x": "y"}, "after_sensitive": true});
    assert_eq!(lines(&one(whole).view.resources[0].attributes), ": absent -> sensitive");
}

#[test]
fn a_marked_part_of_a_value_that_will_be_unknown_is_masked() {
    let change = json!({
        "actions": ["update"], "before": {"o": {"k": "kkkk", "z": 1}}, "after": {},
        "before_sensitive": {"o": {"k": true}}, "after_unknown": {"o": true},
    });
    let shown = lines(&one(change).view.resources[0].attributes);
    assert_eq!(shown, r#"o: {"k":"(sensitive)","z":1} -> unknown"#);
}

#[test]
fn what_is_known_only_after_the_apply_is_told_from_what_is_absent() {
    let change = json!({
        "actions": ["update"], "before": {"id": "i", "l": ["a"]}, "after": {"l": ["a"]},
        "after_unknown": {"id": true, "l": [false, true], "new": {"deep": true}},
    });
    let shown = lines(&one(change).view.resources[0].attributes);
    assert_eq!(shown, "id: \"i\" -> unknown\nl[1]: absent -> unknown\nnew.deep: absent -> unknown");
}

#[test]
fn one_item_put_in_front_of_a_list_is_one_change() {
    let shown = update(json!({"l": ["b", "c"]}), json!({"l": ["a", "b", "c"]}));
    assert_eq!(lines(&shown), r#"l[0]: absent -> "a""#);
    assert_eq!(lines(&update(json!({"l": ["a", "b", "c"]}), json!({"l": ["a", "c"]}))), r#"l[1]: "b" -> absent"#);
}

#[test]
fn json_in_a_string_is_compared_inside() {
    let policy = |action: &str| json!({ "policy": json!({"Statement": [{"Action": action}]}).to_string() });
    assert_eq!(lines(&update(policy("get"), policy("put"))), r#"policy.Statement[0].Action: "get" -> "put""#);
    let respaced = update(json!({"p": "{\"a\":1}"}), json!({"p": "{\"a\": 1}"}));
    assert_eq!(lines(&respaced), r#"p: "{\"a\":1}" -> "{\"a\": 1}""#);
}

#[test]
fn rules_of_a_set_are_compared_with_what_they_were_wherever_they_stand() {
    let rule = |port: u16, cidr: &str| json!({"from_port": port, "to_port": port, "protocol": "tcp", "cidr": [cidr]});
    let before = json!({"ingress": [rule(22, "10.0.0.0/8"), rule(80, "0.0.0.0/0"), rule(443, "0.0.0.0/0")]});
    let after = json!({"ingress": [rule(443, "0.0.0.0/0"), rule(22, "10.1.0.0/16")]});
    assert_eq!(
        lines(&update(before, after)),
        "ingress[1].cidr[0]: \"0.0.0.0/0\" -> absent\n\
         ingress[1].from_port: 80 -> absent\n\
         ingress[1].protocol: \"tcp\" -> absent\n\
         ingress[1].to_port: 80 -> absent\n\
         ingress[1].cidr[0]: \"10.0.0.0/8\" -> \"10.1.0.0/16\""
    );
    let reordered = update(json!({"l": ["a", "b"]}), json!({"l": ["b", "a"]}));
    assert_eq!(lines(&reordered), r#"l: ["a","b"] -> ["b","a"]"#);
}

#[test]
fn json_in_a_new_string_is_opened_too() {
    let created =
        one(json!({"actions": ["create"], "after": {"policy": "{\"Version\": 1, \"Statement\": [{\"Sid\": \"a\"}]}"}}));
    let shown = lines(&created.view.resources[0].attributes);
    assert_eq!(shown, "policy.Statement[0].Sid: absent -> \"a\"\npolicy.Version: absent -> 1");
    let empty = one(json!({"actions": ["create"], "after": {"policy": "{\"a\": null}"}}));
    assert_eq!(lines(&empty.view.resources[0].attributes), "policy: absent -> \"{\\\"a\\\": null}\"");
}

#[test]
fn of_ten_megabytes_in_one_value_the_part_that_differs_is_kept() {
    let long = |end: &str| json!({"v": format!("{}{end}", "x".repeat(10 << 20))});
    let shown = update(long("old"), long("new"));
    let [
        AttributeChange {
            before: Shown::Part { json: before, .. },
            after: Shown::Part { json: after, digest, .. },
            ..
        },
    ] = shown.as_slice()
    else {
        panic!("{}", lines(&shown))
    };
    assert!(before.ends_with("old\"") && after.ends_with("new\"") && before.len() < 1000, "{before}");
    assert_eq!(digest.len(), 32);
    assert_eq!(
        lines(&update(long("a"), json!({"v": 1}))),
        format!("v: {} of 10485761 from 0 -> 1", (64 << 10) / 4 + 2)
    );
}

#[test]
fn what_looks_like_a_secret_is_masked_although_nobody_marked_it() {
    let token = format!("ghp_{}", "aB1c".repeat(9));
    let random = "zX9kQ2mV7pL4nB8tR5wY";
    let shown = update(
        json!({"env": {"API_TOKEN": random, "REGION": "eu"}, "script": "a", "password": "short", "hash": random}),
        json!({"env": {"API_TOKEN": "other", "REGION": "us"}, "script": format!("login {token}\n"), "password": "long", "hash": "x"}),
    );
    insta::assert_snapshot!(lines(&shown), @r#"
    env.API_TOKEN: sensitive -> "other"
    env.REGION: "eu" -> "us"
    hash: "zX9kQ2mV7pL4nB8tR5wY" -> "x"
    password: sensitive -> sensitive
    script: "a" -> "login ***\n"
    "#);
}

#[test]
fn what_holds_data_is_told_by_its_kind() {
    let facts = plan(&json!([
        {"address": "aws_db_instance.main", "type": "aws_db_instance", "change": {"actions": ["delete", "create"]}},
        {"address": "aws_s3_bucket.logs", "type": "aws_s3_bucket", "change": {"actions": ["delete"]}},
        {"address": "aws_s3_bucket.new", "type": "aws_s3_bucket", "change": {"actions": ["create"]}},
        {"address": "aws_route.a", "type": "aws_route", "change": {"actions": ["delete"]}},
    ]));
    let told: Vec<(&str, &str)> =
        facts.summary.stateful.iter().map(|one| (one.address.as_str(), one.what.as_str())).collect();
    assert_eq!(told, [("aws_db_instance.main", "database"), ("aws_s3_bucket.logs", "bucket")]);
}

#[test]
fn drift_and_failed_checks_are_kept_apart_from_what_is_planned() {
    let json = json!({
        "format_version": "1.2",
        "resource_drift": [{"address": "a.b", "change": {"actions": ["update"], "before": {"x": 1}, "after": {"x": 2}}}],
        "checks": [
            {"address": {"to_display": "check.up"}, "status": "fail", "instances": [{"problems": [{"message": "it is down"}]}]},
            {"address": {"to_display": "check.ok"}, "status": "pass"},
            {"address": {"to_display": "check.later"}, "status": "unknown"},
        ],
    });
    let view = read(json.to_string().as_bytes()).unwrap().view;
    assert_eq!((view.resources.len(), lines(&view.drift[0].attributes).as_str()), (0, "x: 1 -> 2"));
    let check = CheckView { address: "check.up".into(), status: "fail".into(), messages: vec!["it is down".into()] };
    assert_eq!(view.checks, [check]);
}

#[test]
fn every_text_can_be_rewritten_before_it_is_kept() {
    let mut facts = plan(
        &json!([{"address": "a.SECRET", "type": "aws_s3_bucket", "previous_address": "SECRET", "change": {
        "actions": ["delete", "create"], "before": {"a": "SECRET"}, "after": {"a": "x", "SECRET": 1}, "replace_paths": [["SECRET"]]}}]),
    );
    facts.rewrite(&|text| text.replace("SECRET", "***"));
    assert!(!format!("{:?} {:?}", facts.view, facts.summary).contains("SECRET"));
}

#[test]
fn odd_keys_are_quoted_and_empty_values_told_apart() {
    let shown = update(json!({"tags": {"a b": "1"}, "e": []}), json!({"tags": {"a b": "2"}, "e": null, "n": {}}));
    assert_eq!(lines(&shown), "e: [] -> absent\nn: absent -> {}\ntags[\"a b\"]: \"1\" -> \"2\"");
}

#[test]
fn imports_moves_deposed_objects_and_reads_are_told() {
    let facts = plan(&json!([
        {"address": "a.i", "change": {"actions": ["no-op"], "importing": {"id": "x"}}},
        {"address": "a.d", "deposed": "00c0ffee", "change": {"actions": ["delete"], "before": {}}},
        {"address": "a.f", "change": {"actions": ["forget"], "before": {}}},
        {"address": "data.a.r", "mode": "data", "change": {"actions": ["read"], "after": {}}},
        {"address": "a.c", "change": {"actions": ["create", "delete"], "before": {}, "after": {}}},
    ]));
    let summary = PlanSummary { import: 1, destroy: 1, forget: 1, read: 1, replace: 1, ..PlanSummary::default() };
    let destroyed = vec!["a.d (deposed 00c0ffee)".to_owned(), "a.c".to_owned()];
    assert_eq!(facts.summary, PlanSummary { destroyed, ..summary });
    assert!(facts.view.resources[0].importing);
    assert_eq!(facts.view.resources[1].deposed.as_deref(), Some("00c0ffee"));
}

#[test]
fn a_move_or_an_import_alone_is_something_to_apply_and_a_read_is_not() {
    assert!(
        !plan(&json!([{"address": "a", "previous_address": "b", "change": {"actions": ["no-op"]}}])).summary.is_empty()
    );
    assert!(plan(&json!([{"address": "data.a.b", "change": {"actions": ["read"]}}])).summary.is_empty());
}

#[test]
fn at_most_fifty_destroyed_addresses_are_kept() {
    let many: Vec<Value> =
        (0..80).map(|i| json!({"address": format!("a.b[{i}]"), "change": {"actions": ["delete"]}})).collect();
    let summary = plan(&many.into()).summary;
    assert_eq!((summary.destroy, summary.destroyed.len()), (80, 50));
}

#[test]
fn drift_is_counted_without_mere_moves() {
    let json = json!({"format_version": "1.0", "resource_drift": [
        {"address": "a", "change": {"actions": ["update"]}},
        {"address": "b", "previous_address": "c", "change": {"actions": ["no-op"]}},
    ]});
    assert_eq!(read(json.to_string().as_bytes()).unwrap().summary.drifted, 1);
}

#[test]
fn what_is_not_a_plan_that_we_know_is_an_error() {
    let error = |json: &str| read(json.as_bytes()).unwrap_err().to_string();
    assert_eq!(error("{"), "the plan is no JSON (line 1, column 1)");
    assert_eq!(error("{}"), "the plan JSON lacks `format_version`");
    assert_eq!(
        error(r#"{"format_version": "2.0"}"#),
        "the plan has the format version `2.0`; this server reads versions 1.x"
    );
    let unknown =
        r#"{"format_version": "1.9", "resource_changes": [{"address": "a.b", "change": {"actions": ["sell"]}}]}"#;
    assert_eq!(error(unknown), "`a.b` has the actions `sell`, which this server does not know");
}

/// Values in which every string and number says where it is, with marks of any shape.
fn marked() -> impl Strategy<Value = (Value, Value)> {
    let leaf = (0u32..1000, any::<bool>())
        .prop_map(|(n, marked)| (json!(format!("{}-{n:04}", if marked { "hidden" } else { "plain" })), json!(marked)));
    leaf.prop_recursive(4, 24, 4, |inner| {
        let whole = |(value, _): (Value, Value)| (hide(&value), json!(true));
        prop_oneof![
            prop::collection::btree_map("[a-d]", inner.clone(), 0..4).prop_map(|map| {
                let (values, marks): (serde_json::Map<_, _>, serde_json::Map<_, _>) =
                    map.into_iter().map(|(key, (value, mark))| ((key.clone(), value), (key, mark))).unzip();
                (Value::Object(values), Value::Object(marks))
            }),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| {
                let (values, marks): (Vec<_>, Vec<_>) = items.into_iter().unzip();
                (Value::Array(values), Value::Array(marks))
            }),
            inner.prop_map(whole),
        ]
    })
}

/// All that is below a marked parent is hidden too.
fn hide(value: &Value) -> Value {
    serde_json::from_str(&value.to_string().replace("plain", "hidden")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_marked_value_is_ever_in_the_view((before, before_sensitive) in marked(), (after, after_sensitive) in marked(), unknown in prop::option::of(marked())) {
        let after_unknown = unknown.map_or(json!({}), |(_, marks)| marks);
        let change = json!({
            "actions": ["update"], "before": before, "after": after, "after_unknown": after_unknown,
            "before_sensitive": before_sensitive, "after_sensitive": after_sensitive,
        });
        let shown = serde_json::to_string(&one(change).view).unwrap();
        prop_assert!(!shown.contains("hidden"), "{}", shown);
    }

    #[test]
    fn any_json_is_read_or_refused_without_a_panic((before, marks) in marked(), text in ".{0,40}") {
        let _ = read(text.as_bytes());
        let _ = read(json!({"format_version": "1.0", "resource_changes": marks, "output_changes": before}).to_string().as_bytes());
    }
}
