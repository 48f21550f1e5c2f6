//! The same tests once more as a user without rights, for a server that is not root.

use super::helper;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// `nobody`, who owns nothing and is in no group that matters.
const NOBODY: &str = "65534";

#[test]
fn all_of_it_holds_for_a_server_that_is_not_root() {
    once_more_without_rights("sandbox::");
}

/// Runs the tests of this name once more as a user without rights. Where this is already one, there is nothing to add.
pub(crate) fn once_more_without_rights(tests: &str) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    open(dir.path());
    // Where this stands may not be for everybody to read.
    let own = dir.path().join("it");
    std::fs::copy(std::env::current_exe().unwrap(), &own).unwrap();
    std::fs::copy(helper(), dir.path().join("terraplane")).unwrap();
    open(&own);
    let tmp = dir.path().join("tmp");
    std::fs::create_dir(&tmp).unwrap();
    std::fs::set_permissions(&tmp, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
        .arg(&own)
        .args([tests, "--test-threads", "2"])
        .env_clear()
        .envs([("TMPDIR", tmp.as_os_str()), ("PATH", "/usr/local/bin:/usr/bin:/bin".as_ref())])
        .env("OF_THE_SERVER", "a variable that a server may have, and that nothing else has")
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains(" passed"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}
