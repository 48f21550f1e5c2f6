use super::{ApplyReport, StepFailureKind};
use crate::domain::run::{ResourceOutcome, StateMark, Step};
use crate::sandbox::Cage;
use crate::terraform::plan_file;
use crate::terraform::testing::{Project, for_both_tools};
use crate::terraform::untrusted;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

mod surroundings;

for_both_tools!(
    init_runs_without_the_hosts_configuration_and_without_warnings,
    a_plan_with_changes_is_in_the_log_and_in_json,
    a_plan_without_changes_says_so_in_json,
    a_failing_plan_says_why_in_plain_words,
    sensitive_values_and_granted_secrets_stay_out_of_the_log,
    an_apply_does_what_was_planned,
    an_apply_that_fails_half_way_tells_done_from_not_done,
    a_replacement_that_fails_half_way_is_told_by_its_halves,
    a_cancelled_apply_stops_in_order_and_keeps_its_state,
    a_cancelled_run_starts_nothing,
    a_step_that_takes_too_long_is_stopped,
    an_apply_of_a_stale_plan_starts_nothing,
    the_lock_file_of_the_plan_holds_for_the_apply,
    a_provider_that_the_repository_brings_along_is_not_taken,
    the_workspace_is_chosen_by_the_environment,
    var_files_are_read_from_anywhere_in_the_repository,
    a_plan_that_is_too_large_is_refused,
    twenty_megabytes_of_output_are_no_problem,
    the_environment_holds_what_was_granted_and_nothing_of_the_servers,
    variables_that_would_change_the_steps_are_not_passed_on,
    the_mark_in_the_plan_file_is_the_mark_of_the_state,
    a_program_that_is_gone_is_told_as_such,
);

const ONE: &str = "resource \"terraform_data\" \"a\" {\n  input = \"one\"\n}\n";

/// `first` works, `fails` does not, `later` waits for it.
const HALF_WAY: &str = r#"
resource "terraform_data" "first" {
  input = "one"
}
resource "terraform_data" "fails" {
  input = terraform_data.first.output
  provisioner "local-exec" {
    command = "echo about to fail; exit 1"
  }
}
resource "terraform_data" "later" {
  input = terraform_data.fails.output
}
"#;

const SLOW: &str = r#"
resource "terraform_data" "first" {
  input = "one"
}
resource "terraform_data" "slow" {
  input = terraform_data.first.output
  provisioner "local-exec" {
    command = "echo now it is slow; exec sleep 60"
  }
}
resource "terraform_data" "later" {
  input = terraform_data.slow.output
}
"#;

fn shown(outcomes: &[ResourceOutcome]) -> Vec<String> {
    outcomes.iter().map(|outcome| format!("{} {}", outcome.action, outcome.address)).collect()
}

fn actions(plan: &Value) -> Vec<String> {
    let changes = plan["resource_changes"].as_array().unwrap().iter();
    changes.map(|change| format!("{} {}", change["change"]["actions"], change["address"])).collect()
}

async fn apply(project: &Project) -> ApplyReport {
    project.steps().apply(&mut Cage::off(), &project.plan_path()).await.unwrap()
}

async fn init_runs_without_the_hosts_configuration_and_without_warnings(project: Project) {
    project.file("main.tf", ONE);
    project.steps().init(&mut Cage::off(), false).await.unwrap();
    let log = project.log();
    assert!(log.starts_with(&format!("$ {} init -input=false\n", project.tool.product.program())), "{log}");
    assert!(!log.contains("CLI configuration"), "{log}");
    assert!(!log.contains("Warning"), "{log}");
}

async fn a_plan_with_changes_is_in_the_log_and_in_json(project: Project) {
    project.file("main.tf", ONE);
    let plan = project.planned().await;
    assert_eq!(actions(&plan), ["[\"create\"] \"terraform_data.a\""]);
    let log = project.log();
    assert!(log.contains("\x1b[1m  # terraform_data.a\x1b[0m will be created"), "in colours: {log}");
    assert!(!log.contains("resource_changes"), "the JSON is for us: {log}");
}

async fn a_plan_without_changes_says_so_in_json(project: Project) {
    project.file("main.tf", ONE);
    project.planned().await;
    assert!(apply(&project).await.succeeded());
    assert_eq!(actions(&project.planned().await), ["[\"no-op\"] \"terraform_data.a\""]);
}

async fn a_failing_plan_says_why_in_plain_words(project: Project) {
    project.file("main.tf", "resource \"terraform_data\" \"a\" {\n  input = var.nope\n}\n");
    let steps = project.steps();
    steps.init(&mut Cage::off(), false).await.unwrap();
    let failure = steps.plan(&mut Cage::off(), &project.plan_path(), &[], &[]).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Plan, StepFailureKind::Exit(1)));
    assert_eq!(failure.message, format!("`{} plan` failed with exit code 1.", project.tool.product.program()));
    insta::allow_duplicates! {
        insta::assert_snapshot!(failure.output, @r#"
        Error: Reference to undeclared input variable

          on main.tf line 2, in resource "terraform_data" "a":
           2:   input = var.nope

        An input variable with the name "nope" has not been declared. This variable
        can be declared with a variable "nope" {} block.
        "#);
    }
}

async fn sensitive_values_and_granted_secrets_stay_out_of_the_log(mut project: Project) {
    project.grant("TOKEN", "granted-token-value");
    project.file(
        "main.tf",
        r#"
        variable "password" {
          default   = "hunter2-in-a-variable"
          sensitive = true
        }
        resource "terraform_data" "a" {
          input = var.password
        }
        resource "terraform_data" "leaks" {
          provisioner "local-exec" {
            command = "echo it is $TOKEN; echo and $TOKEN >&2; exit 3"
          }
        }
        "#,
    );
    let plan = project.planned().await;
    let of_a = &plan["resource_changes"][0]["change"];
    assert_eq!(of_a["after"]["input"], "hunter2-in-a-variable", "JSON holds what is sensitive");
    assert_eq!(of_a["after_sensitive"]["input"], true, "and says that it is");
    let report = apply(&project).await;
    let failure = report.failure.expect("the provisioner fails");
    let log = project.log();
    assert!(log.contains("it is ***") && log.contains("and ***"), "{log}");
    assert!(failure.output.contains("it is ***"), "{}", failure.output);
    for text in [&log, &failure.output] {
        assert!(!text.contains("hunter2") && !text.contains("granted-token"), "{text}");
    }
}

async fn an_apply_does_what_was_planned(project: Project) {
    project.file("main.tf", &format!("{ONE}\noutput \"o\" {{\n  value = terraform_data.a.output\n}}\n"));
    project.planned().await;
    let report = apply(&project).await;
    assert!(report.succeeded(), "{report:?}");
    assert!(report.started_something());
    assert_eq!(shown(&report.done), ["create terraform_data.a"]);
    assert_eq!((report.not_done, report.uncertain), (vec![], vec![]));
    let log = project.log();
    assert!(log.contains("terraform_data.a: Creation complete after"), "{log}");
    assert!(!log.contains("@message"), "{log}");
}

async fn an_apply_that_fails_half_way_tells_done_from_not_done(project: Project) {
    project.file("main.tf", HALF_WAY);
    project.planned().await;
    let report = apply(&project).await;
    assert_eq!(shown(&report.done), ["create terraform_data.first"]);
    assert_eq!(shown(&report.not_done), ["create terraform_data.fails", "create terraform_data.later"]);
    assert_eq!(shown(&report.uncertain), ["create terraform_data.fails"]);
    assert!(report.started_something());
    assert!(project.log().contains("about to fail"));
    let failure = report.into_failure().unwrap();
    assert!(failure.changed_something);
    assert_eq!(failure.step, Step::Apply);
    insta::allow_duplicates! {
        insta::assert_snapshot!(failure.output, @r#"
        Error: local-exec provisioner error

          with terraform_data.fails

          on main.tf line 7, in resource "terraform_data" "fails":
          7:   provisioner "local-exec" {

        Error running command 'echo about to fail; exit 1': exit status 1. Output: about to fail
        "#);
    }
}

async fn a_replacement_that_fails_half_way_is_told_by_its_halves(project: Project) {
    let replaced = |command: &str, trigger: &str| {
        format!(
            "resource \"terraform_data\" \"a\" {{\n  triggers_replace = \"{trigger}\"\n  provisioner \"local-exec\" {{\n    \
             command = \"{command}\"\n  }}\n}}\n"
        )
    };
    project.file("main.tf", &replaced("true", "1"));
    project.planned().await;
    assert!(apply(&project).await.succeeded());
    project.file("main.tf", &replaced("false", "2"));
    project.planned().await;
    let report = apply(&project).await;
    assert_eq!(shown(&report.done), ["delete terraform_data.a"]);
    assert_eq!(shown(&report.not_done), ["create terraform_data.a"]);
    project.file("main.tf", &replaced("true", "3"));
    project.planned().await;
    assert_eq!(shown(&apply(&project).await.done), ["replace terraform_data.a"]);
}

async fn a_cancelled_apply_stops_in_order_and_keeps_its_state(mut project: Project) {
    project.file("main.tf", SLOW);
    project.planned().await;
    let started = Instant::now();
    let steps = project.steps();
    let plan = project.plan_path();
    let mut cage = Cage::off();
    let (report, ()) = tokio::join!(steps.apply(&mut cage, &plan), async {
        project.log_says("now it is slow").await;
        project.cancel.cancel();
    });
    let report = report.unwrap();
    assert!(started.elapsed() < Duration::from_secs(30), "it did not wait for the sleep");
    assert_eq!(shown(&report.done), ["create terraform_data.first"]);
    assert_eq!(shown(&report.not_done), ["create terraform_data.slow", "create terraform_data.later"]);
    assert_eq!(shown(&report.uncertain), ["create terraform_data.slow"]);
    let failure = report.failure.unwrap();
    assert_eq!(failure.kind, StepFailureKind::Cancelled);
    assert!(failure.message.ends_with("apply` was cancelled."), "{}", failure.message);

    project.cancel = CancellationToken::new();
    assert!(project.steps().state_pull(&mut Cage::off()).await.unwrap().serial > 0, "the state was written");
    assert!(!project.dir().join(".terraform.tfstate.lock.info").exists(), "and its lock was freed");
    let plan = project.planned().await;
    assert!(actions(&plan).contains(&"[\"no-op\"] \"terraform_data.first\"".to_owned()), "{plan}");
}

async fn a_cancelled_run_starts_nothing(project: Project) {
    project.file("main.tf", ONE);
    project.planned().await;
    project.cancel.cancel();
    let failure = project.steps().apply(&mut Cage::off(), &project.plan_path()).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Apply, StepFailureKind::Cancelled));
    assert!(!project.log().contains(" apply -json"), "{}", project.log());
}

async fn a_step_that_takes_too_long_is_stopped(mut project: Project) {
    project.file("main.tf", SLOW);
    project.planned().await;
    project.limits.apply = Duration::from_secs(2);
    let started = Instant::now();
    let report = apply(&project).await;
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(report.failure.unwrap().kind, StepFailureKind::TimedOut);
    assert_eq!(shown(&report.done), ["create terraform_data.first"]);
}

async fn an_apply_of_a_stale_plan_starts_nothing(project: Project) {
    project.file("main.tf", ONE);
    project.planned().await;
    let before = project.steps().state_pull(&mut Cage::off()).await.unwrap();
    assert_eq!(before, StateMark { lineage: String::new(), serial: 0 });
    let first = fs::read(project.plan_path()).unwrap();
    assert!(apply(&project).await.succeeded());
    untrusted::replace(&project.plan_path(), &first).unwrap();
    let report = apply(&project).await;
    assert!(!report.succeeded() && !report.started_something(), "{report:?}");
    let now = project.steps().state_pull(&mut Cage::off()).await.unwrap();
    assert_ne!(plan_file::state_mark(&first).unwrap(), now, "which tells why");
}

/// A mirror with a provider that is never started: init only looks at its files.
fn mirror(project: &Project, versions: &[(&str, &str)]) {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let mirror = project.root().join("mirror");
    for (version, content) in versions {
        let dir = mirror.join(format!("example.com/acme/fake/{version}/linux_{arch}"));
        fs::create_dir_all(&dir).unwrap();
        let binary = dir.join(format!("terraform-provider-fake_v{version}"));
        fs::write(&binary, content).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let required = |host| {
        format!(
            "terraform {{\n  required_providers {{\n    fake = {{\n      source = \"{host}/acme/fake\"\n    }}\n  }}\n}}\n"
        )
    };
    project.file("main.tf", &required("example.com"));
}

async fn the_lock_file_of_the_plan_holds_for_the_apply(project: Project) {
    mirror(&project, &[("1.0.0", "one")]);
    project.steps().init(&mut Cage::off(), false).await.unwrap();
    let path = project.dir().join(".terraform.lock.hcl");
    let planned = untrusted::read(&path, 1 << 20).unwrap().expect("init wrote it");
    let fresh_tree = |project: &Project| {
        fs::remove_dir_all(project.dir().join(".terraform")).unwrap();
        untrusted::replace(&path, &planned).unwrap();
    };

    mirror(&project, &[("1.1.0", "newer")]);
    fresh_tree(&project);
    project.steps().init(&mut Cage::off(), true).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), planned, "a newer provider is not taken");

    mirror(&project, &[("1.0.0", "another one of the same version")]);
    fresh_tree(&project);
    let failure = project.steps().init(&mut Cage::off(), true).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Init, StepFailureKind::Exit(1)));
    assert_eq!(fs::read(&path).unwrap(), planned);

    untrusted::replace(&path, b"# nothing was locked\n").unwrap();
    project.steps().init(&mut Cage::off(), true).await.unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "# nothing was locked\n");
    project.steps().init(&mut Cage::off(), false).await.unwrap();
}

async fn a_provider_that_the_repository_brings_along_is_not_taken(project: Project) {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let provider =
        format!("terraform.d/plugins/localhost:1/acme/fake/1.0.0/linux_{arch}/terraform-provider-fake_v1.0.0");
    project.file(&provider, "#!/bin/sh\n");
    fs::set_permissions(project.dir().join(&provider), fs::Permissions::from_mode(0o755)).unwrap();
    project.file(
        "main.tf",
        "terraform {\n  required_providers {\n    fake = {\n      source = \"localhost:1/acme/fake\"\n    }\n  }\n}\n",
    );
    let failure = project.steps().init(&mut Cage::off(), false).await.unwrap_err();
    assert_eq!(failure.kind, StepFailureKind::Exit(1));
    assert!(!project.dir().join(".terraform/providers").exists());
}

async fn the_workspace_is_chosen_by_the_environment(mut project: Project) {
    project.file("main.tf", "resource \"terraform_data\" \"a\" {\n  input = terraform.workspace\n}\n");
    project.workspace = "staging".parse().unwrap();
    let plan = project.planned().await;
    assert_eq!(plan["resource_changes"][0]["change"]["after"]["input"], "staging");
    assert!(apply(&project).await.succeeded());
    assert!(project.steps().state_pull(&mut Cage::off()).await.unwrap().serial > 0);
    project.workspace = "default".parse().unwrap();
    assert_eq!(
        project.steps().state_pull(&mut Cage::off()).await.unwrap().serial,
        0,
        "each workspace has a state of its own"
    );
}

async fn var_files_are_read_from_anywhere_in_the_repository(project: Project) {
    project
        .file("main.tf", "variable \"x\" {}\nvariable \"y\" {}\noutput \"o\" {\n  value = \"${var.x} ${var.y}\"\n}\n");
    project.file("../vars/common.tfvars", "x = \"common\"\ny = \"common\"\n");
    project.file("-with space.tfvars", "y = \"own\"\n");
    let steps = project.steps();
    steps.init(&mut Cage::off(), false).await.unwrap();
    let files = ["../vars/common.tfvars", "-with space.tfvars"].map(str::to_owned);
    steps.plan(&mut Cage::off(), &project.plan_path(), &files, &[]).await.unwrap();
    let plan: Value =
        serde_json::from_slice(&steps.show_json(&mut Cage::off(), &project.plan_path()).await.unwrap()).unwrap();
    assert_eq!(plan["output_changes"]["o"]["after"], "common own");

    let failure =
        steps.plan(&mut Cage::off(), &project.plan_path(), &["gone.tfvars".to_owned()], &[]).await.unwrap_err();
    assert!(failure.output.contains("gone.tfvars"), "{}", failure.output);
}

async fn a_plan_that_is_too_large_is_refused(mut project: Project) {
    project.file("main.tf", ONE);
    project.planned().await;
    project.limits.plan_json = 100;
    let failure = project.steps().show_json(&mut Cage::off(), &project.plan_path()).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Show, StepFailureKind::Unusable));
    assert_eq!(failure.message, "The result of `show` cannot be used: it is larger than 100 bytes.");
    assert!(!project.scratch().join("plan.json").exists());
}

async fn twenty_megabytes_of_output_are_no_problem(project: Project) {
    project.file(
        "main.tf",
        r#"
        locals {
          kilobyte = join("", [for i in range(1000) : "x"])
          megabyte = join("\n", [for i in range(1000) : local.kilobyte])
        }
        output "large" {
          value = [for i in range(20) : "${i} ${local.megabyte}"]
        }
        "#,
    );
    let plan = project.planned().await;
    assert_eq!(plan["output_changes"]["large"]["after"].as_array().unwrap().len(), 20);
    assert!(apply(&project).await.succeeded());
    let log = project.log();
    assert!((8 << 20..18 << 20).contains(&log.len()), "{} bytes are kept, of plan and apply 8 MiB each", log.len());
    assert!(log.contains("bytes were not kept.]\n$ "), "the rest was counted");
}

async fn the_environment_holds_what_was_granted_and_nothing_of_the_servers(mut project: Project) {
    project.grant("TF_VAR_granted", "granted");
    let command =
        format!("cut -z -d= -f1 /proc/self/environ | tr '\\\\0' '\\\\n' > {}/names", project.root().display());
    project.file(
        "main.tf",
        &format!(
            "variable \"granted\" {{}}\nresource \"terraform_data\" \"a\" {{\n  input = var.granted\n  provisioner \
             \"local-exec\" {{\n    command = \"{command}\"\n  }}\n}}\n"
        ),
    );
    assert_eq!(project.planned().await["variables"]["granted"]["value"], "granted");
    assert!(apply(&project).await.succeeded());
    let names = fs::read_to_string(project.root().join("names")).unwrap();
    let mut names: Vec<&str> = names.lines().collect();
    // What the shell adds by itself.
    names.retain(|name| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"));
    names.sort_unstable();
    let ours = [
        "CHECKPOINT_DISABLE",
        "HOME",
        "LANG",
        "PATH",
        "TF_CLI_CONFIG_FILE",
        "TF_INPUT",
        "TF_IN_AUTOMATION",
        "TF_VAR_granted",
        "TMPDIR",
    ];
    assert_eq!(names, ours);
}

async fn variables_that_would_change_the_steps_are_not_passed_on(mut project: Project) {
    project.grant("TF_CLI_ARGS_plan", "-destroy");
    project.grant("TF_DATA_DIR", "elsewhere");
    project.file("main.tf", ONE);
    project.planned().await;
    assert!(project.log().contains("The variable TF_CLI_ARGS_plan is not passed on"), "{}", project.log());
    assert!(!project.dir().join("elsewhere").exists());
    assert!(apply(&project).await.succeeded());
    assert_eq!(actions(&project.planned().await), ["[\"no-op\"] \"terraform_data.a\""]);
}

async fn the_mark_in_the_plan_file_is_the_mark_of_the_state(project: Project) {
    let marks = async || {
        project.planned().await;
        let in_plan = plan_file::state_mark(&plan_file::read(&project.plan_path()).unwrap()).unwrap();
        (in_plan, project.steps().state_pull(&mut Cage::off()).await.unwrap())
    };
    project.file("main.tf", ONE);
    let (in_plan, in_state) = marks().await;
    assert_eq!(in_plan, StateMark { lineage: String::new(), serial: 0 });
    assert_eq!(in_plan, in_state, "before the first apply");

    assert!(apply(&project).await.succeeded());
    project.file("main.tf", &ONE.replace("one", "two"));
    let (in_plan, in_state) = marks().await;
    assert!(!in_plan.lineage.is_empty() && in_plan.serial > 0);
    assert_eq!(in_plan, in_state, "after it");
}

async fn a_program_that_is_gone_is_told_as_such(mut project: Project) {
    project.tool.path = project.root().join("gone");
    let failure = project.steps().init(&mut Cage::off(), false).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Init, StepFailureKind::NotStarted));
    assert!(failure.message.contains("gone") && failure.message.contains("No such file"), "{}", failure.message);
}
