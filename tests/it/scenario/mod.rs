//! What people do and what they then see. A file for each part of the story.

mod commands;
mod merge;
mod plan;
mod props;

/// A project whose state Terraplane keeps.
pub(crate) const MANAGED: &str = "version: 1\nprojects:\n  - dir: prod\n    state: managed\n";

/// A Terraform project with one `terraform_data` of this name and input.
pub(crate) fn resource(name: &str, input: &str) -> String {
    format!("resource \"terraform_data\" \"{name}\" {{\n  input = \"{input}\"\n}}\n")
}
