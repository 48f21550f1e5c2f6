use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use tempfile::TempDir;
use uuid::Uuid;

fn key(text: &str) -> ArchiveKey {
    ArchiveKey::from_secret(&format!("{text:x<32}").into()).unwrap()
}

fn archive(dir: &TempDir) -> Archive {
    Archive::open(dir.path(), &key("a")).unwrap()
}

fn run(n: u128) -> RunId {
    RunId(Uuid::from_u128(n))
}

fn plan(n: u128) -> ArchiveName {
    ArchiveName::run(run(n), RunFile::Plan)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn what_was_put_is_got_until_it_is_deleted() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir);
    assert_eq!(archive.get(&plan(1), 100).await.unwrap(), None);
    for bytes in [b"first".to_vec(), Vec::new(), vec![7; 100_000]] {
        archive.put(&plan(1), bytes.clone()).await.unwrap();
        assert_eq!(archive.get(&plan(1), 100_000).await.unwrap(), Some(bytes));
    }
    assert!(archive.has(&plan(1)).await.unwrap());
    assert!(archive.delete(&plan(1)).await.unwrap());
    assert!(!archive.delete(&plan(1)).await.unwrap());
    assert!(!archive.has(&plan(1)).await.unwrap());
}

#[tokio::test]
async fn nothing_readable_is_on_the_disk_and_only_its_owner_gets_at_it() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir);
    archive.put(&plan(1), b"password = hunter2".to_vec()).await.unwrap();
    let path = dir.path().join(plan(1).as_str());
    let on_disk = std::fs::read(&path).unwrap();
    assert!(!on_disk.windows(7).any(|part| part == b"hunter2"));
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let log = archive.create_log(run(1)).await.unwrap();
    assert_eq!(log, archive.log_path(run(1)));
    assert_eq!((mode(&log), mode(log.parent().unwrap())), (0o600, 0o700));
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "nothing is left half-written");
}

#[tokio::test]
async fn a_log_is_made_once_and_kept() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir);
    let log = archive.create_log(run(1)).await.unwrap();
    std::fs::write(&log, "line").unwrap();
    archive.create_log(run(1)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "line");
}

#[tokio::test]
async fn a_file_that_was_changed_moved_or_cut_is_refused() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir);
    archive.put(&plan(1), b"reviewed".to_vec()).await.unwrap();
    let path = dir.path().join(plan(1).as_str());
    let good = std::fs::read(&path).unwrap();

    let mut broken: Vec<Vec<u8>> = (0..good.len())
        .map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        })
        .collect();
    broken.extend((0..good.len()).map(|length| good[..length].to_vec()));
    for bytes in broken {
        std::fs::write(&path, &bytes).unwrap();
        let refused = archive.get(&plan(1), 100).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::Undecipherable { .. }), "{refused}");
    }

    std::fs::write(&path, &good).unwrap();
    archive.put(&plan(2), b"another".to_vec()).await.unwrap();
    std::fs::copy(&path, dir.path().join(plan(2).as_str())).unwrap();
    assert!(archive.get(&plan(2), 100).await.is_err(), "a plan in another's place");
    assert_eq!(archive.get(&plan(1), 100).await.unwrap().unwrap(), b"reviewed");
}

#[tokio::test]
async fn another_key_reads_nothing() {
    let dir = TempDir::new().unwrap();
    archive(&dir).put(&plan(1), b"text".to_vec()).await.unwrap();
    let other = Archive::open(dir.path(), &key("b")).unwrap();
    let refused = other.get(&plan(1), 100).await.unwrap_err().to_string();
    insta::assert_snapshot!(refused, @"`run/00000000000000000000000000000001/plan.bin` in the archive can't be decrypted: it was written with another key, or it was damaged");
    assert_ne!(other.hmac_key(), archive(&dir).hmac_key());
    assert_ne!(key("a").id(), key("b").id());
}

#[tokio::test]
async fn a_reader_says_how_much_it_can_take() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir);
    archive.put(&plan(1), vec![1; 11]).await.unwrap();
    assert!(archive.get(&plan(1), 11).await.unwrap().is_some());
    assert!(matches!(archive.get(&plan(1), 10).await, Err(ArchiveError::TooLarge { max: 10, .. })));
}

#[tokio::test]
async fn a_link_in_the_place_of_a_file_is_not_followed() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir);
    let outside = dir.path().join("outside");
    std::fs::write(&outside, "kept").unwrap();
    symlink(&outside, archive.log_path(run(1))).unwrap();
    assert!(archive.create_log(run(1)).await.is_err());
    archive.put(&plan(1), b"x".to_vec()).await.unwrap();
    let path = dir.path().join(plan(1).as_str());
    std::fs::remove_file(&path).unwrap();
    symlink(&outside, &path).unwrap();
    assert!(matches!(archive.get(&plan(1), 100).await, Err(ArchiveError::Read { .. })));
    archive.put(&plan(1), b"y".to_vec()).await.unwrap();
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "kept", "a write replaces the link");
}

#[tokio::test]
async fn deleting_a_run_deletes_its_files_and_log_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir);
    for n in [1, 2] {
        for file in RunFile::ALL {
            archive.put(&ArchiveName::run(run(n), file), b"x".to_vec()).await.unwrap();
        }
        archive.create_log(run(n)).await.unwrap();
    }
    archive.delete_run(run(1)).await.unwrap();
    archive.delete_run(run(1)).await.unwrap();
    assert!(!dir.path().join(format!("run/{}", run(1))).exists());
    assert!(!archive.log_path(run(1)).exists());
    assert!(archive.has(&plan(2)).await.unwrap());
    assert!(archive.log_path(run(2)).exists());
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_with_the_path_and_leaves_the_old_bytes() {
    let dir = TempDir::new().unwrap();
    let archive = archive(&dir);
    archive.put(&plan(1), b"old".to_vec()).await.unwrap();
    std::fs::remove_dir(dir.path().join("tmp")).unwrap();
    let refused = archive.put(&plan(1), b"new".to_vec()).await.unwrap_err();
    assert!(refused.to_string().contains("plan.bin: No such file or directory"), "{refused}");
    assert_eq!(archive.get(&plan(1), 100).await.unwrap().unwrap(), b"old");
}

#[test]
fn opening_clears_away_what_was_abandoned_and_leaves_what_is_being_written() {
    let dir = TempDir::new().unwrap();
    drop(archive(&dir));
    let (old, new) = (dir.path().join("tmp/old"), dir.path().join("tmp/new"));
    let file = File::create(&old).unwrap();
    file.set_modified(SystemTime::now() - ABANDONED - Duration::from_secs(60)).unwrap();
    File::create(&new).unwrap();
    drop(archive(&dir));
    assert!(!old.exists());
    assert!(new.exists());
}

#[test]
fn only_names_of_the_archive_become_paths() {
    let state = ArchiveName::state(Uuid::from_u128(1), 2, Uuid::from_u128(3));
    for name in [plan(1).as_str(), state.as_str(), "run/a/plan.json"] {
        assert_eq!(name.parse::<ArchiveName>().unwrap().as_str(), name);
    }
    let long = format!("run/{}/x", "a".repeat(200));
    for text in [
        "",
        "run",
        "run/a",
        "run/a/",
        "run//b",
        "run/../b",
        "run/a/.b",
        "/run/a/b",
        "tmp/a/b",
        "run/a/b/c",
        "run/a/b\n",
        &long,
    ] {
        assert!(text.parse::<ArchiveName>().is_err(), "{text}");
    }
}

mod the_key {
    use super::*;

    #[test]
    fn it_is_made_once_for_its_owner_only() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("archive.key");
        assert!(ArchiveKey::load(&path).unwrap().is_none());
        let made = ArchiveKey::load_or_create(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(ArchiveKey::load_or_create(&path).unwrap().id(), made.id());
        let other = ArchiveKey::load_or_create(&dir.path().join("other.key")).unwrap();
        assert_ne!(other.id(), made.id());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn a_file_and_a_variable_with_the_same_text_are_the_same_key() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("archive.key");
        let made = ArchiveKey::load_or_create(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(ArchiveKey::from_secret(&text.trim().into()).unwrap().id(), made.id());
        assert_eq!(ArchiveKey::from_secret(&format!(" {text}\n").into()).unwrap().id(), made.id());
    }

    #[test]
    fn processes_that_start_together_end_with_one_key() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("archive.key");
        let ids: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| ArchiveKey::load_or_create(&path).unwrap().id())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn what_is_no_good_key_is_refused_with_advice() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("archive.key");
        ArchiveKey::load_or_create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(ArchiveKey::load_or_create(&path), Err(KeyError::Exposed { .. })));

        let link = dir.path().join("link.key");
        symlink(&path, &link).unwrap();
        assert!(matches!(ArchiveKey::load_or_create(&link), Err(KeyError::File { .. })));
        assert!(matches!(ArchiveKey::load(dir.path()), Err(KeyError::NotText { .. })));

        let short = ArchiveKey::from_secret(&"too short".into()).unwrap_err().to_string();
        insta::assert_snapshot!(short, @"the encryption key is too short: it needs at least 32 random characters (`openssl rand -hex 32`)");
    }

    #[test]
    fn an_empty_file_is_not_a_key() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("archive.key");
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).unwrap();
        assert!(matches!(ArchiveKey::load_or_create(&path), Err(KeyError::TooShort)));
    }

    #[test]
    fn it_is_never_printed() {
        assert_eq!(format!("{:?}", key("a")), "ArchiveKey([REDACTED])");
        let dir = TempDir::new().unwrap();
        let printed = format!("{:?}", archive(&dir));
        assert!(!printed.contains("hmac"), "{printed}");
    }
}
