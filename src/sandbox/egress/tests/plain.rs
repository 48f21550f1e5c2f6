//! Plain HTTP by way of the proxy.

use super::*;

const STATE: &str = "state.terraplane.internal";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

fn to_state(server: SocketAddr) -> Door {
    open(Rules::default().and_route(STATE.parse().unwrap(), 80, server, "/state/"), Outside::default())
}

#[tokio::test]
async fn managed_state_is_reached_by_its_name_with_every_method() {
    let (server, mut got) = origin(ANSWER).await;
    let door = to_state(server);
    for (method, body) in
        [("GET", ""), ("POST", "{\"serial\": 1}"), ("LOCK", "{\"ID\": \"1\"}"), ("UNLOCK", "{}"), ("DELETE", "")]
    {
        let length = body.len();
        let answer = door
            .ask(&format!(
                "{method} http://{STATE}/state/7?ID=1 HTTP/1.1\r\nHost: {STATE}\r\nAuthorization: Basic eDp5\r\n\
                 Proxy-Connection: keep-alive\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        assert_eq!(answer, ANSWER, "{method}");
        let got = soon(got.recv()).await.unwrap();
        assert!(got.starts_with(&format!("{method} /state/7?ID=1 HTTP/1.1\r\nHost: {STATE}\r\n")), "{got}");
        assert!(got.contains("authorization: Basic eDp5\r\n") && !got.to_lowercase().contains("proxy"), "{got}");
        assert!(got.ends_with(&format!("\r\n\r\n{body}")), "{got}");
    }
    assert_eq!(door.refused(), []);
}

#[tokio::test]
async fn a_real_client_gets_there_too() {
    let (server, mut got) = origin(ANSWER).await;
    let door = to_state(server);
    let variables = variables(door.address);
    assert_eq!(variables[0].0, "HTTPS_PROXY");
    let proxy = reqwest::Proxy::all(&variables[0].1).unwrap();
    let client = reqwest::Client::builder().proxy(proxy).build().unwrap();
    let big = "x".repeat(300_000);
    for _ in 0..3 {
        let request = client.post(format!("http://{STATE}/state/7")).body(big.clone());
        let answer = soon(request.send()).await.unwrap();
        assert_eq!(soon(answer.text()).await.unwrap(), "{}");
        assert!(soon(got.recv()).await.unwrap().ends_with(&format!("\r\n\r\n{big}")));
    }
    let blocked = soon(client.get("http://example.com/").send()).await.unwrap();
    assert_eq!(blocked.status(), 403);
    assert!(blocked.text().await.unwrap().starts_with("blocked: example.com:80;"));
    assert!(soon(client.get("https://example.com/").send()).await.is_err());
}

#[tokio::test]
async fn the_servers_other_pages_are_not_for_cages() {
    let (server, _got) = origin(ANSWER).await;
    let door = to_state(server);
    for path in ["/", "/metrics", "/state/../metrics", "/state/%2e%2e/metrics", "//state/7"] {
        let answer = door.ask(&format!("GET http://{STATE}{path} HTTP/1.1\r\nHost: {STATE}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 blocked: "), "{answer}");
    }
    let answer = door.ask(&format!("CONNECT {STATE}:80 HTTP/1.1\r\nHost: {STATE}\r\n\r\n")).await;
    assert!(answer.ends_with(&format!("; use `http://{STATE}:80`\n")), "{answer}");
    let reasons: Vec<_> = door.refused().into_iter().map(|(_, _, reason, count)| (reason, count)).collect();
    assert_eq!(reasons, [(Reason::OtherPath, 5), (Reason::NoTunnel, 1)]);
}

#[tokio::test]
async fn a_listed_name_is_reached_at_its_port() {
    let (server, mut got) = origin(ANSWER).await;
    let port = server.port();
    let door = open(listed(&[&format!("mirror.internal:{port}")]), everything_is_here());
    let answer = door
        .ask(&format!("GET http://mirror.internal:{port}/x HTTP/1.1\r\nHost: mirror.internal:{port}\r\n\r\n"))
        .await;
    assert_eq!(answer, ANSWER);
    assert!(
        soon(got.recv()).await.unwrap().starts_with(&format!("GET /x HTTP/1.1\r\nHost: mirror.internal:{port}\r\n"))
    );
}

#[tokio::test]
async fn what_follows_the_body_never_reaches_the_server() {
    let (server, mut got) = origin(ANSWER).await;
    let door = to_state(server);
    let head = format!("POST http://{STATE}/state/7 HTTP/1.1\r\nHost: {STATE}\r\n");
    let second = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    for (framing, body) in [
        ("Content-Length: 5\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("", ""),
        ("Connection: content-length\r\nContent-Length: 5\r\n", "hello"),
    ] {
        assert_eq!(door.ask(&format!("{head}{framing}\r\n{body}{second}")).await, ANSWER, "{framing}");
        let got = soon(got.recv()).await.unwrap();
        assert!(got.ends_with(&format!("\r\n\r\n{body}")), "{got}");
    }
}

#[tokio::test]
async fn a_request_with_two_meanings_is_refused_before_a_server_is_asked() {
    let (server, mut got) = origin(ANSWER).await;
    let door = to_state(server);
    for request in [
        format!(
            "POST http://{STATE}/state/7 HTTP/1.1\r\nHost: {STATE}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("GET http://{STATE}/state/7 HTTP/1.1\r\nHost: evil.example.com\r\n\r\n"),
        format!("GET http://{STATE}/state/7 HTTP/1.1\r\nHost: {STATE}\r\nHost: {STATE}\r\n\r\n"),
        format!("GET http://{STATE}/state/7 HTTP/1.1\nHost: {STATE}\n\n\r\n\r\n"),
        format!("GET /state/7 HTTP/1.1\r\nHost: {STATE}\r\n\r\n"),
        "\x16\x03\x01\x02\0\x01".to_owned(),
    ] {
        let answer = door.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
    }
    assert!(got.try_recv().is_err());
}

#[tokio::test]
async fn a_broken_body_ends_both_connections() {
    let (server, mut got) = origin(ANSWER).await;
    let door = to_state(server);
    let head = format!("POST http://{STATE}/state/7 HTTP/1.1\r\nHost: {STATE}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut stream = door.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"5\r\nhello").await.unwrap();
    stream.write_all(b"5;a=b\r\n").await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    assert!(!soon(got.recv()).await.unwrap().contains("a=b"));
}

#[tokio::test]
async fn a_server_that_answers_before_it_has_read_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = to_state(listener.local_addr().unwrap());
    let mut stream = door.connect().await;
    let head = format!(
        "POST http://{STATE}/state/7 HTTP/1.1\r\nHost: {STATE}\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut server, _) = soon(listener.accept()).await.unwrap();
    server.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    soon(stream.read_exact(&mut first)).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 413");
    server.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, " Too Large\r\nContent-Length: 0\r\n\r\n");
}

#[tokio::test]
async fn a_refusal_is_heard_by_a_client_that_is_still_sending() {
    let door = open(Rules::default(), Outside::default());
    let mut stream = door.connect().await;
    let head = "POST http://a.example.com/ HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 50\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..5 {
        // A connection that was closed under its hands would be reset by the first piece, and the next could not be sent.
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(&[b'x'; 10]).await.unwrap();
    }
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.ends_with("`a.example.com:80`\n"), "{answer}");
}
