//! What is too much, too slow, or over.

use super::*;

fn within(limits: Limits) -> Outside {
    Outside { limits, ..everything_is_here() }
}

/// Whether the connection ended, which may be by a reset.
async fn ended(stream: &mut TcpStream) -> bool {
    matches!(soon(stream.read(&mut [0; 1])).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_next_is_welcome_when_there_is_room() {
    let (port, _) = echo("127.0.0.1:0").await;
    let rules = listed(&[&format!("tcp://echo.internal:{port}")]);
    let door = open(rules, within(Limits { connections: 2, ..Limits::default() }));
    let to = format!("echo.internal:{port}");
    let (mut first, _second) = (door.open_tunnel(&to).await, door.open_tunnel(&to).await);
    let (_, head) = door.tunnel(&to).await;
    assert!(head.starts_with("HTTP/1.1 503 there are 2 connections already"), "{head}");
    first.shutdown().await.unwrap();
    assert_eq!(rest(&mut first).await, " bye");
    let again = async {
        while !door.tunnel(&to).await.1.starts_with("HTTP/1.1 200 ") {
            tokio::task::yield_now().await;
        }
    };
    soon(again).await;
}

#[tokio::test]
async fn no_number_of_silent_connections_keeps_the_proxy_from_taking_more() {
    let door = open(Rules::default(), within(Limits { connections: 1, head_time: PATIENCE * 2, ..Limits::default() }));
    let mut silent = Vec::new();
    for _ in 0..1 + TURNED_AWAY {
        silent.push(door.connect().await);
    }
    // All seats are taken: this one is closed at once.
    assert!(ended(&mut door.connect().await).await);
    drop(silent);
    let answered = async {
        while !door.ask("CONNECT a.example.com:443 HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.1 403 ") {
            tokio::task::yield_now().await;
        }
    };
    soon(answered).await;
}

#[tokio::test]
async fn a_head_that_does_not_come_to_an_end_is_given_up() {
    let door = open(Rules::default(), within(Limits { head_time: Duration::from_millis(100), ..Limits::default() }));
    let answer = door.ask("GET http://a.example.com/ HTTP/1.1\r\nHost: a.exam").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // Nor one that drips.
    let mut stream = door.connect().await;
    let dripping = async {
        while stream.write_all(b"A").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(dripping).await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let door = open(Rules::default(), everything_is_here());
    let field = format!("X: {}\r\n", "a".repeat(1000));
    let answer = door.ask(&format!("GET http://a.example.com/ HTTP/1.1\r\nHost: a\r\n{}\r\n", field.repeat(20))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_first_message_of_tls_that_does_not_come_is_not_waited_for() {
    let (port, _) = echo("127.0.0.1:0").await;
    let rules = listed(&[&format!("api.example.com:{port}")]);
    let door = open(rules, within(Limits { head_time: Duration::from_millis(100), ..Limits::default() }));
    let mut stream = door.open_tunnel(&format!("api.example.com:{port}")).await;
    stream.write_all(&[0x16, 3, 1]).await.unwrap();
    assert!(ended(&mut stream).await);
}

#[tokio::test]
async fn a_connection_where_nothing_moves_is_cut_and_one_where_something_does_is_not() {
    let (port, _) = echo("127.0.0.1:0").await;
    let rules = listed(&[&format!("tcp://echo.internal:{port}")]);
    let door = open(rules, within(Limits { idle_time: Duration::from_millis(300), ..Limits::default() }));
    let mut idle = door.open_tunnel(&format!("echo.internal:{port}")).await;
    let mut busy = door.open_tunnel(&format!("echo.internal:{port}")).await;
    for _ in 0..20 {
        busy.write_all(b"x").await.unwrap();
        soon(busy.read_u8()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ended(&mut idle).await);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_told_about_in_time() {
    // A lookup that never ends.
    let resolver = Resolver::new(|_| std::future::pending());
    let limits = Limits { connect_time: Duration::from_millis(100), ..Limits::default() };
    let door = open(listed(&["api.example.com"]), Outside { resolver, limits, upstream: None });
    let answer = door.ask("CONNECT api.example.com:443 HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 502 api.example.com:443 is allowed, but the name cannot be resolved"),
        "{answer}"
    );
    // A port where nobody listens.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let door = open(listed(&[&format!("api.example.com:{free}")]), everything_is_here());
    let answer = door.ask(&format!("CONNECT api.example.com:{free} HTTP/1.0\r\n\r\n")).await;
    assert!(answer.contains("is allowed, but it cannot be connected to"), "{answer}");
    assert_eq!(door.refused(), []);
}

#[tokio::test]
async fn dropping_the_proxy_cuts_all_and_takes_no_more() {
    let (port, _) = echo("127.0.0.1:0").await;
    let door = open(listed(&[&format!("tcp://echo.internal:{port}")]), everything_is_here());
    let mut tunnel = door.open_tunnel(&format!("echo.internal:{port}")).await;
    let mut silent = door.connect().await;
    let Door { egress, address } = door;
    drop(egress);
    assert!(ended(&mut tunnel).await);
    assert!(ended(&mut silent).await);
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(closed).await;
}

#[tokio::test]
async fn the_next_phase_has_its_own_rules_and_nothing_of_the_last() {
    let (port, _) = echo("127.0.0.1:0").await;
    let (one, two) = (format!("one.internal:{port}"), format!("two.internal:{port}"));
    let door = open(listed(&[&format!("tcp://{one}")]), everything_is_here());
    let mut tunnel = door.open_tunnel(&one).await;
    door.egress.set_rules(listed(&[&format!("tcp://{two}")]));
    assert!(ended(&mut tunnel).await);
    assert!(door.tunnel(&one).await.1.starts_with("HTTP/1.1 403 "));
    let mut tunnel = door.open_tunnel(&two).await;
    tunnel.shutdown().await.unwrap();
    assert_eq!(rest(&mut tunnel).await, " bye");
    assert_eq!(door.refused(), [("one.internal".to_owned(), port, Reason::NotListed, 1)]);
}
