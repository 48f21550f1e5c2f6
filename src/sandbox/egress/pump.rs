//! Moving bytes, counting them, and noticing when none move any more.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

pub(super) const BUFFER: usize = 16 * 1024;

/// What counts the bytes of one direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count<'c> {
    /// Of one connection, both directions.
    pub(super) moved: &'c AtomicU64,
    /// Of all connections of the cage.
    pub(super) total: &'c AtomicU64,
}

impl Count<'_> {
    pub(super) fn add(self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Relaxed);
        self.total.fetch_add(bytes as u64, Relaxed);
    }
}

/// Moves all there is, then says that there is no more; the other direction is not touched.
pub(super) async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: Count<'_>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            length => {
                to.write_all(&buffer[..length]).await?;
                count.add(length);
            }
        }
    }
}

/// Does the work as long as bytes move.
pub(super) async fn while_moving(
    work: impl Future<Output = io::Result<()>>,
    moved: &AtomicU64,
    idle_time: Duration,
) -> io::Result<()> {
    let mut work = pin!(work);
    let mut before = moved.load(Relaxed);
    loop {
        if let Ok(done) = tokio::time::timeout(idle_time, &mut work).await {
            return done;
        }
        let now = moved.load(Relaxed);
        if now == before {
            return Err(io::ErrorKind::TimedOut.into());
        }
        before = now;
    }
}
