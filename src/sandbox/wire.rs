//! What the server and the helper say to each other: frames of a length and JSON on one socket, with file descriptors
//! beside them.

use super::level::Level;
use super::policy::{HostUser, Limit, Policy};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// A frame that is longer is an error: environments and arguments are far below.
const LONGEST_FRAME: usize = 16 << 20;

/// The most descriptors of one frame.
const DESCRIPTORS: usize = 3;

/// What a helper is for. The first frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    Build(Plan),
    /// To kill all processes of a user that is a cage's own, and to end.
    Clear(HostUser),
}

/// The cage that is to be built.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) level: Level,
    /// The newest version of Landlock that is asked for.
    pub(super) landlock: u8,
    pub(super) policy: Policy,
    /// The user to become; `None`: the server's own.
    pub(super) run_as: Option<HostUser>,
    /// Directories in which a cgroup for the cage can be made.
    pub(super) cgroups: Vec<PathBuf>,
    /// Where its name has to be unique.
    pub(super) name: String,
    /// No session: the helper shuts itself in and becomes the program of the next frame.
    pub(super) light: bool,
}

impl Plan {
    /// Whether its processes are, to the kernel, those of the server's own user.
    pub(super) fn shares_user(&self) -> bool {
        self.level < Level::Full && self.run_as.is_none()
    }
}

/// What the server asks. No `Debug`: a step's environment holds secrets.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask {
    /// With standard output and error, and before them standard input if it is not closed.
    Run(Step),
    /// SIGINT for the program of that number and its group.
    Interrupt(u32),
    /// The end of the program of that number and of all that it started.
    Kill(u32),
    /// Opens a file below the work tree (0) or the scratch directory (1).
    Open { root: usize, path: PathBuf },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) number: u32,
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) dir: PathBuf,
    /// Each `NAME=value`.
    pub(super) env: Vec<OsString>,
    pub(super) stdin: bool,
}

/// What the helper answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Say {
    /// The cage is there; with the proxy's listener if one was asked for.
    Ready {
        listener: bool,
    },
    /// It is not.
    Failed {
        doing: String,
        why: String,
    },
    /// The program could not be started: the system's error number (0: none), and what failed if it was not the
    /// program's own file. `begun`: that is not sure.
    NotStarted {
        number: u32,
        begun: bool,
        error: i32,
        doing: String,
    },
    Ended {
        number: u32,
        status: Status,
        limit: Option<Limit>,
        refused: Vec<String>,
    },
    /// With the file, or the system's error number.
    Opened {
        error: Option<i32>,
    },
}

/// Why a program was not started.
pub(super) fn not_started(error: i32, doing: String) -> io::Error {
    match (error, doing) {
        (0, doing) => io::Error::other(doing),
        (error, doing) if doing.is_empty() => io::Error::from_raw_os_error(error),
        (error, doing) => {
            let source = io::Error::from_raw_os_error(error);
            io::Error::new(source.kind(), format!("{doing}: {source}"))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    Exit(i32),
    Signal(i32),
}

/// A frame, ready to be sent.
pub(super) fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Sends as much as the socket takes. The descriptors go with the first byte.
pub(super) fn send_some(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors in one frame"));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Sends a frame on a socket that blocks.
pub(super) fn send(socket: impl AsFd, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = frame(message)?;
    let mut sent = 0;
    while sent < bytes.len() {
        sent += send_some(&socket, &bytes[sent..], if sent == 0 { descriptors } else { &[] })?;
    }
    Ok(())
}

/// What was received and not yet read.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Receives once. 0: the other side is gone.
    pub(super) fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut chunk = [0; 8 * 1024];
        let received = recvmsg(socket, &mut [IoSliceMut::new(&mut chunk)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        self.bytes.extend_from_slice(&chunk[..received.bytes]);
        Ok(received.bytes)
    }

    /// The next whole frame.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let Some((length, rest)) = self.bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > LONGEST_FRAME {
            return Err(io::Error::other("a frame is too long"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let message = serde_json::from_slice(body)?;
        self.bytes.drain(..4 + length);
        Ok(Some(message))
    }

    /// The next descriptor that came along.
    pub(super) fn descriptor(&mut self) -> io::Result<OwnedFd> {
        self.descriptors.pop_front().ok_or_else(|| io::Error::other("a descriptor is missing"))
    }

    /// Waits for a frame on a socket that blocks; `None`: the other side is gone.
    pub(super) fn wait<T: DeserializeOwned>(&mut self, socket: impl AsFd) -> io::Result<Option<T>> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(Some(message));
            }
            if self.receive(&socket)? == 0 {
                return Ok(None);
            }
        }
    }
}
