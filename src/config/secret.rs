//! Secrets are references: `env:NAME` or `file:PATH`. A literal is accepted from the environment only, so that a
//! configuration file can be shown to anybody.

use super::decode::text;
use super::environment::Environment;
use super::error::{Faults, quoted};
use super::source::Place;
use super::yaml::Node;
use secrecy::SecretString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Larger files are not secrets.
const MAX_BYTES: u64 = 64 * 1024;

/// Whether a text says where a secret is, and so is none itself.
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// Finds what references mean.
pub(crate) struct Secrets<'e> {
    pub(crate) environment: &'e Environment,
    /// Where relative paths begin: the directory of the configuration file.
    pub(crate) directory: PathBuf,
}

impl Secrets<'_> {
    /// A value that must not be written into the file.
    pub(crate) fn secret(&self, node: &Node, faults: &mut Faults) -> Option<SecretString> {
        let written = text(node, faults)?;
        if let Some(reference) = self.resolve(written) {
            return self.accept(reference, node, faults);
        }
        if matches!(node.place, Place::Variable(_)) {
            return Some(written.to_owned().into());
        }
        faults.hide(node);
        let variable = written.strip_prefix('$').map(|name| name.trim_matches(['{', '}']));
        let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match variable.filter(is_name) {
            Some(name) => {
                faults.add_help(&node.place, "variables are not expanded in this file", format!("write `env:{name}`"))
            }
            None => faults.add_help(
                &node.place,
                "a secret must not be written into this file",
                "write `env:NAME` or `file:PATH`, and renew the secret if others could read the file",
            ),
        }
        None
    }

    /// A value that may be a reference, and may as well be written down.
    pub(crate) fn value(&self, node: &Node, faults: &mut Faults) -> Option<SecretString> {
        let written = text(node, faults)?;
        match self.resolve(written) {
            Some(reference) => self.accept(reference, node, faults),
            None => Some(written.to_owned().into()),
        }
    }

    fn accept(&self, found: Result<String, String>, node: &Node, faults: &mut Faults) -> Option<SecretString> {
        match found {
            Ok(value) if value.is_empty() => {
                faults.add(&node.place, "the secret is empty");
                None
            }
            Ok(value) => Some(value.into()),
            Err(message) => {
                faults.add(&node.place, message);
                None
            }
        }
    }

    /// `None` if the text is no reference.
    fn resolve(&self, text: &str) -> Option<Result<String, String>> {
        if let Some(name) = text.strip_prefix("env:") {
            let value = self.environment.get(name).cloned();
            return Some(value.ok_or_else(|| format!("the environment variable {} is not set", quoted(name))));
        }
        let path = self.directory.join(text.strip_prefix("file:")?);
        Some(read(&path).map_err(|error| format!("cannot read {}: {error}", quoted(&path.display().to_string()))))
    }
}

/// A file's text without the line break at its end, which editors add.
fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other(format!("larger than {} KiB", MAX_BYTES / 1024)));
    }
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
