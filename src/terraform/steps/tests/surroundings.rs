//! What lies around in a repository, and would like to be more than text.

use crate::sandbox::Cage;
use crate::terraform::environment::Installation;
use crate::terraform::steps::StepFailureKind;
use crate::terraform::testing::{Project, for_both_tools};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

for_both_tools!(
    a_cli_configuration_in_the_repository_means_nothing,
    grants_of_init_do_not_outlive_it,
    git_in_init_speaks_with_servers_only,
);

/// A provider in the repository, which `init` would find where a configuration names its directory.
fn vendored(project: &Project) -> String {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let provider = format!("mirror/example.com/acme/fake/1.0.0/linux_{arch}/terraform-provider-fake_v1.0.0");
    project.file(&provider, "#!/bin/sh\n");
    fs::set_permissions(project.dir().join(&provider), fs::Permissions::from_mode(0o755)).unwrap();
    project.file(
        "main.tf",
        "terraform {\n  required_providers {\n    fake = {\n      source = \"example.com/acme/fake\"\n    }\n  }\n}\n",
    );
    let mirror = project.dir().join("mirror");
    format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n", mirror.display())
}

async fn a_cli_configuration_in_the_repository_means_nothing(mut project: Project) {
    let config = vendored(&project);
    for place in [".terraformrc", "terraform.rc", ".tofurc", "../.terraformrc", ".config/opentofu/tofurc"] {
        project.file(place, &config);
    }
    let failure = project.steps().init(&mut Cage::off(), false).await.unwrap_err();
    assert_eq!(failure.kind, StepFailureKind::Exit(1));
    assert!(!project.dir().join(".terraform/providers").exists());
    // The control: it would have been taken.
    project.installation = Installation::Operator(project.dir().join(".terraformrc"));
    project.steps().init(&mut Cage::off(), false).await.unwrap();
}

async fn grants_of_init_do_not_outlive_it(mut project: Project) {
    project.grant("TF_VAR_x", "of-the-plan");
    project.init_env = vec![("TF_VAR_x".into(), "of-init".into()), ("LD_PRELOAD".into(), "x.so".into())];
    project.file("main.tf", "variable \"x\" {}\noutput \"x\" {\n  value = var.x\n}\n");
    let plan = project.planned().await;
    assert_eq!(plan["output_changes"]["x"]["after"], "of-the-plan");
    assert!(project.log().contains("The variable LD_PRELOAD is not passed on"), "{}", project.log());
}

async fn git_in_init_speaks_with_servers_only(project: Project) {
    let other = project.root().join("mirror-of-somebody-else.git");
    fs::create_dir(&other).unwrap();
    project.file("main.tf", &format!("module \"m\" {{\n  source = \"git::file://{}\"\n}}\n", other.display()));
    let failure = project.steps().init(&mut Cage::off(), false).await.unwrap_err();
    assert!(failure.output.contains("'file' not allowed"), "{}", failure.output);
}
