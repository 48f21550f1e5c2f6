//! The server's own HTTP, asked as browsers, forges and orchestrators ask it.

use super::stand_in::StandIn;
use super::{MANAGED, resource};
use crate::stage::Stage;
use crate::world::{REPO, WEBHOOK_SECRET};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::json;
use terraplane::store::DeliveryEnd;

async fn stage() -> Stage {
    Stage::with(&[("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))]).await
}

async fn get(url: &str) -> reqwest::Response {
    reqwest::get(url).await.unwrap()
}

/// The link to a run's page that a comment holds.
fn run_link(text: &str) -> String {
    let from = text.find("<a href=\"").expect("a link") + "<a href=\"".len();
    text[from..].split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_of_a_run_opens_by_the_link_in_the_comment_and_by_no_other() {
    let stage = stage().await;
    let code = resource("web", "<script>alert(1)</script>");
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &code).await;
    let link = run_link(&pull.live_comment().await_containing("plan ready").await);
    let page = get(&link).await;
    assert_eq!(page.status(), StatusCode::OK);
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(html.contains("<dt>Sandbox</dt><dd>full</dd>"), "{html}");
    assert!(html.contains("terraform_data.web"), "{html}");
    assert!(html.contains("<span class=\"fg2\">+</span> create"), "terraform's colours are classes: {html}");
    assert!(!html.contains('\u{1b}'), "no control characters are left: {html}");
    assert!(!html.contains("<script") && html.contains("&lt;script"), "{html}");
    assert!(!html.contains("style=\""), "{html}");

    let styles = html.split("href=\"").map(|rest| rest.split('"').next().unwrap()).find(|href| href.ends_with(".css"));
    let styles = stage.url().join(&styles.unwrap().replace("&#x2f;", "/")).unwrap();
    let styles = get(styles.as_str()).await;
    assert_eq!(styles.status(), StatusCode::OK);
    assert_eq!(styles.headers()["content-type"], "text/css; charset=utf-8");

    let (run, key) = link.split_once("?key=").unwrap();
    let other = if key.starts_with('0') { "1" } else { "0" };
    for wrong in
        [run.to_owned(), format!("{run}?key={other}{}", &key[1..]), format!("{run}?key="), format!("{run}0?key={key}")]
    {
        let refused = get(&wrong).await;
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{wrong}");
        assert!(!refused.text().await.unwrap().contains("prod"), "{wrong}");
    }
    stage.finish().await;
}

#[tokio::test]
async fn the_page_of_a_running_run_looks_again_by_itself() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("a/main.tf", &resource("a", "one")), ("prod/main.tf", "")];
    let stage = Stage::set(&files, terraform.setup(4)).await;
    terraform.hold("a");
    let pull = stage
        .world
        .open_pull("Two")
        .changing("a/main.tf", &resource("a", "two"))
        .changing("prod/main.tf", "# x\n")
        .await;
    let text = pull.live_comment().await_containing("2 projects · 1 planning").await;
    let link = text.split("](").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    let html = get(link).await.text().await.unwrap();
    assert!(html.contains("http-equiv=\"refresh\""), "{html}");
    assert!(html.contains("terraform plan"), "the log so far: {html}");
    terraform.release("a");
    pull.await_status("terraplane/plan", "success").await;
    let html = get(link).await.text().await.unwrap();
    assert!(!html.contains("http-equiv=\"refresh\""), "{html}");
    stage.finish().await;
}

#[tokio::test]
async fn health_readiness_and_metrics_answer_everybody_and_name_nobody() {
    let stage = stage().await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.await_status("terraplane/plan", "success").await;
    let url = stage.url();
    for (path, text) in [("healthz", "alive\n"), ("readyz", "ready\n")] {
        let answer = get(url.join(path).unwrap().as_str()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.text().await.unwrap(), text);
    }
    let metrics = get(url.join("metrics").unwrap().as_str()).await;
    assert_eq!(metrics.status(), StatusCode::OK);
    let text = metrics.text().await.unwrap();
    for name in ["terraplane_deliveries_total", "terraplane_run_seconds", "terraplane_jobs"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    assert!(!text.contains("acme") && !text.contains("sam"), "{text}");
    for (path, status) in
        [("", StatusCode::OK), ("nothing", StatusCode::NOT_FOUND), ("state/1", StatusCode::UNAUTHORIZED)]
    {
        assert_eq!(get(url.join(path).unwrap().as_str()).await.status(), status, "/{path}");
    }
    stage.finish().await;
}

/// A webhook of the test's own, proven as the forge would prove it.
struct Webhook {
    path: String,
    headers: HeaderMap,
    body: String,
}

impl Webhook {
    fn new(stage: &Stage, event: &str, id: &str, body: impl Into<String>) -> Self {
        let (body, forge) = (body.into(), &stage.world.forge);
        let headers = forge.webhook_headers(&WEBHOOK_SECRET.into(), event, id, &body);
        Self { path: format!("webhooks/{}", forge.face()), headers, body }
    }

    /// Whatever proves it says this instead; `None`: nothing proves it.
    fn proven_by(mut self, proof: Option<&'static str>) -> Self {
        for name in
            self.headers.clone().keys().filter(|name| ["signature", "token"].iter().any(|w| name.as_str().contains(w)))
        {
            match proof {
                Some(proof) => drop(self.headers.insert(name, HeaderValue::from_static(proof))),
                None => drop(self.headers.remove(name)),
            }
        }
        self
    }

    async fn send(self, stage: &Stage) -> (u16, String) {
        let request = reqwest::Client::new()
            .post(stage.url().join(&self.path).unwrap())
            .header("content-type", "application/json")
            .headers(self.headers)
            .body(self.body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

async fn end_of(stage: &Stage, id: &str) -> Option<Option<DeliveryEnd>> {
    let stored = stage.server.flow.store.delivery(stage.world.forge.face().kind(), &id.parse().unwrap()).await.unwrap();
    stored.map(|stored| stored.end)
}

#[tokio::test]
async fn a_webhook_that_proves_nothing_or_says_nothing_is_refused_and_not_recorded() {
    let stage = stage().await;
    let body = r#"{"zen": "x"}"#;
    let unsigned = Webhook::new(&stage, "ping", "d-unsigned", body).proven_by(None);
    assert_eq!(unsigned.send(&stage).await.0, 401);
    let another = Webhook::new(&stage, "ping", "d-wrong", "another");
    let wrong = Webhook { headers: another.headers, ..Webhook::new(&stage, "ping", "d-wrong", body) };
    assert_eq!(wrong.send(&stage).await.0, 401);
    let odd = Webhook::new(&stage, "ping", "d-odd", body).proven_by(Some("sha256=zz"));
    assert_eq!(odd.send(&stage).await.0, 401);
    let (status, why) = Webhook::new(&stage, "ping", "d-form", "payload=%7B%7D").send(&stage).await;
    assert_eq!(status, 400);
    assert_eq!(why, "the body is not JSON: set the webhook's content type to `application/json`\n");
    let (status, _) = Webhook::new(&stage, "ping", "d-large", " ".repeat(26 << 20)).send(&stage).await;
    assert_eq!(status, 413);
    for id in ["d-unsigned", "d-wrong", "d-odd", "d-form", "d-large"] {
        assert_eq!(end_of(&stage, id).await, None, "{id} was recorded");
    }
    stage.finish().await;
}

#[tokio::test]
async fn an_unknown_event_or_action_is_recorded_as_ignored() {
    let stage = stage().await;
    let body = json!({"action": "enchanted", "repository": {"full_name": REPO}, "pull_request": {"number": 1}});
    for (event, id) in [("pull_request", "d-action"), ("sorcery", "d-event")] {
        let hook = Webhook::new(&stage, event, id, body.to_string());
        assert_eq!(hook.send(&stage).await.0, 202, "{event}");
    }
    let hook = Webhook { path: "events".to_owned(), ..Webhook::new(&stage, "ping", "d-ping", "{}") };
    assert_eq!(hook.send(&stage).await.0, 202, "Atlantis' path");
    stage.settled().await;
    for (id, word) in [("d-action", "`enchanted`"), ("d-event", "`sorcery`"), ("d-ping", "`ping`")] {
        let Some(Some(DeliveryEnd::Ignored(why))) = end_of(&stage, id).await else { panic!("{id} is not ignored") };
        assert!(why.contains(word), "{why}");
    }
    let malformed = Webhook::new(&stage, "pull_request", "d-malformed", r#"{"action": "opened"}"#);
    assert_eq!(malformed.send(&stage).await.0, 202, "what is proven is kept");
    stage.settled().await;
    let Some(Some(DeliveryEnd::Failed(why))) = end_of(&stage, "d-malformed").await else { panic!("it is not failed") };
    assert!(why.contains("repository"), "{why}");
    stage.finish().await;
}

#[tokio::test]
async fn a_repeated_delivery_is_acknowledged_and_done_once() {
    let terraform = StandIn::terraform();
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", &resource("web", "one"))];
    let stage = Stage::set(&files, terraform.setup(4)).await;
    let pull = stage.world.open_pull("Two").changing("prod/main.tf", &resource("web", "two")).await;
    pull.live_comment().await_containing("plan ready").await;
    pull.comment("sam", "terraplane plan");
    terraform.await_noted("end plan", 2).await;
    stage.settled().await;
    let deliveries = stage.world.forge.read(|state| state.deliveries.clone());
    let asked = stage.world.forge.read(|state| state.requests.len());
    for delivery in deliveries {
        let again = Webhook::new(&stage, &delivery.event, &delivery.id, delivery.body);
        assert_eq!(again.send(&stage).await, (202, "recorded before\n".into()));
    }
    stage.settled().await;
    assert_eq!(terraform.count("begin plan"), 2);
    assert_eq!(stage.world.forge.read(|state| state.requests.len()), asked, "nothing was even asked again");
    stage.finish().await;
}
