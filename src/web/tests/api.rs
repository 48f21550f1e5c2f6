use super::*;
use crate::config::{Environment, ServerConfig};
use crate::domain::command::Names;
use crate::store::DeliveryEnd;
use crate::web::Calls;

const TOKEN: &str = "0123456789abcdefghij";

/// One token that acts as `robot`, and `github.com/acme/infra`.
pub(super) fn calls() -> Calls {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.yaml");
    let yaml = "url: http://127.0.0.1:1\ngithub: {token: env:T, webhook_secret: env:S}\n\
                repos: [{match: github.com/acme/infra}]\napi: [{acts_as: robot, token: env:A}]\n";
    std::fs::write(&file, yaml).unwrap();
    let variables = [("T", "a-token-of-the-forge"), ("S", "a-secret-of-the-webhooks"), ("A", TOKEN)];
    let environment: Environment = variables.map(|(name, value)| (name.into(), value.into())).into_iter().collect();
    let config = ServerConfig::load(Some(&file), &environment).unwrap();
    Calls { tokens: config.api, name: "terraplane".into(), names: Names::new("terraplane", []), repos: config.repos }
}

fn call(authorization: &str, body: &serde_json::Value) -> Request<Body> {
    Request::post("/api/v1/commands")
        .header("authorization", authorization)
        .header("idempotency-key", "deploy-1")
        .body(body.to_string().into())
        .unwrap()
}

fn bearer() -> String {
    format!("Bearer {TOKEN}")
}

#[tokio::test]
async fn a_call_is_recorded_once_as_the_accounts_command() {
    let server = Server::start().await;
    let body = json!({ "pull": "github.com/acme/infra#12", "command": "apply prod", "head": "a".repeat(40) });
    for _ in 0..2 {
        let answer = server.ask(call(&bearer(), &body)).await;
        assert_eq!((answer.status, answer.text()), (202, r#"{"id":"call:robot:deploy-1"}"#));
    }
    let id = "call:robot:deploy-1".parse().unwrap();
    let stored = server.store.delivery(ForgeKind::Github, &id).await.unwrap().unwrap();
    assert_eq!(stored.end, None::<DeliveryEnd>);
    let event: serde_json::Value = serde_json::from_str(&stored.delivery.body).unwrap();
    assert_eq!(event["pull"], "github.com/acme/infra#12");
    assert_eq!(event["called"], json!({ "by": "robot", "text": "apply prod", "head": "a".repeat(40), "seen": null }));
}

#[tokio::test]
async fn whoever_has_no_token_learns_nothing() {
    let server = Server::start().await;
    let body = json!({ "pull": "github.com/acme/infra#12", "command": "apply" });
    for wrong in ["", "Bearer ", "Bearer 0123456789abcdefghiJ", TOKEN, "Basic 0123456789abcdefghij"] {
        assert_eq!(server.ask(call(wrong, &body)).await.status, 401, "{wrong:?}");
    }
}

#[tokio::test]
async fn what_a_program_gets_wrong_is_told_to_it() {
    let server = Server::start().await;
    let pull = "github.com/acme/infra#12";
    for (body, status, told) in [
        (json!({ "pull": pull, "command": "aply" }), 400, "`command`: `aply` is not a verb"),
        (json!({ "pull": pull, "command": "lovely weather" }), 400, "`command`: it is no command"),
        (json!({ "pull": pull, "command": "plan\nterraplane apply" }), 400, "`command`: one line is one command"),
        (json!({ "pull": pull, "command": "apply --never" }), 400, "`command`: the argument `--never`"),
        (json!({ "pull": pull, "comand": "apply" }), 400, "unknown field `comand`"),
        (json!({ "pull": pull, "command": "apply", "head": "main" }), 400, "`head`: "),
        (json!({ "pull": "infra#12", "command": "apply" }), 400, "`pull`: "),
        (json!({ "pull": "github.com/acme/other#1", "command": "apply" }), 404, "does not serve github.com/acme/other"),
        (json!({ "pull": "gitlab.com/acme/infra#1", "command": "apply" }), 404, "does not serve gitlab.com/acme/infra"),
    ] {
        let answer = server.ask(call(&bearer(), &body)).await;
        let error: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        let error = error["error"].as_str().unwrap();
        assert_eq!(answer.status, status, "{body}: {error}");
        assert!(error.contains(told), "{body}: {error}");
    }
    let large = json!({ "pull": pull, "command": format!("apply {}", "a".repeat(20_000)) });
    assert_eq!(server.ask(call(&bearer(), &large)).await.status, 413);
}
