//! What a mirror answers.

use super::forge::{File, Forge, branch, repo};
use super::{commit, main};
use crate::domain::id::Sha;
use crate::git::{GitError, Merge, Mirror, Want};

pub(super) async fn mirror(forge: &Forge, commits: &[&Sha]) -> Mirror {
    let wants: Vec<Want> = commits.iter().map(|sha| commit(sha)).collect();
    forge.mirrors().fetch(&repo(), &forge.access(), &wants).await.unwrap()
}

#[tokio::test]
async fn a_merge_gives_the_tree_of_both_sides() {
    let forge = Forge::start().await;
    let root = forge.commit("main", None, &[("a.tf", File::Text("a\n")), ("b.tf", File::Text("b\n"))]).await;
    let base = forge.commit("main", Some(&root), &[("a.tf", File::Text("new a\n"))]).await;
    let head = forge.commit("feature", Some(&root), &[("b.tf", File::Text("new b\n"))]).await;
    let mirror = mirror(&forge, &[&base, &head]).await;
    let Merge::Clean(tree) = mirror.merge(&base, &head).await.unwrap() else { panic!("a conflict") };
    let files = mirror.files(&tree, &["a.tf", "b.tf"], 100).await.unwrap();
    assert_eq!((files["a.tf"].as_slice(), files["b.tf"].as_slice()), (&b"new a\n"[..], &b"new b\n"[..]));
    assert_eq!(mirror.merge(&base, &root).await.unwrap(), Merge::Clean(mirror.tree(&base).await.unwrap()));
    assert_eq!(mirror.merge_base(&base, &head).await.unwrap(), Some(root));
}

#[tokio::test]
async fn a_conflict_names_its_files() {
    let forge = Forge::start().await;
    let root = forge.commit("main", None, &[("dir/ä b.tf", File::Text("1")), ("c", File::Text("1"))]).await;
    let ours = [("dir/ä b.tf", File::Text("2")), ("c", File::Gone), ("d", File::Text("x"))];
    let base = forge.commit("main", Some(&root), &ours).await;
    let theirs = [("dir/ä b.tf", File::Text("3")), ("c", File::Text("2")), ("d", File::Text("y"))];
    let head = forge.commit("feature", Some(&root), &theirs).await;
    let merge = mirror(&forge, &[&base, &head]).await.merge(&base, &head).await.unwrap();
    assert_eq!(merge, Merge::Conflict { files: ["c", "d", "dir/ä b.tf"].map(String::from).to_vec() });
}

#[tokio::test]
async fn histories_without_a_common_commit_are_an_error_that_says_so() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a", File::Text("1"))]).await;
    let head = forge.commit("feature", None, &[("b", File::Text("1"))]).await;
    let mirror = mirror(&forge, &[&base, &head]).await;
    let error = mirror.merge(&base, &head).await.unwrap_err();
    assert!(error.to_string().contains("refusing to merge unrelated histories"), "{error}");
    assert_eq!(mirror.merge_base(&base, &head).await.unwrap(), None);
    assert!(!mirror.is_ancestor(&base, &head).await.unwrap());
}

/// Some versions of git take a tree that is gone for an empty one: the merge would then lack what is in it.
#[tokio::test]
async fn a_merge_is_refused_when_the_tree_of_either_side_or_of_their_origin_is_gone() {
    let forge = Forge::start().await;
    let root = forge.commit("main", None, &[("a.tf", File::Text("1")), ("b.tf", File::Text("1"))]).await;
    let base = forge.commit("main", Some(&root), &[("a.tf", File::Text("2"))]).await;
    let head = forge.commit("feature", Some(&root), &[("c.tf", File::Text("1"))]).await;
    let mirror = mirror(&forge, &[&base, &head]).await;
    for commit in [&root, &base, &head] {
        let tree = mirror.tree(commit).await.unwrap();
        let (first, rest) = tree.as_str().split_at(2);
        let object = forge.mirror_dir().join("objects").join(first).join(rest);
        let kept = std::fs::read(&object).unwrap();
        std::fs::remove_file(&object).unwrap();
        let error = mirror.merge(&base, &head).await.unwrap_err();
        assert!(error.to_string().contains(tree.as_str()), "{error}");
        std::fs::write(&object, kept).unwrap();
    }
    assert!(matches!(mirror.merge(&base, &head).await, Ok(Merge::Clean(_))));
}

#[tokio::test]
async fn a_commit_that_the_mirror_does_not_have_is_not_found() {
    let forge = Forge::start().await;
    let base = forge.commit("main", None, &[("a", File::Text("1"))]).await;
    let mirror = mirror(&forge, &[&base]).await;
    let unknown: Sha = "ab".repeat(20).parse().unwrap();
    let errors = [
        mirror.merge(&base, &unknown).await.unwrap_err(),
        mirror.tree(&unknown).await.unwrap_err(),
        mirror.is_ancestor(&unknown, &base).await.unwrap_err(),
        mirror.merge_base(&unknown, &base).await.unwrap_err(),
        mirror.changed_files(&unknown, &base).await.unwrap_err(),
        mirror.reader(10).tree_of(&unknown).await.unwrap_err(),
        mirror.reader(10).fast_forward(&base, &unknown).await.unwrap_err(),
        mirror.reader(10).folder(&unknown.as_str().parse().unwrap(), None).await.unwrap_err(),
        mirror.reader(10).blobs(&[unknown.as_str().parse().unwrap()]).await.unwrap_err(),
        mirror.checkout(&unknown.as_str().parse().unwrap(), forge.dir.path()).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(&error, GitError::NotFound { what, .. } if what.contains("abab")), "{error}");
    }
}

#[tokio::test]
async fn changed_files_are_named_and_a_renamed_one_by_both_its_names() {
    let forge = Forge::start().await;
    let text = "the same text, long enough to be a rename\n".repeat(10);
    let base = forge.commit("main", None, &[("old.tf", File::Text(&text)), ("same", File::Text("x"))]).await;
    let changes = [("old.tf", File::Gone), ("dir/new.tf", File::Text(&text)), ("-dash", File::Text(""))];
    let head = forge.commit("feature", Some(&base), &changes).await;
    let mirror = mirror(&forge, &[&base, &head]).await;
    let expected = ["-dash", "dir/new.tf", "old.tf"];
    assert_eq!(mirror.changed_files(&base, &head).await.unwrap(), expected);
    let (from, to) = (mirror.tree(&base).await.unwrap(), mirror.tree(&head).await.unwrap());
    assert_eq!(mirror.changed_files(&from, &to).await.unwrap(), expected);
    assert_eq!(mirror.changed_files(&from, &from).await.unwrap(), [] as [&str; 0]);
}

#[tokio::test]
async fn files_are_read_by_their_path() {
    let forge = Forge::start().await;
    let head = forge.commit("main", None, &[("terraplane.yaml", File::Text("version: 1")), ("d/x", File::Text(""))]);
    let head = head.await;
    let mirror = forge.mirrors().fetch(&repo(), &forge.access(), &[main()]).await.unwrap();
    assert_eq!(mirror.tip(&branch("main")).unwrap(), head);
    let files = mirror.files(&head, &["atlantis.yaml", "terraplane.yaml", "d", "d/x", "a\nb"], 100).await.unwrap();
    let mut names: Vec<_> = files.keys().collect();
    names.sort();
    assert_eq!(names, ["d/x", "terraplane.yaml"]);
    assert_eq!(files["terraplane.yaml"], b"version: 1");
    let error = mirror.files(&head, &["terraplane.yaml"], 5).await.unwrap_err();
    assert_eq!(error.to_string(), "`terraplane.yaml` is larger than 5 bytes");
}

/// A commit by hand: who wrote it, on what, with the files of `tree_of`.
pub(super) async fn write(forge: &Forge, author: &str, title: &str, tree_of: &Sha, parents: &[&Sha]) -> Sha {
    let tree = forge.git(&["rev-parse", &format!("{tree_of}^{{tree}}")], "").await;
    let mut object = format!("tree {tree}");
    for parent in parents {
        object.push_str(&format!("parent {parent}\n"));
    }
    object.push_str(&format!(
        "author {author} <a@test> 1700000001 +0000\ncommitter Hub <h@test> 1700000002 +0000\n\n{title}\n"
    ));
    let made: Sha = forge.git(&["hash-object", "-t", "commit", "-w", "--stdin"], &object).await.trim().parse().unwrap();
    forge.git(&["update-ref", &format!("refs/heads/made-{made}"), made.as_str()], "").await;
    made
}

#[tokio::test]
async fn where_a_merge_began() {
    let forge = Forge::start().await;
    let root = forge.commit("main", None, &[("a.tf", File::Text("1"))]).await;
    let before = forge.commit("main", Some(&root), &[("rules", File::Text("new"))]).await;
    let one = write(&forge, "Sam", "one", &root, &[&root]).await;
    let head = write(&forge, "Sam", "two", &root, &[&one]).await;
    let one_again = write(&forge, "Sam", "one", &before, &[&before]).await;
    let rebased = write(&forge, "Sam", "two", &before, &[&one_again]).await;
    let merged = write(&forge, "Lee", "Merge", &before, &[&before, &head]).await;
    let squashed = write(&forge, "Sam", "one and two (#7)", &before, &[&before]).await;
    // The forge's word may be older than it should be, or from after the merge.
    for (how, made) in [("merged", &merged), ("squashed", &squashed), ("rebased", &rebased)] {
        for known in [&root, &before, made] {
            let mirror = mirror(&forge, &[made, &head, known]).await;
            assert_eq!(mirror.before_merge(made, &head, known).await.unwrap(), before, "{how}, known: {known}");
        }
    }
    let mirror = mirror(&forge, &[&head, &root]).await;
    assert_eq!(mirror.before_merge(&head, &head, &root).await.unwrap(), root, "moved forward");
}
