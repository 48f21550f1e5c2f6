//! What has to be known of a state file before it is kept: that it arrived whole, and which one it is.

use super::Refused;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use sha2::Sha256;

/// The only format since Terraform 0.12.
const FORMAT: u64 = 4;

/// One state, without its content.
#[derive(Debug)]
pub(super) struct StateFile {
    /// Grows with every change.
    pub(super) serial: u64,
    /// Made once, when the state was new.
    pub(super) lineage: String,
    /// SHA-256 of all its bytes.
    pub(super) hash: [u8; 32],
}

#[derive(Deserialize)]
struct Head {
    version: u64,
    serial: u64,
    lineage: String,
}

impl StateFile {
    /// Reads a state that a client sent, and compares it with its `Content-MD5`, if there is one (RFC 1864). Takes a
    /// while for a large one.
    pub(super) fn read(bytes: &[u8], content_md5: Option<&[u8]>) -> Result<Self, Refused> {
        if content_md5.is_some_and(|sent| sent != md5(bytes).as_bytes()) {
            return Err(Refused::Malformed("the body is not what was sent: its Content-MD5 is another".into()));
        }
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|error| Refused::Malformed(format!("the body is not a Terraform state: {error}")))?;
        if head.version != FORMAT || head.lineage.is_empty() {
            let why = format!("the body is not a Terraform state of format {FORMAT} with a lineage");
            return Err(Refused::Malformed(why));
        }
        Ok(Self { serial: head.serial, lineage: head.lineage, hash: hash(bytes) })
    }
}

pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// As `Content-MD5` has it. Against damage on the way, not against people.
pub(super) fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_with_the_right_checksum_is_read() {
        let bytes = br#"{"version":4,"terraform_version":"1.11.4","serial":7,"lineage":"abc","outputs":{}}"#;
        for md5 in [None, Some(md5(bytes))] {
            let file = StateFile::read(bytes, md5.as_deref().map(str::as_bytes)).unwrap();
            assert_eq!((file.serial, file.lineage.as_str()), (7, "abc"));
        }
    }

    #[test]
    fn the_checksum_is_the_one_of_rfc_1864() {
        assert_eq!(md5(b""), "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(md5(b"abc"), "kAFQmDzST7DWlj99KOF/cg==");
    }

    #[test]
    fn damaged_and_foreign_bodies_are_refused() {
        let fine = br#"{"version":4,"serial":7,"lineage":"abc"}"#;
        let wrong: [(&[u8], Option<&str>); 7] = [
            (fine, Some("1B2M2Y8AsgTpgAmY7PhCfg==")),
            (fine, Some("")),
            (b"", None),
            (b"[]", None),
            (br#"{"version":3,"serial":7,"lineage":"abc"}"#, None),
            (br#"{"version":4,"serial":-1,"lineage":"abc"}"#, None),
            (br#"{"version":4,"serial":7,"lineage":""}"#, None),
        ];
        for (bytes, md5) in wrong {
            let refused = StateFile::read(bytes, md5.map(str::as_bytes)).unwrap_err();
            assert!(matches!(refused, Refused::Malformed(_)), "{refused}");
        }
    }
}
