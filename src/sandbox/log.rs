//! The log of a run: a file that several programs append to, one after the other or two streams at once, in whole
//! lines, without the run's secrets, and never larger than agreed.

use super::redact::{Masker, Redactor};
use secrecy::SecretString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A line longer than this many bytes is written in parts, so that no stream can hold an endless line in memory.
const LONGEST_LINE: usize = 16 * 1024;

/// A handle on the log; clones write to the same file.
///
/// Writing is synchronous: an append to a local file reaches the page cache in microseconds, less than handing it to
/// another thread would take. A log that cannot be written (a full disk) never fails the run that it describes; it is
/// cut, and [`LogWriter::failure`] says why.
#[derive(Debug, Clone)]
pub struct LogWriter {
    file: Arc<Mutex<Bounded>>,
    redactor: Redactor,
}

#[derive(Debug)]
struct Bounded {
    file: File,
    left: u64,
    dropped: u64,
    failure: Option<io::Error>,
}

impl LogWriter {
    /// Opens the file for appending; creates it with mode 0600. `max` bounds in bytes what this writer adds.
    ///
    /// # Errors
    /// When the file cannot be opened, or is a symbolic link.
    pub fn open(path: &Path, redactor: Redactor, max: u64) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        let bounded = Bounded { file, left: max, dropped: 0, failure: None };
        Ok(Self { file: Arc::new(Mutex::new(bounded)), redactor })
    }

    /// From here on so many bytes are kept, whatever came before; how many of what came before were not kept is said.
    pub fn begin_part(&self, max: u64) {
        self.locked(|log| log.begin_part(max));
    }

    /// Appends one line of the server's own; masked as everything is.
    pub fn line(&self, text: &str) {
        let mut stream = self.stream();
        stream.write(text.as_bytes());
        stream.finish();
    }

    /// A stream of output that goes to this log.
    #[must_use]
    pub fn stream(&self) -> LogStream {
        LogStream { log: self.clone(), masker: self.redactor.masker(), line: Vec::new() }
    }

    /// The same log, for a program that was handed one more secret.
    #[must_use]
    pub fn hiding(&self, secret: &SecretString) -> Self {
        Self { file: Arc::clone(&self.file), redactor: self.redactor.and(secret) }
    }

    #[must_use]
    pub const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// How many bytes are missing from the log because it was full or could not be written.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.locked(|log| log.dropped)
    }

    /// Why the log could not be written, if that happened.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.locked(|log| log.failure.as_ref().map(ToString::to_string))
    }

    fn append(&self, bytes: &[u8]) {
        self.locked(|log| log.append(bytes));
    }

    fn locked<T>(&self, use_it: impl FnOnce(&mut Bounded) -> T) -> T {
        use_it(&mut self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Bounded {
    fn begin_part(&mut self, max: u64) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 && self.failure.is_none() {
            self.failure = writeln!(self.file, "[{dropped} bytes were not kept.]").err();
        }
        self.left = max;
    }

    fn append(&mut self, bytes: &[u8]) {
        let length = bytes.len() as u64;
        if self.failure.is_none() && length <= self.left {
            self.left -= length;
            match self.file.write_all(bytes) {
                Ok(()) => return,
                Err(failure) => self.failure = Some(failure),
            }
        } else if self.dropped == 0 && self.failure.is_none() {
            self.left = 0;
            self.failure = self.file.write_all(b"[The log is full: what follows was not kept.]\n").err();
        }
        self.dropped += length;
    }
}

/// One stream on its way into the log: masked, and appended in whole lines so that two streams do not mix within one.
#[derive(Debug)]
pub struct LogStream {
    log: LogWriter,
    masker: Masker,
    line: Vec<u8>,
}

impl LogStream {
    /// The next chunk. Returns what became readable of it, masked.
    pub fn write(&mut self, chunk: &[u8]) -> Vec<u8> {
        let shown = self.masker.push(chunk);
        self.take(&shown);
        shown
    }

    /// The stream is over: writes what was held back, and ends the line. Returns what became readable.
    pub fn finish(&mut self) -> Vec<u8> {
        let shown = self.masker.finish();
        self.take(&shown);
        if !self.line.is_empty() {
            self.line.push(b'\n');
            self.log.append(&std::mem::take(&mut self.line));
        }
        shown
    }

    fn take(&mut self, shown: &[u8]) {
        self.line.extend_from_slice(shown);
        let whole = match self.line.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.line.len() > LONGEST_LINE => self.line.len(),
            None => return,
        };
        let rest = self.line.split_off(whole);
        self.log.append(&std::mem::replace(&mut self.line, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn open(path: &Path, max: u64) -> LogWriter {
        LogWriter::open(path, Redactor::new([&SecretString::from("hunter22")]), max).unwrap()
    }

    #[test]
    fn two_streams_never_mix_within_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open(&path, 1000);
        let (mut out, mut err) = (log.stream(), log.stream());
        out.write(b"creat");
        err.write(b"Warn");
        out.write(b"ed\nnext");
        err.write(b"ing\n");
        out.finish();
        err.finish();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "created\nWarning\nnext\n");
    }

    #[test]
    fn secrets_are_masked_in_every_line_even_when_cut_between_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open(&path, 1000);
        log.line("header with hunter22");
        let mut out = log.stream();
        let mut shown = out.write(b"it is hunt");
        shown.extend(out.write(b"er22"));
        shown.extend(out.finish());
        assert_eq!(shown, b"it is ***");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "header with ***\nit is ***\n");
    }

    #[test]
    fn a_full_log_says_so_once_and_counts_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open(&path, 10);
        log.line("12345678");
        log.line("abc");
        log.line("x");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "12345678\n[The log is full: what follows was not kept.]\n"
        );
        assert_eq!(log.dropped(), 6);
        assert_eq!(log.failure(), None);
    }

    #[test]
    fn a_part_that_says_too_much_leaves_room_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open(&path, 1000);
        log.begin_part(10);
        log.line("12345678");
        log.line("too much");
        log.begin_part(10);
        log.line("next");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "12345678\n[The log is full: what follows was not kept.]\n[9 bytes were not kept.]\nnext\n"
        );
    }

    #[test]
    fn the_log_is_appended_to_private_and_never_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        open(&path, 100).line("one");
        open(&path, 100).line("two");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(LogWriter::open(&link, Redactor::default(), 1).is_err());
    }

    #[test]
    fn a_log_on_a_full_disk_is_cut_and_says_why() {
        let log = LogWriter::open(Path::new("/dev/full"), Redactor::default(), 100).unwrap();
        log.line("lost");
        assert!(log.failure().is_some());
        assert_eq!(log.dropped(), 5);
    }
}
