//! A cage's side, the proxy and the servers behind it, with real sockets. Names are resolved by tables.

mod limits;
mod names;
mod plain;
mod tunnels;

use super::*;
use crate::domain::egress::Reason;
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Longer than anything here takes, so that what hangs is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it hangs")
}

/// A proxy, and where the cage finds it.
struct Door {
    egress: Egress,
    address: SocketAddr,
}

fn listed(entries: &[&str]) -> Rules {
    Rules::listed(entries.iter().map(|entry| entry.parse().unwrap()))
}

/// The addresses of names, as a table.
fn resolver(table: &[(&str, &[&str])]) -> Resolver {
    let of = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect::<Vec<IpAddr>>();
    let table: Vec<(String, Vec<IpAddr>)> = table.iter().map(|(name, list)| ((*name).to_owned(), of(list))).collect();
    Resolver::new(move |name| {
        let found = table.iter().find(|(known, _)| *known == name).map(|(_, addresses)| addresses.clone());
        async move { found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such name")) }
    })
}

/// Every name is this host.
fn everything_is_here() -> Outside {
    let resolver = Resolver::new(|_| async { Ok(vec![IpAddr::from([127, 0, 0, 1])]) });
    Outside { resolver, ..Outside::default() }
}

fn open(rules: Rules, outside: Outside) -> Door {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    Door { egress: Egress::serve(listener, rules, outside).unwrap(), address }
}

impl Door {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends this and reads what comes, to the end.
    async fn ask(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    /// Asks for a tunnel: its stream, and the head of the answer.
    async fn tunnel(&self, to: &str) -> (TcpStream, String) {
        let mut stream = self.connect().await;
        stream.write_all(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(stream.read_u8()).await.unwrap());
        }
        (stream, String::from_utf8(head).unwrap())
    }

    /// A tunnel that has to be allowed.
    async fn open_tunnel(&self, to: &str) -> TcpStream {
        let (stream, head) = self.tunnel(to).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        stream
    }

    /// What was refused, without the text.
    fn refused(&self) -> Vec<(String, u16, Reason, u64)> {
        let facts = |refusal: Refusal| (refusal.host, refusal.port, refusal.reason, refusal.count);
        self.egress.refused().into_iter().map(facts).collect()
    }
}

/// All that still comes. A connection that was reset has ended too.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A server at this address (port 0: any) that sends back what it gets, and says goodbye when there is no more. Its port,
/// and the number of its connections.
async fn echo(address: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.write_all(b" bye").await;
            });
        }
    });
    (port, connections)
}

/// An HTTP server that answers the end of each head with `answer`, and tells all that it ever got on the connection.
async fn origin(answer: &'static str) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut got = String::new();
                let mut buffer = [0; 4096];
                while !is_whole(&got) {
                    match stream.read(&mut buffer).await {
                        Ok(length @ 1..) => got.push_str(&String::from_utf8_lossy(&buffer[..length])),
                        _ => break,
                    }
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
                let mut more = Vec::new();
                let _ = stream.read_to_end(&mut more).await;
                got.push_str(&String::from_utf8_lossy(&more));
                let _ = tell.send(got);
            });
        }
    });
    (address, told)
}

/// Whether a request and its body have arrived.
fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let chunked = head.contains("Transfer-Encoding: chunked");
    length.map_or(!chunked || body.contains("0\r\n\r\n"), |length| body.len() >= length.parse().unwrap())
}
