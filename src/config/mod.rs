//! What operator and repository say, parsed once into valid types; nothing behind this module meets a wrong value.
//!
//! Everything that is wrong is reported at once ([`ConfigErrors`]), each with its place and what to do about it.

mod changes;
mod decode;
mod environment;
mod error;
mod repo;
mod resolve;
mod rules;
mod secret;
mod server;
mod source;
mod yaml;

#[cfg(test)]
mod tests;

pub use changes::{merged_rule_changes, projects_of_default_branch};
pub use environment::{Environment, process_environment};
pub use error::{ConfigError, ConfigErrors};
pub use repo::{REPO_FILE, RepoConfig};
pub use resolve::{FoundProject, Layers, ResolvedProject, resolve};
pub use server::{
    ApiToken, Cleanup, Commands, Concurrency, Confinement, Database, Forges, GiteaConfig, GithubAuth, GithubConfig,
    GitlabConfig, ModulesAccess, Phase, RepoPolicy, Sandbox, ServerConfig, TerraformConfig,
};
