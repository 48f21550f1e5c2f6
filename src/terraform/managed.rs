//! State that Terraplane keeps itself, for projects that have no backend: reached as Terraform's `http` backend.
//!
//! The backend's block is empty and is added to the work tree by an override file; where the state is and who may read or
//! write it come by `TF_HTTP_*` variables. What stands in a backend's block is copied into every plan file; what comes by
//! the environment is not, so a saved plan holds no token and is applied with another one than it was made with.
//!
//! Protocol: <https://developer.hashicorp.com/terraform/language/backend/http>

use super::untrusted;
use crate::domain::id::Workspace;
use secrecy::SecretString;
use std::fs;
use std::io;
use std::path::Path;

#[cfg(test)]
mod tests;

const OVERRIDE_FILE: &str = "terraplane_override.tf.json";
const OVERRIDE: &str = r#"{"terraform": {"backend": {"http": {}}}}"#;

/// How an apply reaches the state while the server is restarted: for about five minutes. Without this Terraform gives up
/// after two tries, and the new state is nowhere.
pub(super) const PATIENCE: [(&str, &str); 3] =
    [("TF_HTTP_RETRY_MAX", "60"), ("TF_HTTP_RETRY_WAIT_MIN", "1"), ("TF_HTTP_RETRY_WAIT_MAX", "5")];

/// Why the state cannot be kept for a project.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    #[error(
        "`state: managed` works with the workspace `default` only, and this project's is `{0}`: Terraform's `http` backend \
         has no workspaces; use a directory of its own instead"
    )]
    Workspace(Workspace),
    #[error("`{OVERRIDE_FILE}` cannot be written into the work tree: {0}")]
    Io(#[from] io::Error),
}

/// Where one run reaches the state, and its right to it.
#[derive(Debug, Clone)]
pub struct ManagedState {
    /// Without user, password or query. GET reads, POST writes, LOCK and UNLOCK are sent to the same address.
    pub address: String,
    /// The user's name in the requests: which run it is.
    pub run: String,
    pub token: SecretString,
}

impl ManagedState {
    /// What Terraform must find in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, SecretString)> {
        let own = |text: &str| SecretString::from(text);
        [
            ("TF_HTTP_ADDRESS", own(&self.address)),
            ("TF_HTTP_LOCK_ADDRESS", own(&self.address)),
            ("TF_HTTP_UNLOCK_ADDRESS", own(&self.address)),
            ("TF_HTTP_USERNAME", own(&self.run)),
            ("TF_HTTP_PASSWORD", self.token.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Gives the project in this directory of a work tree the `http` backend.
///
/// # Errors
/// When the workspace is not the default one, or the file cannot be written.
pub fn write_override(dir: &Path, workspace: &Workspace) -> Result<(), ManagedError> {
    if *workspace != Workspace::default() {
        return Err(ManagedError::Workspace(workspace.clone()));
    }
    let path = dir.join(OVERRIDE_FILE);
    if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
        fs::remove_dir_all(&path)?;
    }
    Ok(untrusted::replace(&path, OVERRIDE.as_bytes())?)
}
