//! The only way out of a cage: an HTTP proxy in the server, at a listener that the cage handed out.
//!
//! A cage has no network of its own. What runs in it finds the proxy by `HTTPS_PROXY` and `HTTP_PROXY`, and reaches names
//! that are listed ([`Rules`]), nothing else:
//!
//! 1. `head` reads what is asked for: a tunnel (`CONNECT`), or a plain request, which `body` knows the end of.
//! 2. `rules` judges host and port. A number is never a host.
//! 3. `outside` resolves the name and connects to an address that `address` admits, or asks the operator's own proxy
//!    (`upstream`).
//! 4. `tunnel` sees to it that TLS is for that very name (`hello`); `forward` writes a plain request anew.
//! 5. `ledger` keeps what was refused, for the run's page and for the comment.
//!
//! What it does not do: it cannot see into TLS, so whoever may be reached may also be told things, and a host that serves
//! several names may be asked for another one inside the connection.

mod address;
mod body;
mod connection;
mod forward;
mod head;
mod hello;
mod ledger;
mod outside;
mod pump;
mod rules;
mod tunnel;
mod upstream;

#[cfg(test)]
mod tests;

pub use ledger::Traffic;
pub use outside::{Limits, Outside, Resolver};
pub use rules::Rules;
pub use upstream::{InvalidUpstream, OpenUpstream, Upstream};

use super::Cage;
use crate::domain::egress::Refusal;
use connection::{Gate, serve};
use ledger::Ledger;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many connections beyond the limit are told that they are too many. Those beyond are closed without a word.
const TURNED_AWAY: usize = 16;

/// How long to wait when no connection can be taken, which means that the server is out of files for the moment.
const BREATH: Duration = Duration::from_millis(100);

/// The proxy of one cage. Dropping it cuts all its connections.
#[derive(Debug)]
pub struct Egress {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    outside: Outside,
    ledger: Arc<Ledger>,
    phase: Mutex<Phase>,
    /// Cancelled when the proxy is dropped.
    stop: CancellationToken,
}

/// The rules of now, and the connections that were made under them.
#[derive(Debug, Clone)]
struct Phase {
    rules: Arc<Rules>,
    over: CancellationToken,
}

impl Egress {
    /// Serves the connections that come to this listener, wherever it is bound, until the value is dropped. To be called
    /// in a tokio runtime.
    ///
    /// # Errors
    /// When the listener cannot be used without blocking.
    pub fn serve(listener: std::net::TcpListener, rules: Rules, outside: Outside) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let stop = CancellationToken::new();
        let phase = Mutex::new(Phase { rules: Arc::new(rules), over: stop.child_token() });
        let shared = Arc::new(Shared { outside, ledger: Arc::default(), phase, stop: stop.clone() });
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, shared.clone())));
        Ok(Self { shared, _stop: stop.drop_guard() })
    }

    /// Serves the way out of a cage that has one, by these rules; `None`: nothing is to be reached, or the cage has the
    /// host's network.
    ///
    /// # Errors
    /// As for [`Egress::serve`].
    pub fn of(cage: &mut Cage, rules: Option<Rules>, outside: Outside) -> io::Result<Option<Self>> {
        match (cage.take_listener(), rules) {
            (Some(listener), Some(rules)) => Self::serve(listener, rules, outside).map(Some),
            _ => Ok(None),
        }
    }

    /// Puts other rules in place, for the next phase. Connections that were made under the former ones are cut: none of
    /// the next phase can be among them.
    pub fn set_rules(&self, rules: Rules) {
        let next = Phase { rules: Arc::new(rules), over: self.shared.stop.child_token() };
        let mut phase = self.shared.phase.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *phase, next).over.cancel();
    }

    /// What was refused so far: each thing once, in the order of its first time, at most 64.
    #[must_use]
    pub fn refused(&self) -> Vec<Refusal> {
        self.shared.ledger.refusals()
    }

    /// How much went through so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.shared.ledger.traffic()
    }
}

/// By which variables a program finds the proxy at this address. Some programs read the names in capitals, some in small
/// letters. Go programs, so Terraform, use no proxy for loopback addresses and for `localhost`, whatever these say.
#[must_use]
pub fn variables(proxy: SocketAddr) -> Vec<(String, String)> {
    let names = ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"];
    names.iter().map(|name| ((*name).to_owned(), format!("http://{proxy}"))).collect()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let served = Arc::new(Semaphore::new(shared.outside.limits.connections));
    let taken = Arc::new(Semaphore::new(shared.outside.limits.connections + TURNED_AWAY));
    loop {
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(e) => {
                tracing::debug!(error = %e, "a cage's connection could not be taken");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        shared.ledger.connections.fetch_add(1, Relaxed);
        let Ok(seat) = taken.clone().try_acquire_owned() else { continue };
        let place = served.clone().try_acquire_owned().ok();
        let Phase { rules, over } = shared.phase.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let gate = Gate { rules, outside: shared.outside.clone(), ledger: shared.ledger.clone() };
        tokio::spawn(over.run_until_cancelled_owned(async move {
            serve(client, &gate, place.is_none()).await;
            drop((seat, place));
        }));
    }
}
