//! What a saved plan says about the state that it was made from.
//!
//! A plan file is a zip archive; its entry `tfstate` is the state after refresh, with the lineage and serial that the
//! state had in its backend. `apply` compares these two with the backend's and refuses a plan that is stale. Both tools
//! write them alike; where there was no state yet, the lineage is empty and the serial 0.

use super::untrusted::{self, UntrustedFile};
use crate::domain::run::StateMark;
use serde::Deserialize;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

const STATE_ENTRY: &str = "tfstate";

/// Bounds in bytes: of the file, and of the state in it when unpacked.
const LARGEST_PLAN: u64 = 256 << 20;
const LARGEST_STATE: u64 = 512 << 20;

/// Why a plan file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    #[error("there is no plan file `{}`", .0.display())]
    Missing(PathBuf),
    #[error(transparent)]
    Unread(#[from] UntrustedFile),
    #[error("the plan file is damaged: {0}")]
    Zip(#[from] ZipError),
    #[error("the state in the plan file is not readable: {0}")]
    State(#[from] serde_json::Error),
    #[error("the state in the plan file is larger than {LARGEST_STATE} bytes")]
    StateTooLarge,
}

/// The plan file's bytes: those that are kept are those that were looked at. Reads from the disk without async.
///
/// # Errors
/// When there is none, or it is no regular file, or larger than 256 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, PlanFileError> {
    untrusted::read(path, LARGEST_PLAN)?.ok_or_else(|| PlanFileError::Missing(path.to_owned()))
}

/// The lineage and serial of the state that the plan was made from.
///
/// # Errors
/// When these are not the bytes of a plan file.
pub fn state_mark(plan: &[u8]) -> Result<StateMark, PlanFileError> {
    let mut archive = ZipArchive::new(Cursor::new(plan))?;
    let mut entry = archive.by_name(STATE_ENTRY)?.take(LARGEST_STATE);
    let mark = read_mark(&mut entry);
    if entry.limit() == 0 { Err(PlanFileError::StateTooLarge) } else { Ok(mark?) }
}

/// Reads lineage and serial out of a state in Terraform's JSON format, version 4; all else is skipped as it is read.
pub(super) fn read_mark(state: impl Read) -> Result<StateMark, serde_json::Error> {
    #[derive(Deserialize)]
    struct State {
        serial: u64,
        lineage: String,
    }
    let State { serial, lineage } = serde_json::from_reader(std::io::BufReader::new(state))?;
    Ok(StateMark { lineage, serial })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use zip::write::{SimpleFileOptions, ZipWriter};

    fn plan_with(name: &str, content: &[u8]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn the_mark_is_read_whatever_else_the_state_holds() {
        let state = br#"{"version": 4, "serial": 7, "lineage": "3fa0", "resources": [{"a": [1, {"b": null}]}]}"#;
        let mark = state_mark(&plan_with("tfstate", state)).unwrap();
        assert_eq!(mark, StateMark { lineage: "3fa0".into(), serial: 7 });
    }

    #[test]
    fn what_is_no_plan_is_an_error_that_says_so() {
        let of = |plan: &[u8]| state_mark(plan).unwrap_err().to_string();
        assert!(of(b"").starts_with("the plan file is damaged"), "{}", of(b""));
        assert!(of(b"PK\x03\x04 nothing").starts_with("the plan file is damaged"));
        assert!(of(&plan_with("other", b"{}")).starts_with("the plan file is damaged"));
        assert!(of(&plan_with("tfstate", b"[]")).starts_with("the state in the plan file is not readable"));
        assert!(
            of(&plan_with("tfstate", b"{\"serial\": -1}")).starts_with("the state in the plan file is not readable")
        );
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(&dir.path().join("plan")), Err(PlanFileError::Missing(_))));
    }
}
