use super::*;

const CREATE: &str = include_str!("../../../tests/data/plans/create.json");
const UPDATE: &str = include_str!("../../../tests/data/plans/update.json");
const AGAIN: &str = include_str!("../../../tests/data/plans/again.json");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn of(plan: &Value) -> Fingerprint {
    with_inputs(plan, "inputs")
}

fn with_inputs(plan: &Value, inputs: &str) -> Fingerprint {
    let workspace = Workspace::default();
    fingerprint(plan, &FingerprintContext { workspace: &workspace, backend: "s3 bucket", inputs }, &[7; 32])
}

/// A plan that tells everything: every value is known, nothing runs a command.
fn transparent() -> Value {
    json!({
        "format_version": "1.2",
        "timestamp": "2026-01-01T00:00:00Z",
        "variables": {"word": {"value": "two"}},
        "resource_changes": [
            {"address": "a.x", "type": "a", "name": "x", "mode": "managed", "provider_name": "p",
             "change": {"actions": ["update"], "before": {"n": 1, "s": "one"}, "after": {"n": 1, "s": "two"}, "after_unknown": {}}},
            {"address": "a.y", "type": "a", "name": "y", "mode": "managed", "provider_name": "p",
             "change": {"actions": ["no-op"], "before": {"etag": "1"}, "after": {"etag": "1"}, "after_unknown": {}}},
            {"address": "a.z", "type": "a", "name": "z", "mode": "managed", "provider_name": "p",
             "change": {"actions": ["delete"], "before": {"n": 3}, "after": null, "after_unknown": {}}},
        ],
        "output_changes": {"o": {"actions": ["update"], "before": "one", "after": "two", "after_unknown": false}},
        "checks": [{"address": {"to_display": "check.c"}, "status": "pass", "instances": []}],
        "configuration": {"provider_config": {"p": {"name": "p", "expressions": {"region": {"constant_value": "eu"}}}}},
    })
}

/// The transparent plan with one value set.
fn changed(pointer: &str, value: Value) -> Value {
    let mut plan = transparent();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = plan.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => other[key] = value,
    }
    plan
}

#[test]
fn the_same_plan_made_again_has_the_same_fingerprint() {
    assert_ne!(json(UPDATE)["timestamp"], json(AGAIN)["timestamp"]);
    assert_eq!(of(&json(UPDATE)), of(&json(AGAIN)));
    assert_ne!(of(&json(UPDATE)), of(&json(CREATE)));
}

#[test]
fn what_does_not_change_what_happens_is_left_out() {
    let plan = of(&transparent());
    let mut reordered = transparent();
    reordered["resource_changes"].as_array_mut().unwrap().reverse();
    assert_eq!(of(&reordered), plan, "the order of resources");
    for (pointer, value) in [
        ("/timestamp", json!("2026-12-31T00:00:00Z")),
        ("/terraform_version", json!("1.99.0")),
        ("/prior_state", json!({"values": {"root_module": {}}})),
        ("/resource_drift", json!([{"address": "a.y", "change": {"actions": ["update"]}}])),
        ("/relevant_attributes", json!([{"resource": "a.y"}])),
        ("/resource_changes/1/change/before", json!({"etag": "2"})),
        ("/resource_changes/1/change/after", json!({"etag": "2"})),
        ("/resource_changes/0/action_reason", json!("because")),
    ] {
        assert_eq!(of(&changed(pointer, value)), plan, "{pointer}");
    }
}

#[test]
fn whatever_changes_what_happens_is_covered() {
    let plan = of(&transparent());
    for (pointer, value) in [
        ("/resource_changes/0/address", json!("a.x[0]")),
        ("/resource_changes/0/provider_name", json!("q")),
        ("/resource_changes/0/deposed", json!("ff")),
        ("/resource_changes/0/previous_address", json!("a.w")),
        ("/resource_changes/0/change/actions", json!(["delete", "create"])),
        ("/resource_changes/0/change/before", json!({"n": 1, "s": "other"})),
        ("/resource_changes/0/change/after", json!({"n": 1, "s": "other"})),
        ("/resource_changes/0/change/after", json!({"n": "1", "s": "two"})),
        ("/resource_changes/0/change/after_unknown", json!({"id": true})),
        ("/resource_changes/0/change/replace_paths", json!([["s"]])),
        ("/resource_changes/0/change/importing", json!({"id": "i"})),
        ("/resource_changes/1/previous_address", json!("a.v")),
        ("/resource_changes/1/change/actions", json!(["delete"])),
        ("/resource_changes/1/change/importing", json!({"id": "i"})),
        ("/output_changes/o/after", json!("three")),
        ("/output_changes/p", json!({"actions": ["create"], "after": 1})),
        ("/checks/0/status", json!("fail")),
        ("/variables/word/value", json!("three")),
        ("/configuration/provider_config/p/expressions/region/constant_value", json!("us")),
        ("/action_invocations", json!([{"address": "action.a.b"}])),
    ] {
        assert_ne!(of(&changed(pointer, value)), plan, "{pointer}");
    }
}

#[test]
fn workspace_backend_and_key_are_covered() {
    let plan = transparent();
    let (workspace, other) = (Workspace::default(), "prod".parse().unwrap());
    let all = [
        fingerprint(&plan, &FingerprintContext { workspace: &workspace, backend: "b", inputs: "i" }, &[7; 32]),
        fingerprint(&plan, &FingerprintContext { workspace: &other, backend: "b", inputs: "i" }, &[7; 32]),
        fingerprint(&plan, &FingerprintContext { workspace: &workspace, backend: "c", inputs: "i" }, &[7; 32]),
        fingerprint(&plan, &FingerprintContext { workspace: &workspace, backend: "b", inputs: "i" }, &[8; 32]),
    ];
    let different: std::collections::HashSet<_> = all.iter().map(Fingerprint::as_str).collect();
    assert_eq!(different.len(), 4);
}

#[test]
fn a_plan_that_tells_everything_does_not_depend_on_the_code() {
    assert_eq!(with_inputs(&transparent(), "one"), with_inputs(&transparent(), "two"));
}

#[test]
fn where_the_plan_does_not_tell_everything_the_code_decides() {
    let resource = |extra: Value| {
        let mut resource = json!({"type": "a", "name": "x", "expressions": {}});
        resource.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({"root_module": {"resources": [resource]}})
    };
    let in_module = |configuration: Value| json!({"root_module": {"module_calls": {"m": {"module": configuration["root_module"]}}}});
    let provisioned = resource(json!({"provisioners": [{"type": "local-exec"}]}));
    for (what, pointer, value) in [
        ("an unknown value", "/resource_changes/0/change/after_unknown", json!({"deep": [{"id": true}]})),
        ("an unknown output", "/output_changes/o/after_unknown", json!(true)),
        ("a provisioner", "/configuration", provisioned.clone()),
        ("a provisioner in a module", "/configuration", in_module(provisioned)),
        (
            "a write-only attribute",
            "/configuration",
            resource(json!({"expressions": {"block": [{"key_wo": {"references": ["var.k"]}}]}})),
        ),
        (
            "an attribute that the plan leaves out",
            "/configuration",
            resource(json!({"expressions": {"key": {"references": ["var.k"]}}})),
        ),
        ("a number that a double can't hold", "/resource_changes/0/change/after", json!({"n": 0.1})),
        (
            "a provider made from a local value",
            "/configuration",
            json!({"provider_config": {"p": {"expressions": {"r": {"references": ["local.r"]}}}}}),
        ),
        (
            "a provider of a module",
            "/configuration",
            json!({"provider_config": {"p": {"module_address": "module.m", "expressions": {"r": {"references": ["var.r"]}}}}}),
        ),
        ("an action", "/action_invocations", json!([{"address": "action.a.b"}])),
    ] {
        let plan = changed(pointer, value);
        assert_ne!(with_inputs(&plan, "one"), with_inputs(&plan, "two"), "{what}");
        assert_eq!(with_inputs(&plan, "one"), with_inputs(&plan, "one"), "{what}");
    }
    let root_variable = json!({"provider_config": {"p": {"expressions": {"r": {"references": ["var.r"]}}}}});
    let plan = changed("/configuration", root_variable);
    assert_eq!(with_inputs(&plan, "one"), with_inputs(&plan, "two"), "variables of the root module are in the plan");
}

#[test]
fn a_sensitive_value_is_covered_and_cannot_be_guessed_without_the_key() {
    let with = |secret: &str| changed("/resource_changes/0/change/after", json!({"s": secret}));
    assert_ne!(of(&with("hunter2")), of(&with("hunter3")));
    let context = FingerprintContext { workspace: &Workspace::default(), backend: "s3 bucket", inputs: "inputs" };
    assert_ne!(fingerprint(&with("hunter2"), &context, &[1; 32]), of(&with("hunter2")));
}

#[test]
fn neighbouring_values_do_not_run_into_one_another() {
    let after = |value| of(&changed("/resource_changes/0/change/after", value));
    assert_ne!(after(json!({"a": "bc"})), after(json!({"ab": "c"})));
    assert_ne!(after(json!(["a", "b"])), after(json!(["ab"])));
    assert_ne!(after(json!([["a"], "b"])), after(json!([["a", "b"]])));
    assert_ne!(after(json!(null)), after(json!("")));
}

#[test]
fn two_plans_have_one_shape_if_they_differ_in_the_module_that_all_their_addresses_begin_with() {
    let plan = |root: &str, value: &str, region: &str| {
        let change = json!({"actions": ["update"], "before": {"s": "one"}, "after": {"s": value}});
        json!({
            "variables": {"region": {"value": region}},
            "resource_changes": [
                {"address": format!("{root}a.x"), "mode": "managed", "change": change},
                {"address": format!("{root}module.in.a.y"), "mode": "managed", "change": change},
            ],
        })
    };
    let of = |root: &str, value: &str, region: &str| shape(&plan(root, value, region), &[7; 32]);
    assert_eq!(of("module.eu.", "two", "eu"), of("module.us.", "two", "us"));
    assert_eq!(of("module.app[\"e.u\"].", "two", "eu"), of("module.app[\"us\"].", "two", "us"));
    assert_eq!(of("", "two", "eu"), of("", "two", "us"));
    assert_ne!(of("module.eu.", "two", "eu"), of("module.us.", "three", "eu"));
    assert_ne!(of("module.eu.", "two", "eu"), of("", "two", "eu"));
}
