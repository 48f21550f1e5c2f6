//! Whether JSON is as a schema of OpenAPI 3.0 or Swagger 2.0 has it. Neither is JSON Schema, and what we ask is more than
//! validation: a field that is not described is a fault, too.

use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// What is required must be there: requests.
    Whole,
    /// What is there must be right: answers.
    Part,
}

pub(crate) fn check(
    root: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
    strictness: Strictness,
    faults: &mut Vec<String>,
) {
    let schema = resolve(root, schema);
    if value.is_null() {
        // Swagger 2.0 has no word for what may be null, so there everything may.
        let swagger = root.get("swagger").is_some();
        if !swagger && !may_be_null(root, schema) {
            faults.push(format!("{at} is null, which it never is"));
        }
        return;
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(choices) = schema.get(word).and_then(Value::as_array) {
            let mut least: Option<Vec<String>> = None;
            for choice in choices {
                let mut found = Vec::new();
                check(root, choice, value, at, strictness, &mut found);
                if least.as_ref().is_none_or(|least| found.len() < least.len()) {
                    least = Some(found);
                }
            }
            // GitHub uses these also to say which fields are required together.
            if schema.get("properties").is_none() {
                faults.extend(least.unwrap_or_default());
                return;
            }
        }
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        faults.push(format!("{at} is {value}, which is none of {}", Value::from(allowed.clone())));
        return;
    }
    match value {
        Value::Object(fields) => object(root, schema, fields, at, strictness, faults),
        Value::Array(items) => {
            if !is_type(schema, "array") {
                faults.push(format!("{at} is a list"));
            } else if let Some(schema) = schema.get("items") {
                for item in items {
                    check(root, schema, item, &format!("{at}[]"), strictness, faults);
                }
            }
        }
        Value::String(_) => scalar(schema, "string", at, faults),
        Value::Bool(_) => scalar(schema, "boolean", at, faults),
        Value::Number(number) => {
            let whole = number.is_i64() || number.is_u64();
            if !(whole && is_type(schema, "integer")) {
                scalar(schema, "number", at, faults);
            }
        }
        Value::Null => {}
    }
}

fn object(
    root: &Value,
    schema: &Value,
    fields: &Map<String, Value>,
    at: &str,
    strictness: Strictness,
    faults: &mut Vec<String>,
) {
    let (mut known, mut required, mut open) = (Map::new(), Vec::new(), None);
    gather(root, schema, &mut known, &mut required, &mut open);
    if known.is_empty() && schema.get("type").is_some() && !is_type(schema, "object") {
        faults.push(format!("{at} is an object"));
        return;
    }
    for (name, value) in fields {
        match (known.get(name), &open) {
            (Some(schema), _) | (None, Some(schema)) => {
                check(root, schema, value, &format!("{at}.{name}"), strictness, faults);
            }
            // Nothing is said of its fields.
            (None, None) if known.is_empty() => {}
            (None, None) => faults.push(format!("{at}.{name} is not described")),
        }
    }
    if strictness == Strictness::Whole {
        for name in required.iter().filter(|name| !fields.contains_key(name.as_str())) {
            faults.push(format!("{at}.{name} is required"));
        }
    }
}

/// The fields of a schema, with those of what it is composed of.
fn gather(
    root: &Value,
    schema: &Value,
    known: &mut Map<String, Value>,
    required: &mut Vec<String>,
    open: &mut Option<Value>,
) {
    let schema = resolve(root, schema);
    known.extend(schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default());
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    required.extend(names.filter_map(Value::as_str).map(str::to_owned));
    match schema.get("additionalProperties") {
        Some(more @ Value::Object(_)) => *open = Some(more.clone()),
        Some(Value::Bool(true)) => *open = Some(Value::Object(Map::new())),
        _ => {}
    }
    for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        gather(root, part, known, required, open);
    }
}

fn scalar(schema: &Value, kind: &str, at: &str, faults: &mut Vec<String>) {
    if !is_type(schema, kind) {
        faults.push(format!("{at} is a {kind}, and {} is described", schema["type"]));
    }
}

/// What has no type may be anything.
fn is_type(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        None => true,
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        Some(_) => false,
    }
}

fn may_be_null(root: &Value, schema: &Value) -> bool {
    let schema = resolve(root, schema);
    schema["nullable"] == true
        || (schema.get("type").is_none() && schema.get("properties").is_none() && schema.get("allOf").is_none())
        || ["oneOf", "anyOf", "allOf"].iter().any(|word| {
            schema.get(word).and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| may_be_null(root, one)))
        })
}

fn resolve<'v>(root: &'v Value, mut schema: &'v Value) -> &'v Value {
    while let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        match root.pointer(reference.trim_start_matches('#')) {
            Some(target) => schema = target,
            None => return schema,
        }
    }
    schema
}
