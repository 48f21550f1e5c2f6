//! What a repository wants git to run, ask and fetch.

use super::attack::{Attack, by, test};

pub(super) const ATTACKS: &[Attack] = &[
    by(
        50,
        "hooks and settings that run programs",
        &[
            test!("tests/it/scenario/secrets.rs", "hooks_filters_and_submodules_of_a_repository_do_not_run"),
            test!("src/git/tests/hostile.rs", "filters_hooks_and_submodules_do_not_run"),
        ],
    ),
    by(
        51,
        "submodules, `ext::` addresses, large files, filters, and branches that look like options",
        &[test!("src/git/tests/hostile.rs", "filters_hooks_and_submodules_do_not_run")],
    ),
];
