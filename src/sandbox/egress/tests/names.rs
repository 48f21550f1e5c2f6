//! Which names are reached, and where they may lead.

use super::*;
use crate::domain::egress::for_init;

#[tokio::test]
async fn what_is_not_listed_is_answered_with_what_to_do_and_listed_once() {
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = lookups.clone();
    let resolver = Resolver::new(move |_| {
        count.fetch_add(1, Relaxed);
        async { Ok(vec![]) }
    });
    let door = open(listed(&["api.example.com"]), Outside { resolver, ..Outside::default() });
    let line = "blocked: evil.example.com:443; allow it under `sandbox.egress`: `evil.example.com`";
    for _ in 0..3 {
        let answer = door.ask("CONNECT evil.example.com:443 HTTP/1.1\r\nHost: evil.example.com\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 403 {line}\r\n")), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{line}\n")), "{answer}");
    }
    let answer = door.ask("GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await;
    assert!(answer.contains("`api.example.com:80`"), "{answer}");
    assert_eq!(
        door.refused(),
        [
            ("evil.example.com".to_owned(), 443, Reason::NotListed, 3),
            ("api.example.com".to_owned(), 80, Reason::NotListed, 1)
        ]
    );
    // What the cage looks up could be a message: nothing that is not listed is asked for.
    assert_eq!(lookups.load(Relaxed), 0);
}

#[tokio::test]
async fn an_address_is_never_reached_by_number() {
    let (port, connections) = echo("127.0.0.1:0").await;
    let door = open(listed(&["*.example.com", "localhost.example.com"]), everything_is_here());
    let numbers = ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"];
    for number in numbers {
        let tunnel = door.ask(&format!("CONNECT {number}:{port} HTTP/1.1\r\nHost: {number}:{port}\r\n\r\n")).await;
        assert!(tunnel.starts_with("HTTP/1.1 403 "), "{number}: {tunnel}");
        let plain = door.ask(&format!("GET http://{number}:{port}/ HTTP/1.1\r\nHost: {number}:{port}\r\n\r\n")).await;
        assert!(plain.starts_with("HTTP/1.1 403 "), "{number}: {plain}");
    }
    assert_eq!(connections.load(Relaxed), 0);
    assert!(door.refused().iter().all(|(_, _, reason, count)| *reason == Reason::Number && *count == 2));
    assert_eq!(door.refused()[5].0, "::1");
}

#[tokio::test]
async fn a_name_leads_to_a_private_address_only_if_it_was_listed_itself() {
    let (port, connections) = echo("127.0.0.1:0").await;
    let resolver = resolver(&[
        ("named.example.org", &["127.0.0.1"]),
        ("other.example.org", &["127.0.0.1"]),
        ("mixed.example.org", &["10.0.0.1", "::1", "169.254.169.254"]),
        ("registry.terraform.io", &["127.0.0.1"]),
        ("metadata.example.org", &["169.254.169.254"]),
        ("mapped.example.org", &["::ffff:169.254.169.254"]),
        ("nowhere.example.org", &[]),
    ]);
    let entries = ["named", "metadata", "mapped", "nowhere", "unknown"];
    let entries = entries.map(|name| format!("tcp://{name}.example.org:{port}"));
    let mut entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let wildcard = format!("tcp://*.example.org:{port}");
    entries.push(&wildcard);
    let rules = listed(&entries).and_offered(for_init());
    let door = open(rules, Outside { resolver, ..Outside::default() });
    drop(door.open_tunnel(&format!("named.example.org:{port}")).await);

    let private = |kind: &str| Reason::Private { kind: kind.into() };
    let metadata = || Reason::Never { kind: "the address of a cloud's metadata service".into() };
    for (name, port, reason) in [
        ("other.example.org", port, private("a loopback address")),
        ("mixed.example.org", port, private("a loopback address")),
        ("registry.terraform.io", 443, private("a loopback address")),
        ("metadata.example.org", port, metadata()),
        ("mapped.example.org", port, metadata()),
    ] {
        let (_, head) = door.tunnel(&format!("{name}:{port}")).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        assert_eq!(door.refused().last(), Some(&(name.to_owned(), port, reason, 1)));
    }
    for name in ["nowhere.example.org", "unknown.example.org"] {
        let (_, head) = door.tunnel(&format!("{name}:{port}")).await;
        assert!(head.starts_with(&format!("HTTP/1.1 502 {name}:{port} is allowed, but the name cannot")), "{head}");
    }
    assert_eq!(door.refused().len(), 5);
    soon(async {
        while connections.load(Relaxed) < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(connections.load(Relaxed), 1);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_asked_for_once_and_the_checked_address_is_the_one() {
    let (port, good) = echo("127.0.0.1:0").await;
    let (_, bad) = echo(&format!("127.0.0.2:{port}")).await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = lookups.clone();
    let resolver = Resolver::new(move |_| {
        let last = if count.fetch_add(1, Relaxed) == 0 { 1 } else { 2 };
        async move { Ok(vec![IpAddr::from([127, 0, 0, last])]) }
    });
    let rules = listed(&[&format!("tcp://turning.example.com:{port}")]);
    let door = open(rules, Outside { resolver, ..Outside::default() });
    let mut stream = door.open_tunnel(&format!("turning.example.com:{port}")).await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, " bye");
    assert_eq!((lookups.load(Relaxed), good.load(Relaxed), bad.load(Relaxed)), (1, 1, 0));
}

#[tokio::test]
async fn forbidden_addresses_of_a_name_are_passed_over_and_the_next_is_tried_when_one_does_not_answer() {
    let (port, connections) = echo("127.0.0.1:0").await;
    // Nothing listens at the second one.
    let resolver = resolver(&[("api.internal", &["169.254.169.254", "127.0.0.3", "127.0.0.1"])]);
    let rules = listed(&[&format!("tcp://api.internal:{port}")]);
    let door = open(rules, Outside { resolver, ..Outside::default() });
    let mut stream = door.open_tunnel(&format!("api.internal:{port}")).await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, " bye");
    assert_eq!(connections.load(Relaxed), 1);
}

#[tokio::test]
async fn the_systems_resolver_knows_this_host() {
    let (port, _) = echo("127.0.0.1:0").await;
    let door = open(listed(&[&format!("tcp://localhost:{port}")]), Outside::default());
    let mut stream = door.open_tunnel(&format!("localhost:{port}")).await;
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, " bye");
}
