//! Which providers the files of a module want, in which versions, and which modules it calls. Follows Terraform's own
//! rules, so that whatever `init` will look for in the mirror is there: `required_providers` in all its forms, and every
//! provider that is used without an entry there.

use super::address::Provider;
use crate::terraform::install::Product;
use crate::terraform::source::each;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::parser::parse_body;
use hcl_edit::structure::{Block, Body};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// Blocks whose first label is a type, such as `aws_instance`, that a provider makes.
const TYPED: [&str; 5] = ["resource", "data", "ephemeral", "action", "list"];

/// What a module, or several of them, want.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Requirements {
    /// Each provider with the constraints on its version, all of which must hold. The built-in one is not among them.
    pub(super) providers: BTreeMap<Provider, BTreeSet<String>>,
    /// The sources of the modules that are called.
    pub(super) calls: BTreeSet<Call>,
    /// What cannot be known from reading, and why.
    pub(super) unknown: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    /// A directory, from the calling module's.
    Local(String),
    /// In a registry, a repository, or wherever an expression says.
    Elsewhere,
}

impl Requirements {
    /// Reads the files of one module, each with its name and content.
    pub(super) fn of_module(files: &[(String, Vec<u8>)], product: Product) -> Self {
        let mut module = Module::default();
        // An override replaces what the other files say, so it comes after them.
        let (last, first): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| is_override(name));
        for (name, text) in first.into_iter().chain(last) {
            module.file(name, text);
        }
        module.resolve(product)
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (provider, constraints) in other.providers {
            self.providers.entry(provider).or_default().extend(constraints);
        }
        self.calls.extend(other.calls);
        self.unknown.extend(other.unknown);
    }
}

fn is_override(name: &str) -> bool {
    let name = name.strip_suffix(".json").unwrap_or(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem == "override" || stem.ends_with("_override")
}

/// What is read of a module before its names are resolved.
#[derive(Debug, Default)]
struct Module {
    /// The entries of `required_providers`, by local name.
    required: BTreeMap<String, Entry>,
    /// Local names of providers that are used.
    used: BTreeSet<String>,
    /// Constraints of `provider` blocks (an old form), by local name.
    constraints: Vec<(String, String)>,
    calls: BTreeSet<Call>,
    unknown: Vec<String>,
}

#[derive(Debug, Default)]
struct Entry {
    source: Option<String>,
    version: Option<String>,
}

impl Module {
    fn file(&mut self, name: &str, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        if name.ends_with(".json") {
            match serde_json::from_str::<Value>(text) {
                Ok(json) => self.json(&json),
                Err(_) => self.unknown.push(format!("`{name}` is not JSON")),
            }
        } else {
            match parse_body(text) {
                Ok(body) => self.hcl(&body),
                Err(_) => self.unknown.push(format!("`{name}` cannot be parsed")),
            }
        }
    }

    fn resolve(self, product: Product) -> Requirements {
        let mut found = Requirements { calls: self.calls, unknown: self.unknown, ..Requirements::default() };
        let mut addresses = BTreeMap::new();
        let names: BTreeSet<&String> = self.required.keys().chain(&self.used).collect();
        for name in names {
            let source = self.required.get(name).and_then(|entry| entry.source.as_deref());
            let provider = match source {
                Some(source) => Provider::parse(source, product),
                None => Provider::implied(name, product),
            };
            match provider {
                Some(provider) => _ = addresses.insert(name.clone(), provider),
                None => found.unknown.push(format!("`{}` is no address of a provider", source.unwrap_or(name))),
            }
        }
        for provider in addresses.values().filter(|provider| !provider.is_builtin()) {
            found.providers.entry(provider.clone()).or_default();
        }
        let required = self.required.into_iter().filter_map(|(name, entry)| Some((name, entry.version?)));
        for (name, constraint) in required.chain(self.constraints) {
            let wanted = addresses.get(&name).and_then(|provider| found.providers.get_mut(provider));
            wanted.into_iter().for_each(|constraints| _ = constraints.insert(constraint.clone()));
        }
        found
    }

    fn hcl(&mut self, body: &Body) {
        for block in body.blocks() {
            let label = block.labels.first().map(|label| label.as_str());
            match (block.ident.as_str(), label) {
                ("terraform", _) => {
                    for required in block.body.get_blocks("required_providers") {
                        self.required_providers(&required.body);
                    }
                }
                ("provider" | "mock_provider", Some(name)) => {
                    self.used.insert(name.to_owned());
                    if let Some(version) = text(&block.body, "version") {
                        self.constraints.push((name.to_owned(), version));
                    }
                }
                ("module", _) => self.call(block),
                // A test's run may bring a module of its own.
                ("run", _) => block.body.get_blocks("module").for_each(|module| self.call(module)),
                ("check", _) => self.hcl(&block.body),
                ("import", _) => self.import(block),
                (kind, Some(label)) if TYPED.contains(&kind) => {
                    let named = block.body.get_attribute("provider").and_then(|provider| root(&provider.value));
                    self.used.insert(named.unwrap_or_else(|| prefix(label)));
                }
                _ => {}
            }
        }
    }

    fn required_providers(&mut self, body: &Body) {
        for attribute in body.attributes() {
            let entry = match &attribute.value {
                Expression::Object(object) => {
                    let field = |wanted: &str| {
                        let value =
                            object.iter().find_map(|(key, value)| (key_of(key) == Some(wanted)).then_some(value));
                        value.and_then(|value| value.expr().as_str()).map(str::to_owned)
                    };
                    Entry { source: field("source"), version: field("version") }
                }
                // The form of Terraform 0.12: a constraint alone.
                value => Entry { source: None, version: value.as_str().map(str::to_owned) },
            };
            self.required.insert(attribute.key.as_str().to_owned(), entry);
        }
    }

    fn call(&mut self, block: &Block) {
        if let Some(source) = block.body.get_attribute("source") {
            self.source(source.value.as_str());
        }
    }

    fn source(&mut self, source: Option<&str>) {
        self.calls.insert(match source {
            Some(source) if source.starts_with("./") || source.starts_with("../") => Call::Local(source.to_owned()),
            _ => Call::Elsewhere,
        });
    }

    /// A resource that is imported before it is written.
    fn import(&mut self, block: &Block) {
        let named = block.body.get_attribute("provider").and_then(|provider| root(&provider.value));
        let target = || block.body.get_attribute("to").and_then(|to| root(&to.value)).filter(|root| root != "module");
        self.used.extend(named.or_else(|| target().map(|target| prefix(&target))));
    }

    /// JSON syntax: <https://developer.hashicorp.com/terraform/language/syntax/json>.
    fn json(&mut self, json: &Value) {
        for settings in each(json.get("terraform")) {
            for (name, entry) in each(settings.get("required_providers")).filter_map(Value::as_object).flatten() {
                let field = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
                let version = entry.as_str().map(str::to_owned).or_else(|| field("version"));
                self.required.insert(name.clone(), Entry { source: field("source"), version });
            }
        }
        for kind in ["provider", "mock_provider"] {
            for (name, bodies) in each(json.get(kind)).filter_map(Value::as_object).flatten() {
                self.used.insert(name.clone());
                let versions = each(Some(bodies)).filter_map(|body| body.get("version")?.as_str());
                self.constraints.extend(versions.map(|version| (name.clone(), version.to_owned())));
            }
        }
        for module in named(json, "module") {
            module.get("source").into_iter().for_each(|source| self.source(plain(source)));
        }
        for module in named(json, "run").flat_map(|run| each(run.get("module"))) {
            module.get("source").into_iter().for_each(|source| self.source(plain(source)));
        }
        named(json, "check").for_each(|check| self.json_typed(check));
        self.json_typed(json);
        for import in each(json.get("import")) {
            let named = import.get("provider").and_then(Value::as_str).map(reference);
            let to = import.get("to").and_then(Value::as_str).map(reference).filter(|to| to != "module");
            self.used.extend(named.or_else(|| to.map(|to| prefix(&to))));
        }
    }

    fn json_typed(&mut self, json: &Value) {
        for (label, named) in TYPED.iter().flat_map(|kind| each(json.get(kind))).filter_map(Value::as_object).flatten()
        {
            for body in each(Some(named)).filter_map(Value::as_object).flat_map(|named| named.values()) {
                for body in each(Some(body)) {
                    let named = body.get("provider").and_then(Value::as_str).map(reference);
                    self.used.insert(named.unwrap_or_else(|| prefix(label)));
                }
            }
        }
    }
}

/// The bodies of blocks with one label.
fn named<'a>(json: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    let bodies = each(json.get(kind)).filter_map(Value::as_object).flat_map(|named| named.values());
    bodies.flat_map(|body| each(Some(body)))
}

/// A string that is no template.
fn plain(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.contains("${") && !text.contains("%{"))
}

/// The local name of the provider that a type such as `aws_instance` belongs to.
fn prefix(label: &str) -> String {
    label.split('_').next().unwrap_or(label).to_owned()
}

/// The first name of a reference such as `aws.west`, written as text.
fn reference(text: &str) -> String {
    let text = text.trim().trim_start_matches("${").trim_start();
    text.split(['.', '[', '}', ' ']).next().unwrap_or(text).to_owned()
}

/// The first name of a reference.
fn root(expression: &Expression) -> Option<String> {
    match expression {
        Expression::Variable(name) => Some(name.as_str().to_owned()),
        Expression::Traversal(traversal) => root(&traversal.expr),
        Expression::String(text) => Some(reference(text.as_str())),
        _ => None,
    }
}

fn key_of(key: &ObjectKey) -> Option<&str> {
    match key {
        ObjectKey::Ident(name) => Some(name.as_str()),
        ObjectKey::Expression(expression) => {
            expression.as_str().or_else(|| expression.as_variable().map(|name| name.as_str()))
        }
    }
}

fn text(body: &Body, name: &str) -> Option<String> {
    body.get_attribute(name)?.value.as_str().map(str::to_owned)
}
