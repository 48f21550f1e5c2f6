//! `terraplane serve`: the server, until it is told to stop.

use super::{Server, find_sandbox};
use crate::config::{ServerConfig, process_environment};
use crate::telemetry::{self, LogFormat};
use anyhow::Context as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How long an address is waited for that something else has.
const PREDECESSOR: Duration = Duration::from_secs(2);

/// Exit code 0 after a drain; 2 with everything that is wrong with the configuration.
///
/// # Errors
/// When the server can't start.
pub async fn serve(config: Option<&Path>, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let environment = process_environment();
    let config = match ServerConfig::load(config, &environment) {
        Ok(config) => config,
        Err(errors) => {
            writeln!(out, "{errors}")?;
            return Ok(2);
        }
    };
    crate::crash::arm(&environment);
    telemetry::init(LogFormat::Auto);
    let stop = asked_to_stop()?;
    let grace = config.grace_period;
    let listener = listen(config.listen).await.with_context(|| format!("can't listen on {}", config.listen))?;
    let sandbox = find_sandbox(&config, None).await?;
    let server = Server::start(config, listener, &environment, sandbox).await?;
    tracing::info!(address = %server.address, "terraplane is up");
    stop.await;
    tracing::info!(grace_s = grace.as_secs(), "draining: no new run begins, running ones may finish");
    let finished = server.drain(grace).await;
    tracing::info!(finished, "terraplane is down");
    Ok(0)
}

/// A server that was killed while it started a program may have its address for a moment longer: a child has all that its
/// parent had until it becomes the program. Whoever really has the address has it longer than that.
async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let end = Instant::now() + PREDECESSOR;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            done => return done,
        }
    }
}

/// SIGTERM or SIGINT, from the call on: one that comes while the server starts must not kill it in the middle of work.
pub(super) fn asked_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT can't be listened for")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_soon_free_is_waited_for_and_one_that_stays_taken_is_told() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(listen(address).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let waiting = tokio::spawn(listen(address));
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(taken);
        assert_eq!(waiting.await.unwrap().unwrap().local_addr().unwrap(), address);
    }
}
