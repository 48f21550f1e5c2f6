//! Parses the command line and runs one command.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    terraplane::cli::run(terraplane::cli::Cli::parse())
}
