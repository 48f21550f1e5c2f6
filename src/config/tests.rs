//! Configuration as operators and authors of pull requests meet it: whole error texts, and what files come to mean.

mod errors;
mod repository;
mod resolving;
mod server;

use super::{Environment, RepoConfig, ServerConfig};
use std::path::PathBuf;

/// A server file in a directory of its own, and the environment that it is read with.
struct Server {
    directory: tempfile::TempDir,
    environment: Environment,
}

impl Server {
    fn file(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("server.yaml"), text).unwrap();
        Self { directory, environment: Environment::new() }
    }

    /// The least that a server needs, and further keys.
    fn with(text: &str) -> Self {
        let least = "\
url: https://terraplane.example.com
data_dir: /var/lib/terraplane
github: {webhook_secret: env:HOOK, token: env:TOKEN}
";
        Self::file(&format!("{least}{text}")).variable("HOOK", "hook-secret").variable("TOKEN", "forge-token")
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn beside(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("server.yaml")
    }

    fn load(&self) -> ServerConfig {
        ServerConfig::load(Some(&self.path()), &self.environment).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// What is printed, with the directory left out.
    fn errors(&self) -> String {
        let errors = ServerConfig::load(Some(&self.path()), &self.environment).unwrap_err();
        errors.to_string().replace(&format!("{}/", self.directory.path().display()), "")
    }
}

fn repo(text: &str) -> RepoConfig {
    RepoConfig::parse("terraplane.yaml", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn repo_errors(text: &str) -> String {
    RepoConfig::parse("terraplane.yaml", text).unwrap_err().to_string()
}
