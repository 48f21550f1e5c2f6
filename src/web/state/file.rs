//! What has to be known of a state file before it is kept: that it arrived whole, and which one it is.

use super::Refused;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use serde::Deserialize;

/// The only format since Terraform 0.12.
const FORMAT: u64 = 4;

#[derive(Debug, Deserialize)]
pub(super) struct StateFile {
    version: u64,
    /// Grows with every change.
    pub(super) serial: u64,
    /// Made once, when the state was new.
    pub(super) lineage: String,
}

impl StateFile {
    /// Reads a state that a client sent, and compares it with its `Content-MD5`, if there is one (RFC 1864).
    pub(super) fn read(bytes: &[u8], headers: &HeaderMap) -> Result<Self, Refused> {
        if let Some(sent) = headers.get("content-md5")
            && sent.as_bytes() != md5(bytes).as_bytes()
        {
            return Err(Refused::Malformed("the body is not what was sent: its Content-MD5 is another".into()));
        }
        let file: Self = serde_json::from_slice(bytes)
            .map_err(|error| Refused::Malformed(format!("the body is not a Terraform state: {error}")))?;
        if file.version != FORMAT || file.lineage.is_empty() {
            let why = format!("the body is not a Terraform state of format {FORMAT} with a lineage");
            return Err(Refused::Malformed(why));
        }
        Ok(file)
    }
}

/// As `Content-MD5` has it. Against damage on the way, not against people.
pub(super) fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(md5: Option<&str>) -> HeaderMap {
        let name = axum::http::HeaderName::from_static("content-md5");
        md5.map(|md5| (name, md5.parse().unwrap())).into_iter().collect()
    }

    #[test]
    fn a_state_with_the_right_checksum_is_read() {
        let bytes = br#"{"version":4,"terraform_version":"1.11.4","serial":7,"lineage":"abc","outputs":{}}"#;
        for md5 in [None, Some(md5(bytes))] {
            let file = StateFile::read(bytes, &headers(md5.as_deref())).unwrap();
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
            let refused = StateFile::read(bytes, &headers(md5)).unwrap_err();
            assert!(matches!(refused, Refused::Malformed(_)), "{refused}");
        }
    }
}
