//! Parses the command line and runs one command. But first of all, while there is one thread: if this process was started
//! to be a sandbox's helper or an apply's supervisor, it is that and nothing else.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let helper = terraplane::sandbox::helper::entered().or_else(terraplane::terraform::supervisor::entered);
    helper.unwrap_or_else(|| terraplane::cli::run(terraplane::cli::Cli::parse()))
}
