//! Plan JSON to counts and to the masked view.

use super::mask::{Secrets, Sides, attribute_changes, path_text};
use super::{
    Action, AttributeChange, CheckView, OutputView, PlanSummary, PlanView, ResourceView, Shown, Stateful, stateful,
};
use crate::domain::secret;
use serde_json::Value;

/// How many addresses of destroyed and replaced resources a summary keeps.
const DESTROYED_KEPT: usize = 50;

const MESSAGES_KEPT: usize = 10;

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

impl PlanFacts {
    /// Every text that people will see, and that is kept, as `rewrite` makes it. [`Self::raw`] stays as it is.
    pub fn rewrite(&mut self, rewrite: &dyn Fn(&str) -> String) {
        let anew = |text: &mut String| *text = rewrite(text);
        let PlanSummary { destroyed, stateful, .. } = &mut self.summary;
        destroyed.iter_mut().chain(stateful.iter_mut().map(|stateful| &mut stateful.address)).for_each(anew);
        let PlanView { resources, outputs, drift, checks } = &mut self.view;
        for resource in resources.iter_mut().chain(drift) {
            anew(&mut resource.address);
            resource.moved_from.iter_mut().chain(&mut resource.forces_replacement).for_each(anew);
            resource.attributes.iter_mut().for_each(|attribute| attribute.rewrite(rewrite));
        }
        for output in outputs {
            output.attributes.iter_mut().for_each(|attribute| attribute.rewrite(rewrite));
        }
        for check in checks {
            anew(&mut check.address);
            check.messages.iter_mut().for_each(anew);
        }
    }
}

impl AttributeChange {
    fn rewrite(&mut self, rewrite: &dyn Fn(&str) -> String) {
        self.path = rewrite(&self.path);
        for side in [&mut self.before, &mut self.after] {
            if let Shown::Value(json) | Shown::Part { json, .. } = side {
                *json = rewrite(json);
            }
        }
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
    let mut view = PlanView { checks: checks(&raw), ..PlanView::default() };
    for drift in list(&raw, "resource_drift").iter().filter(|drift| !is_no_op(drift)) {
        view.drift.push(resource_view(drift, &secrets)?);
    }
    for resource in list(&raw, "resource_changes") {
        let seen = resource_view(resource, &secrets)?;
        count(&mut summary, &seen, resource["type"].as_str().unwrap_or_default());
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
        because: resource["action_reason"].as_str().map(str::to_owned),
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

fn count(summary: &mut PlanSummary, resource: &ResourceView, kind: &str) {
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
    if !resource.action.destroys() {
        return;
    }
    let address = match &resource.deposed {
        Some(key) => format!("{} (deposed {key})", resource.address),
        None => resource.address.clone(),
    };
    if let Some(what) = stateful(kind)
        && summary.stateful.len() < DESTROYED_KEPT
    {
        summary.stateful.push(Stateful { address: address.clone(), what: what.to_owned() });
    }
    if summary.destroyed.len() < DESTROYED_KEPT {
        summary.destroyed.push(address);
    }
}

/// Resources that were changed outside of Terraform; those that merely moved are listed there too, and don't count.
fn drifted(raw: &Value) -> usize {
    list(raw, "resource_drift").iter().filter(|drift| !is_no_op(drift)).count()
}

fn is_no_op(resource: &Value) -> bool {
    list(&resource["change"], "actions") == ["no-op"]
}

/// Those that hold are no news, and those of which nothing is known before the apply are too many.
fn checks(raw: &Value) -> Vec<CheckView> {
    let failed = |check: &&Value| matches!(check["status"].as_str(), Some("fail" | "error"));
    let messages = |check: &Value| -> Vec<String> {
        let problems = list(check, "instances").iter().flat_map(|instance| list(instance, "problems"));
        let messages = problems.filter_map(|problem| problem["message"].as_str());
        messages.take(MESSAGES_KEPT).map(|message| secret::masked(message).into_owned()).collect()
    };
    let views = list(raw, "checks").iter().filter(failed).map(|check| CheckView {
        address: check["address"]["to_display"].as_str().unwrap_or("check").to_owned(),
        status: check["status"].as_str().unwrap_or_default().to_owned(),
        messages: messages(check),
    });
    views.collect()
}

#[cfg(test)]
mod tests;
