//! Whether a plan file holds the configuration that trusted code saw, and nothing besides.
//!
//! ```text
//! tfplan  tfstate  tfstate-prev     what is planned, and the state that it is planned from
//! tfconfig/modules.json             the modules, as in `.terraform/modules/modules.json`
//! tfconfig/m-KEY/NAME               every file of the module KEY; the root's key is empty
//! .terraform.lock.hcl               the providers, written anew from what the lock file says
//! ```
//!
//! `apply` runs what is embedded, not what lies in the work tree. What is in `tfplan` people can see, for the comment
//! shows it, except for the backend; the configuration they cannot, and it holds the provisioners.

use super::plan_backend;
use super::plan_zip::{self, OddZip};
use super::snapshot::{FileMark, LOCK_FILE, Record, Snapshot};
use hcl_edit::structure::Body;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read as _};
use zip::ZipArchive;
use zip::result::ZipError;

#[cfg(test)]
mod tests;

const MODULES: &str = "tfconfig/modules.json";

/// What every plan file holds besides the configuration, and the most bytes of it, unpacked.
const RESULTS: [&str; 3] = [TFPLAN, STATES[0], STATES[1]];
const STATES: [&str; 2] = ["tfstate", "tfstate-prev"];
const TFPLAN: &str = "tfplan";
const LARGEST_RESULT: u64 = 512 << 20;
const LARGEST_LIST: u64 = 16 << 20;

/// How a plan file differs from what the server knows. Names come from the file, and are shown escaped.
#[derive(Debug, thiserror::Error)]
pub enum Tampered {
    #[error("the plan file cannot be trusted: {0}")]
    Odd(#[from] OddZip),
    #[error("the plan file is damaged: {0}")]
    Zip(#[from] ZipError),
    #[error("the plan file is damaged: {0}")]
    Unpack(#[from] std::io::Error),
    #[error("the plan file does not hold the commit's configuration: {0:?} is in it, and not in the commit")]
    Added(String),
    #[error("the plan file does not hold the commit's configuration: {0:?} is missing")]
    Missing(String),
    #[error("the plan file does not hold the commit's configuration: {0:?} was changed")]
    Changed(String),
    #[error("the plan file does not hold the commit's configuration: its state is in another backend or workspace")]
    Backend,
    #[error("the plan file cannot be trusted: {0:?} is larger than it may be")]
    TooLarge(String),
}

/// Compares a plan file with the configuration as it was before the plan.
///
/// # Errors
/// When it holds anything else, or is not shaped as Terraform's own plan files are.
pub fn verify(plan: &[u8], snapshot: &Snapshot) -> Result<(), Tampered> {
    let entries = plan_zip::entries(plan)?;
    let mut archive = ZipArchive::new(Cursor::new(plan))?;
    let sources = sources(snapshot);
    let mut missing: BTreeSet<&str> =
        sources.keys().map(String::as_str).chain(RESULTS).chain([MODULES, LOCK_FILE]).collect();
    for (index, entry) in entries.into_iter().enumerate() {
        let name = entry.name;
        if !missing.remove(name.as_str()) {
            return Err(Tampered::Added(shortened(&name)));
        }
        let content = archive.by_index(index)?;
        let most = match sources.get(&name) {
            Some(mark) if entry.size != mark.len => return Err(Tampered::Changed(name)),
            Some(mark) => mark.len,
            None if RESULTS.contains(&name.as_str()) => LARGEST_RESULT,
            None => LARGEST_LIST,
        };
        if entry.size > most {
            return Err(Tampered::TooLarge(name));
        }
        // More than is declared would be read by nobody who believes the declaration.
        let mut content = content.take(entry.size + 1);
        if STATES.contains(&name.as_str()) {
            // May be hundreds of megabytes; what is in it is `plan_state`'s to look at.
            if std::io::copy(&mut content, &mut std::io::sink())? != entry.size {
                return Err(Tampered::Changed(name));
            }
            continue;
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let same = match name.as_str() {
            TFPLAN if !same_backend(&bytes, snapshot) => return Err(Tampered::Backend),
            MODULES => same_modules(&bytes, snapshot),
            LOCK_FILE => same_locks(&bytes, snapshot),
            _ => sources.get(&name).is_none_or(|mark| FileMark::of(&bytes) == *mark),
        };
        let same = same && bytes.len() as u64 == entry.size;
        if !same {
            return Err(Tampered::Changed(name));
        }
    }
    missing.first().map_or(Ok(()), |name| Err(Tampered::Missing((*name).to_owned())))
}

/// The entries that hold the configuration's files.
fn sources(snapshot: &Snapshot) -> BTreeMap<String, FileMark> {
    let of = |(key, module): (&String, &super::snapshot::Module)| {
        let names = module.files.iter().map(|(name, mark)| (format!("tfconfig/m-{key}/{name}"), *mark));
        names.collect::<Vec<_>>()
    };
    snapshot.modules.iter().flat_map(of).collect()
}

fn same_modules(json: &[u8], snapshot: &Snapshot) -> bool {
    let Ok(records) = serde_json::from_slice::<Vec<Record>>(json) else { return false };
    let known = |record: &Record| {
        snapshot.modules.get(&record.key).is_some_and(|module| {
            (&record.source, &record.version, &record.dir) == (&module.source, &module.version, &module.dir)
        })
    };
    let keys: BTreeSet<&str> = records.iter().map(|record| record.key.as_str()).collect();
    records.iter().all(known) && keys.len() == records.len() && keys.len() == snapshot.modules.len()
}

/// Without a backend in the code, both tools plan with the one that is called `local`, as if nothing were set.
fn same_backend(tfplan: &[u8], snapshot: &Snapshot) -> bool {
    let Some(planned) = plan_backend::read(tfplan) else { return false };
    let Ok(mut record) = serde_json::from_str::<Value>(&snapshot.backend) else { return false };
    let kind = if record.is_null() { "local" } else { record["type"].as_str().unwrap_or_default() };
    let same_place = planned.kind == kind && planned.workspace == snapshot.workspace.to_string();
    let config = match record.get_mut("config").map(Value::take) {
        Some(Value::Null) | None => Value::Object(serde_json::Map::new()),
        Some(config) => plan_backend::without_nulls(config),
    };
    same_place && planned.config == config
}

/// The plan's lock file is written anew from what was read, so comments and order do not count.
fn same_locks(embedded: &[u8], snapshot: &Snapshot) -> bool {
    let known = locks(snapshot.lock.as_deref().unwrap_or_default());
    known.is_some() && locks(embedded) == known
}

type Locks = BTreeMap<String, (String, BTreeSet<String>)>;

/// Version and hashes of each provider; `None` if this is not a lock file, or says anything twice.
fn locks(text: &[u8]) -> Option<Locks> {
    let text = std::str::from_utf8(text).ok()?;
    let body: Body = hcl_edit::parser::parse_body(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?;
    let mut locks = Locks::new();
    for structure in &body {
        let block = structure.as_block().filter(|block| block.ident.as_str() == "provider")?;
        let [label] = block.labels.as_slice() else { return None };
        let version = block.body.get_attribute("version")?.value.as_str()?.to_owned();
        let mut hashes = BTreeSet::new();
        if let Some(list) = block.body.get_attribute("hashes") {
            for hash in list.value.as_array()? {
                hashes.insert(hash.as_str()?.to_owned());
            }
        }
        let known = block.body.iter().all(|inner| {
            inner.as_attribute().is_some_and(|a| matches!(a.key.as_str(), "version" | "constraints" | "hashes"))
        });
        if !known || locks.insert(label.as_str().to_owned(), (version, hashes)).is_some() {
            return None;
        }
    }
    Some(locks)
}

/// A name of the file's own may be as long as it likes.
fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}
