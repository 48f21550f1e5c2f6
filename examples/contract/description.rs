//! A published description: OpenAPI 3.0 (GitHub) or Swagger 2.0 (Gitea, Forgejo), and the operations in it.

use crate::shape::{Strictness, check};
use serde_json::Value;

pub(crate) struct Description {
    whole: Value,
}

impl Description {
    pub(crate) fn new(whole: Value) -> Self {
        Self { whole }
    }

    /// The operation that an exchange is one of, and what is wrong with it.
    pub(crate) fn check(&self, exchange: &Value) -> (Option<String>, Vec<String>) {
        let text = |name: &str| exchange[name].as_str().unwrap_or_default();
        let (method, path) = (text("method").to_lowercase(), text("path"));
        let status = exchange["status"].as_u64().unwrap_or_default();
        let Some((template, item)) = self.find(path) else {
            // What is not there is asked for on purpose.
            return (None, if status == 404 { vec![] } else { vec![format!("no path is like {path}")] });
        };
        let name = format!("{} {template}", method.to_uppercase());
        let Some(operation) = item.get(&method) else {
            return (None, vec![format!("{name} is not described")]);
        };
        let mut faults = Vec::new();
        self.query(item, operation, text("query"), &mut faults);
        self.request(operation, &exchange["body"], &mut faults);
        if (200..300).contains(&status) {
            self.answer(operation, status, &exchange["answer"], &mut faults);
        }
        let faults: Vec<String> = faults.into_iter().map(|fault| format!("{name}: {fault}")).collect();
        (Some(name), faults)
    }

    /// The path with the most literal segments that fits.
    fn find(&self, path: &str) -> Option<(&str, &Value)> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let fits = |template: &str| {
            let parts: Vec<&str> = template.trim_matches('/').split('/').collect();
            let alike = parts.len() == segments.len()
                && parts.iter().zip(&segments).all(|(part, segment)| fits_segment(part, segment));
            alike.then(|| parts.iter().filter(|part| !part.starts_with('{')).count())
        };
        let paths = self.whole["paths"].as_object()?;
        let fitting = paths.iter().filter_map(|(template, item)| Some((fits(template)?, template.as_str(), item)));
        fitting.max_by_key(|(literal, ..)| *literal).map(|(_, template, item)| (template, item))
    }

    fn resolve<'v>(&'v self, mut value: &'v Value) -> &'v Value {
        while let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            match self.whole.pointer(reference.trim_start_matches('#')) {
                Some(target) => value = target,
                None => return value,
            }
        }
        value
    }

    fn parameters<'v>(&'v self, item: &'v Value, operation: &'v Value) -> impl Iterator<Item = &'v Value> {
        let lists = [item.get("parameters"), operation.get("parameters")];
        lists.into_iter().flatten().filter_map(Value::as_array).flatten().map(|parameter| self.resolve(parameter))
    }

    fn query(&self, item: &Value, operation: &Value, query: &str, faults: &mut Vec<String>) {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            let known = self.parameters(item, operation).any(|p| p["in"] == "query" && p["name"] == name);
            if !known {
                faults.push(format!("the query parameter `{name}` is not described"));
            }
        }
    }

    fn request(&self, operation: &Value, body: &Value, faults: &mut Vec<String>) {
        let in_body = self.parameters(&Value::Null, operation).find(|parameter| parameter["in"] == "body");
        let described = self.resolve(operation.get("requestBody").unwrap_or(&Value::Null));
        let schema = in_body.map(|p| &p["schema"]).or_else(|| described.pointer("/content/application~1json/schema"));
        match schema {
            Some(_) if body.is_null() => {}
            Some(schema) => check(&self.whole, schema, body, "the body", Strictness::Whole, faults),
            None if body.is_null() => {}
            None => faults.push("a body is sent, and none is described".to_owned()),
        }
    }

    fn answer(&self, operation: &Value, status: u64, answer: &Value, faults: &mut Vec<String>) {
        let Some(response) = operation["responses"].get(status.to_string()) else {
            faults.push(format!("the answer {status} is not described"));
            return;
        };
        let response = self.resolve(response);
        let schema = response.get("schema").or_else(|| response.pointer("/content/application~1json/schema"));
        if let Some(schema) = schema {
            check(&self.whole, schema, answer, "the answer", Strictness::Part, faults);
        } else if !answer.is_null() {
            faults.push(format!("the answer {status} has a body, and none is described"));
        }
    }
}

/// A segment of a template is a text, a parameter, or two parameters with a dot between them.
fn fits_segment(part: &str, segment: &str) -> bool {
    match part.matches('{').count() {
        0 => part == segment,
        1 => true,
        _ => segment.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn description() -> Description {
        Description::new(json!({
            "openapi": "3.0.3",
            "paths": {
                "/things/{id}": { "patch": {
                    "parameters": [{ "name": "force", "in": "query" }],
                    "requestBody": { "content": { "application/json": { "schema": {
                        "type": "object", "required": ["name"],
                        "properties": { "name": { "type": "string" }, "size": { "type": "integer", "nullable": true } },
                    } } } },
                    "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/thing" } } } } },
                } },
                "/things/{id}.{kind}": { "get": { "responses": {} } },
            },
            "thing": { "type": "object", "properties": { "kind": { "type": "string", "enum": ["a", "b"] } } },
        }))
    }

    fn faults(path: &str, query: &str, body: Value, status: u64, answer: Value) -> Vec<String> {
        let exchange = json!({ "method": "PATCH", "path": path, "query": query, "body": body, "status": status, "answer": answer });
        description().check(&exchange).1
    }

    #[test]
    fn what_is_as_described_has_no_fault_and_everything_else_has_one() {
        let fine = json!({ "name": "x", "size": null });
        let answer = json!({ "kind": "a" });
        assert_eq!(faults("/things/7", "force=1", fine.clone(), 200, answer.clone()), [""; 0]);
        assert_eq!(faults("/things/7", "", fine.clone(), 422, json!({ "any": 1 })), [""; 0]);
        for (path, query, body, status, reply, wanted) in [
            ("/nothing", "", fine.clone(), 200, answer.clone(), "no path is like"),
            ("/things/7", "farce=1", fine.clone(), 200, answer.clone(), "`farce` is not described"),
            ("/things/7", "", json!({ "size": 1 }), 200, answer.clone(), "the body.name is required"),
            ("/things/7", "", json!({ "name": 1 }), 200, answer.clone(), "the body.name is a number"),
            (
                "/things/7",
                "",
                json!({ "name": "x", "colour": 1 }),
                200,
                answer.clone(),
                "the body.colour is not described",
            ),
            ("/things/7", "", json!({ "name": null }), 200, answer.clone(), "the body.name is null"),
            ("/things/7", "", fine.clone(), 201, answer, "the answer 201 is not described"),
            ("/things/7", "", fine.clone(), 200, json!({ "kind": "c" }), "none of"),
            ("/things/7", "", fine, 200, json!({ "kinds": "a" }), "the answer.kinds is not described"),
        ] {
            let found = faults(path, query, body, status, reply);
            assert!(found.len() == 1 && found[0].contains(wanted), "{wanted}: {found:?}");
        }
    }
}
