//! Symbolic links that came with somebody else's files. Such a link must not lead the server, or a run, to a file that
//! is not theirs, whatever the level of the cage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Removes those of `links` that do not end at something inside `root`, and returns their paths from there. `root` is
/// canonical. To be called when nothing is removed any more that a link could lead to.
///
/// # Errors
/// When one cannot be removed.
pub fn remove_outward(root: &Path, links: Vec<PathBuf>) -> io::Result<Vec<PathBuf>> {
    // Judged before any is removed, so that the order does not matter.
    let outward = links.into_iter().filter(|link| !fs::canonicalize(link).is_ok_and(|end| end.starts_with(root)));
    let outward: Vec<PathBuf> = outward.collect();
    for link in &outward {
        fs::remove_file(link)?;
    }
    Ok(outward.into_iter().map(|link| link.strip_prefix(root).map(Path::to_owned).unwrap_or(link)).collect())
}
