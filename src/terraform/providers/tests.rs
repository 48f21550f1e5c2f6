//! With the real tools and a registry on loopback.

mod registry;

use super::mirror::{files, platform};
use super::{Fetching, Providers};
use crate::domain::run::Step;
use crate::sandbox::Cage;
use crate::terraform::environment::Installation;
use crate::terraform::steps::{StepFailure, StepFailureKind};
use crate::terraform::testing::{Project, for_both_tools};
use axum::http::StatusCode;
use registry::Registry;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

for_both_tools!(
    a_provider_is_fetched_once_and_then_the_registry_may_be_gone,
    without_a_lock_file_the_registry_is_asked_for_the_newest_once_an_hour,
    a_project_with_the_built_in_provider_alone_starts_nothing_but_init,
    a_lock_file_that_was_made_on_another_platform_is_enough,
    a_package_that_is_not_the_one_in_the_lock_file_is_refused,
    a_package_that_is_not_the_one_that_was_signed_is_refused,
    a_version_that_is_not_there_is_told_with_the_providers_name,
    a_registry_in_trouble_is_told_by_its_name,
    a_damaged_package_is_fetched_again,
    a_lock_file_that_is_a_link_is_refused_without_following_it,
    many_inits_succeed_while_a_version_is_being_published,
    a_program_that_the_repository_brings_along_is_not_taken,
    modules_from_elsewhere_are_fetched_before_their_providers,
    a_provider_that_only_the_state_still_needs_is_fetched,
    the_operators_own_configuration_is_used_as_it_is,
    only_what_reaches_a_registry_is_passed_on_to_a_fetch,
    a_cancelled_run_does_not_wait_for_a_fetch,
);

/// A mirror of its own in the project's directory.
fn providers(project: &mut Project, registry: &Registry) -> Providers {
    let providers = Providers::open(&project.root().join("providers"), registry.network()).unwrap();
    project.installation = providers.installation();
    providers
}

fn requires(project: &Project, registry: &Registry, constraint: &str) {
    let host = registry.host();
    let entry = format!("fake = {{\n      source = \"{host}/acme/fake\"\n      version = \"{constraint}\"\n    }}");
    project.file("main.tf", &format!("terraform {{\n  required_providers {{\n    {entry}\n  }}\n}}\n"));
}

fn locks(project: &Project, registry: &Registry, version: &str, hashes: &[&str]) {
    let lines: String = hashes.iter().map(|hash| format!("    \"{hash}\",\n")).collect();
    let hashes = if hashes.is_empty() { String::new() } else { format!("  hashes = [\n{lines}  ]\n") };
    let host = registry.host();
    let entry = format!("  version     = \"{version}\"\n  constraints = \">= 1.0.0\"\n{hashes}");
    let text = format!("provider \"{host}/acme/fake\" {{\n{entry}}}\n");
    project.file(".terraform.lock.hcl", &text);
}

fn lock(project: &Project) -> String {
    fs::read_to_string(project.dir().join(".terraform.lock.hcl")).unwrap()
}

/// As a new run begins.
fn fresh(project: &Project) {
    let _ = fs::remove_dir_all(project.dir().join(".terraform"));
}

async fn init(providers: &Providers, project: &Project, readonly_lock: bool) -> Result<(), StepFailure> {
    let (mut cage, tree) = (Cage::off(), project.root().join("tree"));
    providers.init(&project.steps(), &mut cage, &tree, readonly_lock, &Fetching::bare()).await
}

/// Where the mirror has a version.
fn package(project: &Project, registry: &Registry, version: &str) -> PathBuf {
    project.root().join("providers/mirror").join(registry.host()).join("acme/fake").join(version).join(platform())
}

/// The mirror is empty, and nothing is left of a fetch.
fn nothing_was_published(project: &Project) {
    assert_eq!(files(&project.root().join("providers")).unwrap(), Vec::<String>::new());
    assert!(!project.dir().join(".terraform/providers").exists());
}

/// The SHA-256 of a version's zip.
fn zh(version: &str) -> String {
    let sums = format!("{}/tests/data/providers/fake_{version}_SHA256SUMS", env!("CARGO_MANIFEST_DIR"));
    format!("zh:{}", fs::read_to_string(sums).unwrap().split(' ').next().unwrap())
}

async fn a_provider_is_fetched_once_and_then_the_registry_may_be_gone(mut project: Project) {
    let mut registry = Registry::with(&["1.0.0", "1.1.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, ">= 1.0.0");
    locks(&project, &registry, "1.0.0", &[]);
    init(&providers, &project, false).await.unwrap();
    assert_eq!(registry.asked("fake_1.0.0.zip"), 1);
    assert!(project.log().contains("# localhost:"), "{}", project.log());
    let locked = lock(&project);
    assert!(locked.contains("\"h1:"), "{locked}");

    let program = package(&project, &registry, "1.0.0").join("terraform-provider-fake_v1.0.0");
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o555);
    assert_eq!(fs::metadata(program.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o555);
    let installed =
        project.dir().join(".terraform/providers").join(registry.host()).join("acme/fake/1.0.0").join(platform());
    assert_eq!(fs::canonicalize(installed).unwrap(), fs::canonicalize(program.parent().unwrap()).unwrap());

    registry.close().await;
    fresh(&project);
    init(&providers, &project, true).await.unwrap();
    assert_eq!(lock(&project), locked);
    let restarted = self::providers(&mut project, &registry);
    fresh(&project);
    init(&restarted, &project, true).await.unwrap();
    // A version can be named without a lock file too.
    requires(&project, &registry, "1.0.0");
    fs::remove_file(project.dir().join(".terraform.lock.hcl")).unwrap();
    fresh(&project);
    init(&restarted, &project, false).await.unwrap();
}

async fn without_a_lock_file_the_registry_is_asked_for_the_newest_once_an_hour(mut project: Project) {
    let registry = Registry::with(&["1.0.0", "2.0.0"]).await;
    let mut providers = providers(&mut project, &registry);
    requires(&project, &registry, "~> 1.0");
    let again = || {
        fresh(&project);
        let _ = fs::remove_file(project.dir().join(".terraform.lock.hcl"));
    };
    init(&providers, &project, false).await.unwrap();
    assert!(lock(&project).contains("\"1.0.0\""));
    registry.offer("1.1.0");
    again();
    init(&providers, &project, false).await.unwrap();
    assert_eq!(registry.asked("/versions"), 1);
    assert!(lock(&project).contains("\"1.0.0\""));

    providers.answers.hold = Duration::ZERO;
    again();
    init(&providers, &project, false).await.unwrap();
    assert!(lock(&project).contains("\"1.1.0\""));
    assert_eq!(registry.asked("fake_2.0.0.zip"), 0);
}

async fn a_project_with_the_built_in_provider_alone_starts_nothing_but_init(mut project: Project) {
    let registry = Registry::with(&[]).await;
    let providers = providers(&mut project, &registry);
    project.file(
        "main.tf",
        "terraform {\n  required_providers {\n    terraform = {\n      source = \"terraform.io/builtin/terraform\"\n    }\n  }\n}\n\
         module \"a\" {\n  source = \"./a\"\n}\n",
    );
    project.file("a/main.tf", "resource \"terraform_data\" \"a\" {}\n");
    init(&providers, &project, false).await.unwrap();
    let log = project.log();
    let started: Vec<&str> = log.lines().filter(|line| line.starts_with("$ ")).collect();
    assert_eq!(started, [format!("$ {} init -input=false", project.tool.product.program())]);
}

/// It has the zips of all platforms, and the content of another one.
async fn a_lock_file_that_was_made_on_another_platform_is_enough(mut project: Project) {
    let registry = Registry::with(&["1.0.0", "1.1.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, ">= 1.0.0");
    locks(&project, &registry, "1.0.0", &["h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &zh("1.0.0")]);
    init(&providers, &project, true).await.unwrap();
    assert_eq!(registry.asked("/versions"), 1);
    let locked = lock(&project);
    assert!(locked.contains("h1:AAAA") && locked.contains(&zh("1.0.0")), "nothing is lost: {locked}");
    assert_eq!(locked.matches("\"h1:").count(), 2, "{locked}");
    // What is published is enough for the next run with the same lock file.
    locks(&project, &registry, "1.0.0", &["h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &zh("1.0.0")]);
    fresh(&project);
    init(&providers, &project, true).await.unwrap();
    assert_eq!(registry.asked("fake_1.0.0.zip"), 1);
}

async fn a_package_that_is_not_the_one_in_the_lock_file_is_refused(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, ">= 1.0.0");
    let wrong = format!("zh:{}", "0".repeat(64));
    locks(&project, &registry, "1.0.0", &["h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &wrong]);
    let failure = init(&providers, &project, false).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Init, StepFailureKind::Unusable));
    let said = format!("The provider `{}/acme/fake` 1.0.0 was not installed", registry.host());
    assert!(failure.message.starts_with(&said), "{}", failure.message);
    assert!(failure.message.contains("not one of those in `.terraform.lock.hcl`"), "{}", failure.message);
    nothing_was_published(&project);

    // Nor is one that is published already.
    locks(&project, &registry, "1.0.0", &[]);
    init(&providers, &project, false).await.unwrap();
    fresh(&project);
    locks(&project, &registry, "1.0.0", &[&wrong]);
    let failure = init(&providers, &project, false).await.unwrap_err();
    assert_eq!(failure.kind, StepFailureKind::Unusable, "{}", failure.message);
}

async fn a_package_that_is_not_the_one_that_was_signed_is_refused(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, ">= 1.0.0");
    registry.tamper("1.0.0");
    let failure = init(&providers, &project, false).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Init, StepFailureKind::Exit(1)));
    assert_eq!(registry.asked("fake_1.0.0.zip"), 1, "{}", failure.output);
    assert!(failure.message.contains("could not be fetched from the registry"), "{}", failure.message);
    assert!(failure.output.contains("checksum"), "{}", failure.output);
    nothing_was_published(&project);
}

async fn a_version_that_is_not_there_is_told_with_the_providers_name(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    for (constraint, locked) in [("~> 3.0", None), (">= 1.0.0", Some("1.1.0"))] {
        requires(&project, &registry, constraint);
        locked.into_iter().for_each(|version| locks(&project, &registry, version, &[]));
        let failure = init(&providers, &project, false).await.unwrap_err();
        assert_eq!((failure.step, failure.kind), (Step::Init, StepFailureKind::Exit(1)));
        assert!(failure.message.contains(&format!("`{}/acme/fake`", registry.host())), "{}", failure.message);
        assert!(failure.output.contains("Error:"), "{}", failure.output);
        nothing_was_published(&project);
    }
}

async fn a_registry_in_trouble_is_told_by_its_name(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    project.grant("TF_REGISTRY_DISCOVERY_RETRY", "0");
    requires(&project, &registry, ">= 1.0.0");
    registry.fail_with(StatusCode::INTERNAL_SERVER_ERROR);
    let failure = init(&providers, &project, false).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Init, StepFailureKind::Exit(1)));
    let host = registry.host();
    let said = format!("The provider `{host}/acme/fake` could not be fetched from the registry `{host}`.");
    assert!(failure.message.starts_with(&said), "{}", failure.message);
    assert!(failure.output.contains("500"), "{}", failure.output);
    nothing_was_published(&project);
}

async fn a_damaged_package_is_fetched_again(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, ">= 1.0.0");
    locks(&project, &registry, "1.0.0", &[&zh("1.0.0")]);
    init(&providers, &project, false).await.unwrap();
    let program = package(&project, &registry, "1.0.0").join("terraform-provider-fake_v1.0.0");
    let (content, inode) = (fs::read(&program).unwrap(), fs::metadata(&program).unwrap().ino());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&program, "half of i").unwrap();
    fresh(&project);
    init(&providers, &project, false).await.unwrap();
    assert_eq!(registry.asked("fake_1.0.0.zip"), 2);
    assert_eq!(fs::read(&program).unwrap(), content);
    assert_ne!(fs::metadata(&program).unwrap().ino(), inode);
}

async fn a_lock_file_that_is_a_link_is_refused_without_following_it(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, "1.0.0");
    std::os::unix::fs::symlink("/etc/passwd", project.dir().join(".terraform.lock.hcl")).unwrap();
    let failure = init(&providers, &project, false).await.unwrap_err();
    assert_eq!((failure.step, failure.kind), (Step::Init, StepFailureKind::Unusable));
    assert_eq!(
        failure.message,
        "The lock file `.terraform.lock.hcl` cannot be read: it is no regular file, or too large."
    );
    nothing_was_published(&project);
}

async fn many_inits_succeed_while_a_version_is_being_published(mut project: Project) {
    let registry = Registry::with(&["1.0.0", "1.1.0", "2.0.0"]).await;
    let providers = providers(&mut project, &registry);
    registry.slow_down(Duration::from_millis(300));
    let mut runs = Vec::new();
    for number in 0..9_u64 {
        let mut one = Project::new(project.tool.product).await;
        one.installation = project.installation.clone();
        let version = ["1.0.0", "1.1.0", "2.0.0"][usize::try_from(number).unwrap() % 3];
        requires(&one, &registry, version);
        let providers = &providers;
        runs.push(async move {
            tokio::time::sleep(Duration::from_millis(70 * number)).await;
            init(providers, &one, false).await.map(|()| lock(&one))
        });
    }
    for (number, locked) in futures::future::join_all(runs).await.into_iter().enumerate() {
        let version = ["1.0.0", "1.1.0", "2.0.0"][number % 3];
        assert!(locked.unwrap().contains(&format!("version     = \"{version}\"")));
    }
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        assert_eq!(registry.asked(&format!("fake_{version}.zip")), 1, "{version} is fetched by one, the others wait");
    }
}

async fn a_program_that_the_repository_brings_along_is_not_taken(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    for version in ["1.0.0", "9.9.9"] {
        let program = format!(
            "terraform.d/plugins/{}/acme/fake/{version}/{}/terraform-provider-fake_v{version}",
            registry.host(),
            platform()
        );
        project.file(&program, "#!/bin/sh\n");
        fs::set_permissions(project.dir().join(&program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    requires(&project, &registry, ">= 1.0.0");
    init(&providers, &project, false).await.unwrap();
    let installed = project.dir().join(".terraform/providers").join(registry.host()).join("acme/fake");
    let mirrored = fs::canonicalize(package(&project, &registry, "1.0.0")).unwrap();
    assert_eq!(fs::canonicalize(installed.join("1.0.0").join(platform())).unwrap(), mirrored);
    fresh(&project);
    let _ = fs::remove_file(project.dir().join(".terraform.lock.hcl"));
    requires(&project, &registry, "9.9.9");
    init(&providers, &project, false).await.unwrap_err();
    assert!(!project.dir().join(".terraform/providers").exists());
}

async fn modules_from_elsewhere_are_fetched_before_their_providers(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, "1.0.0");
    let mut zip = zip::write::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("main.tf", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&fs::read(project.dir().join("main.tf")).unwrap()).unwrap();
    let source = registry.serve("module.zip", zip.finish().unwrap().into_inner());
    project.file("main.tf", &format!("module \"a\" {{\n  source = \"{source}\"\n}}\n"));
    for (name, value) in registry.network() {
        project.grant(&name, &value);
    }
    init(&providers, &project, false).await.unwrap();
    let program = project.tool.product.program();
    let log = project.log();
    let started: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix(&format!("$ {program} "))).collect();
    let started: Vec<&str> = started.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(started, ["get", "providers", "init"]);
    assert_eq!(registry.asked("fake_1.0.0.zip"), 1);
}

async fn a_provider_that_only_the_state_still_needs_is_fetched(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    let path = project.root().join("state.tfstate");
    let address = format!("module.a.provider[\"{}/acme/fake\"].west", registry.host());
    let state = serde_json::json!({
        "version": 4, "terraform_version": "1.6.0", "serial": 3, "lineage": "3fa0", "outputs": {},
        "resources": [{ "module": "module.a", "mode": "managed", "type": "fake_thing", "name": "x",
            "provider": address, "instances": [{ "schema_version": 0, "attributes": { "id": "1" } }] }],
    });
    fs::write(&path, state.to_string()).unwrap();
    project.file(
        "main.tf",
        &format!("terraform {{\n  backend \"local\" {{\n    path = \"{}\"\n  }}\n}}\n", path.display()),
    );
    init(&providers, &project, false).await.unwrap();
    assert!(lock(&project).contains(&format!("{}/acme/fake", registry.host())));
    assert!(project.log().contains("providers that the code no longer names"), "{}", project.log());
}

async fn the_operators_own_configuration_is_used_as_it_is(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, "1.0.0");
    init(&providers, &project, false).await.unwrap();
    let theirs = project.root().join("theirs");
    fs::rename(project.root().join("providers"), &theirs).unwrap();
    let file = project.root().join("their.rc");
    let mirror = theirs.join("mirror");
    fs::write(&file, format!("provider_installation {{\n  filesystem_mirror {{\n    path = {mirror:?}\n  }}\n}}\n"))
        .unwrap();
    let providers = self::providers(&mut project, &registry);
    project.installation = Installation::Operator(file);
    fresh(&project);
    init(&providers, &project, true).await.unwrap();
    assert_eq!(registry.asked("fake_1.0.0.zip"), 1);
    assert_eq!(files(&project.root().join("providers")).unwrap(), Vec::<String>::new());
}

async fn only_what_reaches_a_registry_is_passed_on_to_a_fetch(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, "1.0.0");
    for name in ["TF_TOKEN_example_com", "AWS_SECRET_ACCESS_KEY", "TF_VAR_x", "HTTPS_PROXY_PASSWORD"] {
        project.grant(name, "granted-value");
    }
    // The real tool behind a script that notes what it is given.
    let (real, noted) = (project.tool.path.clone(), project.root().join("noted"));
    let script = project.root().join("tool");
    let path = crate::terraform::testing::path_variable();
    let env = crate::sandbox::process::find_program("env".as_ref(), &path).unwrap();
    let text = format!(
        "#!/bin/sh\n[ \"$1\" != providers ] || {} > {}\nexec {} \"$@\"\n",
        env.display(),
        noted.display(),
        real.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    project.tool.path = script;
    init(&providers, &project, false).await.unwrap();
    let noted = fs::read_to_string(noted).unwrap();
    let mut names: Vec<&str> = noted.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    assert_eq!(
        names,
        [
            "CHECKPOINT_DISABLE",
            "HOME",
            "LANG",
            "PATH",
            "SSL_CERT_FILE",
            "TF_CLI_CONFIG_FILE",
            "TF_INPUT",
            "TF_IN_AUTOMATION",
            "TF_TOKEN_example_com",
            "TMPDIR"
        ]
    );
}

async fn a_cancelled_run_does_not_wait_for_a_fetch(mut project: Project) {
    let registry = Registry::with(&["1.0.0"]).await;
    let providers = providers(&mut project, &registry);
    requires(&project, &registry, "1.0.0");
    registry.slow_down(Duration::from_secs(60));
    let mut waiting = Project::new(project.tool.product).await;
    waiting.installation = project.installation.clone();
    requires(&waiting, &registry, "1.0.0");
    let stop = async {
        while registry.asked("fake_1.0.0.zip") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        waiting.cancel.cancel();
        tokio::time::sleep(Duration::from_millis(50)).await;
        project.cancel.cancel();
    };
    let (fetching, waited, ()) =
        tokio::join!(init(&providers, &project, false), init(&providers, &waiting, false), stop);
    assert_eq!(waited.unwrap_err().kind, StepFailureKind::Cancelled);
    assert_eq!(fetching.unwrap_err().kind, StepFailureKind::Cancelled);
    nothing_was_published(&project);
}
