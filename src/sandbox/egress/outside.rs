//! How the outside is reached: names are resolved here, and the very address that was checked is connected to.
//!
//! The cage cannot resolve names itself, so a name has no second lookup that could answer differently, and only listed
//! names are asked for: what the cage would tell somebody by the names that it looks up stays inside.

use super::address::{Reach, reach};
use super::upstream::Upstream;
use crate::domain::egress::{HostName, Reason};
use futures::future::BoxFuture;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many of a name's addresses are tried.
const MAX_TRIES: usize = 4;

/// How many lookups run at once, for all cages together: each holds a thread, for as long as the resolver likes.
const MAX_LOOKUPS: usize = 16;

/// What the proxies of all cages have in common.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    pub resolver: Resolver,
    /// The operator's own proxy, where nothing else leads outside.
    pub upstream: Option<Upstream>,
    pub limits: Limits,
}

/// The bounds of one cage's proxy.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once. The next one is answered with 503.
    pub connections: usize,
    /// For the head of a request, and for the first message of TLS.
    pub head_time: Duration,
    /// For a lookup, and for each address that is tried.
    pub connect_time: Duration,
    /// A connection is cut when nothing has moved in either direction for this long (at most twice this long).
    pub idle_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 128,
            head_time: Duration::from_secs(10),
            connect_time: Duration::from_secs(10),
            idle_time: Duration::from_mins(15),
        }
    }
}

type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// What a name's addresses are: the system's resolver, or any other function.
#[derive(Clone)]
pub struct Resolver(Arc<Lookup>);

impl Resolver {
    /// Asks this function.
    pub fn new<F>(lookup: impl Fn(String) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
    {
        Self(Arc::new(move |name| Box::pin(lookup(name))))
    }

    /// The system's resolver: `/etc/hosts`, then DNS.
    #[must_use]
    pub fn system() -> Self {
        let lookups = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self::new(move |name| {
            let lookups = lookups.clone();
            async move {
                let permit = lookups.acquire_owned().await.map_err(io::Error::other)?;
                // The thread goes on when nobody waits any more, and its permit with it.
                let lookup = tokio::task::spawn_blocking(move || {
                    let _permit = permit;
                    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
                });
                lookup.await.map_err(io::Error::other)?
            }
        })
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// Why a host was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreached {
    #[error("{0}")]
    Refused(Reason),
    #[error("the name cannot be resolved: {0}")]
    Unknown(io::Error),
    #[error("it cannot be connected to: {0}")]
    Unconnected(#[from] io::Error),
    #[error("the operator's proxy does not lead there: {0}")]
    Upstream(io::Error),
}

impl Outside {
    /// Connects to a listed host. `private` says whether its name may lead to a private address. Behind an upstream proxy
    /// nothing is resolved here, so there is no address to check: what a name leads to is up to that proxy.
    pub(super) async fn reach(&self, host: &HostName, port: u16, private: bool) -> Result<TcpStream, Unreached> {
        let within = self.limits.connect_time;
        if let Some(upstream) = &self.upstream {
            let tunnel = timeout(within, upstream.tunnel(host, port)).await;
            return tunnel.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(Unreached::Upstream);
        }
        let lookup = timeout(within, (self.resolver.0)(host.as_str().to_owned())).await;
        let found = lookup.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(Unreached::Unknown)?;
        let allowed = allowed(&found, private)?;
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for address in allowed.into_iter().take(MAX_TRIES) {
            match self.connect(SocketAddr::new(address, port)).await {
                Ok(stream) => return Ok(stream),
                Err(e) => failure = e,
            }
        }
        Err(failure.into())
    }

    /// Connects to an address of the server's own choice.
    pub(super) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let connect = timeout(self.limits.connect_time, TcpStream::connect(to)).await;
        let stream = connect.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Those of a name's addresses that may be connected to.
fn allowed(found: &[IpAddr], private: bool) -> Result<Vec<IpAddr>, Unreached> {
    let mut allowed = Vec::new();
    let (mut with_name, mut never) = (None, None);
    for address in found {
        match reach(*address) {
            Reach::Public => allowed.push(*address),
            Reach::Named(_) if private => allowed.push(*address),
            Reach::Named(kind) => with_name = Some(kind.to_owned()),
            Reach::Never(kind) => never = Some(kind.to_owned()),
        }
    }
    if !allowed.is_empty() {
        return Ok(allowed);
    }
    Err(match (with_name, never) {
        (Some(kind), _) => Unreached::Refused(Reason::Private { kind }),
        (None, Some(kind)) => Unreached::Refused(Reason::Never { kind }),
        (None, None) => Unreached::Unknown(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
    })
}
