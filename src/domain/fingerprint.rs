//! The fingerprint of a plan: equal fingerprints change the same things in the same way.
//!
//! All of it goes through a keyed hash (HMAC-SHA-256), so that nobody can guess sensitive values from a fingerprint that
//! a comment shows. What the plan does not tell by itself (an expression behind a value that is only known after the
//! apply, a provisioner, a write-only attribute) is covered by the code that it is made from, `inputs`, and only then:
//! a plan that tells everything stays the same plan when comments in the code change.

use super::id::{Fingerprint, Workspace};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What belongs to a plan and is not in its JSON.
#[derive(Debug, Clone, Copy)]
pub struct FingerprintContext<'a> {
    pub workspace: &'a Workspace,
    /// Which backend, with its configuration: any text that is equal for equal backends.
    pub backend: &'a str,
    /// See [`super::project::Target::inputs`].
    pub inputs: &'a str,
}

/// `plan`: what `terraform show -json` printed. `key`: the server's, always the same one.
#[must_use]
pub fn fingerprint(plan: &Value, context: &FingerprintContext<'_>, key: &[u8; 32]) -> Fingerprint {
    let changes = changed_resources(plan);
    let outputs = changed_outputs(plan);
    let mut hash = Canonical(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"));
    hash.text("terraplane fingerprint 1");
    hash.text(context.workspace.as_str());
    hash.text(context.backend);
    hash.count(changes.len());
    for resource in changes.values() {
        for key in ["address", "deposed", "previous_address", "mode", "provider_name"] {
            hash.value(&resource[key]);
        }
        hash.change(&resource["change"]);
    }
    hash.count(outputs.len());
    for (name, change) in &outputs {
        hash.text(name);
        hash.change(change);
    }
    hash.unordered(&checks(plan));
    hash.value(&plan["variables"]);
    hash.value(&plan["configuration"]["provider_config"]);
    for key in ["action_invocations", "deferred_changes", "deferred_action_invocations"] {
        hash.unordered(&plan[key]);
    }
    if is_opaque(plan, &changes, &outputs) {
        hash.text(context.inputs);
    }
    hash.finish()
}

/// What a plan does, wherever it does it: equal for two projects whose plans change the same addresses in the same way,
/// apart from the module call that all addresses of one plan begin with. For reading them as one, and for nothing else: it
/// leaves out what the plan was made from.
#[must_use]
pub fn shape(plan: &Value, key: &[u8; 32]) -> Fingerprint {
    let changes = changed_resources(plan);
    let outputs = changed_outputs(plan);
    let root = common_root(changes.values().filter_map(|resource| resource["address"].as_str()));
    let below = |address: &Value| match (address.as_str(), root) {
        (Some(address), Some(root)) => json!(["below", address.strip_prefix(root).unwrap_or(address)]),
        _ => address.clone(),
    };
    let mut hash = Canonical(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"));
    hash.text("terraplane shape 1");
    hash.count(changes.len());
    let mut sorted: Vec<(String, &Value)> =
        changes.values().map(|resource| (below(&resource["address"]).to_string(), *resource)).collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (address, resource) in sorted {
        hash.text(&address);
        hash.value(&below(&resource["previous_address"]));
        for key in ["deposed", "mode", "action_reason"] {
            hash.value(&resource[key]);
        }
        hash.change(&resource["change"]);
    }
    hash.count(outputs.len());
    for (name, change) in &outputs {
        hash.text(name);
        hash.change(change);
    }
    hash.unordered(&checks(plan));
    hash.finish()
}

/// The module call, with its key, that all addresses begin with; `None` if they don't begin with the same one.
fn common_root<'a>(mut addresses: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = addresses.next()?;
    let call = first.strip_prefix("module.")?;
    // A key may hold any character, so steps are told apart as those of paths are.
    let mut length = "module.".len();
    for (at, step) in crate::domain::plan::steps(call).into_iter().enumerate() {
        if at > 0 && !step.starts_with('[') {
            break;
        }
        length += step.len();
    }
    let root = &first[..length];
    let below = |address: &str| address.strip_prefix(root).is_some_and(|rest| rest.starts_with('.'));
    (below(first) && addresses.all(below)).then_some(root)
}

type Resources<'a> = BTreeMap<(&'a str, &'a str), &'a Value>;

/// By address and deposed key: their order in the plan means nothing. Resources that stay as they are stay out, and so
/// do their refreshed attributes.
fn changed_resources(plan: &Value) -> Resources<'_> {
    let all = plan["resource_changes"].as_array().into_iter().flatten();
    let changed = all.filter(|resource| {
        let change = &resource["change"];
        acts(change) || !change["importing"].is_null() || !resource["previous_address"].is_null()
    });
    changed
        .map(|resource| {
            let key = (resource["address"].as_str().unwrap_or(""), resource["deposed"].as_str().unwrap_or(""));
            (key, resource)
        })
        .collect()
}

fn changed_outputs(plan: &Value) -> BTreeMap<&str, &Value> {
    let all = plan["output_changes"].as_object().into_iter().flatten();
    all.filter(|(_, change)| acts(change)).map(|(name, change)| (name.as_str(), change)).collect()
}

/// Which checks there are and how they stand, without their messages.
fn checks(plan: &Value) -> Value {
    let instances = |check: &Value| -> Value {
        let all = check["instances"].as_array().into_iter().flatten();
        all.map(|instance| json!([instance["address"]["to_display"], instance["status"]])).collect()
    };
    let all = plan["checks"].as_array().into_iter().flatten();
    all.map(|check| json!([check["address"]["to_display"], check["status"], instances(check)])).collect()
}

fn acts(change: &Value) -> bool {
    change["actions"].as_array().is_none_or(|actions| actions.iter().any(|action| action != "no-op"))
}

/// Whether what would happen is not wholly in the plan JSON.
fn is_opaque(plan: &Value, resources: &Resources<'_>, outputs: &BTreeMap<&str, &Value>) -> bool {
    let configured = Configured::of(&plan["configuration"]);
    !plan["action_invocations"].is_null()
        || outputs.values().any(|change| change_is_opaque(change))
        || resources.values().any(|resource| {
            let change = &resource["change"];
            acts(change) && (change_is_opaque(change) || configured.is_opaque(resource))
        })
        || (!resources.is_empty() && provider_is_opaque(&plan["configuration"]["provider_config"]))
}

fn change_is_opaque(change: &Value) -> bool {
    any(&change["after_unknown"], &|value| value == &Value::Bool(true))
        // Two numbers that differ behind the sixteenth digit are one f64.
        || ["before", "after"].iter().any(|side| any(&change[*side], &|value| value.as_number().is_some_and(|n| n.is_f64())))
}

/// A provider whose configuration follows from more than constants and the root module's variables, which are covered.
fn provider_is_opaque(providers: &Value) -> bool {
    providers.as_object().into_iter().flat_map(serde_json::Map::values).any(|provider| {
        let in_module = provider["module_address"].is_string();
        any(&provider["expressions"], &|value| {
            let references = value.get("references").and_then(Value::as_array).into_iter().flatten();
            references.filter_map(Value::as_str).any(|reference| in_module || !reference.starts_with("var."))
        })
    })
}

/// What the configuration says of resources, by type and name: those of the same type and name in different modules are
/// not told apart, which can only make a plan more opaque than it is.
struct Configured<'a> {
    provisioned: HashSet<(&'a str, &'a str)>,
    /// The names of the attributes that are set by more than constants.
    set: HashMap<(&'a str, &'a str), Vec<&'a str>>,
    write_only: HashSet<(&'a str, &'a str)>,
}

impl<'a> Configured<'a> {
    fn of(configuration: &'a Value) -> Self {
        let mut all = Self { provisioned: HashSet::new(), set: HashMap::new(), write_only: HashSet::new() };
        all.module(&configuration["root_module"]);
        all
    }

    fn module(&mut self, module: &'a Value) {
        for resource in module["resources"].as_array().into_iter().flatten() {
            let (kind, name) = names(resource);
            if resource["provisioners"].as_array().is_some_and(|list| !list.is_empty()) {
                self.provisioned.insert((kind, name));
            }
            if any_key(&resource["expressions"], &|key| key.ends_with("_wo")) {
                self.write_only.insert((kind, name));
            }
            let expressions = resource["expressions"].as_object().into_iter().flatten();
            let set = expressions.filter(|(_, expression)| !expression["references"].is_null());
            self.set.entry((kind, name)).or_default().extend(set.map(|(attribute, _)| attribute.as_str()));
        }
        for call in module["module_calls"].as_object().into_iter().flat_map(serde_json::Map::values) {
            self.module(&call["module"]);
        }
    }

    /// A provisioner, a write-only attribute (by Terraform's naming rule), or any attribute that the code sets and the
    /// plan does not hold.
    fn is_opaque(&self, resource: &'a Value) -> bool {
        let kind = names(resource);
        let after = &resource["change"]["after"];
        let set = self.set.get(&kind).map_or(&[][..], Vec::as_slice);
        self.provisioned.contains(&kind)
            || (after.is_object()
                && (self.write_only.contains(&kind) || set.iter().any(|attribute| after[*attribute].is_null())))
    }
}

fn names(resource: &Value) -> (&str, &str) {
    (resource["type"].as_str().unwrap_or(""), resource["name"].as_str().unwrap_or(""))
}

fn any(value: &Value, test: &impl Fn(&Value) -> bool) -> bool {
    test(value)
        || match value {
            Value::Array(items) => items.iter().any(|item| any(item, test)),
            Value::Object(map) => map.values().any(|item| any(item, test)),
            _ => false,
        }
}

fn any_key(value: &Value, test: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_key(item, test)),
        Value::Object(map) => map.iter().any(|(key, item)| test(key) || any_key(item, test)),
        _ => false,
    }
}

/// JSON into a hash: every part with its kind and length, so that no two values run into one another; keys in order.
struct Canonical(Hmac<Sha256>);

impl Canonical {
    /// What a change does. Marks of sensitivity and reasons (`action_reason`) do not change what happens.
    fn change(&mut self, change: &Value) {
        for key in ["actions", "before", "after", "after_unknown", "importing", "before_identity", "after_identity"] {
            self.value(&change[key]);
        }
        self.unordered(&change["replace_paths"]);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.0.update(b"n"),
            Value::Bool(true) => self.0.update(b"t"),
            Value::Bool(false) => self.0.update(b"f"),
            Value::Number(number) => {
                self.0.update(b"d");
                self.text(&number.to_string());
            }
            Value::String(text) => {
                self.0.update(b"s");
                self.text(text);
            }
            Value::Array(items) => {
                self.0.update(b"a");
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(map) => {
                self.0.update(b"o");
                self.count(map.len());
                let sorted: BTreeMap<&String, &Value> = map.iter().collect();
                for (key, item) in sorted {
                    self.text(key);
                    self.value(item);
                }
            }
        }
    }

    /// A list whose order means nothing.
    fn unordered(&mut self, list: &Value) {
        let mut items: Vec<&Value> = list.as_array().into_iter().flatten().collect();
        items.sort_by_cached_key(|item| item.to_string());
        self.count(items.len());
        items.into_iter().for_each(|item| self.value(item));
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_be_bytes());
    }

    fn finish(self) -> Fingerprint {
        hex::encode(self.0.finalize().into_bytes()).parse().expect("SHA-256 has 64 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests;
