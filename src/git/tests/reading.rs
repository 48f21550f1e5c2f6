//! Reading many objects with one process.

use super::forge::{File, Forge, repo};
use super::questions::{mirror, write};
use super::{commit, main};
use crate::domain::id::{Sha, TreeId};
use crate::git::{EntryKind, Folder, GitError, Merge, Mirror, ObjectId};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn folder(mirror: &Mirror, at: &Sha) -> Arc<Folder> {
    let mut reader = mirror.reader(1000);
    let tree = reader.tree_of(at).await.unwrap();
    reader.folder(&tree, None).await.unwrap()
}

#[tokio::test]
async fn a_tree_is_read_as_folders_and_its_files_together() {
    let forge = Forge::start().await;
    let big = "x".repeat(300_000);
    let files = [
        ("prod/main.tf", File::Text("resource\n")),
        ("prod/eu/copy.tf", File::Text("resource\n")),
        ("big.json", File::Text(&big)),
        ("link", File::Link("prod")),
        ("sub", File::Submodule),
    ];
    let head = forge.commit("main", None, &files).await;
    let mirror = mirror(&forge, &[&head]).await;
    let mut reader = mirror.reader(1000);
    let tree = reader.tree_of(&head).await.unwrap();
    assert_eq!(tree, mirror.tree(&head).await.unwrap());
    let root = reader.folder(&tree, None).await.unwrap();
    assert_eq!(root.object.as_str(), tree.as_str());
    let mut entries: Vec<_> = root.files().map(|entry| (entry.path.as_str(), entry.kind)).collect();
    entries.sort_by_key(|(path, _)| *path);
    assert_eq!(
        entries,
        [
            ("big.json", EntryKind::Blob),
            ("link", EntryKind::Link),
            ("prod/eu/copy.tf", EntryKind::Blob),
            ("prod/main.tf", EntryKind::Blob),
            ("sub", EntryKind::Submodule),
        ]
    );
    let folders: Vec<_> = root.walk().map(|folder| folder.path.as_str()).collect();
    assert_eq!(folders, ["", "prod", "prod/eu"]);

    let object = |path: &str| root.files().find(|entry| entry.path == path).unwrap().object.clone();
    let blobs: Vec<ObjectId> = ["big.json", "prod/eu/copy.tf", "prod/main.tf"].map(object).to_vec();
    let read = reader.blobs(&blobs).await.unwrap();
    assert_eq!(read.len(), 1, "the two files are one object, the big one is left out");
    assert_eq!(read[&object("prod/main.tf")], b"resource\n");
    assert!(reader.blobs(&[]).await.unwrap().is_empty());
    let prod = root.folders[0].object.clone();
    assert!(matches!(reader.blobs(&[prod]).await, Err(GitError::NotFound { .. })), "a folder is no file");
    assert_eq!(reader.blobs(&blobs).await.unwrap().len(), 1, "and can be asked again after that");
    assert_eq!(mirror.reader(300_000).blobs(&blobs).await.unwrap()[&object("big.json")].len(), 300_000);
}

#[tokio::test]
async fn what_is_known_by_its_id_is_not_read_again() {
    let forge = Forge::start().await;
    let files = [("a/b/x.tf", File::Text("1")), ("a/c/y.tf", File::Text("1")), ("d/z.tf", File::Text("1"))];
    let base = forge.commit("main", None, &files).await;
    let head = forge.commit("feature", Some(&base), &[("a/b/x.tf", File::Text("2"))]).await;
    let mirror = mirror(&forge, &[&base, &head]).await;
    let old = folder(&mirror, &base).await;
    // What is not there any more can't have been read.
    for kept in [&old.folders[1], &old.folders[0].folders[1]] {
        let (first, rest) = kept.object.as_str().split_at(2);
        std::fs::remove_file(forge.mirror_dir().join("objects").join(first).join(rest)).unwrap();
    }
    let mut reader = mirror.reader(1000);
    let tree = reader.tree_of(&head).await.unwrap();
    let new = reader.folder(&tree, Some(&old)).await.unwrap();
    assert!(Arc::ptr_eq(&new.folders[1], &old.folders[1]), "d");
    assert!(Arc::ptr_eq(&new.folders[0].folders[1], &old.folders[0].folders[1]), "a/c");
    assert_eq!(old.changes(&new), ["a/b/x.tf"]);
    let error = reader.folder(&tree, None).await.unwrap_err();
    assert!(matches!(error, GitError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn two_trees_differ_in_what_git_says_that_they_differ_in() {
    let forge = Forge::start().await;
    let first = [
        ("same.tf", File::Text("1")),
        ("becomes-folder", File::Text("1")),
        ("becomes-file/a", File::Text("1")),
        ("becomes-link", File::Text("target")),
        ("gone/deep/a", File::Text("1")),
        ("a/x", File::Text("1")),
        ("a.b", File::Text("1")),
        ("moved/a", File::Text("long enough to be seen as moved\n")),
    ];
    let base = forge.commit("main", None, &first).await;
    let changes = [
        ("becomes-folder", File::Gone),
        ("becomes-folder/a", File::Text("1")),
        ("becomes-file/a", File::Gone),
        ("becomes-file", File::Text("1")),
        ("becomes-link", File::Link("target")),
        ("gone/deep/a", File::Gone),
        ("a/x", File::Text("2")),
        ("sub", File::Submodule),
        ("moved/a", File::Gone),
        ("moved-on/a", File::Text("long enough to be seen as moved\n")),
    ];
    let head = forge.commit("feature", Some(&base), &changes).await;
    let mirror = mirror(&forge, &[&base, &head]).await;
    let (old, new) = (folder(&mirror, &base).await, folder(&mirror, &head).await);
    let named = old.changes(&new);
    assert_eq!(named.len(), 10, "{named:?}");
    assert_eq!(named, mirror.changed_files(&base, &head).await.unwrap());
    assert_eq!(new.changes(&old), named);
    assert_eq!(new.changes(&new), [] as [&str; 0]);
}

#[tokio::test]
async fn a_file_that_may_be_run_now_has_changed() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("d/run.sh", File::Text("true"))]).await;
    let blob = forge.git(&["rev-parse", &format!("{base}:d/run.sh")], "").await;
    let inner = forge.git(&["mktree"], &format!("100755 blob {}\trun.sh\n", blob.trim())).await;
    let tree = forge.git(&["mktree"], &format!("040000 tree {}\td\n", inner.trim())).await;
    let head = commit_of(&forge, tree.trim()).await;
    let mirror = mirror(&forge, &[&base, &head]).await;
    let (old, new) = (folder(&mirror, &base).await, folder(&mirror, &head).await);
    assert_eq!(old.changes(&new), ["d/run.sh"]);
    assert_eq!(mirror.changed_files(&base, &head).await.unwrap(), ["d/run.sh"]);
}

async fn commit_of(forge: &Forge, tree: &str) -> Sha {
    let text = format!("tree {tree}\nauthor A <a@test> 1700000001 +0000\ncommitter A <a@test> 1700000001 +0000\n\n.\n");
    let made = forge.git(&["hash-object", "-t", "commit", "-w", "--stdin"], &text).await.trim().to_owned();
    forge.git(&["update-ref", &format!("refs/heads/made-{made}"), &made], "").await;
    made.parse().unwrap()
}

#[tokio::test]
async fn a_head_that_contains_the_base_is_merged_already() {
    let forge = Forge::start().await;
    let root = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let base = forge.commit("main", Some(&root), &[("a.tf", File::Text("2"))]).await;
    let one = forge.commit("feature", Some(&base), &[("b.tf", File::Text("1"))]).await;
    let aside = forge.commit("aside", Some(&root), &[("c.tf", File::Text("1"))]).await;
    let both = write(&forge, "Sam", "Merge", &one, &[&aside, &one]).await;
    let mirror = mirror(&forge, &[&base, &both, &aside]).await;
    let tree = async |commit: &Sha| mirror.tree(commit).await.unwrap();
    for (head, contains) in [(&base, true), (&one, true), (&both, true), (&root, false), (&aside, false)] {
        let forward = mirror.reader(10).fast_forward(&base, head).await.unwrap();
        assert_eq!(forward, if contains { Some(tree(head).await) } else { None });
        if let Some(forward) = forward {
            assert_eq!(mirror.merge(&base, head).await.unwrap(), Merge::Clean(forward), "as git merges");
        }
    }
}

#[tokio::test]
async fn a_head_that_is_too_many_commits_ahead_is_left_to_git() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let mut head = base.clone();
    for number in 0..40 {
        head = write(&forge, "Sam", &format!("Step {number}"), &base, &[&head]).await;
    }
    let mirror = mirror(&forge, &[&base, &head]).await;
    assert_eq!(mirror.reader(10).fast_forward(&base, &head).await.unwrap(), None);
}

#[tokio::test]
async fn a_reader_that_began_before_a_fetch_reads_what_the_fetch_brought() {
    let forge = Forge::start().await;
    let mirrors = forge.mirrors();
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    // Before there is a mirror, it begins with its first question.
    let mut reader = mirrors.reader(&repo(), 10);
    mirrors.fetch(&repo(), &forge.access(), &[main(), commit(&base)]).await.unwrap();
    assert!(reader.tree_of(&base).await.is_ok());
    let head = forge.commit("feature", Some(&base), &[("b.tf", File::Text("2"))]).await;
    let mut reader = mirrors.reader(&repo(), 10);
    assert!(matches!(reader.tree_of(&head).await, Err(GitError::NotFound { .. })));
    let mirror = mirrors.fetch(&repo(), &forge.access(), &[main(), commit(&head)]).await.unwrap();
    assert_eq!(reader.tree_of(&head).await.unwrap(), mirror.tree(&head).await.unwrap());
}

#[tokio::test]
async fn ids_of_sha256_are_read_too() {
    let forge = Forge::start_with("sha256").await;
    let base = forge.commit("main", None, &[("d/a.tf", File::Text("1"))]).await;
    let head = forge.commit("feature", Some(&base), &[("d/a.tf", File::Text("2"))]).await;
    let mirror = forge.mirrors().fetch(&repo(), &forge.access(), &[main(), commit(&head)]).await.unwrap();
    let (old, new) = (folder(&mirror, &base).await, folder(&mirror, &head).await);
    assert_eq!(old.changes(&new), ["d/a.tf"]);
    let forward = mirror.reader(10).fast_forward(&base, &head).await.unwrap().unwrap();
    assert_eq!(forward.as_str(), new.object.as_str());
}

/// Twelve small objects that stand for 10¹² files.
#[tokio::test]
async fn a_tree_that_names_the_same_folders_over_and_over_is_too_large() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a", File::Text("1"))]).await;
    let mut tree = forge.git(&["rev-parse", &format!("{base}^{{tree}}")], "").await.trim().to_owned();
    for _ in 0..12 {
        let lines: String = (0..10).map(|n| format!("040000 tree {tree}\t{n}\n")).collect();
        tree = forge.git(&["mktree"], &lines).await.trim().to_owned();
    }
    let head = commit_of(&forge, &tree).await;
    let mirror = mirror(&forge, &[&head]).await;
    let error = mirror.reader(10).folder(&tree.parse::<TreeId>().unwrap(), None).await.unwrap_err();
    assert_eq!(error.to_string(), "the list of all files is larger than 67108864 bytes");
}

#[tokio::test]
async fn a_damaged_object_is_an_error_at_once() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let mirror = mirror(&forge, &[&base]).await;
    let tree = mirror.tree(&base).await.unwrap();
    let (first, rest) = tree.as_str().split_at(2);
    let object = forge.mirror_dir().join("objects").join(first).join(rest);
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, "rubbish").unwrap();
    let begun = Instant::now();
    let error = mirror.reader(10).folder(&tree, None).await.unwrap_err();
    assert!(matches!(&error, GitError::Other { .. } | GitError::NotFound { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn git_is_gone_when_nobody_reads_any_more() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let mirror = mirror(&forge, &[&base]).await;
    let mut reader = mirror.reader(10);
    reader.tree_of(&base).await.unwrap();
    let dir = forge.mirror_dir();
    assert_eq!(processes_in(&dir), 1);
    drop(reader);
    let begun = Instant::now();
    while processes_in(&dir) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "it still runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many processes work in the directory.
fn processes_in(dir: &Path) -> usize {
    let dir = std::fs::canonicalize(dir).unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|process| std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == dir)).count()
}
