//! What is different between the plan that was reviewed and the one that would run now.

use super::{Action, AttributeChange, PlanView, ResourceView};
use serde::Serialize;
use std::collections::BTreeMap;

/// One resource or output that the two plans don't treat alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// The new plan leaves it alone.
    OnlyReviewed {
        resource: ResourceView,
    },
    /// The reviewed plan left it alone.
    OnlyNew {
        resource: ResourceView,
    },
    Changed {
        reviewed: ResourceView,
        new: ResourceView,
    },
}

/// In the order of the addresses. Outputs come as `output.NAME`, after the resources.
///
/// Empty although the fingerprints differ: what differs is not visible (a sensitive value, or the code behind a value
/// that is only known after the apply).
#[must_use]
pub fn differences(reviewed: &PlanView, new: &PlanView) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut pairs: BTreeMap<(bool, String, Option<String>), [Option<ResourceView>; 2]> = BTreeMap::new();
    for (side, view) in [reviewed, new].into_iter().enumerate() {
        for (is_output, resource) in all(view) {
            let key = (is_output, resource.address.clone(), resource.deposed.clone());
            pairs.entry(key).or_default()[side] = Some(resource);
        }
    }
    for pair in pairs.into_values() {
        match pair {
            [Some(reviewed), Some(new)] if reviewed != new => found.push(Difference::Changed { reviewed, new }),
            [Some(resource), None] => found.push(Difference::OnlyReviewed { resource }),
            [None, Some(resource)] => found.push(Difference::OnlyNew { resource }),
            _ => {}
        }
    }
    found
}

fn all(view: &PlanView) -> impl Iterator<Item = (bool, ResourceView)> {
    let resources = view.resources.iter().map(|resource| (false, resource.clone()));
    let outputs =
        view.outputs.iter().map(|output| (true, as_resource(&output.name, output.action, &output.attributes)));
    resources.chain(outputs)
}

/// An output in the shape of a resource, so that both are shown in one way.
fn as_resource(name: &str, action: Action, attributes: &[AttributeChange]) -> ResourceView {
    ResourceView {
        address: format!("output.{name}"),
        action,
        deposed: None,
        forces_replacement: Vec::new(),
        moved_from: None,
        importing: false,
        because: None,
        attributes: attributes.to_vec(),
    }
}

#[cfg(test)]
mod tests;
