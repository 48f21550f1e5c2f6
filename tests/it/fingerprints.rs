//! Which plans of the real terraform are the same plan, and which are not.

use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::process::Command;
use terraplane::domain::fingerprint::{FingerprintContext, fingerprint};
use terraplane::domain::id::{Fingerprint, Workspace};

/// What is there before.
const APPLIED: &str = r#"
variable "word" {
  type      = string
  default   = "one"
  sensitive = true
}
resource "terraform_data" "stays" {
  input = "as it is"
}
resource "terraform_data" "goes" {
  input = "until now"
}
resource "terraform_data" "goes_too" {
  input = "until now"
}
resource "terraform_data" "secret" {
  input = var.word
}
resource "terraform_data" "server" {
  input = "server:1"
}
output "size" {
  value = 1
}
"#;

/// The code with something cut out of it, and something put in.
fn code(without: &[&str], changes: &[(&str, &str)]) -> String {
    let mut blocks: Vec<&str> = APPLIED.split_inclusive("\n}\n").collect();
    blocks.retain(|block| !without.iter().any(|name| block.contains(&format!("\"{name}\""))));
    let mut code = blocks.concat();
    for (from, to) in changes {
        assert!(code.contains(from), "{from}");
        code = code.replace(from, to);
    }
    code
}

fn terraform(dir: &Path, args: &[&str]) -> Vec<u8> {
    let ran = Command::new("terraform").args(args).current_dir(dir).env("TF_IN_AUTOMATION", "1").output().unwrap();
    let said = [&ran.stdout[..], &ran.stderr[..]].concat();
    assert!(ran.status.success(), "terraform {args:?}: {}", String::from_utf8_lossy(&said));
    ran.stdout
}

/// Where [`APPLIED`] is applied.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("main.tf"), APPLIED).unwrap();
        terraform(dir.path(), &["init", "-input=false", "-no-color"]);
        terraform(dir.path(), &["apply", "-auto-approve", "-input=false", "-no-color"]);
        Self(dir)
    }

    /// Something else was applied meanwhile that this plan has nothing to do with.
    fn refreshed(&self) {
        let path = self.0.path().join("terraform.tfstate");
        let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        state["serial"] = (state["serial"].as_u64().unwrap() + 1).into();
        let resources = state["resources"].as_array_mut().unwrap();
        let stays = resources.iter_mut().find(|resource| resource["name"] == "stays").unwrap();
        stays["instances"][0]["attributes"]["id"] = "another-id".into();
        resources.reverse();
        std::fs::write(path, state.to_string()).unwrap();
    }

    /// The fingerprint of a plan of these files.
    fn plan(&self, files: &[(&str, &str)]) -> Fingerprint {
        let dir = self.0.path();
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "tf") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        let mut inputs = Sha256::new();
        for (name, text) in files {
            std::fs::write(dir.join(name), text).unwrap();
            inputs.update(format!("{name}\0{text}\0"));
        }
        terraform(dir, &["plan", "-input=false", "-no-color", "-out=plan.bin"]);
        let plan = serde_json::from_slice(&terraform(dir, &["show", "-json", "plan.bin"])).unwrap();
        let context = FingerprintContext {
            workspace: &Workspace::default(),
            backend: "local",
            inputs: &hex::encode(inputs.finalize()),
        };
        fingerprint(&plan, &context, &[7; 32])
    }
}

/// Two go, and an output changes: the plan tells all of it.
fn told() -> String {
    code(&["goes", "goes_too"], &[("value = 1", "value = 2")])
}

/// The server's new output is only known after the apply.
fn untold() -> String {
    code(&[], &[("server:1", "server:2")])
}

#[test]
fn what_does_the_same_is_the_same_plan() {
    let place = Place::new();
    let (told, untold) = (told(), untold());
    let reviewed = place.plan(&[("main.tf", &told)]);
    assert_eq!(place.plan(&[("main.tf", &told)]), reviewed, "made again");
    assert_eq!(place.plan(&[("network.tf", &told)]), reviewed, "a renamed file");
    let mut blocks: Vec<&str> = told.split_inclusive("\n}\n").collect();
    blocks.reverse();
    assert_eq!(place.plan(&[("main.tf", &blocks.concat())]), reviewed, "another order");
    let commented = format!("# for people\n{told}");
    assert_eq!(place.plan(&[("main.tf", &commented)]), reviewed, "a comment in the code");
    let reviewed_untold = place.plan(&[("main.tf", &untold)]);
    place.refreshed();
    assert_eq!(place.plan(&[("main.tf", &told)]), reviewed, "a refreshed state");
    assert_eq!(place.plan(&[("main.tf", &untold)]), reviewed_untold, "a refreshed state, with what is not known yet");
}

#[test]
fn what_does_something_else_is_another_plan() {
    let place = Place::new();
    let plan = |text: &str| place.plan(&[("main.tf", text)]);
    let with = |changes: &[(&str, &str)]| code(&["goes", "goes_too"], changes);
    let replaced = "triggers_replace = \"server:2\"\n  input = \"server:1\"";
    let pairs = [
        ("a changed value", told(), with(&[("value = 1", "value = 3")])),
        ("one more that goes", code(&["goes"], &[]), code(&["goes", "goes_too"], &[])),
        ("another one that goes", code(&["goes"], &[]), code(&["goes_too"], &[])),
        ("a sensitive value", with(&[("\"one\"", "\"two\"")]), with(&[("\"one\"", "\"three\"")])),
        (
            "a replace against an update",
            with(&[("input = \"server:1\"", "input = \"server:2\"")]),
            with(&[("input = \"server:1\"", replaced)]),
        ),
        ("a rename against a destroy", code(&["goes"], &[]), {
            let moved = "\nmoved {\n  from = terraform_data.goes\n  to   = terraform_data.gone\n}\n";
            code(&[], &[("\"goes\"", "\"gone\"")]) + moved
        }),
        ("a forgotten resource against a destroyed one", code(&["goes"], &[]), {
            code(&["goes"], &[])
                + "\nremoved {\n  from = terraform_data.goes\n  lifecycle {\n    destroy = false\n  }\n}\n"
        }),
        ("a provisioner behind the same resource", with(&[("server:1", "server:2")]), {
            let provisioner = "\"server:2\"\n  provisioner \"local-exec\" {\n    command = \"true\"\n  }";
            with(&[("\"server:1\"", provisioner)])
        }),
    ];
    for (what, one, other) in pairs {
        assert_ne!(plan(&one), plan(&other), "{what}");
    }
}

#[test]
fn where_the_plan_does_not_tell_everything_the_code_has_to_be_the_same() {
    let place = Place::new();
    let untold = untold();
    let reviewed = place.plan(&[("main.tf", &untold)]);
    assert_eq!(place.plan(&[("main.tf", &untold)]), reviewed);
    assert_ne!(place.plan(&[("network.tf", &untold)]), reviewed, "nobody knows what the other file does");
}
