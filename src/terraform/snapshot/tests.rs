use super::{Snapshot, SnapshotError, loaded, remove_outward_links};
use crate::domain::id::Workspace;
use crate::terraform::install::{Product, Tool};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

fn tool(product: Product, version: &str) -> Tool {
    Tool { product, version: version.parse().unwrap(), path: "/bin/true".into() }
}

/// `tree/project` with these files, and a file beside the tree.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("tree/project")).unwrap();
    fs::write(root.path().join("secret.tf"), "the server's").unwrap();
    for (path, text) in files {
        let path = root.path().join("tree/project").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn take(root: &Path) -> Result<Snapshot, SnapshotError> {
    Snapshot::take(
        &root.join("tree"),
        &root.join("tree/project"),
        &tool(Product::Terraform, "1.11.4"),
        &Workspace::default(),
    )
}

fn manifest(key: &str, dir: &str) -> String {
    format!(
        "{{\"Modules\": [{{\"Key\": \"\", \"Source\": \"\", \"Dir\": \".\"}}, {{\"Key\": \"{key}\", \"Source\": \"s\", \"Version\": \"1.0.0\", \"Dir\": \"{dir}\"}}]}}"
    )
}

#[test]
fn nothing_outside_of_the_work_tree_is_read() {
    for target in ["/etc/passwd", "../../secret.tf", "../up/secret.tf", "nowhere.tf"] {
        let root = tree(&[]);
        symlink("..", root.path().join("tree/up")).unwrap();
        symlink(target, root.path().join("tree/project/main.tf")).unwrap();
        let error = take(root.path()).unwrap_err();
        assert!(matches!(error, SnapshotError::FileOutside(_)), "{target}: {error}");
    }
    for dir in ["../..", "/etc", "gone"] {
        let root = tree(&[(".terraform/modules/modules.json", &manifest("m", dir))]);
        let error = take(root.path()).unwrap_err().to_string();
        assert_eq!(error, format!("the module `m` is not inside of the repository: `{dir}`"));
    }
}

#[test]
fn which_files_are_loaded_depends_on_the_tool() {
    let names =
        ["a.tf", "a.tofu", "b.tf.json", "b.tofu.json", "c.tf", "d.tofu", "e.tofu", "e.tf.json", "f_override.tofu"];
    let names: BTreeSet<String> = names.map(str::to_owned).into();
    let of = |product, version| loaded(&names, &tool(product, version)).collect::<Vec<_>>();
    let terraforms = ["a.tf", "b.tf.json", "c.tf", "e.tf.json"];
    assert_eq!(of(Product::Terraform, "1.11.4"), terraforms);
    assert_eq!(of(Product::OpenTofu, "1.6.2"), terraforms);
    let tofus = ["a.tofu", "b.tofu.json", "c.tf", "d.tofu", "e.tf.json", "e.tofu", "f_override.tofu"];
    assert_eq!(of(Product::OpenTofu, "1.8.0"), tofus);
}

#[test]
fn a_module_from_elsewhere_is_known_by_its_content() {
    let of = |text: &str, dir: &str| {
        let files = [(".terraform/modules/modules.json", &*manifest("m", dir)), (&*format!("{dir}/main.tf"), text)];
        take(tree(&files).path()).unwrap().fetched()
    };
    assert_eq!(of("one", "local"), None, "git knows it");
    let one = of("one", ".terraform/modules/m").unwrap();
    assert_eq!(of("one", ".terraform/modules/m").unwrap(), one);
    assert_ne!(of("two", ".terraform/modules/m").unwrap(), one);
}

#[test]
fn links_in_fetched_modules_do_not_lead_out() {
    let root = tree(&[(".terraform/modules/m/main.tf", "")]);
    let module = root.path().join("tree/project/.terraform/modules/m");
    for (name, target) in
        [("in.tf", "main.tf"), ("out.txt", "/etc/passwd"), ("up.auto.tfvars", "../../../../../secret.tf")]
    {
        symlink(target, module.join(name)).unwrap();
    }
    let removed = remove_outward_links(&root.path().join("tree"), &root.path().join("tree/project")).unwrap();
    let mut removed: Vec<_> = removed.iter().map(|path| path.file_name().unwrap()).collect();
    removed.sort();
    assert_eq!(removed, ["out.txt", "up.auto.tfvars"]);
    assert!(module.join("in.tf").exists());
    assert!(root.path().join("secret.tf").exists());
}

#[test]
fn a_lock_file_that_is_a_link_is_refused_with_a_way_out() {
    let root = tree(&[("shared.hcl", "")]);
    symlink("shared.hcl", root.path().join("tree/project/.terraform.lock.hcl")).unwrap();
    let error = take(root.path()).unwrap_err().to_string();
    assert_eq!(error, "`.terraform.lock.hcl` is a link: commit the file itself");
}
