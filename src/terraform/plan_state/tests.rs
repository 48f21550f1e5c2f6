use super::*;
use crate::sandbox::Cage;
use crate::terraform::testing::{Project, for_both_tools};
use serde_json::json;
use std::io::Write as _;
use zip::write::{SimpleFileOptions, ZipWriter};

for_both_tools!(
    honest_plans_hold_the_projects_state_whatever_they_do,
    what_plan_code_does_to_the_state_in_the_plan_file_is_found,
);

/// What is planned, as bytes and as people are told.
async fn planned(project: &Project) -> (Vec<u8>, Vec<u8>) {
    let shown = project.planned().await;
    (std::fs::read(project.plan_path()).unwrap(), shown.to_string().into_bytes())
}

async fn pulled(project: &Project) -> Objects {
    project.steps().state(&mut Cage::off()).await.unwrap().1
}

async fn apply(project: &Project) {
    assert!(project.steps().apply(&mut Cage::off(), &project.plan_path()).await.unwrap().succeeded());
}

const KEYS: &str = r#"
resource "terraform_data" "keyed" {
  for_each = toset(["plain", "a \"quoted\" $${one}", "tab\there", "ünï %%{x} \\ ${"$"}"])
  input    = each.key
}
resource "terraform_data" "counted" {
  count = 3
  input = count.index
}
module "below" {
  source   = "./below"
  for_each = toset(["one", "two"])
}
"#;
const BELOW: &str = "resource \"terraform_data\" \"inner\" {\n  count = 2\n  input = \"x\"\n}\n";

const IMPORT: &str = r#"
import {
  to = terraform_data.found
  id = "found"
}
resource "terraform_data" "found" {}
"#;

async fn honest_plans_hold_the_projects_state_whatever_they_do(project: Project) {
    project.file("main.tf", KEYS);
    project.file("below/main.tf", BELOW);
    // Each is planned on what those before it made: from nothing, over changes, replacements, moves of every kind,
    // a count that becomes keys, objects that are forgotten, to nothing, and to what is imported.
    let moved = KEYS.replace("\"counted\"", "\"told\"").replace("module \"below\"", "module \"under\"")
        + "moved {\n  from = terraform_data.counted\n  to = terraform_data.told\n}\nmoved {\n  from = module.below\n  to = module.under\n}\n";
    let fewer = moved.replace("count = 3", "count = 1").replace("\"plain\", ", "");
    let more = KEYS.replace("count.index", "count.index + 1");
    for code in [KEYS, &more, &moved, &fewer, &fewer, "locals {}\n", IMPORT] {
        project.file("main.tf", code);
        let (plan, shown) = planned(&project).await;
        let state = PlanState::of(&plan).unwrap();
        state.verify_told(&shown).unwrap();
        state.verify_is_projects(&Moves::told(&shown).unwrap(), &pulled(&project).await).unwrap();
        apply(&project).await;
    }
}

/// The plan with the state in it changed.
fn with_state(plan: &[u8], entries: &[&str], change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(plan)).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if entries.contains(&&*name) {
            let mut state: Value = serde_json::from_slice(&bytes).unwrap();
            change(&mut state);
            bytes = state.to_string().into_bytes();
        }
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

async fn what_plan_code_does_to_the_state_in_the_plan_file_is_found(project: Project) {
    let two = "resource \"terraform_data\" \"web\" {\n  input = \"one\"\n}\nresource \"terraform_data\" \"db\" {}\n";
    project.file("main.tf", two);
    planned(&project).await;
    apply(&project).await;
    project.file("main.tf", &two.replace("one", "two"));
    let (plan, shown) = planned(&project).await;
    let state = pulled(&project).await;
    let verify = |plan: &[u8]| {
        let of = PlanState::of(plan)?;
        of.verify_told(&shown).and_then(|()| of.verify_is_projects(&Moves::told(&shown).unwrap(), &state))
    };
    verify(&plan).unwrap();
    let smuggle = |state: &mut Value| {
        let mut phantom = state["resources"][0].clone();
        phantom["name"] = json!("phantom");
        state["resources"].as_array_mut().unwrap().push(phantom);
    };
    let drop_one = |state: &mut Value| _ = state["resources"].as_array_mut().unwrap().remove(0);
    let steal = |state: &mut Value| {
        state["resources"][0]["instances"][0]["attributes"]["id"] = json!("somebody-elses");
    };
    for entries in [&[AFTER][..], &[BEFORE], &[BEFORE, AFTER]] {
        assert!(matches!(
            verify(&with_state(&plan, entries, smuggle)),
            Err(ForeignState::Added(_) | ForeignState::Missing(_))
        ));
        assert!(matches!(
            verify(&with_state(&plan, entries, drop_one)),
            Err(ForeignState::Missing(_) | ForeignState::Added(_))
        ));
        assert!(matches!(verify(&with_state(&plan, entries, steal)), Err(ForeignState::Other(_))));
    }
}

#[test]
fn what_is_gone_or_imported_has_to_be_told() {
    let state = |names: &[&str]| {
        let resources: Vec<Value> = names
            .iter()
            .map(|name| {
                json!({"mode": "managed", "type": "a", "name": name, "instances": [{"attributes": {"id": name}}]})
            })
            .collect();
        json!({"version": 4, "resources": resources}).to_string()
    };
    let plan = |before: &[&str], after: &[&str]| {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, state) in [(BEFORE, state(before)), (AFTER, state(after))] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(state.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let drift = json!({"resource_drift": [{"address": "a.x", "change": {"actions": ["delete"]}}]}).to_string();
    let import = json!({
        "resource_changes": [{"address": "a.x", "change": {"actions": ["no-op"], "importing": {"id": "x"}}}]
    })
    .to_string();
    let both: &[&str] = &["x", "y"];
    for (before, after, shown, ok) in [
        (both, &["y"][..], &*drift, true),
        (both, &["y"], "{}", false),
        (both, &["x"], &drift, false),
        (&["y"], both, &import, true),
        (&["y"], both, &drift, false),
        (&["y"], both, "{}", false),
    ] {
        let state = PlanState::of(&plan(before, after)).unwrap();
        assert_eq!(state.verify_told(shown.as_bytes()).is_ok(), ok, "{before:?} {after:?} {shown}");
    }
    // The state that a plan begins with has what it imports, and nothing else that the project's has not.
    let project = Objects::read(state(&["y"]).as_bytes()).unwrap();
    let begins_with_both = PlanState::of(&plan(both, both)).unwrap();
    for (shown, ok) in [(&import, true), (&drift, false)] {
        let moves = Moves::told(shown.as_bytes()).unwrap();
        assert_eq!(begins_with_both.verify_is_projects(&moves, &project).is_ok(), ok, "{shown}");
    }
    let left_over = state(&["y"]).replacen(
        "[{",
        "[{\"mode\":\"managed\",\"type\":\"a\",\"name\":\"x\",\"instances\":[{\"deposed\":\"01234567\"}]},{",
        1,
    );
    let smuggled = PlanState { before: Objects::read(left_over.as_bytes()).unwrap(), after: Objects::default() };
    let moves = Moves::told(import.as_bytes()).unwrap();
    assert!(matches!(smuggled.verify_is_projects(&moves, &project), Err(ForeignState::Added(_))));
}
