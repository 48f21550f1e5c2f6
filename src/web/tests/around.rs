//! What surrounds every route: health, metrics, headers, panics, spans.

use super::*;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn health_and_readiness_are_two_questions() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);

    server.draining.store(true, Ordering::Relaxed);
    assert_eq!(server.get("/healthz").await.status, 200);
    let answer = server.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("draining"), "{}", answer.text());

    server.draining.store(false, Ordering::Relaxed);
    server.store.close().await;
    assert_eq!(server.get("/healthz").await.status, 200);
    let answer = server.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("database"), "{}", answer.text());
}

#[tokio::test]
async fn metrics_tell_deliveries_queue_and_http_but_no_ids_and_no_keys() {
    let server = Server::start().await;
    let run = server.add_run(77, RunState::Running).await;
    let path = server.links.run_url(run.id).replace("https://terraplane.example.com", "");
    assert_eq!(server.get(&path).await.status, 200);
    server.ask(Request::post("/events").body(Body::empty()).unwrap()).await;
    server.ask(Request::builder().method("MADEUP").uri("/nowhere").body(Body::empty()).unwrap()).await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    for line in [
        "terraplane_deliveries_total{forge=\"unknown\",result=\"unknown_forge\"}",
        "terraplane_jobs{kind=\"ingest\",state=\"queued\"}",
        "terraplane_jobs{kind=\"run\",state=\"leased\"}",
        "terraplane_database_up",
        "terraplane_http_request_seconds_bucket{method=\"GET\",route=\"/runs/{id}\",status=\"200\",le=",
        "terraplane_http_request_seconds_count{method=\"other\",route=\"none\",status=\"404\"}",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
    assert!(!text.contains("MADEUP") && !text.contains(&run.id.to_string()) && !text.contains("key="), "{text}");
}

#[tokio::test]
async fn every_answer_forbids_browsers_almost_everything() {
    let server = Server::start().await;
    for path in ["/", "/nowhere", "/healthz", "/runs/x", "/state/x", "/webhooks/github"] {
        let answer = server.get(path).await;
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_says_nothing() {
    async fn broken() -> &'static str {
        panic!("the password is hunter2")
    }
    let router = layers::around(Router::new().route("/broken", get(broken)));
    let answer = Answer::of(router.oneshot(Request::get("/broken").body(Body::empty()).unwrap()).await.unwrap()).await;
    assert_eq!((answer.status, answer.text()), (500, "internal error: the server's log has the details\n"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_holds_no_key_no_token_and_no_body() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || writer.clone())
        .finish();
    let server = Server::start().await;
    let run = server.add_run(78, RunState::Running).await;
    let _guard = tracing::subscriber::set_default(subscriber);
    let url = server.links.run_url(run.id);
    server.get(url.trim_start_matches("https://terraplane.example.com")).await;
    let request = Request::post("/state/x?ID=lock-secret").header("authorization", "Basic dG9rZW46c2VjcmV0");
    server.ask(request.body(Body::from("body-secret")).unwrap()).await;
    let request = Request::post("/webhooks/github").header("x-hub-signature-256", "sha256=beef");
    server.ask(request.body(Body::from("body-secret")).unwrap()).await;
    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("/runs/{id}") && log.contains("a webhook was refused"), "nothing was logged: {log}");
    let key = url.split_once("key=").unwrap().1;
    for secret in [key, "dG9rZW46c2VjcmV0", "lock-secret", "body-secret", "beef", SECRET] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
