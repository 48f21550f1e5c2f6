use super::{Bounds, PackageError, hash_dir, unpack};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zip::write::{SimpleFileOptions, ZipWriter};

const PROGRAM: &str = "terraform-provider-fake_v1.0.0";

fn zip(write: impl FnOnce(&mut ZipWriter<File>)) -> File {
    let mut zip = ZipWriter::new(tempfile::tempfile().unwrap());
    write(&mut zip);
    let mut file = zip.finish().unwrap();
    file.rewind().unwrap();
    file
}

fn add(zip: &mut ZipWriter<File>, name: &str, mode: u32, content: &[u8]) {
    zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
    zip.write_all(content).unwrap();
}

fn signed(version: &str) -> File {
    File::open(format!("{}/tests/data/providers/fake_{version}.zip", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn unpacked(zip: File, bounds: Bounds) -> Result<super::Hashes, PackageError> {
    unpack(zip, "fake", tempfile::tempdir().unwrap().path(), bounds)
}

#[test]
fn the_hashes_are_those_that_terraform_writes_into_a_lock_file() {
    for (version, h1) in [
        ("1.1.0", "h1:PAKMMUBy2zbIvvvV289mWnJNCGawg91bmjUXBg5OCds="),
        ("2.0.0", "h1:C/KfDUIafOlgGkhTRxyCHJKS4eTfbRuVdgGVaxH6bdg="),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let hashes = unpack(signed(version), "fake", dir.path(), Bounds::default()).unwrap();
        assert_eq!(hashes.h1, h1);
        assert_eq!(hash_dir(dir.path()).unwrap(), h1);
        let sums = format!("{}/tests/data/providers/fake_{version}_SHA256SUMS", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(hashes.zh.strip_prefix("zh:"), fs::read_to_string(sums).unwrap().split(' ').next());
    }
}

#[test]
fn files_in_directories_are_hashed_by_their_paths() {
    let mut program = String::new();
    let mut archive = zip::ZipArchive::new(signed("1.0.0")).unwrap();
    archive.by_name(PROGRAM).unwrap().read_to_string(&mut program).unwrap();
    let file = zip(|zip| {
        // Written down by terraform for this content, whatever the order in the archive is.
        add(zip, "sub/b", 0o644, b"x");
        add(zip, PROGRAM, 0o755, program.as_bytes());
        add(zip, "LICENSE.txt", 0o644, b"No licence is needed for nothing.\n");
    });
    assert_eq!(unpacked(file, Bounds::default()).unwrap().h1, "h1:d4N8pVAfgd+DMKH1iiiahzvAa1F1yzQuCvtQPIkjEBY=");
}

#[test]
fn files_are_read_only_and_programs_can_be_executed() {
    let dir = tempfile::tempdir().unwrap();
    let file = zip(|zip| {
        add(zip, PROGRAM, 0o644, b"made where files have no such mode");
        add(zip, "helper", 0o4777, b"x");
        add(zip, "README", 0o666, b"x");
    });
    unpack(file, "fake", dir.path(), Bounds::default()).unwrap();
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!([mode(PROGRAM), mode("helper"), mode("README")], [0o555, 0o555, 0o444]);
}

#[test]
fn nothing_is_written_outside_and_no_links_are_made() {
    for name in ["../x", "/tmp/x", "a/../../x", "a//x", "./x", "a\\..\\x", "a\nb"] {
        let error = unpacked(zip(|zip| add(zip, name, 0o644, b"x")), Bounds::default()).unwrap_err();
        assert!(matches!(error, PackageError::Entry(_)), "{name}: {error}");
    }
    let link = zip(|zip| zip.add_symlink(PROGRAM, "/etc/passwd", SimpleFileOptions::default()).unwrap());
    let error = unpacked(link, Bounds::default()).unwrap_err();
    assert!(matches!(error, PackageError::Entry(_)), "{error}");
}

#[test]
fn size_count_and_ratio_are_bounded() {
    let program = |size: usize| zip(|zip| add(zip, PROGRAM, 0o755, &vec![0; size]));
    let large = |bounds| matches!(unpacked(program(3 << 20), bounds).unwrap_err(), PackageError::TooLarge(_));
    assert!(large(Bounds::default()), "three megabytes of nothing in a zip of some kilobytes");
    assert!(large(Bounds { unpacked: 1 << 20, ratio: u64::MAX, ..Bounds::default() }));
    assert!(large(Bounds { zip: 100, ..Bounds::default() }));
    unpacked(program(3 << 20), Bounds { ratio: u64::MAX, ..Bounds::default() }).unwrap();
    let many = zip(|zip| (0..11).for_each(|n| add(zip, &format!("{n}"), 0o644, b"")));
    assert!(matches!(
        unpacked(many, Bounds { files: 10, ..Bounds::default() }).unwrap_err(),
        PackageError::TooMany(10)
    ));
}

#[test]
fn what_is_no_provider_is_told_as_such() {
    let other = zip(|zip| add(zip, "terraform-provider-other_v1.0.0", 0o755, b"x"));
    let error = unpacked(other, Bounds::default()).unwrap_err();
    assert_eq!(error.to_string(), "it has no file `terraform-provider-fake…`");
    let mut text = tempfile::tempfile().unwrap();
    text.write_all(b"<html>").unwrap();
    text.rewind().unwrap();
    assert!(matches!(unpacked(text, Bounds::default()).unwrap_err(), PackageError::Zip(_)));
    assert!(hash_dir(Path::new("/nowhere")).is_err());
}
