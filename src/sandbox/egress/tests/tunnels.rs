//! `CONNECT`, and who is spoken to in it.

use super::super::hello::testing::client_hello;
use super::*;

#[tokio::test]
async fn an_allowed_tunnel_carries_bytes_both_ways_until_both_sides_are_done() {
    let (port, _) = echo("127.0.0.1:0").await;
    let door = open(listed(&[&format!("tcp://echo.internal:{port}")]), everything_is_here());
    let mut stream = door.open_tunnel(&format!("echo.internal:{port}")).await;
    stream.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    soon(stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"hello");
    // Only our half is closed: the server's last words still come.
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, " bye");
    assert_eq!(door.egress.traffic(), Traffic { connections: 1, sent: 5, received: 9 });
    assert_eq!(door.refused(), []);
}

#[tokio::test]
async fn much_goes_through_unharmed() {
    let (port, _) = echo("127.0.0.1:0").await;
    let door = open(listed(&[&format!("tcp://echo.internal:{port}")]), everything_is_here());
    let stream = door.open_tunnel(&format!("echo.internal:{port}")).await;
    let (mut from, mut to) = stream.into_split();
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let sent = data.clone();
    let sending = tokio::spawn(async move {
        to.write_all(&sent).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    soon(from.read_to_end(&mut back)).await.unwrap();
    sending.await.unwrap();
    assert_eq!(back.strip_suffix(b" bye"), Some(data.as_slice()));
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_where_anything_may_be_spoken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { listener.accept().await.unwrap().0.write_all(b"SSH-2.0-test\r\n").await });
    let door = open(listed(&[&format!("tcp://git.internal:{port}")]), everything_is_here());
    let mut stream = door.open_tunnel(&format!("git.internal:{port}")).await;
    assert_eq!(rest(&mut stream).await, "SSH-2.0-test\r\n");
}

#[tokio::test]
async fn tls_for_the_name_that_was_asked_for_passes_unchanged_however_it_arrives() {
    let (port, _) = echo("127.0.0.1:0").await;
    let door = open(listed(&[&format!("api.example.com:{port}")]), everything_is_here());
    let hello = client_hello("api.example.com", true);
    for size in [1, 100, hello.len()] {
        let mut stream = door.open_tunnel(&format!("API.example.com:{port}")).await;
        for piece in hello.chunks(size) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut back = vec![0; hello.len()];
        soon(stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(back, hello, "in pieces of {size}");
    }
    // Together with the request for the tunnel.
    let mut stream = door.connect().await;
    let head = format!("CONNECT api.example.com:{port} HTTP/1.0\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &hello].concat()).await.unwrap();
    let mut back = vec![0; "HTTP/1.1 200 Connection established\r\n\r\n".len() + hello.len()];
    soon(stream.read_exact(&mut back)).await.unwrap();
    assert!(back.ends_with(&hello));
}

#[tokio::test]
async fn tls_for_another_name_never_reaches_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let door = open(listed(&[&format!("cdn.example.com:{port}")]), everything_is_here());
    let alert = String::from_utf8_lossy(&[21, 3, 3, 0, 2, 2, 49]).into_owned();
    let evil = Reason::OtherServerName { name: "evil.example.com".into() };
    let cases = [
        (client_hello("evil.example.com", true), &alert[..], evil),
        (client_hello("cdn.example.com", false), &alert[..], Reason::NoServerName),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "", Reason::NotTls),
    ];
    for (first_bytes, told, reason) in cases {
        let mut stream = door.open_tunnel(&format!("cdn.example.com:{port}")).await;
        let (mut server, _) = soon(listener.accept()).await.unwrap();
        stream.write_all(&first_bytes).await.unwrap();
        assert_eq!(rest(&mut stream).await, told, "{reason}");
        assert_eq!(rest(&mut server).await, "", "{reason}");
        assert_eq!(door.refused().last(), Some(&("cdn.example.com".to_owned(), port, reason, 1)));
    }
    assert_eq!(door.refused().len(), 3);
}

#[tokio::test]
async fn a_tunnel_that_is_left_without_a_word_is_nothing_to_tell_about() {
    let (port, _) = echo("127.0.0.1:0").await;
    let door = open(listed(&[&format!("api.example.com:{port}")]), everything_is_here());
    let mut stream = door.open_tunnel(&format!("api.example.com:{port}")).await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
    assert_eq!(door.refused(), []);
}

#[tokio::test]
async fn the_operators_own_proxy_is_asked_for_names_that_are_not_resolved_here() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\nfirst words").await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let resolver = Resolver::new(|name| async move { panic!("{name} was looked up") });
    let upstream = Some(Upstream::parse(&format!("http://me:secret@{proxy}")).unwrap());
    let door = open(listed(&["tcp://far.example.com:5000"]), Outside { resolver, upstream, ..Outside::default() });
    let mut stream = door.open_tunnel("far.example.com:5000").await;
    assert_eq!(rest(&mut stream).await, "first words");
    assert_eq!(
        asked.await.unwrap(),
        "CONNECT far.example.com:5000 HTTP/1.1\r\nHost: far.example.com:5000\r\n\
         Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
    );
    assert!(door.ask("CONNECT near.example.com:443 HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_about_and_is_no_refusal_of_ours() {
    let (proxy, _asked) = origin("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    let upstream = Some(Upstream::parse(&proxy.to_string()).unwrap());
    let door = open(listed(&["far.example.com"]), Outside { upstream, ..Outside::default() });
    let answer = door.ask("CONNECT far.example.com:443 HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.ends_with("the operator's proxy does not lead there: it answered 407\n"), "{answer}");
    assert_eq!(door.refused(), []);
}
