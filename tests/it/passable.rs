//! Programs that whoever runs in a cage may start. A checkout can lie where only its owner gets to (`/root`, a private
//! temporary directory), and below the best level a cage has no view of its own: then a copy is used.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const PREFIX: &str = "terraplane-it-";

/// The program itself if everybody gets to it, or a copy.
pub(crate) fn passable(program: &Path) -> PathBuf {
    static COPIES: Mutex<Option<HashMap<PathBuf, PathBuf>>> = Mutex::new(None);
    if program.ancestors().skip(1).all(everybody_passes) {
        return program.to_owned();
    }
    let mut copies = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    let copies = copies.get_or_insert_default();
    let copy = || {
        let dir = directory();
        let copy = dir.join(program.file_name().unwrap());
        fs::copy(program, &copy).unwrap();
        copy
    };
    copies.entry(program.to_owned()).or_insert_with(copy).clone()
}

fn everybody_passes(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|facts| facts.permissions().mode() & 0o001 != 0)
}

/// This process' directory. Nothing is called at a process' end, so that each one removes those of the dead.
fn directory() -> PathBuf {
    let root = std::env::temp_dir();
    for entry in fs::read_dir(&root).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|id| id.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let own = root.join(format!("{PREFIX}{}", std::process::id()));
    fs::create_dir_all(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    own
}
