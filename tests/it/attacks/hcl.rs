//! What plain HCL can ask for, without a program: one pull request with a project for each way, through the whole loop.

use super::attack::{Attack, Test, by, test};
use super::scene::{open_to_all, stands_below};
use crate::scenario::secrets::{files_with, told};
use crate::stage::{Setup, Stage};
use crate::world::program;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use terraplane::demo::state::{Change, Content};
use terraplane::sandbox::Level;

pub(super) const ATTACKS: &[Attack] = &[
    by(1, "functions that read files", &[HERE]),
    by(2, "functions that list files", &[HERE]),
    by(9, "a module by its path", &[HERE]),
    by(
        10,
        "a module from a repository on this machine",
        &[HERE, test!("src/terraform/steps/tests/surroundings.rs", "git_in_init_speaks_with_servers_only")],
    ),
    by(11, "another project's state as a data source", &[HERE]),
    by(12, "another project's state as the backend's file", &[HERE]),
    by(
        38,
        "a configuration of terraform's own in the repository",
        &[test!("src/terraform/steps/tests/surroundings.rs", "a_cli_configuration_in_the_repository_means_nothing")],
    ),
    by(
        39,
        "a provider in the repository, where terraform looks by itself",
        &[HERE, test!("src/terraform/steps/tests.rs", "a_provider_that_the_repository_brings_along_is_not_taken")],
    ),
    by(
        40,
        "what an earlier init would have left, with another pull request's code for a module",
        &[HERE, test!("src/git/tests/hostile.rs", "what_terraform_left_in_a_repository_is_not_checked_out")],
    ),
];

const HERE: Test = test!("tests/it/attacks/hcl.rs", "what_hcl_asks_for_is_not_there");

/// A project that is after the canary, with `PREY` for the directory that it is in.
struct Project {
    /// Named for its case.
    dir: &'static str,
    code: &'static str,
    /// Another file, which may be executed.
    with: Option<(&'static str, &'static str)>,
    /// Without a cage, what it said after these steps holds the canary.
    bare: &'static [&'static str],
}

const STEPS: &[&str] = &["init", "plan"];

const fn project(dir: &'static str, code: &'static str) -> Project {
    Project { dir, code, with: None, bare: STEPS }
}

const PROJECTS: &[Project] = &[
    project(
        "a01",
        "resource \"terraform_data\" \"x\" {\n  input = {\n    a = try(file(\"PREY/server.key\"), \"held\")\n    \
         b = try(templatefile(\"PREY/server.key\", {}), \"held\")\n    \
         c = try(base64decode(filebase64(\"PREY/server.key\")), \"held\")\n  }\n}\n",
    ),
    project("a02", "resource \"terraform_data\" \"x\" {\n  input = try(fileset(\"PREY\", \"names/*\"), \"held\")\n}\n"),
    project("a09", "module \"m\" {\n  source = \"PREY/module\"\n}\noutput \"m\" {\n  value = module.m.code\n}\n"),
    project(
        "a10",
        "module \"m\" {\n  source = \"git::file://PREY/repo\"\n}\noutput \"m\" {\n  value = module.m.code\n}\n",
    ),
    project(
        "a11",
        "data \"terraform_remote_state\" \"s\" {\n  backend = \"local\"\n  config = {\n    path = \"PREY/other.tfstate\"\n  \
         }\n}\noutput \"s\" {\n  value = data.terraform_remote_state.s.outputs\n}\n",
    ),
    project("a12", "terraform {\n  backend \"local\" {\n    path = \"PREY/other.tfstate\"\n  }\n}\n"),
    // It is taken by `init` and run by `plan`, which shows what a provider says that does not shake hands.
    Project {
        dir: "a39",
        code: "terraform {\n  required_providers {\n    thief = {\n      source = \"localhost/acme/thief\"\n    }\n  }\n}\n",
        with: Some((
            "terraform.d/plugins/localhost/acme/thief/1.0.0/linux_ARCH/terraform-provider-thief_v1.0.0",
            "#!/bin/sh\ncat PREY/server.key\n",
        )),
        bare: STEPS,
    },
    Project {
        dir: "a40",
        code: "module \"m\" {\n  source = \"./m\"\n}\noutput \"m\" {\n  value = module.m.code\n}\n",
        with: Some((
            ".terraform/modules/modules.json",
            r#"{"Modules": [{"Key": "", "Source": "", "Dir": "."}, {"Key": "m", "Source": "./m", "Dir": "PREY/module"}]}"#,
        )),
        bare: &["plan"],
    },
];

/// Its files as they are where the canary is in `prey`.
fn files(project: &Project, prey: &Path) -> Vec<Change> {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let filled = |text: &str| text.replace("PREY", &prey.display().to_string()).replace("ARCH", arch);
    let main = Change::write("main.tf", filled(project.code));
    let more = project.with.map(|(path, text)| Change { path: filled(path), to: Content::Executable(filled(text)) });
    [main]
        .into_iter()
        .chain(more)
        .map(|file| Change { path: format!("{}/{}", project.dir, file.path), ..file })
        .collect()
}

/// What there is to be had: a key, names, code and state, each with the canary.
fn lay_out(prey: &Path, canary: &str) {
    for dir in ["", "names", "module", "repo"] {
        fs::create_dir(prey.join(dir)).unwrap();
        open_to_all(&prey.join(dir));
    }
    let code = format!("output \"code\" {{\n  value = \"{canary}\"\n}}\n");
    let state = format!(
        r#"{{"version": 4, "terraform_version": "1.0.0", "serial": 1, "lineage": "x", "resources": [],
        "outputs": {{"secret": {{"value": "{canary}", "type": "string"}}}}}}"#
    );
    for (name, text) in [
        ("server.key", canary),
        (&format!("names/{canary}"), ""),
        ("module/main.tf", &code),
        ("repo/main.tf", &code),
        ("other.tfstate", &state),
    ] {
        fs::write(prey.join(name), text).unwrap();
        open_to_all(&prey.join(name));
    }
    for args in
        [&["init", "-q"][..], &["add", "."], &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]]
    {
        let repo = prey.join("repo");
        let done = Command::new(program("git")).args(args).current_dir(&repo).env("HOME", &repo).status().unwrap();
        assert!(done.success());
    }
}

/// As somebody would who runs terraform by hand.
fn bare(project: &Project, prey: &Path) -> String {
    let root = tempfile::tempdir().unwrap();
    for Change { path, to } in files(project, prey) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (Content::Text(text) | Content::Executable(text)) = to else { panic!("it has text files only") };
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let dir = root.path().join(project.dir);
    let run = |step: &&str| super::bare::said("terraform", &[step, "-input=false", "-no-color"], &dir, &[]);
    project.bare.iter().map(run).collect()
}

async fn nothing_is_there(level: Level) {
    let canary = format!("canary-{}", uuid::Uuid::now_v7().simple());
    let stage = Stage::set(&[("README.md", "")], Setup { at_most: Some(level), ..Setup::default() }).await;
    let prey = stage.data.path().join("prey");
    lay_out(&prey, &canary);
    let mut pull = stage.world.open_pull("Asking");
    for file in PROJECTS.iter().flat_map(|project| files(project, &prey)) {
        pull = pull.with(file);
    }
    let pull = pull.await;
    stage.settled().await;
    let text = pull.live_comment().await_containing(&format!("sandbox: {level}")).await;
    assert!(text.contains("a: \"held\"") && text.contains("input: []"), "it was asked: {text}");
    assert!(!told(&stage).contains(&canary), "{level}: {}", told(&stage));
    let found = files_with(&stage.data.path().join("data"), std::slice::from_ref(&canary));
    assert!(found.is_empty() && !stands_below(&stage.data.path().join("data"), &canary), "{level}: {found:?}");
    stage.finish().await;
}

#[tokio::test]
async fn what_hcl_asks_for_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let prey = dir.path().join("prey");
    lay_out(&prey, "canary-bare");
    for project in PROJECTS {
        let said = bare(project, &prey);
        assert!(
            said.contains("canary-bare"),
            "{} fails even without a cage, so it proves nothing: {said}",
            project.dir
        );
    }
    for level in [Level::Full, Level::Reduced] {
        nothing_is_there(level).await;
    }
}
