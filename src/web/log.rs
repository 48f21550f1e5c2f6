//! A run's log on its way into a page: the last 8 MiB of it, as a stream, so that a page costs little memory however
//! long its log and however slow its reader.

use crate::render::ansi::AnsiHtml;
use axum::body::Bytes;
use futures::Stream;
use rustix::fs::OFlags;
use std::io::{self, SeekFrom};
use std::path::Path;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, Take};

/// How much of a log is shown.
const SHOWN: u64 = 8 * 1024 * 1024;
/// How much is converted at once.
const PIECE: usize = 64 * 1024;

/// A log as it was when it was opened: what a running program adds meanwhile comes with the next look at it.
#[derive(Debug)]
pub(super) struct RunLog {
    file: Option<Take<File>>,
    length: u64,
    left_out: u64,
}

impl RunLog {
    /// A run that has not begun has no log, which is no error.
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let no_links = OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = match OpenOptions::new().read(true).custom_flags(no_links).open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { file: None, length: 0, left_out: 0 });
            }
            Err(error) => return Err(error),
        };
        let length = file.metadata().await?.len();
        let left_out = length.saturating_sub(SHOWN);
        file.seek(SeekFrom::Start(left_out)).await?;
        Ok(Self { file: Some(file.take(length - left_out)), length, left_out })
    }

    /// In bytes.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// How many bytes of the beginning are not shown.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// `before`, the log as HTML, `after`.
    pub(super) fn between(self, before: String, after: String) -> impl Stream<Item = io::Result<Bytes>> + use<> {
        let start = Reader {
            file: self.file,
            in_line: self.left_out > 0,
            converter: AnsiHtml::new(),
            out: before,
            after: Some(after),
        };
        futures::stream::try_unfold(start, |mut reader| async {
            Ok(reader.next().await?.map(|piece| (Bytes::from(piece), reader)))
        })
    }
}

struct Reader {
    file: Option<Take<File>>,
    /// Reading began in the middle of a line, the rest of which is skipped.
    in_line: bool,
    converter: AnsiHtml,
    /// What is ready to be sent.
    out: String,
    after: Option<String>,
}

impl Reader {
    async fn next(&mut self) -> io::Result<Option<String>> {
        let mut buffer = Vec::with_capacity(PIECE);
        while let Some(file) = &mut self.file {
            buffer.clear();
            if (&mut *file).take(PIECE as u64).read_to_end(&mut buffer).await? == 0 {
                self.file = None;
                self.converter.finish(&mut self.out);
                break;
            }
            let mut piece = buffer.as_slice();
            if self.in_line {
                piece = piece.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &piece[end + 1..]);
                self.in_line = piece.is_empty();
            }
            self.converter.push(piece, &mut self.out);
            if !self.out.is_empty() {
                return Ok(Some(std::mem::take(&mut self.out)));
            }
        }
        let rest = self.after.take().map(|after| std::mem::take(&mut self.out) + &after);
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt as _;

    async fn shown(content: &[u8]) -> (String, u64) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let log = RunLog::open(file.path()).await.unwrap();
        let left_out = log.left_out();
        let pieces: Vec<Bytes> = log.between("<".into(), ">".into()).try_collect().await.unwrap();
        (String::from_utf8(pieces.concat()).unwrap(), left_out)
    }

    #[tokio::test]
    async fn a_log_stands_between_head_and_tail_of_the_page() {
        assert_eq!(shown(b"one\ntwo").await, ("<one\ntwo>".into(), 0));
        assert_eq!(shown(b"").await, ("<>".into(), 0));
    }

    #[tokio::test]
    async fn a_run_without_a_log_has_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let log = RunLog::open(&dir.path().join("none.log")).await.unwrap();
        let pieces: Vec<Bytes> = log.between("<".into(), ">".into()).try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"<>");
    }

    #[tokio::test]
    async fn of_a_long_log_the_end_is_shown_in_whole_lines() {
        let line = format!("{}\n", "x".repeat(99));
        let count = usize::try_from(SHOWN).unwrap() / line.len() + 1000;
        let (page, left_out) = shown(format!("{}the end", line.repeat(count)).as_bytes()).await;
        assert!(page.starts_with("<xxx") && page.ends_with("x\nthe end>"));
        assert!(page.len() as u64 <= SHOWN + 2);
        assert!(page[1..page.len() - 1].lines().rev().skip(1).all(|shown| shown.len() == 99));
        assert_eq!(left_out, (line.len() * count + 7) as u64 - SHOWN);
    }

    #[tokio::test]
    async fn a_single_endless_line_is_skipped_but_the_page_ends() {
        let (page, _) = shown(&vec![b'x'; usize::try_from(SHOWN).unwrap() + 100]).await;
        assert_eq!(page, "<>");
    }

    #[tokio::test]
    async fn colours_go_on_across_pieces() {
        let log = format!("\x1b[31m{}\n{}", "a".repeat(PIECE - 7), "b".repeat(PIECE));
        let (page, _) = shown(log.as_bytes()).await;
        assert_eq!(page.matches("<span class=\"fg1\">").count(), 1);
        assert_eq!(page.matches("</span>").count(), 1);
    }
}
