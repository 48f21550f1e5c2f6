//! What the rules would be with the pull request's own file on the default branch: what its reviewers agree to.

use super::repo::RepoConfig;
use super::resolve::{FoundProject, Layers, resolve};
use crate::domain::permission::Rights;
use crate::domain::project::{Project, RuleChanges, rule_changes};

/// `here` and `there`: the code of the pull request and of the default branch.
#[must_use]
pub fn merged_rule_changes(layers: &Layers<'_>, here: &[FoundProject], there: &[FoundProject]) -> RuleChanges {
    let after = Layers { default_branch: layers.pull, ..*layers };
    // Merged, the default branch has all of it.
    let found: Vec<FoundProject> =
        here.iter().map(|found| FoundProject { on_default_branch: found.root_module, ..found.clone() }).collect();
    let mut changes = match (projects(&after, &found), projects_of_default_branch(layers, there)) {
        (Some(merged), Some(before)) => rule_changes(&before, &merged),
        (None, _) => RuleChanges {
            grants: vec!["once merged, the file could not be used: nothing would be planned or applied".to_owned()],
            others: Vec::new(),
        },
        (Some(_), None) => RuleChanges {
            grants: vec![
                "the rules of today can't be compared: the default branch's file does not fit its code".to_owned(),
            ],
            others: Vec::new(),
        },
    };
    if branches(layers) != branches(&after) {
        let said = format!("pull requests into these branches may apply: {} → {}", branches(layers), branches(&after));
        changes.grants.insert(0, said);
    }
    let (old, new) = (layers.rights(), after.rights());
    if old != new {
        changes.grants.insert(0, format!("the whole repository: {}", rights(&old, &new)));
    }
    changes
}

/// The projects of the default branch under its own file; `None` if that does not fit its code.
#[must_use]
pub fn projects_of_default_branch(layers: &Layers<'_>, there: &[FoundProject]) -> Option<Vec<Project>> {
    projects(&Layers { pull: layers.default_branch, ..*layers }, there)
}

fn projects(layers: &Layers<'_>, found: &[FoundProject]) -> Option<Vec<Project>> {
    let resolved = resolve(layers, found).ok()?;
    Some(resolved.into_iter().map(|resolved| resolved.project).collect())
}

fn branches(layers: &Layers<'_>) -> String {
    let said = |config: &RepoConfig| config.branches.clone();
    let named = [layers.enforce, layers.default_branch, layers.defaults].into_iter().find_map(said);
    named.map_or_else(
        || "the default branch".to_owned(),
        |globs| match globs.as_slice() {
            [] => "none".to_owned(),
            globs => globs.iter().map(|glob| format!("`{}`", glob.replace('`', "'"))).collect::<Vec<_>>().join(", "),
        },
    )
}

/// Of which verbs the holders change, with old and new ones.
fn rights(old: &Rights, new: &Rights) -> String {
    let said = crate::domain::project::right_changes(old, new);
    said.join("; ")
}
