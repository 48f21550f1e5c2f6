//! Parses the command line and runs one command. But first of all, while there is one thread: if this process was started
//! to be a sandbox's helper, it is that and nothing else.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    terraplane::sandbox::helper::entered().unwrap_or_else(|| terraplane::cli::run(terraplane::cli::Cli::parse()))
}
