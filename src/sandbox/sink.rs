//! Where the output of a program goes. Whatever the sink is, the pipe is read to its end, so that a program never
//! blocks because nobody listens; what is too much is counted and let go.

use super::log::{LogStream, LogWriter};
use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Called with each chunk of output, in order, cut anywhere.
pub type OnChunk = Box<dyn FnMut(&[u8]) + Send>;

/// What becomes of one output stream.
pub enum Sink {
    Discard,
    /// The first `max` bytes are kept in memory.
    Buffer {
        max: usize,
    },
    /// The first `max` bytes go to a new file, mode 0600. An existing file is replaced; a link is not followed.
    File {
        path: PathBuf,
        max: u64,
    },
    /// All goes to the run's log, masked; the last `tail` bytes, masked, are kept in memory too (for a message).
    Log {
        log: LogWriter,
        tail: usize,
    },
    /// Each chunk is given to a function, as it comes and unmasked. In a cage nobody but the program, and whoever inherits
    /// it from it, can write to this stream or read from it.
    Each(OnChunk),
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discard => f.write_str("Discard"),
            Self::Buffer { max } => write!(f, "Buffer({max})"),
            Self::File { path, max } => write!(f, "File({}, {max})", path.display()),
            Self::Log { tail, .. } => write!(f, "Log(tail {tail})"),
            Self::Each(_) => f.write_str("Each"),
        }
    }
}

/// What a sink has of a stream when the program is over.
#[derive(Debug, Default)]
pub struct Captured {
    /// What [`Sink::Buffer`] or the tail of [`Sink::Log`] kept.
    pub bytes: Vec<u8>,
    /// How many bytes did not fit.
    pub dropped: u64,
    /// Why [`Sink::File`] could not be written.
    pub failure: Option<io::Error>,
}

/// A sink at work.
pub(super) struct Collector {
    kind: Kind,
    captured: Captured,
}

enum Kind {
    Discard,
    Buffer { left: usize },
    File { file: File, left: u64 },
    Log { stream: LogStream, tail: Tail },
    Each(OnChunk),
}

impl Collector {
    pub(super) fn open(sink: Sink) -> io::Result<Self> {
        let kind = match sink {
            Sink::Discard => Kind::Discard,
            Sink::Buffer { max } => Kind::Buffer { left: max },
            Sink::File { path, max } => {
                match std::fs::remove_file(&path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                Kind::File { file, left: max }
            }
            Sink::Log { log, tail } => Kind::Log { stream: log.stream(), tail: Tail::new(tail) },
            Sink::Each(each) => Kind::Each(each),
        };
        Ok(Self { kind, captured: Captured::default() })
    }

    /// Reads the stream to its end. Can be dropped at any time without losing what was read.
    pub(super) async fn drain(&mut self, mut pipe: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; 32 * 1024];
        // A pipe that cannot be read is over, just as one that was closed.
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            self.take(&chunk[..length]);
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        let captured = &mut self.captured;
        match &mut self.kind {
            Kind::Discard => captured.dropped += chunk.len() as u64,
            Kind::Buffer { left } => {
                let fits = chunk.len().min(*left);
                *left -= fits;
                captured.bytes.extend_from_slice(&chunk[..fits]);
                captured.dropped += (chunk.len() - fits) as u64;
            }
            Kind::File { file, left } => {
                let fits = usize::try_from(*left).unwrap_or(usize::MAX).min(chunk.len());
                *left -= fits as u64;
                captured.dropped += (chunk.len() - fits) as u64;
                if captured.failure.is_none() {
                    captured.failure = file.write_all(&chunk[..fits]).err();
                }
            }
            Kind::Log { stream, tail } => tail.push(&stream.write(chunk)),
            Kind::Each(each) => each(chunk),
        }
    }

    pub(super) fn finish(mut self) -> Captured {
        if let Kind::Log { mut stream, mut tail } = self.kind {
            tail.push(&stream.finish());
            self.captured.bytes = tail.kept.into();
            self.captured.dropped = tail.dropped;
        }
        self.captured
    }
}

/// The last bytes of a stream.
struct Tail {
    max: usize,
    kept: VecDeque<u8>,
    dropped: u64,
}

impl Tail {
    const fn new(max: usize) -> Self {
        Self { max, kept: VecDeque::new(), dropped: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes);
        let excess = self.kept.len().saturating_sub(self.max);
        self.kept.drain(..excess);
        self.dropped += excess as u64;
    }
}
