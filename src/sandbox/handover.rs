//! Starts this binary anew for work that must outlive the server, and hands the work over: an order, which may hold
//! secrets and so travels over a socket, and open files. Nothing else connects the two: the process has a group of its
//! own, an empty environment, and no standard stream of the server's.

use super::session;
use super::wire::Inbox;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;

/// Starts `program COMMAND`, and returns when it has taken the order and said so by closing the socket. What came of it
/// stands wherever the two agreed to write it.
///
/// # Errors
/// When it could not be started, or the order not be handed over. It may have been taken all the same.
pub async fn start(program: &Path, command: &str, order: &impl Serialize, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let (mut child, mut channel) = session::start(program, &[command], Stdio::null(), Stdio::null(), false)?;
    let taken = async {
        channel.send(order, files).await?;
        match channel.receive_or_end().await? {
            None => Ok(()),
            Some(other) => Err(io::Error::other(format!("unexpected answer {other:?}"))),
        }
    };
    let taken = taken.await;
    // Whoever started a process has to bury it.
    tokio::spawn(async move { child.wait().await });
    taken
}

/// What was handed over to this process.
#[derive(Debug)]
pub struct Handed<T> {
    pub order: T,
    pub files: Vec<OwnedFd>,
    socket: OwnedFd,
}

impl<T: DeserializeOwned> Handed<T> {
    /// For the process that was started: takes its order. To be called before there are threads.
    ///
    /// # Errors
    /// When the server was gone before it had said everything.
    pub fn take(files: usize) -> io::Result<Self> {
        let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let mut inbox = Inbox::default();
        let order = inbox.wait(&socket)?.ok_or_else(|| io::Error::other("there was no order"))?;
        let files = (0..files).map_while(|_| inbox.descriptor().ok()).collect();
        Ok(Self { order, files, socket })
    }

    /// Tells the server that the work has begun.
    pub fn accept(self) -> (T, Vec<OwnedFd>) {
        drop(self.socket);
        (self.order, self.files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn the_order_is_handed_over_and_taken_when_the_socket_closes() {
        let dir = tempfile::tempdir().unwrap();
        let (program, taken) = (dir.path().join("program"), dir.path().join("taken"));
        // A frame is a length of four bytes and JSON.
        let script = format!("#!/bin/sh\nhead -c 10 | tail -c 6 > {0}.new\nmv {0}.new {0}\n", taken.display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        start(&program, "order", &"text", &[]).await.unwrap();
        assert_eq!(std::fs::read_to_string(&taken).unwrap(), "\"text\"");

        let missing = start(Path::new("/nowhere/terraplane"), "order", &"text", &[]).await;
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
