//! What people do and what they then see. A file for each part of the story.

mod cancel;
mod cleanup;
mod commands;
mod discovery;
mod gates;
mod labels;
mod merge;
mod missed;
mod modules;
mod outage;
mod pages;
mod plan;
mod props;
mod queue;
mod refusals;
mod restart;
mod reviews;
mod rights;
mod rules;
pub(crate) mod secrets;
pub(crate) mod serving;
pub(crate) mod stand_in;
mod state;
mod trouble;
mod turns;

/// A project whose state Terraplane keeps.
pub(crate) const MANAGED: &str = "version: 1\nprojects:\n  - dir: prod\n    state: managed\n";

/// A Terraform project with one `terraform_data` of this name and input.
pub(crate) fn resource(name: &str, input: &str) -> String {
    format!("resource \"terraform_data\" \"{name}\" {{\n  input = \"{input}\"\n}}\n")
}

/// For snapshots of what people read: what is different in every run is named instead.
pub(crate) fn shown(assert: impl FnOnce()) {
    masks().bind(assert);
}

/// The same from here to the end of the scope.
pub(crate) fn masked() -> insta::internals::SettingsBindDropGuard {
    masks().bind_to_scope()
}

fn masks() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    for (pattern, name) in [
        (r"http://127\.0\.0\.1:\d+/runs/[0-9a-f]+\?key=[0-9a-f]+", "RUN"),
        (r":run [0-9a-f]{32} -->", ":run ID -->"),
        (r":reply ([a-z]+)-[0-9a-f]+(-\d+)? -->", ":reply $1-ID$2 -->"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
        (r"`(p_)?[0-9a-f]{7,64}`", "`ID`"),
        (r"\b\d+ s\b", "0 s"),
        (r"terraform \d+\.\d+\.\d+", "terraform VERSION"),
    ] {
        settings.add_filter(pattern, name);
    }
    settings
}
