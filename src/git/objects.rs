//! The formats in which git keeps commits and trees, and hands out objects.

use super::command::ANSWER;
use crate::domain::id::{InvalidId, Sha, TreeId};
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

/// Something in a tree that is not a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    /// From the root of the repository, with `/`. Bytes that are not UTF-8 are replaced.
    pub path: String,
    pub object: ObjectId,
    pub kind: EntryKind,
    /// Whether a file may be run.
    pub executable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    Blob,
    /// A symbolic link; its object holds the target.
    Link,
    /// Another repository; its object is a commit that we do not have.
    Submodule,
}

/// One line of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub name: String,
    pub object: ObjectId,
    /// `None`: a folder.
    pub kind: Option<EntryKind>,
    pub executable: bool,
}

/// Reads a tree as git keeps it: `<mode> SP <name> NUL <id>`, the id as `id_length` bytes. `None` if it is anything else.
pub(super) fn items(mut tree: &[u8], id_length: usize) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    while !tree.is_empty() {
        let nul = tree.iter().position(|byte| *byte == 0)?;
        let space = tree[..nul].iter().position(|byte| *byte == b' ')?;
        let mode = u32::from_str_radix(str::from_utf8(&tree[..space]).ok()?, 8).ok()?;
        let name = String::from_utf8_lossy(&tree[space + 1..nul]).into_owned();
        let (id, rest) = tree[nul + 1..].split_at_checked(id_length)?;
        tree = rest;
        // As git does: the type counts, and of the permissions only whether the owner may run it.
        let kind = match mode & 0o170_000 {
            0o040_000 => None,
            0o120_000 => Some(EntryKind::Link),
            0o160_000 => Some(EntryKind::Submodule),
            _ => Some(EntryKind::Blob),
        };
        let executable = kind == Some(EntryKind::Blob) && mode & 0o100 != 0;
        items.push(Item { name, object: hex::encode(id).parse().ok()?, kind, executable });
    }
    Some(items)
}

/// A commit, as far as it says where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub tree: TreeId,
    pub parents: Vec<Sha>,
    /// When it was committed, in seconds since 1970.
    pub at: i64,
}

/// Reads a commit as git keeps it: its headers, an empty line, and the message. `None` if it is anything else.
pub(super) fn commit(text: &[u8]) -> Option<Commit> {
    let (mut tree, mut parents, mut at) = (None, Vec::new(), None);
    for line in text.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()) {
        // A name may be in any encoding; what is read here is ASCII.
        let line = String::from_utf8_lossy(line);
        match line.split_once(' ')? {
            ("tree", id) if tree.is_none() => tree = Some(id.parse().ok()?),
            ("parent", id) => parents.push(id.parse().ok()?),
            ("committer", who) => at = who.rsplit(' ').nth(1)?.parse().ok(),
            _ => {}
        }
    }
    Some(Commit { tree: tree?, parents, at: at? })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blob,
    Tree,
    Commit,
}

/// What `cat-file --batch` says about one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Object(Kind, Vec<u8>),
    /// Larger than wanted; not kept.
    TooLarge,
    /// Not there, or a tag.
    Missing,
}

/// Reads the answers of `cat-file --batch='%(objecttype) %(objectsize)'` from chunks that are cut anywhere: a header
/// line, then (unless the object is missing) that many bytes and a line feed. Keeps no blob of more than `max` bytes.
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
                if let Found::Object(_, bytes) = found {
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
        let Some((kind, length)) = header.split_once(' ').and_then(|(kind, length)| Some((kind, size(length)?))) else {
            return self.found.push(Found::Missing);
        };
        let (kind, max) = match kind {
            "blob" => (Some(Kind::Blob), self.max),
            "tree" => (Some(Kind::Tree), ANSWER),
            "commit" => (Some(Kind::Commit), ANSWER),
            _ => (None, 0),
        };
        let found = match kind {
            Some(kind) if length <= max => Found::Object(kind, Vec::new()),
            Some(_) => Found::TooLarge,
            None => Found::Missing,
        };
        self.body = Some((found, length));
    }

    /// The answers that are complete and were not taken yet, in the order of the questions.
    pub(super) fn take(&mut self) -> Vec<Found> {
        std::mem::take(&mut self.found)
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

    fn raw(lines: &[(&str, &str)], id_length: usize) -> Vec<u8> {
        let line = |(mode, name): &(&str, &str)| {
            let mut line = format!("{mode} {name}\0").into_bytes();
            line.extend((0..id_length).map(|n| n as u8));
            line
        };
        lines.iter().flat_map(line).collect()
    }

    #[test]
    fn a_tree_tells_files_folders_links_and_submodules_apart() {
        let lines = [
            ("100644", "a b.tf"),
            ("40000", "dir"),
            ("120000", "l\tink"),
            ("160000", "sub"),
            ("100755", "new\nline"),
            // From before git agreed with itself on modes.
            ("100664", "old"),
            ("040000", "old-dir"),
        ];
        let (file, link, sub) = (Some(EntryKind::Blob), Some(EntryKind::Link), Some(EntryKind::Submodule));
        let wanted = [
            ("a b.tf", file, false),
            ("dir", None, false),
            ("l\tink", link, false),
            ("sub", sub, false),
            ("new\nline", file, true),
            ("old", file, false),
            ("old-dir", None, false),
        ];
        for id_length in [20, 32] {
            let items = items(&raw(&lines, id_length), id_length).unwrap();
            let seen: Vec<_> = items.iter().map(|item| (item.name.as_str(), item.kind, item.executable)).collect();
            assert_eq!(seen, wanted);
            let id: String = (0..id_length).map(|n| format!("{n:02x}")).collect();
            assert!(items.iter().all(|item| item.object.as_str() == id));
        }
        assert_eq!(items(b"", 20), Some(vec![]));
    }

    #[test]
    fn a_tree_that_is_cut_anywhere_or_holds_ids_of_another_length_is_no_tree() {
        let tree = raw(&[("100644", "a.tf"), ("40000", "dir")], 20);
        let whole = [0, 12 + 20, tree.len()];
        for end in (0..tree.len()).filter(|end| !whole.contains(end)) {
            assert_eq!(items(&tree[..end], 20), None, "{end} bytes");
        }
        assert_eq!(items(&tree, 32), None);
        assert_eq!(items(b"rubbish", 20), None);
    }

    #[test]
    fn a_commit_tells_its_tree_its_parents_and_its_time() {
        let text = format!(
            "tree {ID}\nparent {}\nparent {}\nauthor A <a@test> 1 +0000\ncommitter B > C <b@test> 1700000002 -0130\n\
             gpgsig -----BEGIN\n tree {}\n -----END\n\ntree of knowledge\nparent x\n",
            "a".repeat(40),
            "b".repeat(40),
            "c".repeat(40),
        );
        let read = commit(text.as_bytes()).unwrap();
        assert_eq!((read.tree.as_str(), read.at), (ID, 1_700_000_002));
        assert_eq!(read.parents.iter().map(Sha::as_str).collect::<Vec<_>>(), ["a".repeat(40), "b".repeat(40)]);
        for wrong in ["", "\n", "rubbish\n", "committer B <b@test> 1 +0000\n\n", &format!("tree {ID}\n\n")] {
            assert_eq!(commit(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn answers_are_read_wherever_they_are_cut() {
        let said =
            b"blob 3\na\nb\nno such thing missing\nblob 9\n123456789\nblob 0\n\ntree 2\nxx\ntag 1\nx\nblob 1\nz\n";
        let wanted = vec![
            Found::Object(Kind::Blob, b"a\nb".to_vec()),
            Found::Missing,
            Found::TooLarge,
            Found::Object(Kind::Blob, vec![]),
            Found::Object(Kind::Tree, b"xx".to_vec()),
            Found::Missing,
            Found::Object(Kind::Blob, b"z".to_vec()),
        ];
        for size in 1..=said.len() {
            let mut batch = Batch::new(8);
            said.chunks(size).for_each(|chunk| batch.push(chunk));
            assert_eq!(batch.take(), wanted, "chunks of {size}");
        }
    }
}
