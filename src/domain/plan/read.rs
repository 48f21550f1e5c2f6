//! Plan JSON to counts and to the masked view.

use super::mask::{Secrets, Sides, attribute_changes, path_text};
use super::{Action, OutputView, PlanSummary, PlanView, ResourceView};
use serde_json::Value;

/// How many addresses of destroyed and replaced resources a summary keeps.
const DESTROYED_KEPT: usize = 50;

/// A plan as it was read: what the store keeps, what people see, and the JSON itself for the fingerprint.
///
/// `raw` holds sensitive values in clear text, so this prints nothing of it.
pub struct PlanFacts {
    pub summary: PlanSummary,
    pub view: PlanView,
    pub raw: Value,
}

impl std::fmt::Debug for PlanFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanFacts").field("summary", &self.summary).finish_non_exhaustive()
    }
}

/// Why plan JSON can't be used. The messages hold no values of the plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the plan is no JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the plan has the format version `{found}`; this server reads versions 1.x")]
    Version { found: String },
    #[error("the plan JSON lacks `{what}`")]
    Missing { what: &'static str },
    /// Counting an action that nobody knows as "no change" could hide a destroy.
    #[error("`{address}` has the actions `{actions}`, which this server does not know")]
    UnknownAction { address: String, actions: String },
}

/// Reads what `terraform show -json PLANFILE` prints.
///
/// # Errors
/// When it is no JSON, of another major format version, or holds actions that are not known.
pub fn read(json: &[u8]) -> Result<PlanFacts, PlanError> {
    let raw: Value = serde_json::from_slice(json)
        .map_err(|error| PlanError::NotJson { line: error.line(), column: error.column() })?;
    let version = raw["format_version"].as_str().ok_or(PlanError::Missing { what: "format_version" })?;
    if version.split('.').next() != Some("1") {
        return Err(PlanError::Version { found: version.chars().take(20).collect() });
    }
    let secrets = Secrets::of(&raw);
    let mut summary = PlanSummary { drifted: drifted(&raw), ..PlanSummary::default() };
    let mut view = PlanView::default();
    for resource in list(&raw, "resource_changes") {
        let seen = resource_view(resource, &secrets)?;
        count(&mut summary, &seen);
        if is_shown(&seen) {
            view.resources.push(seen);
        }
    }
    for (name, change) in raw["output_changes"].as_object().into_iter().flatten() {
        let action = action_of(&format!("output.{name}"), change)?;
        if action != Action::NoOp {
            summary.outputs += 1;
            let attributes = attribute_changes(&Sides::of(change), &secrets);
            view.outputs.push(OutputView { name: name.clone(), action, attributes });
        }
    }
    Ok(PlanFacts { summary, view, raw })
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn resource_view(resource: &Value, secrets: &Secrets) -> Result<ResourceView, PlanError> {
    let address = resource["address"].as_str().ok_or(PlanError::Missing { what: "resource_changes[].address" })?;
    let change = resource.get("change").ok_or(PlanError::Missing { what: "resource_changes[].change" })?;
    let action = action_of(address, change)?;
    let attributes = match action {
        Action::NoOp => Vec::new(),
        _ => attribute_changes(&Sides::of(change), secrets),
    };
    Ok(ResourceView {
        address: address.to_owned(),
        action,
        deposed: resource["deposed"].as_str().map(str::to_owned),
        forces_replacement: list(change, "replace_paths").iter().map(path_text).collect(),
        moved_from: resource["previous_address"].as_str().map(str::to_owned),
        importing: change.get("importing").is_some_and(|importing| !importing.is_null()),
        attributes,
    })
}

fn action_of(address: &str, change: &Value) -> Result<Action, PlanError> {
    let words: Vec<&str> = list(change, "actions").iter().filter_map(Value::as_str).collect();
    match words.as_slice() {
        ["no-op"] => Ok(Action::NoOp),
        ["create"] => Ok(Action::Create),
        ["update"] => Ok(Action::Update),
        ["delete"] => Ok(Action::Delete),
        ["read"] => Ok(Action::Read),
        ["forget"] => Ok(Action::Forget),
        // The last: the old object stays, unmanaged. Nearest to a replacement, and never less alarming than it is.
        ["delete", "create"] | ["create", "delete"] | ["create", "forget"] => Ok(Action::Replace),
        other => Err(PlanError::UnknownAction { address: address.to_owned(), actions: other.join(", ") }),
    }
}

fn is_shown(resource: &ResourceView) -> bool {
    resource.action != Action::NoOp || resource.importing || resource.moved_from.is_some()
}

fn count(summary: &mut PlanSummary, resource: &ResourceView) {
    match resource.action {
        Action::Create => summary.add += 1,
        Action::Update => summary.change += 1,
        Action::Replace => summary.replace += 1,
        Action::Delete => summary.destroy += 1,
        Action::Read => summary.read += 1,
        Action::Forget => summary.forget += 1,
        Action::NoOp if !is_shown(resource) => summary.unchanged += 1,
        Action::NoOp => {}
    }
    summary.import += usize::from(resource.importing);
    summary.moved += usize::from(resource.moved_from.is_some());
    if resource.action.destroys() && summary.destroyed.len() < DESTROYED_KEPT {
        summary.destroyed.push(match &resource.deposed {
            Some(key) => format!("{} (deposed {key})", resource.address),
            None => resource.address.clone(),
        });
    }
}

/// Resources that were changed outside of Terraform; those that merely moved are listed there too, and don't count.
fn drifted(raw: &Value) -> usize {
    list(raw, "resource_drift").iter().filter(|drift| list(&drift["change"], "actions") != ["no-op"]).count()
}

#[cfg(test)]
mod tests;
