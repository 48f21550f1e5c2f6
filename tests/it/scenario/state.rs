//! Where state lives: kept by Terraplane, or nowhere.

use super::stand_in::StandIn;
use super::{MANAGED, masked, resource};
use crate::stage::{Setup, Stage};
use reqwest::{Client, Method};
use std::path::Path;

const SECRET: &str = "correct-horse-battery-staple";

/// Somebody with the address and the credentials of a run.
struct Caller {
    address: String,
    user: String,
    password: String,
}

impl Caller {
    /// What the newest terraform was given.
    fn of(terraform: &StandIn, stage: &Stage) -> Self {
        let environment = terraform.environment();
        let newest = |name: &str| {
            let mut lines = environment.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            lines.next_back().unwrap().to_owned()
        };
        Self {
            // The name is known in cages only.
            address: newest("TF_HTTP_ADDRESS").replace("http://state.terraplane.internal/", stage.url().as_str()),
            user: newest("TF_HTTP_USERNAME"),
            password: newest("TF_HTTP_PASSWORD"),
        }
    }

    async fn ask(&self, method: &str) -> u16 {
        self.ask_with(method, Some(&self.password)).await
    }

    async fn ask_with(&self, method: &str, password: Option<&str>) -> u16 {
        let client = Client::builder().no_proxy().build().unwrap();
        let mut request = client.request(Method::from_bytes(method.as_bytes()).unwrap(), &self.address);
        if let Some(password) = password {
            request = request.basic_auth(&self.user, Some(password));
        }
        let state = r#"{"ID":"forged","version":4,"serial":99,"lineage":"forged"}"#;
        request.body(state).send().await.unwrap().status().as_u16()
    }
}

/// Files below a directory whose bytes contain this text.
fn files_with(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_with(&entry.path(), text));
        } else if std::fs::read(entry.path()).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn managed_state_is_versioned_encrypted_and_open_to_its_own_runs_only() {
    let terraform = StandIn::terraform();
    let grant = format!(
        "    env:\n      - {{match: \"*\", plan: {{TF_VAR_password: {SECRET}}}, apply: {{TF_VAR_password: {SECRET}}}}}\n"
    );
    let code = |name: &str| {
        format!(
            "variable \"password\" {{\n  sensitive = true\n}}\n\nresource \"terraform_data\" \"{name}\" {{\n  input = var.password\n}}\n"
        )
    };
    let setup = Setup { repo: grant, ..terraform.setup(4) };
    let stage = Stage::set(&[("terraplane.yaml", MANAGED), ("prod/README.md", "Prod\n")], setup).await;

    terraform.hold("prod");
    let pull = stage.world.open_pull("Vault").changing("prod/main.tf", &code("vault")).await;
    terraform.await_noted("begin plan prod", 1).await;
    let plan = Caller::of(&terraform, &stage);
    assert_eq!(plan.ask("GET").await, 204, "there is no state yet");
    assert_eq!((plan.ask("POST").await, plan.ask("LOCK").await, plan.ask("UNLOCK").await), (403, 403, 403));
    assert_eq!((plan.ask_with("GET", None).await, plan.ask_with("GET", Some("guessed")).await), (401, 401));
    let elsewhere =
        Caller { address: format!("{}state/{}", stage.url(), uuid::Uuid::now_v7()), ..Caller::of(&terraform, &stage) };
    assert_eq!(elsewhere.ask("GET").await, 401, "a token is good for one state");
    terraform.release("prod");
    pull.await_status("terraplane/plan", "success").await;

    terraform.hold_at("apply", "prod");
    pull.merge("ana").await;
    terraform.await_noted("begin apply prod", 1).await;
    let apply = Caller::of(&terraform, &stage);
    assert_eq!(plan.ask("GET").await, 403, "the plan is over");
    assert_eq!(apply.ask("GET").await, 204);
    assert_eq!((apply.ask("LOCK").await, apply.ask("UNLOCK").await), (200, 200));
    terraform.release_at("apply", "prod");
    assert!(pull.next_comment().await.contains("1 created · the reviewed plan"));
    assert_eq!(apply.ask("GET").await, 403, "the apply is over");

    let next = stage.world.open_pull("Safe").changing("prod/main.tf", &code("safe")).await;
    next.await_status("terraplane/plan", "success").await;
    next.merge("ana").await;
    assert!(next.next_comment().await.contains("1 created, 1 destroyed"));

    let store = &stage.server.flow.store;
    let repo = stage.world.repo_name().parse().unwrap();
    let state = store.state_id(&repo, &"prod".parse().unwrap()).await.unwrap();
    let head = store.state_head(&state).await.unwrap().unwrap();
    assert_eq!(head.version, 2);
    let kept = stage.data.path().join("data/state").join(state.to_string());
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 2, "every version is kept");
    assert_eq!(files_with(&kept, "lineage"), [""; 0], "state is encrypted");

    stage.settled().await;
    assert_eq!(files_with(&stage.data.path().join("data"), SECRET), [""; 0]);
    stage.finish().await;
}

#[tokio::test]
async fn without_a_backend_a_project_is_planned_never_applied_and_told_why() {
    let stage = Stage::with(&[("prod/main.tf", &resource("web", "one"))]).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    let status = pull.await_status("terraplane/apply", "success").await;
    assert_eq!(status.description.as_deref(), Some("Not applied: neither a backend nor managed state"));
    let _masked = masked();
    insta::assert_snapshot!(pull.live_comment().await_containing("web").await, @r#"
    <!-- terraplane:live -->
    ### terraplane · plan ready · `prod` · +1

    <details open><summary><b><a href="RUN"><code>prod</code></a></b> · +1 · 0 s · because <code>prod/main.tf</code> changed</summary>

    ```diff
    + terraform_data.web  create
    +   id: (known after apply)
    +   input: "two"
    +   output: (known after apply)
    ```

    </details>

    Never applied: `prod`. There is neither a backend nor managed state, so the state would be lost with the work tree. Add a `backend` block, or `state: managed` in `terraplane.yaml`.

    <sub>`ID` merged onto `main` at `ID` · terraform VERSION · plan `ID` · commands: `terraplane help` · sandbox: full</sub>
    "#);

    let merged = pull.merge("ana").await;
    let status = stage.world.await_status(&merged, "terraplane/apply", "success").await;
    assert_eq!(status.description.as_deref(), Some("Not applied: neither a backend nor managed state"));
    pull.comment("ana", "terraplane apply");
    insta::assert_snapshot!(pull.next_comment().await, @r"
    <!-- terraplane:reply reply-ID-1 -->
    ### 🚫 `@ana`: `terraplane apply` was not carried out

    - `prod`: it has no backend, so its state would be lost: add a `backend` block, or `state: managed` in `terraplane.yaml`
    ");
    assert_eq!(stage.applies(&pull).await, 0);
    stage.finish().await;
}
