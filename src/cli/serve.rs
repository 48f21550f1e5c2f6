//! `terraplane serve`: the server, until it is told to stop.

use super::{Server, find_sandbox};
use crate::config::{ServerConfig, process_environment};
use crate::telemetry::{self, LogFormat};
use anyhow::Context as _;
use std::io::Write;
use std::path::Path;
use tokio::net::TcpListener;

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
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("can't listen on {}", config.listen))?;
    let sandbox = find_sandbox(&config, None).await?;
    let server = Server::start(config, listener, &environment, sandbox).await?;
    tracing::info!(address = %server.address, "terraplane is up");
    stop.await;
    tracing::info!(grace_s = grace.as_secs(), "draining: no new run begins, running ones may finish");
    let finished = server.drain(grace).await;
    tracing::info!(finished, "terraplane is down");
    Ok(0)
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
