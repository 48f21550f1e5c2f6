//! The real terraform against managed state.

use super::*;
use crate::flow::tokens::Right;
use crate::sandbox::process::{self, Spec, find_program};
use crate::sandbox::sink::Sink;
use secrecy::{ExposeSecret as _, SecretString};
use std::path::Path;

const CONFIGURATION: &str = r#"
terraform {
  backend "http" {}
}
resource "terraform_data" "network" {
  input = "10.0.0.0/16"
}
output "network" {
  value = terraform_data.network.output
}
"#;

struct Project {
    dir: tempfile::TempDir,
    address: String,
}

impl Project {
    fn at(address: String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("main.tf"), CONFIGURATION).unwrap();
        std::fs::write(dir.path().join("cli.tfrc"), "").unwrap();
        Self { dir, address }
    }

    /// Success, and everything that was said.
    async fn terraform(&self, run: RunId, token: &SecretString, args: &[&str]) -> (bool, String) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = find_program(Path::new("terraform"), &path).expect("terraform is on the PATH");
        let text = |value: &Path| value.to_string_lossy().into_owned();
        let env = [
            ("HOME", text(self.dir.path())),
            ("TF_CLI_CONFIG_FILE", text(&self.dir.path().join("cli.tfrc"))),
            ("CHECKPOINT_DISABLE", "1".into()),
            ("TF_IN_AUTOMATION", "1".into()),
            ("TF_HTTP_ADDRESS", self.address.clone()),
            ("TF_HTTP_LOCK_ADDRESS", self.address.clone()),
            ("TF_HTTP_UNLOCK_ADDRESS", self.address.clone()),
            ("TF_HTTP_USERNAME", run.to_string()),
            ("TF_HTTP_RETRY_WAIT_MIN", "1".into()),
        ];
        let mut spec = Spec::new(program, self.dir.path()).args(args.iter().copied());
        spec.env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        spec.secret_env = vec![("TF_HTTP_PASSWORD".to_owned(), token.clone())];
        spec.stdout = Sink::Buffer { max: 1024 * 1024 };
        spec.stderr = Sink::Buffer { max: 1024 * 1024 };
        spec.deadline = Duration::from_secs(120);
        let outcome = process::run(spec).await.unwrap();
        let said = [outcome.stdout.bytes, outcome.stderr.bytes].concat();
        (outcome.end.success(), String::from_utf8_lossy(&said).into_owned())
    }

    async fn must(&self, run: RunId, token: &SecretString, args: &[&str]) -> String {
        let (success, said) = self.terraform(run, token, args).await;
        assert!(success, "terraform {args:?}: {said}");
        said
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terraform_plans_with_a_reader_s_token_and_applies_with_a_writer_s_lock() {
    let server = Server::start().await;
    let address = server.listen().await;
    let state = server.store.state_id(&repo(), &"prod/network".parse().unwrap()).await.unwrap();
    let project = Project::at(format!("http://{address}/state/{state}"));
    let mut plan = server.add_run(1, RunState::Running).await;
    let apply = server.add_run(2, RunState::Running).await;
    let reads = server.tokens.issue(plan.id, &state.to_string(), Right::Read);
    let writes = server.tokens.issue(apply.id, &state.to_string(), Right::Write);

    project.must(plan.id, &reads, &["init", "-input=false", "-no-color"]).await;
    project.must(plan.id, &reads, &["plan", "-lock=false", "-input=false", "-no-color", "-out=plan.bin"]).await;
    let (success, said) = project.terraform(plan.id, &reads, &["apply", "-no-color", "plan.bin"]).await;
    assert!(!success, "a reader's token applied: {said}");
    assert!(server.store.state_head(&state).await.unwrap().is_none());

    // While another run holds the lock, the apply waits and then says whose it is.
    let holder = r#"{"ID":"11111111-2222-3333-4444-555555555555","Who":"bo@laptop","Operation":"OperationTypeApply",
        "Info":"","Version":"1.11.4","Created":"2026-11-24T00:00:00Z","Path":""}"#;
    server.store.state_lock(&state, holder).await.unwrap().unwrap();
    let (success, said) =
        project.terraform(apply.id, &writes, &["apply", "-no-color", "-lock-timeout=1s", "plan.bin"]).await;
    assert!(!success && said.contains("ID=11111111-2222-3333-4444-555555555555"), "{said}");
    server.store.state_unlock(&state, "11111111-2222-3333-4444-555555555555").await.unwrap();

    let said = project.must(apply.id, &writes, &["apply", "-no-color", "plan.bin"]).await;
    assert!(said.contains("1 added"), "{said}");
    let head = server.store.state_head(&state).await.unwrap().unwrap();
    assert_eq!(head.run, Some(apply.id));
    assert_eq!(server.store.state_lock_info(&state).await.unwrap(), None, "the lock was freed");

    let said = project.must(apply.id, &writes, &["output", "-raw", "network"]).await;
    assert_eq!(said, "10.0.0.0/16");
    let plan_file = std::fs::read(project.dir.path().join("plan.bin")).unwrap();
    let token = reads.expose_secret().as_bytes();
    assert!(!plan_file.windows(token.len()).any(|window| window == token));

    server.set_state(&mut plan, RunState::Succeeded).await;
    let (success, said) = project.terraform(plan.id, &reads, &["state", "pull"]).await;
    assert!(!success && said.contains("invalid auth"), "the token of a run that is over: {said}");
}
