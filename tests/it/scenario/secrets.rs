//! What must not be seen, and what must not run.

use super::stand_in::StandIn;
use super::{MANAGED, resource};
use crate::stage::{Setup, Stage};
use crate::world::program;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use terraplane::demo::state::{Change, Content};
use terraplane::sandbox::Level;
use tracing_subscriber::fmt::MakeWriter;

/// A secret as it would be found: as it is, and within base64 at each of the three ways it can lie in it.
pub(crate) fn traces(secret: &str) -> Vec<String> {
    let shifted = |shift: usize| {
        let text = STANDARD_NO_PAD.encode(format!("{}{secret}", "x".repeat(shift)));
        // What the bytes before and after it share a digit with is not its own.
        text[if shift == 0 { 0 } else { shift + 1 }..text.len() - 2].to_owned()
    };
    vec![secret.to_owned(), shifted(0), shifted(1), shifted(2)]
}

/// Files below the directory that hold one of the texts.
pub(crate) fn files_with(dir: &Path, texts: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_with(&entry.path(), texts));
        } else if let Ok(bytes) = fs::read(entry.path()) {
            let holds = |text: &String| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            found.extend(texts.iter().any(holds).then(|| entry.path()));
        }
    }
    found
}

/// Collects what the server of this test logs, as much as `RUST_LOG=debug` would.
#[derive(Clone, Default)]
struct ServerLog(Arc<Mutex<Vec<u8>>>);

impl ServerLog {
    /// Listens until what it returns is dropped. As long as there is one subscriber only, tracing asks none but that of
    /// the thread that comes first to a line of code, which may be another test's without one: hence the second.
    fn listen(&self) -> (tracing::subscriber::DefaultGuard, tracing::Dispatch) {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(self.clone())
            .with_ansi(false)
            .finish();
        let second = tracing::Dispatch::new(tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).finish());
        (tracing::subscriber::set_default(subscriber), second)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for ServerLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for ServerLog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that people and the forge were told.
pub(crate) fn told(stage: &Stage) -> String {
    stage.world.forge.read(|state| {
        let repos = || state.repos.values();
        let comments = repos().flat_map(|repo| repo.pulls.values()).flat_map(|pull| &pull.comments);
        let statuses = repos().flat_map(|repo| &repo.statuses);
        let texts = comments.flat_map(|comment| comment.earlier.iter().chain([&comment.body])).cloned();
        texts.chain(statuses.map(|status| format!("{status:?}"))).collect::<Vec<_>>().join("\n")
    })
}

/// A value that is granted and one that the code itself calls sensitive, in a resource that will be changed, in one that
/// will not, and in an output. (Terraform's own text shows a changed `terraform_data`'s `output`, which repeats `input`,
/// without a mark; so the one that will be changed has them in its triggers.)
const SENSITIVE: &str = r#"
variable "password" {
  sensitive = true
}
locals {
  made = sensitive(strrev("NEDDIH-EDAM-SAW-TAHW"))
}
resource "terraform_data" "kept" {
  input = { name = "web", password = var.password, made = local.made }
}
resource "terraform_data" "web" {
  triggers_replace = [var.password, local.made]
}
output "both" {
  value     = "${var.password} and ${local.made}"
  sensitive = true
}
"#;
const GRANTED: &str = "what-was-granted-hidden";
const MADE: &str = "WHAT-WAS-MADE-HIDDEN";

#[tokio::test]
async fn sensitive_values_are_in_no_comment_status_log_or_file() {
    let log = ServerLog::default();
    let _listening = log.listen();
    let grants = "    env:\n      - match: \"*\"\n        plan: {TF_VAR_password: what-was-granted-hidden}\n        \
                  apply: {TF_VAR_password: what-was-granted-hidden}\n";
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", "")];
    let stage = Stage::set(&files, Setup { repo: grants.into(), ..Setup::default() }).await;
    let pull = stage.world.open_pull("Secrets").changing("prod/main.tf", SENSITIVE).await;
    let text = pull.live_comment().await_containing("plan ready").await;
    assert!(text.contains("password: (sensitive)"), "{text}");
    pull.merge("ana").await;
    let result = pull.next_comment().await;
    assert!(result.contains("✅ Applied"), "{result}");
    // Now there is a state with the values, and both sides of a difference.
    let changed = SENSITIVE.replace("[var.password, local.made]", "[local.made, var.password]");
    let second = stage.world.open_pull("More").changing("prod/main.tf", &changed).await;
    let text = second.live_comment().await_containing("plan ready").await;
    assert!(text.contains("will be replaced"), "{text}");
    // An error that repeats a granted value.
    let said = "output \"said\" {\n  value = 1\n  precondition {\n    condition     = length(nonsensitive(var.password)) == 0\n    \
                error_message = \"The password is ${nonsensitive(var.password)}!\"\n  }\n}\n";
    second.push(&[("prod/said.tf", said)]).await;
    let text = second.live_comment().await_containing("plan failed").await;
    assert!(text.contains("The password is"), "{text}");
    stage.settled().await;

    let secrets = [traces(GRANTED), traces(MADE)].concat();
    let told = told(&stage);
    let logged = log.text();
    assert!(logged.contains("the pull request changed"), "the log is listened to: {logged}");
    for secret in &secrets {
        assert!(!told.contains(secret), "{secret} was told:\n{told}");
        assert!(!logged.contains(secret), "{secret} was logged:\n{logged}");
    }
    let found = files_with(&stage.data.path().join("data"), &secrets);
    assert!(found.is_empty(), "{found:?}");
    stage.finish().await;
}

/// Nobody marks these and nobody granted them: they are made while it runs, so that the code does not hold them either.
const UNMARKED: &str = r#"
locals {
  token  = strrev("c1BAc1BAc1BAc1BAc1BAc1BAc1BAc1BAc1BA_phg")
  random = strrev("Yw5Rt8Bn4Lp7Vm2Qk9Xz")
}
resource "terraform_data" "web" {
  input = { note = "uses ${local.token}", api_token = local.random, hash = "Yw5Rt8" }
  provisioner "local-exec" {
    command = "echo \"state: $TF_HTTP_PASSWORD\"; echo \"forge: ${local.token}\"; echo \"api_token=${local.random}\""
  }
}
"#;

#[tokio::test]
async fn what_nobody_marked_is_known_by_its_looks_in_the_comment_and_in_the_log() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", "")]).await;
    let pull = stage.world.open_pull("Tokens").changing("prod/main.tf", UNMARKED).await;
    let text = pull.live_comment().await_containing("plan ready").await;
    assert!(text.contains("note: \"uses ***\"") && text.contains("api_token: (sensitive)"), "{text}");
    assert!(text.contains("hash: \"Yw5Rt8\""), "{text}");
    pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("✅ Applied"));
    stage.settled().await;
    let data = stage.data.path().join("data");
    for said in ["state: ***", "forge: ***", "api_token=***"] {
        assert_eq!(files_with(&data, &[said.to_owned()]).len(), 1, "the log says `{said}`");
    }
    let secrets = ["ghp_AB1cAB1c", "zX9kQ2mV7pL4", "state: write."].map(str::to_owned);
    let found = files_with(&data, &secrets);
    assert!(found.is_empty(), "{found:?}");
    let told = told(&stage);
    assert!(!secrets.iter().any(|secret| told.contains(secret)), "{told}");
    stage.finish().await;
}

#[tokio::test]
async fn the_forge_s_token_reaches_git_fetch_and_nothing_else() {
    let log = ServerLog::default();
    let _listening = log.listen();
    let (terraform, git) = (StandIn::terraform(), StandIn::git());
    // The stand-ins write what they see where no cage lets them.
    let (require, at_most) = (Some(Level::Off), Some(Level::Off));
    let setup = Setup { programs: Some(git.programs()), require, at_most, ..terraform.setup(4) };
    let stage = Stage::set(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))], setup).await;
    let token = fs::read_to_string(stage.data.path().join("token")).unwrap();
    assert!(token.len() > 20);
    let traces = traces(&token);
    let data = stage.data.path().join("data");
    terraform.hold("prod");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    terraform.await_noted("begin plan", 1).await;
    let found = files_with(&data, &traces);
    assert!(found.is_empty(), "while terraform runs: {found:?}");
    assert!(!work_trees_hold_git(&data.join("work")), "a work tree has no `.git`");
    terraform.release("prod");
    pull.await_status("terraplane/plan", "success").await;
    stage.settled().await;
    let found = files_with(&data, &traces);
    assert!(found.is_empty(), "afterwards: {found:?}");

    let given = git.environment_of_fetches();
    assert!(traces.iter().any(|trace| given.contains(trace)), "a fetch is given the token, and it would be found");
    assert!(git.arguments().contains("cat-file"), "{}", git.arguments());
    for trace in &traces {
        assert!(!git.arguments().contains(trace), "git's arguments: {}", git.arguments());
        assert!(!git.environment().contains(trace), "only a fetch is given the token: {}", git.environment());
        assert!(!terraform.arguments().contains(trace), "{}", terraform.arguments());
        assert!(!terraform.environment().contains(trace), "{}", terraform.environment());
        assert!(!log.text().contains(trace), "{}", log.text());
        assert!(!told(&stage).contains(trace));
    }
    stage.finish().await;
}

#[tokio::test]
async fn terraform_sees_nothing_of_the_server_s_environment() {
    let terraform = StandIn::terraform();
    let grants =
        "    env:\n      - match: prod\n        plan: {GRANTED: to-plans}\n        apply: {GRANTED: to-applies}\n";
    let setup = Setup { repo: grants.into(), ..terraform.setup(4) };
    let stage = Stage::set(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))], setup).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    let seen = terraform.environment();
    let mut names: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    names.dedup();
    // Those of managed state hold the token of the run. The shell of the stand-in adds `PWD`.
    let of_managed_state = |name: &&str| name.starts_with("TF_HTTP_");
    names.retain(|name| !of_managed_state(name) && *name != "PWD");
    let wanted = "CHECKPOINT_DISABLE GIT_ALLOW_PROTOCOL GIT_TERMINAL_PROMPT GOGC GRANTED HOME HTTPS_PROXY HTTP_PROXY LANG PATH TF_CLI_CONFIG_FILE TF_INPUT TF_IN_AUTOMATION TMPDIR http_proxy https_proxy";
    assert_eq!(names.join(" "), wanted);
    assert!(seen.contains("GRANTED=to-plans") && !seen.contains("to-applies"), "{seen}");
    assert!(std::env::var("CARGO_MANIFEST_DIR").is_ok(), "the server has variables of its own to keep");
    stage.finish().await;
}

#[tokio::test]
async fn hooks_filters_and_submodules_of_a_repository_do_not_run() {
    let stage = Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await;
    let trap = stage.data.path().join("trap");
    let script = format!("#!/bin/sh\n{} \"$0\" >> {}\n", program("echo").display(), trap.display());
    let first = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    first.await_status("terraplane/plan", "success").await;
    // As bad as it can be: the hooks are in the mirror itself.
    let mirrors = fs::read_dir(stage.data.path().join("data/mirrors")).unwrap();
    for mirror in mirrors.map(|entry| entry.unwrap().path()) {
        fs::create_dir_all(mirror.join("hooks")).unwrap();
        for hook in ["reference-transaction", "post-checkout", "post-index-change", "post-merge", "pre-auto-gc"] {
            fs::write(mirror.join("hooks").join(hook), &script).unwrap();
            fs::set_permissions(mirror.join("hooks").join(hook), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let url = format!("ext::{}", trap.display());
    let modules = format!("[submodule \"x\"]\n\tpath = prod/x\n\turl = {url}\n\tupdate = !{}\n", trap.display());
    let config = format!("[core]\n\thooksPath = .githooks\n\tfsmonitor = {}\n", trap.display());
    let hook = Change { path: ".githooks/post-checkout".into(), to: Content::Executable(script.clone()) };
    let pull = stage
        .world
        .open_pull("Traps")
        .changing("prod/main.tf", &resource("web", "three"))
        .changing(".gitattributes", "* filter=trap diff=trap merge=trap text eol=crlf\n")
        .changing(".gitmodules", &modules)
        .changing(".gitconfig", &config)
        .with(hook)
        .with(Change { path: "prod/.terraform/x.tf".into(), to: Content::Executable(script) })
        .await;
    pull.live_comment().await_containing("input: \"three\"").await;
    stage.settled().await;
    assert!(!trap.exists(), "{}", fs::read_to_string(&trap).unwrap());
    // The control: a git that is not told otherwise runs the hooks.
    let mirror = fs::read_dir(stage.data.path().join("data/mirrors")).unwrap().next().unwrap().unwrap().path();
    let add = ["worktree", "add", "--quiet", "--detach", "../by-hand", &pull.head().to_string()];
    let mut git = std::process::Command::new(program("git"));
    assert!(git.args(["-C"]).arg(mirror).args(add).status().unwrap().success());
    assert!(trap.exists());
    stage.finish().await;
}

/// Whether anything below is called `.git`.
fn work_trees_hold_git(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().flatten().any(|entry| {
        let is_dir = entry.file_type().unwrap().is_dir();
        entry.file_name() == ".git" || is_dir && work_trees_hold_git(&entry.path())
    })
}
