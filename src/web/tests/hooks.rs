use super::*;
use futures::FutureExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BODY: &str = r#"{"action":"opened","repository":{"full_name":"acme/infra"},"pull_request":{"number":12}}"#;

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn webhook(path: &str, id: &str, signature: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("x-github-event", "pull_request")
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", signature)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

async fn recorded(server: &Server, id: &str) -> bool {
    server.store.delivery(ForgeKind::Github, &id.parse().unwrap()).await.unwrap().is_some()
}

#[tokio::test]
async fn a_signed_webhook_is_on_disk_before_it_is_acknowledged() {
    let server = Server::start().await;
    let mut workers = [Box::pin(server.wake.notified()), Box::pin(server.wake.notified())];
    assert!(!workers.iter_mut().any(|worker| worker.as_mut().enable()), "nothing has happened yet");
    let answer = server.ask(webhook("/webhooks/github", "d-1", &signature(SECRET, BODY.as_bytes()), BODY)).await;
    assert_eq!((answer.status, answer.text()), (202, "recorded\n"));
    let stored = server.store.delivery(ForgeKind::Github, &"d-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.delivery.body, BODY);
    assert_eq!(stored.delivery.repo, Some(repo()), "the host is the configured one");
    for worker in workers {
        assert!(worker.now_or_never().is_some(), "a worker slept on");
    }
}

#[tokio::test]
async fn a_repeated_delivery_is_acknowledged_and_does_nothing() {
    let server = Server::start().await;
    let signature = signature(SECRET, BODY.as_bytes());
    for expected in ["recorded\n", "recorded before\n"] {
        let answer = server.ask(webhook("/webhooks/github", "d-1", &signature, BODY)).await;
        assert_eq!((answer.status, answer.text()), (202, expected));
    }
    let jobs: i64 = server.store.queue_counts().await.unwrap().iter().map(|(_, queued, _)| queued).sum();
    assert_eq!(jobs, 1);
}

#[tokio::test]
async fn each_forge_of_a_kind_has_its_own_secret_and_host() {
    let server = Server::start().await;
    let signature = signature("another-secret", BODY.as_bytes());
    assert_eq!(server.ask(webhook("/webhooks/github", "d-1", &signature, BODY)).await.status, 202);
    let stored = server.store.delivery(ForgeKind::Github, &"d-1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.delivery.repo.unwrap().host(), "ghes.example.com");
}

#[tokio::test]
async fn a_wrong_or_missing_signature_is_401_whatever_the_body_is() {
    let server = Server::start().await;
    for (wrong, body) in [
        (signature("guessed", BODY.as_bytes()), BODY),
        (signature(SECRET, b"another body"), BODY),
        ("sha256=".into(), BODY),
        ("nonsense".into(), "not JSON"),
    ] {
        let answer = server.ask(webhook("/webhooks/github", "d-1", &wrong, body)).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
    let unsigned = Request::post("/webhooks/github").header("x-github-event", "push").body(Body::from(BODY)).unwrap();
    assert_eq!(server.ask(unsigned).await.status, 401);
    assert!(!recorded(&server, "d-1").await);
}

#[tokio::test]
async fn a_signed_body_that_is_not_json_is_400() {
    let server = Server::start().await;
    let form = "payload=%7B%7D";
    let answer = server.ask(webhook("/webhooks/github", "d-1", &signature(SECRET, form.as_bytes()), form)).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("`application/json`"), "{}", answer.text());
    assert!(!recorded(&server, "d-1").await);
}

#[tokio::test]
async fn events_recognises_the_forge_by_its_headers() {
    let server = Server::start().await;
    let answer = server.ask(webhook("/events", "d-1", &signature(SECRET, BODY.as_bytes()), BODY)).await;
    assert_eq!(answer.status, 202);
    let unknown = Request::post("/events").header("x-event-key", "pr:opened").body(Body::from("{}")).unwrap();
    assert_eq!(server.ask(unknown).await.status, 400);
    let other = Request::post("/events").header("x-gitlab-event", "Note Hook").body(Body::from("{}")).unwrap();
    let answer = server.ask(other).await;
    assert_eq!((answer.status, answer.text()), (404, "`gitlab` is not in this server's configuration\n"));
}

#[tokio::test]
async fn a_store_that_fails_is_503_so_that_the_forge_shows_a_failed_delivery() {
    let server = Server::start().await;
    server.store.close().await;
    let answer = server.ask(webhook("/webhooks/github", "d-1", &signature(SECRET, BODY.as_bytes()), BODY)).await;
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn webhooks_are_recorded_while_the_server_drains() {
    let server = Server::start().await;
    server.draining.store(true, std::sync::atomic::Ordering::Relaxed);
    let answer = server.ask(webhook("/webhooks/github", "d-1", &signature(SECRET, BODY.as_bytes()), BODY)).await;
    assert_eq!(answer.status, 202);
}

/// A JSON text of exactly this many bytes.
fn json_of(bytes: usize) -> String {
    let frame = r#"{"x":""}"#;
    format!(r#"{{"x":"{}"}}"#, "a".repeat(bytes - frame.len()))
}

#[tokio::test]
async fn a_body_may_have_25_mib_and_not_a_byte_more() {
    let server = Server::start().await;
    let largest = json_of(HOOK_LIMIT);
    let signed = signature(SECRET, largest.as_bytes());
    assert_eq!(server.ask(webhook("/webhooks/github", "d-1", &signed, largest)).await.status, 202);
    let larger = json_of(HOOK_LIMIT + 1);
    let signed = signature(SECRET, larger.as_bytes());
    assert_eq!(server.ask(webhook("/webhooks/github", "d-2", &signed, larger)).await.status, 413);
    assert!(!recorded(&server, "d-2").await);
}

/// Sends all of a request before it reads anything, as many clients do.
async fn send_and_then_read(
    address: std::net::SocketAddr,
    head: &str,
    piece: &[u8],
    pieces: usize,
    end: &str,
) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..pieces {
        stream.write_all(piece).await.expect("the server hears the client out");
    }
    stream.write_all(end.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn the_answer_to_26_mib_reaches_the_client() {
    let address = Server::start().await.listen().await;
    let mib = vec![b'a'; 1024 * 1024];
    let head = |length: &str| format!("POST /webhooks/github HTTP/1.1\r\nHost: terraplane\r\n{length}\r\n\r\n");

    let chunk = [b"100000\r\n", mib.as_slice(), b"\r\n"].concat();
    for count in [26, 60] {
        let announced = head(&format!("Content-Length: {}", count * mib.len()));
        let answer = send_and_then_read(address, &announced, &mib, count, "").await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("the body is larger than 25600 KiB"), "{answer}");

        let unannounced = head("Transfer-Encoding: chunked");
        let answer = send_and_then_read(address, &unannounced, &chunk, count, "0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "without a Content-Length: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_ends_early_records_nothing() {
    let server = Server::start().await;
    let address = server.listen().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /webhooks/github HTTP/1.1\r\nHost: terraplane\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: d-1\r\n\
         X-Hub-Signature-256: {}\r\nContent-Length: {}\r\n\r\n",
        signature(SECRET, BODY.as_bytes()),
        BODY.len() + 1
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(BODY.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains(" 202 "));
    assert!(!recorded(&server, "d-1").await);
}
