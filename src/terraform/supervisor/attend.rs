//! The server's side: starts a supervisor, or finds one again, and waits for its end.

use super::SUPERVISE;
use super::order::{About, Ending, Order};
use super::place::{Applies, Place};
use crate::sandbox::{Sandbox, Slot, handover};
use serde::Serialize;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// How often a supervisor is called that does not listen yet.
const AGAIN: Duration = Duration::from_millis(20);

/// An apply in the hands of its supervisor. Dropped, it goes on.
#[derive(Debug)]
pub struct Supervised {
    place: Place,
}

/// How it travels.
#[derive(Serialize)]
struct Sent<'a> {
    place: PathBuf,
    order: &'a Order,
}

impl Supervised {
    /// Hands the apply over. The files of the run belong to it from then on.
    ///
    /// # Errors
    /// When no supervisor could be started; nothing was changed then.
    pub async fn start(
        applies: &Applies,
        about: &About,
        order: &Order,
        sandbox: &Sandbox,
        slot: &Slot,
    ) -> io::Result<Self> {
        let place = applies.place(about.run);
        let lock = place.create(about)?;
        let files: Vec<_> = [Some(lock.as_fd()), slot.user().1].into_iter().flatten().collect();
        let sent = Sent { place: place.dir().to_owned(), order };
        let started = handover::start(sandbox.program(), SUPERVISE, &sent, &files).await;
        drop(lock);
        // Whatever became of the socket: who has begun goes on.
        match started {
            _ if place.has_begun() => Ok(Self { place }),
            Err(error) => {
                place.prepare()?;
                Err(error)
            }
            Ok(()) => {
                place.prepare()?;
                Err(io::Error::other("the supervisor ended before it began"))
            }
        }
    }

    /// One that another server has started, or this one before it lost it.
    #[must_use]
    pub const fn again(place: Place) -> Self {
        Self { place }
    }

    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Waits until it has ended; `None`: it was killed, and nobody knows how far terraform came. When `cancel` is, terraform
    /// is asked to stop, and its end is waited for.
    ///
    /// # Errors
    /// When the apply's directory can't be read.
    pub async fn ending(&self, cancel: &CancellationToken) -> io::Result<Option<Ending>> {
        loop {
            if let Some(ending) = self.place.ending()? {
                return Ok(Some(ending));
            }
            if let Ok(mut control) = self.place.connect().await {
                let mut nothing = [0];
                tokio::select! {
                    _ = control.read(&mut nothing) => {}
                    () = cancel.cancelled() => {
                        // Who does not hear has ended.
                        let _ = control.write_all(b"c").await;
                        let _ = control.read(&mut nothing).await;
                    }
                }
            } else if !self.place.is_attended()? {
                // It may have ended between the two looks.
                return self.place.ending();
            }
            // Either it does not listen yet, or it is on the point of letting go.
            tokio::time::sleep(AGAIN).await;
        }
    }
}
