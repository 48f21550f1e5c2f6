//! The commands of the binary. Exit code 0 is success, 1 a finding, 2 a usage or configuration error.

pub mod check;
pub mod demo;
pub mod doctor;
mod forges;
pub mod serve;
mod server;
pub mod webhook;

pub use server::{Server, find_sandbox};

use crate::config::process_environment;
use crate::demo::Face;
use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Turns pull requests into infrastructure.
#[derive(Debug, Parser)]
#[command(name = "terraplane", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve {
        /// The server's configuration; every key can also be set by environment.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Run the server together with a small local forge that has an open pull request; needs no accounts.
    Demo {
        /// Which forge it looks like.
        #[arg(long, value_name = "FORGE", default_value_t)]
        forge: Face,
        /// Play the whole story and exit: 0 if everything happened as it should.
        #[arg(long)]
        script: bool,
    },
    /// Check a repository's terraplane.yaml and say what it means.
    Check {
        /// A checkout.
        #[arg(default_value = ".")]
        path: PathBuf,
    },
    /// The webhooks that forges send us.
    Webhook {
        #[command(subcommand)]
        command: Webhook,
    },
    /// Check this host and the access to the forges, and say what to do about each failure.
    Doctor {
        /// The server's configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum Webhook {
    /// Make the webhook of a repository, or mend the one that is there.
    Install {
        /// The repository, with the forge's host before it where there are several.
        #[arg(value_name = "OWNER/REPO")]
        repo: String,
        /// The server's configuration.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Runs a command to its end.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime could not be started: {error}"), 2),
    };
    let mut out = std::io::stdout();
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Serve { config } => serve::serve(config.as_deref(), &mut out).await,
            Command::Demo { forge, script } => demo::demo(forge, script, &mut out).await,
            Command::Check { path } => check::check(&path, &mut out),
            Command::Webhook { command: Webhook::Install { repo, config } } => {
                webhook::install(&repo, config.as_deref(), &process_environment(), &mut out).await
            }
            Command::Doctor { config } => {
                doctor::doctor(config.as_deref(), &process_environment(), None, &mut out).await
            }
        }
    });
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => complain(&format!("{error:#}"), 2),
    }
}

/// The top of the program is the one place that writes to standard error by itself.
fn complain(message: &str, code: u8) -> ExitCode {
    // There is nobody left to tell if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(code)
}
