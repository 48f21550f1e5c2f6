use super::{Tampered, verify};
use crate::domain::id::Workspace;
use crate::sandbox::Cage;
use crate::terraform::plan_file;
use crate::terraform::snapshot::{FileMark, Module, Snapshot};
use crate::terraform::testing::{Project, for_both_tools};
use crate::terraform::untrusted;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};
use std::os::unix::fs::symlink;
use zip::ZipArchive;
use zip::write::{SimpleFileOptions, ZipWriter};

for_both_tools!(
    whatever_a_project_is_made_of_its_plan_holds_it,
    a_provisioner_that_was_rewritten_in_the_plan_would_run_and_is_refused,
    every_other_way_to_change_a_plan_is_refused,
    a_backend_that_was_rewritten_in_the_plan_would_get_the_state_and_is_refused,
);

type Entries = Vec<(String, Vec<u8>)>;

fn unpacked(plan: &[u8]) -> Entries {
    let mut archive = ZipArchive::new(Cursor::new(plan)).unwrap();
    let count = archive.len();
    let read = |index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.name().unwrap().into_owned(), bytes)
    };
    (0..count).map(read).collect()
}

fn packed(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn with(entries: &Entries, name: &str, change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut entries = entries.clone();
    let (_, bytes) = entries.iter_mut().find(|(known, _)| known == name).expect(name);
    *bytes = change(std::str::from_utf8(bytes).unwrap()).into();
    packed(&entries)
}

fn why(plan: &[u8], snapshot: &Snapshot) -> String {
    verify(plan, snapshot).unwrap_err().to_string()
}

/// What `init` left, and the plan that was made from it.
async fn planned(project: &Project) -> (Snapshot, Vec<u8>) {
    let steps = project.steps();
    steps.init(&mut Cage::off(), false).await.unwrap();
    let snapshot =
        Snapshot::take(&project.root().join("tree"), &project.dir(), &project.tool, &project.workspace).unwrap();
    steps.plan(&mut Cage::off(), &project.plan_path(), &[], &[]).await.unwrap();
    (snapshot, plan_file::read(&project.plan_path()).unwrap())
}

async fn whatever_a_project_is_made_of_its_plan_holds_it(project: Project) {
    project.file(
        "main.tf",
        "\u{feff}module \"child\" {\n  source = \"./child\"\n}\r\nmodule \"shared\" {\n  source = \"../modules/shared\"\n  count = \
         2\n}\nmodule \"test\" {\n  source = \"./child\"\n}\n",
    );
    project.file("a_override.tf", "terraform {\n  backend \"local\" {}\n}\n");
    project.file("json.tf.json", "{\"locals\": {\"x\": 1}}");
    project.file("x.auto.tfvars", "");
    project.file(".hidden.tf", "nonsense");
    project.file("main.tf~", "nonsense");
    project.file("tests/x.tftest.hcl", "run \"s\" {\n  module {\n    source = \"../modules/shared\"\n  }\n}\n");
    project.file("child/main.tf", "");
    project.file("../modules/shared/main.tf", "module \"inner\" {\n  source = \"./inner\"\n}\n");
    project.file("../modules/shared/inner/main.tf", "resource \"terraform_data\" \"a\" {}\n");
    project.file("../linked.tf", "locals {\n  linked = 1\n}\n");
    project.file(".terraform.lock.hcl", "# a comment of somebody's\n");
    symlink("../linked.tf", project.dir().join("linked.tf")).unwrap();
    let (snapshot, plan) = planned(&project).await;
    verify(&plan, &snapshot).unwrap();
    let modules: Vec<&str> = snapshot.modules.keys().map(String::as_str).collect();
    assert_eq!(modules, ["", "child", "shared", "shared.inner", "test"], "and none of the tests'");
    let names: Vec<&str> = snapshot.modules[""].files.keys().map(String::as_str).collect();
    assert_eq!(names, ["a_override.tf", "json.tf.json", "linked.tf", "main.tf"]);
    assert!(snapshot.backend.contains("\"local\""), "{}", snapshot.backend);
}

async fn a_provisioner_that_was_rewritten_in_the_plan_would_run_and_is_refused(project: Project) {
    let command = |name: &str| format!("touch {}/{name}", project.root().display());
    let code = format!(
        "resource \"terraform_data\" \"a\" {{\n  provisioner \"local-exec\" {{\n    command = \"{}\"\n  }}\n}}\n",
        command("good")
    );
    project.file("main.tf", &code);
    let (snapshot, plan) = planned(&project).await;
    let entries = unpacked(&plan);
    verify(&packed(&entries), &snapshot).expect("it is not refused for who wrote it");

    let tampered = with(&entries, "tfconfig/m-/main.tf", |text| text.replace(&command("good"), &command("evil")));
    let error = why(&tampered, &snapshot);
    let expected = "the plan file does not hold the commit's configuration: \"tfconfig/m-/main.tf\" was changed";
    assert_eq!(error, expected);

    // The control: nothing but this check stands in its way, and nobody would see it.
    let steps = project.steps();
    let honest = steps.show_json(&mut Cage::off(), &project.plan_path()).await.unwrap();
    untrusted::replace(&project.plan_path(), &tampered).unwrap();
    let shown = steps.show_json(&mut Cage::off(), &project.plan_path()).await.unwrap();
    let changes = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap()["resource_changes"].clone();
    assert_eq!(changes(&shown), changes(&honest));
    assert!(!String::from_utf8_lossy(&shown).contains("good"), "what is shown has no provisioner's command");
    let report = steps.apply(&mut Cage::off(), &project.plan_path()).await.unwrap();
    assert!(report.succeeded(), "{report:?}");
    assert!(project.root().join("evil").exists() && !project.root().join("good").exists());
}

async fn a_backend_that_was_rewritten_in_the_plan_would_get_the_state_and_is_refused(mut project: Project) {
    project.workspace = "staging".parse().unwrap();
    project.file(
        "main.tf",
        "terraform {\n  backend \"local\" {\n    workspace_dir = \"good\"\n  }\n}\nresource \"terraform_data\" \"a\" {}\n",
    );
    let (snapshot, plan) = planned(&project).await;
    verify(&plan, &snapshot).unwrap();
    let rewritten = |from: &[u8], to: &[u8]| {
        let mut entries = unpacked(&plan);
        let (_, tfplan) = entries.iter_mut().find(|(name, _)| name == "tfplan").unwrap();
        *tfplan = replaced(tfplan, from, to, 1);
        packed(&entries)
    };
    let tampered = rewritten(b"good", b"evil");
    for plan in [&tampered, &rewritten(b"\x07staging", b"\x07default"), &rewritten(b"\x05local", b"\x05other")] {
        assert!(matches!(verify(plan, &snapshot), Err(Tampered::Backend)));
    }
    // The control.
    untrusted::replace(&project.plan_path(), &tampered).unwrap();
    let report = project.steps().apply(&mut Cage::off(), &project.plan_path()).await.unwrap();
    assert!(report.succeeded(), "{report:?}");
    let state = |dir: &str| project.dir().join(dir).join("staging/terraform.tfstate").exists();
    assert_eq!((state("evil"), state("good")), (true, false));
}

async fn every_other_way_to_change_a_plan_is_refused(project: Project) {
    project.file("main.tf", "module \"child\" {\n  source = \"./child\"\n}\n");
    project.file("child/main.tf", "resource \"terraform_data\" \"a\" {}\n");
    let (snapshot, plan) = planned(&project).await;
    let entries = unpacked(&plan);
    let child = "tfconfig/m-child/main.tf";
    let added = |name: &str, text: &str| packed(&[entries.clone(), vec![(name.to_owned(), text.into())]].concat());
    for name in ["tfconfig/m-/more.tf", "tfconfig/m-child/x_override.tf", "tfconfig/m-other/main.tf", "../x", "/x", "x"]
    {
        assert!(why(&added(name, "locals {}\n"), &snapshot).contains("is in it, and not in the commit"), "{name}");
    }
    for (name, _) in &entries {
        let less: Entries = entries.iter().filter(|(known, _)| known != name).cloned().collect();
        assert!(why(&packed(&less), &snapshot).contains(&format!("{name:?} is missing")), "{name}");
    }
    let modules = |from: &str, to: &str| {
        with(&entries, "tfconfig/modules.json", |text| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            changed
        })
    };
    let changed = [
        with(&entries, child, |text| text.replace("\"a\"", "\"b\"")),
        with(&entries, child, |text| format!("{text}\n")),
        with(&entries, ".terraform.lock.hcl", |text| {
            format!(
                "{text}\nprovider \"registry.terraform.io/a/b\" {{\n  version = \"1.0.0\"\n  hashes = [\"h1:x\"]\n}}\n"
            )
        }),
        modules("\"Dir\": \"child\"", "\"Dir\": \"../elsewhere\""),
        // Go takes the last, in whatever case.
        modules("\"Dir\": \"child\"", "\"Dir\": \"child\", \"dir\": \"../elsewhere\""),
        modules("\"Dir\": \"child\"", "\"Dir\": \"child\", \"Dir\": \"../elsewhere\""),
        modules("\"./child\"", "\"./other\""),
        modules("\"Key\": \"child\"", "\"Key\": \"\""),
    ];
    for plan in &changed {
        assert!(matches!(verify(plan, &snapshot), Err(Tampered::Changed(_))));
    }

    // And as an archive.
    let odd = |plan: &[u8]| assert!(matches!(verify(plan, &snapshot), Err(Tampered::Odd(_))), "it is not odd");
    odd(&[&plan[..], b"more"].concat());
    odd(&[b"before", &plan[..]].concat());
    odd(&plan[..plan.len() - 1]);
    odd(b"");
    // A second entry of the same name: the writer makes none, so another one is renamed, wherever its name stands.
    let twin = added("tfconfig/m-child/mail.tf", "resource \"terraform_data\" \"evil\" {}\n");
    odd(&replaced(&twin, b"m-child/mail.tf", b"m-child/main.tf", usize::MAX));
    // Another name at the entry than in the list.
    odd(&replaced(&plan, b"m-child/main.tf", b"m-child/mail.tf", 1));
    // Encrypted, as the list says.
    let list = plan.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let mut encrypted = plan.clone();
    encrypted[list + 8] |= 1;
    odd(&encrypted);
    // Bytes between the entries and their list.
    let mut apart = plan.clone();
    apart.splice(list..list, *b"between!");
    let end = apart.len() - 6;
    let offset = u32::from_le_bytes(apart[end..end + 4].try_into().unwrap()) + 8;
    apart[end..end + 4].copy_from_slice(&offset.to_le_bytes());
    odd(&apart);
}

/// With the first `most` of the occurrences replaced.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8], most: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let found: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).take(most).collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

const LOCK: &str = "provider \"registry.terraform.io/a/b\" {\n  version     = \"1.2.0\"\n  constraints = \"~> 1.0\"\n  hashes = \
                    [\n    \"h1:one\",\n    \"zh:two\",\n  ]\n}\n";

/// Version 3, and the backend: `local`, `{"path": null}`, `default`.
const TFPLAN: &[u8] = b"\x08\x03\x6a\x1b\x0a\x05local\x12\x09\x0a\x07\x81\xa4path\xc0\x1a\x07default";

/// A small plan of ours, and what it was made from.
fn small(lock: &str) -> (Snapshot, Entries) {
    let file = b"resource \"terraform_data\" \"a\" {}\n".repeat(9);
    let files = BTreeMap::from([("main.tf".to_owned(), FileMark::of(&file))]);
    let root = Module { source: String::new(), version: String::new(), dir: ".".into(), files };
    let modules = BTreeMap::from([(String::new(), root)]);
    let snapshot =
        Snapshot { modules, lock: Some(LOCK.into()), backend: "null".into(), workspace: Workspace::default() };
    let entries = [
        ("tfplan", TFPLAN.to_vec()),
        ("tfstate", b"{}".to_vec()),
        ("tfstate-prev", b"{}".to_vec()),
        ("tfconfig/m-/main.tf", file),
        ("tfconfig/modules.json", br#"[{"Key": "", "Dir": "."}]"#.to_vec()),
        (".terraform.lock.hcl", lock.into()),
    ];
    (snapshot, entries.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())
}

#[test]
fn the_lock_file_may_be_written_otherwise_and_not_say_something_else() {
    let ok = |lock: &str| {
        let (snapshot, entries) = small(lock);
        verify(&packed(&entries), &snapshot).is_ok()
    };
    assert!(ok(LOCK));
    assert!(ok(&format!("# written anew\n{}", LOCK.replace("\"h1:one\",\n    \"zh:two\",", "\"zh:two\", \"h1:one\""))));
    assert!(!ok(""));
    assert!(!ok(&LOCK.replace("1.2.0", "1.2.1")));
    assert!(!ok(&LOCK.replace("h1:one", "h1:evil")));
    assert!(!ok(&LOCK.replace("\"h1:one\",", "\"h1:one\", \"h1:evil\",")));
    assert!(!ok(&LOCK.replace("a/b", "a/c")));
    assert!(!ok(&format!("{LOCK}{LOCK}")));
    assert!(!ok(&format!("{LOCK}more {{}}\n")));
    assert!(!ok("not a lock file"));
}

#[test]
fn an_entry_that_is_larger_than_it_says_is_refused() {
    let (snapshot, entries) = small(LOCK);
    let plan = packed(&entries);
    let mut lies = plan.clone();
    for (signature, offset) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        let at = plan.windows(4).position(|window| window == signature).unwrap();
        lies[at + offset] = 3;
    }
    assert!(verify(&lies, &snapshot).is_err());
}

proptest! {
    /// Times may change, and nothing that is read.
    #[test]
    fn no_changed_byte_gives_another_plan(at in 0usize..2000, value: u8) {
        let (snapshot, entries) = small(LOCK);
        let plan = packed(&entries);
        let mut changed = plan.clone();
        let at = at % plan.len();
        changed[at] = value;
        if verify(&changed, &snapshot).is_ok() {
            prop_assert_eq!(unpacked(&changed), entries);
        }
    }
}
