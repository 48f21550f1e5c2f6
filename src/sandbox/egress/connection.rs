//! One connection from the cage: what it asks for, whether it may have it, and how it is told if not.

use super::head::{self, BadHead, MAX_HEAD, Request, Wish};
use super::ledger::Ledger;
use super::outside::{Outside, Unreached};
use super::rules::{Rules, Way};
use super::{forward, tunnel};
use crate::domain::egress::{HostName, InvalidName, Reason};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a client may take to read an answer of ours.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a connection is judged by.
pub(super) struct Gate {
    pub(super) rules: Arc<Rules>,
    pub(super) outside: Outside,
    pub(super) ledger: Arc<Ledger>,
}

/// Why a connection ends before it has what it wants.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client is told, if it has heard nothing yet.
    Answer { status: u16, message: String },
    /// There is nobody to tell, or no way to.
    Cut,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Cut
    }
}

impl Stop {
    fn answer(status: u16, message: impl fmt::Display) -> Self {
        Self::Answer { status, message: message.to_string() }
    }
}

impl From<BadHead> for Stop {
    fn from(bad: BadHead) -> Self {
        Self::answer(400, bad)
    }
}

/// Serves a connection to its end. `crowded`: there are too many already, so it is only told so.
pub(super) async fn serve(mut client: TcpStream, gate: &Gate, crowded: bool) {
    let _ = client.set_nodelay(true);
    match handle(&mut client, gate, crowded).await {
        Ok(()) | Err(Stop::Cut) => {}
        Err(Stop::Answer { status, message }) => {
            let _ = timeout(FAREWELL, answer(&mut client, status, &message)).await;
        }
    }
    let _ = timeout(FAREWELL, farewell(&mut client)).await;
}

async fn handle(client: &mut TcpStream, gate: &Gate, crowded: bool) -> Result<(), Stop> {
    let reading = timeout(gate.outside.limits.head_time, read_head(client)).await;
    let (head, rest) = reading.unwrap_or_else(|_| Err(Stop::answer(408, "the request took too long to arrive")))?;
    if crowded {
        let most = gate.outside.limits.connections;
        return Err(Stop::answer(
            503,
            format_args!("there are {most} connections already, the most that a run may have"),
        ));
    }
    let Request { host, port, wish } = head::parse(&head)?;
    let host: HostName = host.parse().map_err(|invalid| match invalid {
        InvalidName::Number => gate.refuse(host.trim_matches(['[', ']']), port, Reason::Number),
        InvalidName::Malformed => Stop::from(BadHead("what it asks for is not a host name")),
    })?;
    let way = gate.rules.judge(&host, port).map_err(|reason| gate.refuse(host.as_str(), port, reason))?;
    match (wish, way) {
        (Wish::Tunnel, Way::Route(_)) => Err(gate.refuse(host.as_str(), port, Reason::NoTunnel)),
        (Wish::Tunnel, Way::Out { private, raw }) => {
            let server = gate.reach(&host, port, private).await?;
            tunnel::run(client, server, rest, gate, (!raw).then_some((&host, port))).await
        }
        (Wish::Forward(request), Way::Route(route)) => {
            if !route.admits(&request.path_and_query) {
                return Err(gate.refuse(host.as_str(), port, Reason::OtherPath));
            }
            let server = gate.outside.connect(route.to).await;
            let server = server.map_err(|e| gate.unreached(&host, port, e.into()))?;
            forward::run(client, server, &request.head(host.as_str(), port), request.framing, &rest, gate).await
        }
        (Wish::Forward(request), Way::Out { private, .. }) => {
            let server = gate.reach(&host, port, private).await?;
            forward::run(client, server, &request.head(host.as_str(), port), request.framing, &rest, gate).await
        }
    }
}

impl Gate {
    pub(super) fn refuse(&self, host: &str, port: u16, reason: Reason) -> Stop {
        Stop::answer(403, self.ledger.refuse(host, port, reason))
    }

    async fn reach(&self, host: &HostName, port: u16, private: bool) -> Result<TcpStream, Stop> {
        self.outside.reach(host, port, private).await.map_err(|unreached| self.unreached(host, port, unreached))
    }

    fn unreached(&self, host: &HostName, port: u16, unreached: Unreached) -> Stop {
        match unreached {
            Unreached::Refused(reason) => self.refuse(host.as_str(), port, reason),
            failure => Stop::answer(502, format_args!("{host}:{port} is allowed, but {failure}")),
        }
    }
}

/// The head of a request, and what has come after it.
async fn read_head(client: &mut TcpStream) -> Result<(Vec<u8>, Vec<u8>), Stop> {
    const END: &[u8] = b"\r\n\r\n";
    let mut head = Vec::with_capacity(2048);
    loop {
        let unsearched = head.len().saturating_sub(END.len() - 1);
        if client.read_buf(&mut head).await? == 0 {
            return Err(Stop::Cut);
        }
        if !head[0].is_ascii_uppercase() {
            return Err(BadHead("it is not HTTP/1.1").into());
        }
        let end = head[unsearched..].windows(END.len()).position(|window| window == END);
        let end = end.map(|at| unsearched + at + END.len());
        if end.unwrap_or(head.len()) > MAX_HEAD {
            return Err(Stop::answer(431, "the head of the request is too long"));
        }
        if let Some(end) = end {
            let rest = head.split_off(end);
            return Ok((head, rest));
        }
    }
}

/// Tells the client. The reason is in the status line too: of an answer to CONNECT, Go's HTTP client (hence Terraform and
/// its providers) shows nothing else.
async fn answer(client: &mut TcpStream, status: u16, message: &str) -> io::Result<()> {
    let phrase: String = message.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    let length = message.len() + 1;
    let answer = format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{message}\n"
    );
    client.write_all(answer.as_bytes()).await
}

/// Ends the connection so that what was written last arrives: closing it with bytes unread would throw that away.
async fn farewell(client: &mut TcpStream) -> io::Result<()> {
    client.shutdown().await?;
    let mut unread = [0; 4096];
    while client.read(&mut unread).await? > 0 {}
    Ok(())
}
