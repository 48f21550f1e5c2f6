//! Holds what the suite sent to the forges' test faces, and what those answered, against the forges' published
//! descriptions: `cargo run --example contract -- RECORD DESCRIPTIONS`, as `make contract` does.
//!
//! Of a request the method, the path, every query parameter and the whole body must be as described. Of a success the
//! status must be described, and every field that is there must be known and of its type; fields that nobody reads may be
//! missing, for the faces leave them out. Refusals that the suite causes on purpose are not looked at.
#![allow(clippy::print_stdout, reason = "it is a command")]

mod description;
mod shape;

use description::Description;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [record, descriptions] = arguments.as_slice() else {
        println!("contract RECORD DESCRIPTIONS");
        return ExitCode::from(2);
    };
    match check(Path::new(record), Path::new(descriptions)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn check(record: &Path, directory: &Path) -> Result<bool, String> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut descriptions: BTreeMap<String, Description> = BTreeMap::new();
    let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut unheld: BTreeMap<String, usize> = BTreeMap::new();
    let mut exchanges = 0;
    for line in read(record)?.lines() {
        let exchange: Value = serde_json::from_str(line).map_err(|error| format!("a line is no JSON: {error}"))?;
        let forge = exchange["forge"].as_str().unwrap_or_default().to_owned();
        let file = directory.join(format!("{forge}.json"));
        if !descriptions.contains_key(&forge) {
            if !file.is_file() {
                *unheld.entry(forge).or_default() += 1;
                continue;
            }
            let json = serde_json::from_str(&read(&file)?).map_err(|error| format!("{}: {error}", file.display()))?;
            descriptions.insert(forge.clone(), Description::new(json));
        }
        exchanges += 1;
        let (operation, faults) = descriptions[&forge].check(&exchange);
        if let Some(operation) = operation {
            asked.entry(forge.clone()).or_default().insert(operation);
        }
        for fault in faults {
            *wrong.entry(format!("{forge}: {fault}")).or_default() += 1;
        }
    }
    for (fault, times) in &wrong {
        println!("WRONG {fault} ({times} times)");
    }
    for (forge, operations) in &asked {
        println!("{forge}: {} operations as described", operations.len());
        for operation in operations {
            println!("    {operation}");
        }
    }
    for (forge, times) in &unheld {
        println!("{forge}: no description is to be had; {times} exchanges were not looked at");
    }
    println!("{} exchanges, {} kinds of faults", exchanges, wrong.len());
    if exchanges == 0 {
        return Err("nothing was recorded".to_owned());
    }
    Ok(wrong.is_empty())
}
