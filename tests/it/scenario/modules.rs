//! The configuration that a plan holds: what code at plan time cannot change, and modules from elsewhere, with the token
//! that fetches them.

use super::secrets::{files_with, traces};
use super::stand_in::StandIn;
use super::{MANAGED, resource};
use crate::stage::{Setup, Stage, open_dir};
use crate::world::REPO;
use std::fs;
use std::path::{Path, PathBuf};
use terraplane::demo::state::{Change, Content};

/// A project that uses the module `shared` of its own, private, repository over http.
async fn with_a_private_module(setup: Setup) -> (Stage, String) {
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", ""), ("shared/main.tf", &resource("shared", "one"))];
    let stage = Stage::set(&files, setup).await;
    let host = stage.world.forge.host().to_owned();
    let code = format!("module \"shared\" {{\n  source = \"git::http://{host}/{REPO}.git//shared?ref=main\"\n}}\n");
    (stage, code)
}

/// Below the directory, what is called so.
fn found(dir: &Path, name: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_name() == name {
            all.push(entry.path());
        } else if entry.file_type().unwrap().is_dir() {
            all.extend(found(&entry.path(), name));
        }
    }
    all
}

#[tokio::test]
async fn the_token_for_private_modules_reaches_init_and_nothing_after_it() {
    let terraform = StandIn::terraform();
    let repo = "    modules: {token: file:token}\n    env:\n      - match: prod\n        init: {GRANTED: to-init}\n";
    let setup = Setup { repo: repo.into(), network_of_host: true, ..terraform.setup(4) };
    let (stage, code) = with_a_private_module(setup).await;
    let traces = traces(&fs::read_to_string(stage.data.path().join("token")).unwrap());
    let data = stage.data.path().join("data");
    terraform.hold("prod");
    let pull = stage.world.open_pull("Module").changing("prod/main.tf", &code).await;
    terraform.await_noted("begin plan", 1).await;
    let clones = found(&data.join("work"), ".git");
    assert_eq!(clones.len(), 1, "the module was cloned into the work tree: {clones:?}");
    let left = files_with(&data, &traces);
    assert!(left.is_empty(), "when the code of the pull request begins to run: {left:?}");
    terraform.release("prod");
    pull.live_comment().await_containing("module.shared.terraform_data.shared").await;
    pull.merge("ana").await;
    let result = pull.next_comment().await;
    assert!(result.contains("✅ Applied") && result.contains("the reviewed plan"), "{result}");
    stage.settled().await;

    let of_init = terraform.environment_of("init");
    assert!(traces.iter().any(|trace| of_init.contains(trace)) && of_init.contains("GRANTED=to-init"), "{of_init}");
    for step in ["plan", "show", "state", "apply"] {
        let of_step = terraform.environment_of(step);
        assert!(of_step.contains("TF_IN_AUTOMATION=1"), "`{step}` was run");
        assert!(!traces.iter().any(|trace| of_step.contains(trace)), "{step}: {of_step}");
        assert!(!of_step.contains("GRANTED") && !of_step.contains("GIT_CONFIG"), "{step}: {of_step}");
    }
    assert!(!traces.iter().any(|trace| terraform.arguments().contains(trace)), "{}", terraform.arguments());
    let left = files_with(&data, &traces);
    assert!(left.is_empty(), "afterwards, logs and all: {left:?}");
    stage.finish().await;
}

#[tokio::test]
async fn without_a_token_for_its_host_a_private_module_is_not_fetched() {
    for repo in ["", "    modules: {token: file:token, hosts: [example.com]}\n"] {
        let (stage, code) =
            with_a_private_module(Setup { repo: repo.into(), network_of_host: true, ..Setup::default() }).await;
        let pull = stage.world.open_pull("Module").changing("prod/main.tf", &code).await;
        let text = pull.live_comment().await_containing("plan failed").await;
        assert!(text.contains("Failed to download module"), "{text}");
        stage.finish().await;
    }
}

#[tokio::test]
async fn a_module_that_moved_since_the_plan_is_planned_anew_and_waits_for_approval() {
    let setup = Setup { repo: "    modules: {token: file:token}\n".into(), network_of_host: true, ..Setup::default() };
    let (stage, code) = with_a_private_module(setup).await;
    let pull = stage.world.open_pull("Module").changing("prod/main.tf", &code).await;
    pull.await_status("terraplane/plan", "success").await;
    // Of the plan this changes nothing that can be seen: a provisioner is in no plan.
    let provisioner = "resource \"terraform_data\" \"shared\" {\n  input = \"one\"\n  provisioner \"local-exec\" {\n    \
                       command = \"true\"\n  }\n}\n";
    let change = [Change::write("shared/main.tf", provisioner)];
    stage.world.forge.push(REPO, "main", "kim", "Another module", &change).await.unwrap();
    pull.merge("ana").await;
    let result = pull.next_comment().await;
    assert!(result.contains("A module that is fetched from elsewhere has changed"), "{result}");
    stage.finish().await;
}

#[tokio::test]
async fn a_plan_whose_configuration_was_changed_while_it_was_made_is_neither_kept_nor_applied() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let dir = open_dir();
    let setup = terraform.setup(4).and_writable(dir.path());
    let stage = Stage::set(&files, setup).await;
    let trap = dir.path().join("trap");
    // What a data source or a provider could do: the plan's own files show nothing of a provisioner.
    let override_file = format!(
        "resource \"terraform_data\" \"web\" {{\n  provisioner \"local-exec\" {{\n    command = \"touch {}\"\n  }}\n}}\n",
        trap.display()
    );
    terraform.before("plan", &format!("cat > web_override.tf <<'END'\n{override_file}END\n"));
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    let text = pull.live_comment().await_containing("plan failed").await;
    assert!(text.contains("does not hold the commit's configuration"), "{text}");
    assert!(text.contains("override.tf"), "{text}");
    pull.await_status("terraplane/plan", "failure").await;
    pull.merge("ana").await;
    let result = pull.next_comment().await;
    assert!(result.contains("Apply failed") && result.contains("the commit's configuration"), "{result}");
    stage.settled().await;
    assert_eq!(found(&stage.data.path().join("data"), "plan.bin"), [] as [PathBuf; 0]);
    assert_eq!(terraform.count("begin apply"), 0);
    assert!(!trap.exists());
    stage.finish().await;
}

#[tokio::test]
async fn what_planning_leaves_in_the_work_tree_is_not_there_when_a_new_plan_is_applied() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let dir = open_dir();
    let stage = Stage::set(&files, terraform.setup(4).and_writable(dir.path())).await;
    let (left, seen) = (dir.path().join("left"), dir.path().join("seen"));
    let code = resource("web", "two").replace("input", "triggers_replace");
    let first = stage.world.open_pull("Other").changing("prod/other.tf", &resource("other", "one")).await;
    first.await_status("terraplane/plan", "success").await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &code).await;
    pull.await_status("terraplane/plan", "success").await;
    // The state moves on, so the second pull request is planned anew when it is applied.
    first.merge("ana").await;
    first.next_comment().await;
    terraform.before("plan", &format!("touch tainted {}\n", left.display()));
    terraform.before("apply", &format!("[ ! -e tainted ] || touch {}\n", seen.display()));
    pull.merge("ana").await;
    pull.next_comment().await;
    stage.settled().await;
    assert!(left.exists(), "there was a new plan");
    assert!(!seen.exists(), "the apply saw what it left");
    stage.finish().await;
}

#[tokio::test]
async fn a_configuration_that_is_a_link_is_an_error_and_not_an_absent_one() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let link = Change { path: "terraplane.yaml".into(), to: Content::Link("prod/rules.yaml".into()) };
    let pull = stage.world.open_pull("Link").changing("prod/rules.yaml", MANAGED).with(link).await;
    let text = pull.live_comment().await_containing("a link, which is not followed").await;
    assert!(text.contains("terraplane.yaml"), "{text}");
    stage.finish().await;
}

#[tokio::test]
async fn what_is_not_listed_is_not_reached_and_the_comment_says_how_to_list_it() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let code = "module \"shared\" {\n  source = \"git::https://modules.example.com/acme/shared.git\"\n}\n";
    let pull = stage.world.open_pull("Elsewhere").changing("prod/main.tf", code).await;
    let text = pull.live_comment().await_containing("plan failed").await;
    let line = "- blocked: `modules.example.com:443`; allow it under `sandbox.egress`: `modules.example.com`";
    assert!(text.contains(line), "{text}");
    pull.await_status("terraplane/plan", "failure").await;
    stage.finish().await;
}
