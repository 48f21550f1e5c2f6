//! `make bench`: what issue "the main loop" asks about speed, measured on this machine and over loopback only.
//!
//! 1. From the webhook to the live comment, beside the bare commands that have to run for it ([`comment`]).
//! 2. Webhooks that are acknowledged per second, and how long that takes ([`webhooks`]).
//! 3. The memory of a server that does nothing ([`server`]).
//! 4. A start with much in the queue ([`restart`]).
//! 5. What the sandbox costs ([`cage`]).
//! 6. The live comment of five hundred projects ([`render`]).
//!
//! It reports and judges nothing: the exit code is 0 whatever the numbers are. Words after `--` choose among the parts:
//! `cargo bench --bench loop -- cage render`. Without `--bench` (as `cargo test --all-targets` starts it) it is a rehearsal
//! with the fewest possible rounds, so that it can't rot unnoticed.

#![allow(clippy::print_stdout, reason = "a report is printed")]

mod cage;
mod comment;
mod render;
mod restart;
mod server;
mod spans;
mod table;
mod webhooks;

use anyhow::Context as _;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use terraplane::config::process_environment;
use terraplane::sandbox::process::find_program;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// Pull requests, and as many rounds of the bare commands.
    rounds: usize,
    /// After each of them. What one writes to the forge, the server's token may write again after it, one request each
    /// second: without a pause, rounds would measure how long a server waits that spares its forge.
    pause: Duration,
    /// Webhooks per second that are offered, whether they are answered or not.
    rate: u32,
    offered_for: Duration,
    /// How long as many webhooks as possible are sent.
    flooded_for: Duration,
    /// How long a server is left alone before its memory is read.
    idle: Duration,
    /// What a server has behind it that starts: queued and old runs.
    left_behind: (u64, u64),
}

const FULL: Effort = Effort {
    rounds: 21,
    pause: Duration::from_secs(7),
    rate: 500,
    offered_for: Duration::from_secs(10),
    flooded_for: Duration::from_secs(4),
    idle: Duration::from_secs(2),
    left_behind: (1_000, 10_000),
};

const REHEARSAL: Effort = Effort {
    rounds: 1,
    pause: Duration::ZERO,
    rate: 20,
    offered_for: Duration::from_millis(500),
    flooded_for: Duration::from_millis(200),
    idle: Duration::from_millis(200),
    left_behind: (10, 100),
};

fn main() -> anyhow::Result<()> {
    let effort = if std::env::args().any(|arg| arg == "--bench") { FULL } else { REHEARSAL };
    let parts: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let recorder = spans::Recorder::default();
    let ours = tracing_subscriber::filter::Targets::new().with_target("terraplane", tracing::Level::DEBUG);
    tracing_subscriber::registry().with(tracing_subscriber::Layer::with_filter(recorder.clone(), ours)).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        if wanted("webhooks") {
            webhooks::report(effort).await?;
        }
        if wanted("restart") {
            restart::report(effort).await?;
        }
        if wanted("comment") {
            comment::report(effort, &recorder).await?;
        }
        if wanted("cage") {
            cage::report(effort).await?;
        }
        if wanted("render") {
            render::report(effort)?;
        }
        Ok(())
    })
}

/// A directory on the disk that the build uses: `/tmp` may be memory, where durable writes cost nothing.
fn on_disk() -> anyhow::Result<tempfile::TempDir> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(root)?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(root)?)
}

/// The `PATH` that everything is started with.
fn path() -> String {
    process_environment().remove("PATH").unwrap_or_default()
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    find_program(Path::new(name), OsStr::new(&path())).with_context(|| format!("there is no `{name}` on the PATH"))
}
