//! `CONNECT`: bytes both ways, once it is certain for whom they are.

use super::connection::{Gate, Stop};
use super::hello::{Found, Hello};
use super::pump::{BUFFER, Count, pump, while_moving};
use crate::domain::egress::{HostName, Reason};
use std::sync::atomic::AtomicU64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A fatal alert: access denied. TLS clients show it, and would show nothing but "closed" otherwise.
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// Carries a tunnel to its end. `early` is what the client sent before it was told that the tunnel is there; `tls_for` is
/// the host that TLS has to be for, and its port.
pub(super) async fn run(
    client: &mut TcpStream,
    mut server: TcpStream,
    mut early: Vec<u8>,
    gate: &Gate,
    tls_for: Option<(&HostName, u16)>,
) -> Result<(), Stop> {
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    if let Some((host, port)) = tls_for {
        let found = timeout(gate.outside.limits.head_time, read_hello(client, &mut early)).await;
        let reason = match found.map_err(|_| Stop::Cut)?? {
            Found::Name(name) if name == host.as_str() => None,
            Found::Name(name) => Some(Reason::OtherServerName { name }),
            Found::NoName => Some(Reason::NoServerName),
            Found::NotTls | Found::NotYet => Some(Reason::NotTls),
        };
        if let Some(reason) = reason {
            let speaks_tls = reason != Reason::NotTls;
            gate.ledger.refuse(host.as_str(), port, reason);
            if speaks_tls {
                client.write_all(&ACCESS_DENIED).await?;
            }
            return Err(Stop::Cut);
        }
    }
    let moved = AtomicU64::new(0);
    let sent = Count { moved: &moved, total: &gate.ledger.sent };
    let received = Count { moved: &moved, total: &gate.ledger.received };
    let carry = async {
        server.write_all(&early).await?;
        sent.add(early.len());
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        tokio::try_join!(pump(from_client, to_server, sent), pump(from_server, to_client, received))?;
        Ok(())
    };
    Ok(while_moving(carry, &moved, gate.outside.limits.idle_time).await?)
}

/// Reads on until the name is known. `read` has all that was read.
async fn read_hello(client: &mut TcpStream, read: &mut Vec<u8>) -> Result<Found, Stop> {
    let mut hello = Hello::default();
    let mut found = hello.push(read);
    let mut buffer = vec![0; BUFFER];
    while found == Found::NotYet {
        let length = client.read(&mut buffer).await?;
        if length == 0 {
            // It went away; that is nothing to tell about, unless it began with something.
            return if read.is_empty() { Err(Stop::Cut) } else { Ok(Found::NotTls) };
        }
        read.extend_from_slice(&buffer[..length]);
        found = hello.push(&buffer[..length]);
    }
    Ok(found)
}
