//! Repositories that want more than to be read.

use super::forge::{File, Forge, branch, git_program, repo};
use super::{Want, commit};
use crate::domain::id::Sha;
use crate::git::{Git, WorkDir};
use crate::sandbox::process::{self, Spec};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A program that leaves a trace if it is ever run.
fn trap(dir: &Path) -> (String, std::path::PathBuf) {
    let (program, trace) = (dir.join("trap"), dir.join("the-trap-was-run"));
    std::fs::write(&program, format!("#!/bin/sh\ntouch '{}'\ncat\n", trace.display())).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    (program.display().to_string(), trace)
}

async fn checked_out(forge: &Forge, head: &Sha) -> WorkDir {
    let mirror = forge.mirrors().fetch(&repo(), &forge.access(), &[commit(head)]).await.unwrap();
    let dir = WorkDir::create(&forge.dir.path().join("work"), "test").unwrap();
    mirror.checkout(&mirror.tree(head).await.unwrap(), dir.path()).await.unwrap();
    dir
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn filters_hooks_and_submodules_do_not_run() {
    let forge = Forge::start().await;
    let (program, trace) = trap(forge.dir.path());
    let lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let modules = format!("[submodule \"sub\"]\n\tpath = sub\n\turl = {}\n", forge.dir.path().display());
    let files = [
        (".gitattributes", File::Text("*.tf filter=evil diff=evil merge=evil\n*.bin filter=lfs\n")),
        (".lfsconfig", File::Text("[lfs]\n\turl = http://192.0.2.1/\n")),
        (".gitmodules", File::Text(&modules)),
        ("main.tf", File::Text("resource {}\n")),
        ("data.bin", File::Text(lfs)),
        ("sub", File::Submodule),
        ("--upload-pack=x", File::Text("dash\n")),
    ];
    let root = forge.commit("main", None, &files).await;
    let base = forge.commit("main", Some(&root), &[("main.tf", File::Text("resource {1}\n"))]).await;
    let head = forge.commit("x/--upload-pack=x", Some(&root), &[("main.tf", File::Text("resource {2}\n"))]).await;

    // The names that the attributes use mean something in each place where git could look.
    let config = format!(
        "[filter \"evil\"]\n\tsmudge = {program}\n\tclean = {program}\n\trequired\n[filter \"lfs\"]\n\tsmudge = {program}\n\
         [merge \"evil\"]\n\tdriver = {program}\n[diff \"evil\"]\n\ttextconv = {program}\n\
         [core]\n\thooksPath = {0}\n\tfsmonitor = {program}\n[credential]\n\thelper = {program}\n",
        forge.dir.path().join("hooks").display()
    );
    let scratch = forge.dir.path().join("scratch");
    Git::new(git_program(), scratch.clone(), vec![], crate::sandbox::Sandbox::off()).unwrap();
    std::fs::write(scratch.join("home/.gitconfig"), config).unwrap();
    let mirrors = forge.mirrors();
    let wants = [commit(&base), Want::Branch(branch("x/--upload-pack=x"))];
    mirrors.fetch(&repo(), &forge.access(), &[commit(&root)]).await.unwrap();
    for dir in [forge.dir.path().join("hooks"), forge.mirror_dir().join("hooks")] {
        std::fs::create_dir(&dir).unwrap();
        for hook in ["reference-transaction", "post-checkout", "post-index-change", "pre-auto-gc", "post-merge"] {
            std::fs::copy(&program, dir.join(hook)).unwrap();
        }
    }
    let mirror = mirrors.fetch(&repo(), &forge.access(), &wants).await.unwrap();
    assert_eq!(mirror.tip(&branch("x/--upload-pack=x")).unwrap(), head);
    mirror.merge(&base, &head).await.unwrap();
    mirror.changed_files(&base, &head).await.unwrap();

    let dir = checked_out(&forge, &root).await;
    let expected = ["--upload-pack=x", ".gitattributes", ".gitmodules", ".lfsconfig", "data.bin", "main.tf", "sub"];
    assert_eq!(names(dir.path()), expected);
    assert_eq!(std::fs::read_to_string(dir.path().join("main.tf")).unwrap(), "resource {}\n");
    assert_eq!(std::fs::read_to_string(dir.path().join("data.bin")).unwrap(), lfs);
    assert_eq!(names(&dir.path().join("sub")), [] as [&str; 0]);
    assert!(!trace.exists());
    assert_eq!(names(&scratch), ["home"], "no index is left behind");

    // The control: git as people use it runs into the traps.
    let clone = forge.dir.path().join("clone");
    let args =
        ["worktree", "add", "--force", "--detach", &clone.display().to_string(), &root.to_string()].map(str::to_owned);
    by_hand(&forge.mirror_dir(), &scratch.join("home"), &args).await;
    assert!(trace.exists());
}

/// What git does with the configuration of this home, and of the repository.
async fn by_hand(repository: &Path, home: &Path, args: &[String]) {
    let mut spec = Spec::new(git_program(), repository).args(args);
    spec.env =
        vec![("HOME".into(), home.display().to_string()), ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
    process::run(spec).await.unwrap();
}

#[tokio::test]
async fn what_terraform_left_in_a_repository_is_not_checked_out() {
    let forge = Forge::start().await;
    let files = [
        ("main.tf", File::Text("")),
        (".terraform.lock.hcl", File::Text("lock")),
        (".terraform/modules/modules.json", File::Text("{}")),
        ("prod/.terraform", File::Text("a file")),
        ("prod/terraform.tfstate", File::Text("{}")),
        ("prod/terraform.tfstate.backup", File::Text("{}")),
        ("prod/terraform.tfstate.d/x/terraform.tfstate", File::Text("{}")),
        ("prod/.terraform.tfstate.lock.info", File::Text("{}")),
        ("prod/modules/x/.terraform/environment", File::Text("staging")),
        ("prod/terraform.d/plugins/localhost/acme/fake/1.0.0/linux_amd64/terraform-provider-fake", File::Text("")),
        ("prod/main.tf", File::Text("")),
    ];
    let dir = checked_out(&forge, &forge.commit("main", None, &files).await).await;
    assert_eq!(names(dir.path()), [".terraform.lock.hcl", "main.tf", "prod"]);
    assert_eq!(names(&dir.path().join("prod/modules/x")), [] as [&str; 0]);
    std::fs::remove_dir_all(dir.path().join("prod/modules")).unwrap();
    assert_eq!(names(&dir.path().join("prod")), ["main.tf"]);
}

#[tokio::test]
async fn links_that_lead_out_are_removed_and_what_they_lead_to_is_left_alone() {
    let forge = Forge::start().await;
    let outside = forge.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "kept").unwrap();
    let absolute = outside.display().to_string();
    let files = [
        ("prod/main.tf", File::Text("")),
        ("in/file", File::Link("../prod/main.tf")),
        ("in/dir", File::Link("../prod")),
        ("absolute", File::Link(&absolute)),
        ("up", File::Link("../../outside")),
        ("chain", File::Link("absolute/precious")),
        ("prod/key.auto.tfvars", File::Link("../../../outside/precious")),
        ("prod/same.auto.tfvars", File::Link("main.tf")),
        ("later", File::Link("/nowhere/yet")),
        ("self", File::Link("self")),
        (".terraform", File::Link(&absolute)),
        ("terraform.tfstate", File::Link("absolute/precious")),
    ];
    let dir = checked_out(&forge, &forge.commit("main", None, &files).await).await;
    assert_eq!(names(dir.path()), ["in", "prod"]);
    assert_eq!(names(&dir.path().join("in")), ["dir", "file"]);
    assert_eq!(names(&dir.path().join("prod")), ["main.tf", "same.auto.tfvars"]);
    assert_eq!(std::fs::read_to_string(outside.join("precious")).unwrap(), "kept");
}
