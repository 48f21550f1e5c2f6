//! The formats in which git lists a tree and hands out objects.

use crate::domain::id::InvalidId;
use crate::domain::id::Sha;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// The id of a blob or a tree. Equal ids are equal contents.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(Sha);

impl ObjectId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ObjectId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse().map(Self)
    }
}

/// Something in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From the root of the repository, with `/`. Bytes that are not UTF-8 are replaced.
    pub path: String,
    pub object: ObjectId,
    pub kind: EntryKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    Blob,
    Tree,
    /// A symbolic link; its object holds the target.
    Link,
    /// Another repository; its object is a commit that we do not have.
    Submodule,
}

/// Reads `ls-tree -r -t -z`: `<mode> SP <type> SP <id> TAB <path> NUL`. `None` if it is anything else.
pub(super) fn entries(listing: &[u8]) -> Option<Vec<Entry>> {
    let parts = listing.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    let entry = |part: &[u8]| {
        let tab = part.iter().position(|byte| *byte == b'\t')?;
        let mut facts = str::from_utf8(&part[..tab]).ok()?.split(' ');
        let (mode, _kind, object) = (facts.next()?, facts.next()?, facts.next()?.parse().ok()?);
        let kind = match mode {
            "040000" => EntryKind::Tree,
            "120000" => EntryKind::Link,
            "160000" => EntryKind::Submodule,
            _ => EntryKind::Blob,
        };
        Some(Entry { path: String::from_utf8_lossy(&part[tab + 1..]).into_owned(), object, kind })
    };
    parts.map(entry).collect()
}

/// What `cat-file --batch` says about one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Bytes(Vec<u8>),
    /// Larger than wanted; not kept.
    TooLarge,
    /// Not there, or not a blob.
    Missing,
}

/// Reads the answers of `cat-file --batch='%(objecttype) %(objectsize)'` from chunks that are cut anywhere: a header
/// line, then (unless the object is missing) that many bytes and a line feed. Keeps at most `max` bytes of each object.
#[derive(Debug)]
pub(super) struct Batch {
    max: usize,
    header: Vec<u8>,
    /// The object being read, and how many of its bytes are to come.
    body: Option<(Found, usize)>,
    found: Vec<Found>,
}

impl Batch {
    pub(super) const fn new(max: usize) -> Self {
        Self { max, header: Vec::new(), body: None, found: Vec::new() }
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            if let Some((found, left)) = &mut self.body {
                let take = chunk.len().min(*left);
                if let Found::Bytes(bytes) = found {
                    bytes.extend_from_slice(&chunk[..take]);
                }
                *left -= take;
                chunk = &chunk[take..];
                if *left == 0
                    && let [_line_feed, rest @ ..] = chunk
                {
                    chunk = rest;
                    self.found.extend(self.body.take().map(|(found, _)| found));
                }
            } else if let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
                self.header.extend_from_slice(&chunk[..end]);
                chunk = &chunk[end + 1..];
                self.begin();
            } else {
                self.header.extend_from_slice(chunk);
                chunk = &[];
            }
        }
    }

    fn begin(&mut self) {
        let header = String::from_utf8_lossy(&std::mem::take(&mut self.header)).into_owned();
        let size = |text: &str| text.parse::<usize>().ok();
        match header.split_once(' ').and_then(|(kind, length)| Some((kind, size(length)?))) {
            Some(("blob", length)) if length <= self.max => self.body = Some((Found::Bytes(Vec::new()), length)),
            Some(("blob", length)) => self.body = Some((Found::TooLarge, length)),
            Some((_, length)) => self.body = Some((Found::Missing, length)),
            None => self.found.push(Found::Missing),
        }
    }

    /// The answers, in the order of the questions.
    pub(super) fn finish(self) -> Vec<Found> {
        self.found
    }
}

/// Puts questions and answers together. `None` if git did not answer them all.
pub(super) fn answered<K: Eq + std::hash::Hash>(asked: Vec<K>, found: Vec<Found>) -> Option<HashMap<K, Found>> {
    (asked.len() == found.len()).then(|| asked.into_iter().zip(found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn a_listing_tells_files_trees_links_and_submodules_apart() {
        let listing = format!(
            "100644 blob {ID}\ta b.tf\0040000 tree {ID}\tdir\0120000 blob {ID}\tdir/l\tink\0160000 commit {ID}\tsub\0100755 blob {ID}\tnew\nline\0"
        );
        let seen: Vec<_> = entries(listing.as_bytes()).unwrap().into_iter().map(|e| (e.path, e.kind)).collect();
        let wanted = [
            ("a b.tf", EntryKind::Blob),
            ("dir", EntryKind::Tree),
            ("dir/l\tink", EntryKind::Link),
            ("sub", EntryKind::Submodule),
            ("new\nline", EntryKind::Blob),
        ];
        assert_eq!(seen, wanted.map(|(path, kind)| (path.to_owned(), kind)));
        assert_eq!(entries(b""), Some(vec![]));
        assert_eq!(entries(b"rubbish\0"), None);
    }

    #[test]
    fn answers_are_read_wherever_they_are_cut() {
        let said = b"blob 3\na\nb\nno such thing missing\nblob 9\n123456789\nblob 0\n\ntree 2\nxx\nblob 1\nz\n";
        let wanted = vec![
            Found::Bytes(b"a\nb".to_vec()),
            Found::Missing,
            Found::TooLarge,
            Found::Bytes(vec![]),
            Found::Missing,
            Found::Bytes(b"z".to_vec()),
        ];
        for size in 1..=said.len() {
            let mut batch = Batch::new(8);
            said.chunks(size).for_each(|chunk| batch.push(chunk));
            assert_eq!(batch.finish(), wanted, "chunks of {size}");
        }
    }
}
