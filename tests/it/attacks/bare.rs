//! Programs as somebody runs them by hand: the controls of what no cage stops, but the server has to.

use crate::world::program;
use std::path::Path;
use std::process::Command;

/// What it said, on either stream. It sees these variables and next to none of this process.
pub(super) fn said(name: &str, args: &[&str], dir: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(program(name));
    command.args(args).current_dir(dir).env_clear();
    command.env("PATH", std::env::var("PATH").unwrap()).env("HOME", dir).env("CHECKPOINT_DISABLE", "1");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
