//! Plain HTTP: one request to one server, and its answer. Managed state is reached this way.

use super::body::{Body, Framing};
use super::connection::{Gate, Stop};
use super::pump::{BUFFER, Count, pump, while_moving};
use std::io;
use std::sync::atomic::AtomicU64;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// Sends the request and passes the answer on. The server was told to close after it, so its end is the connection's end.
/// `early` is what was read of the body already.
pub(super) async fn run(
    client: &mut TcpStream,
    mut server: TcpStream,
    head: &[u8],
    framing: Framing,
    early: &[u8],
    gate: &Gate,
) -> Result<(), Stop> {
    let moved = AtomicU64::new(0);
    let sent = Count { moved: &moved, total: &gate.ledger.sent };
    let received = Count { moved: &moved, total: &gate.ledger.received };
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    // A server may answer before it has read all, and read no more: what it says counts, so only the client's faults end
    // the exchange.
    let request = async {
        match send(head, Body::new(framing), early, from_client, to_server, sent).await {
            Ok(()) => std::future::pending().await,
            Err(e) => Err(e),
        }
    };
    let exchange = async {
        tokio::select! {
            answered = pump(from_server, to_client, received) => answered,
            failed = request => failed,
        }
    };
    Ok(while_moving(exchange, &moved, gate.outside.limits.idle_time).await?)
}

/// Sends head and body. Fails when the client does not deliver the body that it announced.
async fn send(
    head: &[u8],
    mut body: Body,
    early: &[u8],
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    count: Count<'_>,
) -> io::Result<()> {
    let malformed = |e| io::Error::new(io::ErrorKind::InvalidData, e);
    let first = &early[..body.take(early).map_err(malformed)?];
    if to.write_all(head).await.is_err() || to.write_all(first).await.is_err() {
        return Ok(());
    }
    count.add(head.len() + first.len());
    let mut buffer = vec![0; BUFFER];
    while !body.is_over() {
        let length = match from.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => body.take(&buffer[..length]).map_err(malformed)?,
        };
        if to.write_all(&buffer[..length]).await.is_err() {
            return Ok(());
        }
        count.add(length);
    }
    Ok(())
}
