//! Whether the state within a plan file is the project's.
//!
//! A plan file carries the state that it was made from, as it was (`tfstate-prev`) and as it is after refreshing
//! (`tfstate`). `apply` builds on the second and never looks at what the backend has, but for its lineage and serial. So code
//! that runs at plan time could put objects into the state that never were there, take away others, or give one the id of
//! another, and `show` says nothing of it: the next plan would destroy what somebody smuggled in.
//!
//! So the objects of these two, of the state that the backend has, and of what `show` tells people are compared: whatever
//! differs must stand in the plan that people see.

use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufReader, Cursor, Read};
use zip::ZipArchive;

#[cfg(test)]
mod tests;

const BEFORE: &str = "tfstate-prev";
const AFTER: &str = "tfstate";

/// The state in a plan file is not what it should be. Addresses come from the file, and are shown escaped.
#[derive(Debug, thiserror::Error)]
pub enum ForeignState {
    #[error("the state in the plan file is not readable: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error(
        "the plan file cannot be trusted: its state has {0:?}, and neither the project's state nor the plan has it"
    )]
    Added(String),
    #[error("the plan file cannot be trusted: its state lacks {0:?}, which the project's state has")]
    Missing(String),
    #[error("the plan file cannot be trusted: in its state {0:?} is another object than in the project's state")]
    Other(String),
}

/// The objects of a state that Terraform manages, and what tells them apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Objects(BTreeMap<Key, Object>);

/// An address, and the key of an object that a replacement left over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    address: String,
    deposed: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    /// The provider's id; where a provider has another name for it, or none, this is `Null`.
    id: Value,
    /// A newer provider may write the same object in another way.
    schema: u64,
}

/// What a plan tells people about changes of its state: `show -json`.
#[derive(Debug, Default, Deserialize)]
struct Told {
    #[serde(default)]
    resource_changes: Vec<Change>,
    #[serde(default)]
    resource_drift: Vec<Change>,
}

#[derive(Debug, Deserialize)]
struct Change {
    address: String,
    previous_address: Option<String>,
    change: Actions,
}

#[derive(Debug, Deserialize)]
struct Actions {
    #[serde(default)]
    actions: Vec<String>,
    importing: Option<Value>,
}

impl Objects {
    /// Of a state in Terraform's JSON format, version 4; everything else is skipped as it is read.
    ///
    /// # Errors
    /// When it is no state, or has an object twice.
    pub fn read(state: impl Read) -> std::io::Result<Self> {
        #[derive(Deserialize)]
        struct State {
            #[serde(default)]
            resources: Vec<Resource>,
        }
        #[derive(Deserialize)]
        struct Resource {
            #[serde(default)]
            module: String,
            mode: String,
            r#type: String,
            name: String,
            #[serde(default)]
            instances: Vec<Instance>,
        }
        #[derive(Deserialize)]
        struct Instance {
            index_key: Option<Value>,
            #[serde(default)]
            deposed: String,
            #[serde(default)]
            schema_version: u64,
            attributes: Option<Attributes>,
        }
        #[derive(Deserialize)]
        struct Attributes {
            #[serde(default)]
            id: Value,
        }
        let State { resources } = serde_json::from_reader(BufReader::new(state))?;
        let mut objects = BTreeMap::new();
        for resource in resources.into_iter().filter(|resource| resource.mode == "managed") {
            let Resource { module, r#type, name, instances, .. } = resource;
            let dot = if module.is_empty() { "" } else { "." };
            for Instance { index_key, deposed, schema_version, attributes } in instances {
                let mut address = format!("{module}{dot}{type}.{name}");
                index_key.iter().for_each(|key| push_index(&mut address, key));
                let id = attributes.map(|attributes| attributes.id).unwrap_or_default();
                let key = Key { address, deposed };
                if objects.insert(key.clone(), Object { id, schema: schema_version }).is_some() {
                    return Err(std::io::Error::other(format!("{:?} is in it twice", key.address)));
                }
            }
        }
        Ok(Self(objects))
    }

    fn of(plan: &[u8], entry: &str) -> std::io::Result<Self> {
        let mut archive = ZipArchive::new(Cursor::new(plan)).map_err(std::io::Error::other)?;
        Self::read(archive.by_name(entry).map_err(std::io::Error::other)?)
    }
}

/// The two states within a plan file.
#[derive(Debug)]
pub struct PlanState {
    before: Objects,
    after: Objects,
}

impl PlanState {
    /// # Errors
    /// When these are not the bytes of a plan file.
    pub fn of(plan: &[u8]) -> Result<Self, ForeignState> {
        Ok(Self { before: Objects::of(plan, BEFORE)?, after: Objects::of(plan, AFTER)? })
    }

    /// At plan time: what refreshing changed must be told in `shown`, the JSON of the plan.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify_told(&self, shown: &[u8]) -> Result<(), ForeignState> {
        let told: Told = serde_json::from_slice(shown).map_err(std::io::Error::from)?;
        let drifted = |change: &&Change| change.change.actions.iter().any(|action| action != "no-op");
        let drift: BTreeSet<&str> = told.resource_drift.iter().filter(drifted).map(|change| &*change.address).collect();
        let importing = |change: &&Change| change.change.importing.is_some();
        let imports = told.resource_changes.iter().filter(importing);
        let imported: BTreeSet<&str> = imports.map(|change| &*change.address).collect();
        compare(&self.before, &self.after, |address| drift.contains(address), |address| imported.contains(address))
    }

    /// Before the apply: `state` is what the backend has, read when nothing of the pull request had run yet. Its lineage
    /// and serial are known to be those of the plan.
    ///
    /// # Errors
    /// When the plan was made from another state.
    pub fn verify_is_projects(&self, moves: &Moves, state: &Objects) -> Result<(), ForeignState> {
        let moved = state.0.iter().map(|(key, object)| {
            let address = moves.moved.get(&key.address).unwrap_or(&key.address).clone();
            (Key { address, deposed: key.deposed.clone() }, object.clone())
        });
        // What is imported is in it already, as if it had been there.
        compare(&Objects(moved.collect()), &self.before, |_| false, |address| moves.imported.contains(address))
    }
}

/// From where to where objects are moved by a plan, and which it imports: Terraform does both before it notes the state
/// that it begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Moves {
    moved: BTreeMap<String, String>,
    imported: BTreeSet<String>,
}

impl Moves {
    /// As people are told: of `show -json`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn told(shown: &[u8]) -> serde_json::Result<Self> {
        let told: Told = serde_json::from_slice(shown)?;
        let imports = told.resource_changes.iter().filter(|change| change.change.importing.is_some());
        let imported = imports.map(|change| change.address.clone()).collect();
        let changes = told.resource_changes.into_iter().chain(told.resource_drift);
        let moved = changes.filter_map(|change| Some((change.previous_address?, change.address))).collect();
        Ok(Self { moved, imported })
    }
}

/// `may_differ`: an object may be gone, or be another one; `may_come`: one may be there that was not.
fn compare(
    before: &Objects,
    after: &Objects,
    may_differ: impl Fn(&str) -> bool,
    may_come: impl Fn(&str) -> bool,
) -> Result<(), ForeignState> {
    for (key, object) in &before.0 {
        match after.0.get(key) {
            _ if may_differ(&key.address) => {}
            None => return Err(ForeignState::Missing(key.address.clone())),
            Some(other) if other.schema == object.schema && other.id != object.id => {
                return Err(ForeignState::Other(key.address.clone()));
            }
            Some(_) => {}
        }
    }
    // What an import brings is the object itself, and not one that a replacement left over.
    let may_come = |key: &Key| key.deposed.is_empty() && may_come(&key.address);
    let added = after.0.keys().find(|key| !before.0.contains_key(key) && !may_come(key));
    added.map_or(Ok(()), |key| Err(ForeignState::Added(key.address.clone())))
}

/// As Terraform writes it: `[0]`, or `["text"]` with HCL's escapes.
fn push_index(address: &mut String, key: &Value) {
    match key {
        Value::String(text) => {
            address.push_str("[\"");
            let mut rest = text.chars().peekable();
            while let Some(character) = rest.next() {
                match character {
                    '\n' => address.push_str("\\n"),
                    '\r' => address.push_str("\\r"),
                    '\t' => address.push_str("\\t"),
                    '"' => address.push_str("\\\""),
                    '\\' => address.push_str("\\\\"),
                    '$' | '%' if rest.peek() == Some(&'{') => {
                        address.push(character);
                        address.push(character);
                    }
                    other => address.push(other),
                }
            }
            address.push_str("\"]");
        }
        other => _ = write!(address, "[{other}]"),
    }
}
