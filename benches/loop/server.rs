//! The real binary as a child process, and its memory.

use crate::{on_disk, path};
use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const WEBHOOK_SECRET: &str = "a secret between the forge and the server";

/// `terraplane serve`, with SQLite in a directory of its own on the disk.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    pub(crate) data: TempDir,
}

/// Resident memory in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// The part of it that the process has written, and that nothing but the process uses.
    pub(crate) own: u64,
}

/// The text of a `server.yaml`.
pub(crate) fn yaml(data: &Path, listen: &str, api_url: &str, token: &str, repo: &str) -> anyhow::Result<String> {
    let secret = data.join("secret");
    std::fs::write(&secret, WEBHOOK_SECRET)?;
    let token_file = data.join("token");
    std::fs::write(&token_file, token)?;
    Ok(format!(
        "listen: {listen}\nurl: http://{listen}\ndata_dir: {}\ngithub:\n  api_url: {api_url}\n  webhook_secret: \
         file:{}\n  token: file:{}\nrepos:\n  - match: \"{repo}\"\nsandbox: {{require: \"off\"}}\n",
        data.join("data").display(),
        secret.display(),
        token_file.display(),
    ))
}

impl Server {
    /// Nothing answers at its forge's address: what it is sent must not need one.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_in(on_disk()?).await
    }

    pub(crate) async fn start_in(data: TempDir) -> anyhow::Result<Self> {
        let config = data.path().join("server.yaml");
        let text = yaml(data.path(), "127.0.0.1:0", "http://127.0.0.1:9/api/v3", "no-token", "127.0.0.1:9/acme/*")?;
        std::fs::write(&config, text)?;
        let log = data.path().join("log");
        #[expect(clippy::disallowed_methods, reason = "the server itself; its environment is given here")]
        let child = std::process::Command::new(env!("CARGO_BIN_EXE_terraplane"))
            .args(["serve", "--config"])
            .arg(&config)
            .env_clear()
            .env("PATH", path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let mut server = Self { child, address: String::new(), data };
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let said = std::fs::read_to_string(&log)?;
            if let Some(address) = said.lines().find_map(address) {
                server.address = address;
                return Ok(server);
            }
            if server.child.try_wait()?.is_some() || Instant::now() > end {
                bail!("the server did not come up: {said}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let read = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("the kernel does not say")?;
            let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
            anyhow::Ok(kib << 10)
        };
        Ok(Memory { resident: read("VmRSS:")?, own: read("RssAnon:")? })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// The address in the line that says that the server is up.
fn address(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == "terraplane is up").then(|| line["address"].as_str().map(str::to_owned))?
}
