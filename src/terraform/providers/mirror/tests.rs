use super::{Mirror, platform};
use crate::terraform::install::Product;
use crate::terraform::providers::address::Provider;
use crate::terraform::providers::package::{Hashes, hash_dir};
use semver::Version;
use std::fs::{self, FileTimes};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const VERSION: Version = Version::new(1, 0, 0);

fn provider() -> Provider {
    Provider::parse("acme/fake", Product::Terraform).unwrap()
}

/// Publishes this content, as a fetch would.
fn publish(mirror: &Mirror, content: &str) -> Hashes {
    let scratch = mirror.scratch().unwrap();
    let unpacked = scratch.path().join("unpacked");
    fs::create_dir_all(unpacked.join("sub")).unwrap();
    fs::write(unpacked.join("sub/program"), content).unwrap();
    let hashes = Hashes { h1: hash_dir(&unpacked).unwrap(), zh: "zh:aa".to_owned() };
    mirror.publish(&provider(), &VERSION, &unpacked, &hashes).unwrap();
    hashes
}

fn package(dir: &Path) -> PathBuf {
    dir.join("mirror/registry.terraform.io/acme/fake/1.0.0").join(platform())
}

fn mirror() -> (TempDir, Mirror) {
    let dir = tempfile::tempdir().unwrap();
    let mirror = Mirror::open(dir.path()).unwrap();
    (dir, mirror)
}

#[test]
fn what_was_published_is_found_and_nothing_else() {
    let (dir, mirror) = mirror();
    assert_eq!(mirror.find(&provider(), &VERSION), None);
    let hashes = publish(&mirror, "one");
    assert_eq!(mirror.find(&provider(), &VERSION), Some(hashes));
    assert_eq!(mirror.find(&provider(), &Version::new(1, 0, 1)), None);
    assert!(fs::read_dir(dir.path().join("incoming")).unwrap().next().is_none(), "nothing is left over");
    let mode = fs::metadata(package(dir.path()).join("sub")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o555);
}

#[test]
fn a_second_publisher_of_the_same_finds_its_work_done() {
    let (dir, mirror) = mirror();
    publish(&mirror, "one");
    let other = Mirror::open(dir.path()).unwrap();
    // Killed between the package and its record.
    fs::remove_file(package(dir.path()).with_extension("json")).unwrap();
    assert_eq!(other.find(&provider(), &VERSION), None);
    let hashes = publish(&other, "one");
    assert_eq!(mirror.find(&provider(), &VERSION), Some(hashes));
}

#[test]
fn many_publishers_at_once_leave_one_whole_package() {
    let (dir, mirror) = mirror();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mirror = mirror.clone();
            scope.spawn(move || publish(&mirror, "one"));
        }
    });
    assert!(mirror.find(&provider(), &VERSION).is_some());
    assert_eq!(fs::read_to_string(package(dir.path()).join("sub/program")).unwrap(), "one");
}

#[test]
fn any_damage_is_noticed_and_repaired() {
    let damages: [fn(&Path); 7] = [
        |package| fs::write(package.join("sub/program"), "longer").unwrap(),
        |package| fs::write(package.join("sub/program"), "ONE").unwrap(),
        |package| fs::remove_file(package.join("sub/program")).unwrap(),
        |package| fs::write(package.join("more"), "").unwrap(),
        |package| symlink("/etc/passwd", package.join("link")).unwrap(),
        |package| fs::write(package.with_extension("json"), "{").unwrap(),
        |package| {
            fs::remove_dir_all(package).unwrap();
            fs::write(package, "no directory").unwrap();
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        let (dir, mirror) = mirror();
        let hashes = publish(&mirror, "one");
        let package = package(dir.path());
        for path in [package.clone(), package.join("sub"), package.join("sub/program"), package.with_extension("json")]
        {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        damage(&package);
        assert_eq!(mirror.find(&provider(), &VERSION), None, "damage {number}");
        publish(&mirror, "one");
        assert_eq!(mirror.find(&provider(), &VERSION), Some(hashes), "damage {number}");
        assert_eq!(fs::read_to_string(package.join("sub/program")).unwrap(), "one");
        assert!(fs::read_dir(dir.path().join("incoming")).unwrap().next().is_none(), "damage {number}");
    }
}

/// A package of long ago, that nobody has looked at since.
fn publish_long_ago(mirror: &Mirror, dir: &Path) -> SystemTime {
    let long_ago = SystemTime::now() - Duration::from_hours(1_000);
    let times = |path: &Path| {
        let times = FileTimes::new().set_accessed(long_ago).set_modified(long_ago);
        fs::File::open(path).unwrap().set_times(times).unwrap();
    };
    let scratch = mirror.scratch().unwrap();
    let unpacked = scratch.path().join("unpacked");
    fs::create_dir_all(&unpacked).unwrap();
    fs::write(unpacked.join("program"), "one").unwrap();
    let hashes = Hashes { h1: hash_dir(&unpacked).unwrap(), zh: "zh:aa".to_owned() };
    times(&unpacked.join("program"));
    mirror.publish(&provider(), &VERSION, &unpacked, &hashes).unwrap();
    times(&package(dir).join("program"));
    times(&package(dir).with_extension("json"));
    SystemTime::now() - Duration::from_hours(24)
}

#[test]
fn what_nobody_asked_for_is_removed_and_fetched_again_when_somebody_does() {
    let (dir, mirror) = mirror();
    let since = publish_long_ago(&mirror, dir.path());
    let [(used, bytes)] = mirror.uses().unwrap()[..] else { panic!("one package") };
    assert!(used < since && bytes > 0);
    mirror.forget_unused(since).unwrap();
    assert!(!package(dir.path()).exists() && !package(dir.path()).with_extension("json").exists());
    assert!(fs::read_dir(dir.path().join("incoming")).unwrap().next().is_none(), "nothing is left over");
    assert_eq!(mirror.find(&provider(), &VERSION), None);
    let hashes = publish(&mirror, "one");
    mirror.forget_unused(since).unwrap();
    assert_eq!(mirror.find(&provider(), &VERSION), Some(hashes));
}

#[test]
fn what_a_run_asked_for_is_never_removed_whatever_the_file_system_notes() {
    let (dir, mirror) = mirror();
    let since = publish_long_ago(&mirror, dir.path());
    // A file system that notes nothing of those who read.
    assert!(mirror.clone().find(&provider(), &VERSION).is_some());
    mirror.forget_unused(since).unwrap();
    assert!(mirror.find(&provider(), &VERSION).is_some());
}

#[test]
fn a_package_without_its_record_is_removed_like_others() {
    let (dir, mirror) = mirror();
    let since = publish_long_ago(&mirror, dir.path());
    fs::remove_file(package(dir.path()).with_extension("json")).unwrap();
    mirror.forget_unused(since).unwrap();
    assert!(!package(dir.path()).exists());
}
