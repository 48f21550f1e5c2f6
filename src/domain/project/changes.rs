//! What a change of the configuration does to the rules: who gains what, which projects appear and vanish.

use super::{ApplyMode, MergeHow, Project};
use crate::domain::command::Verb;
use crate::domain::id::ProjectKey;
use crate::domain::permission::{Rights, one_of};
use std::collections::BTreeSet;

/// What is different for a reader of the rules, a sentence each; projects in the order of their directories.
#[must_use]
pub fn rule_changes(before: &[Project], after: &[Project]) -> Vec<String> {
    let keys: BTreeSet<_> = before.iter().chain(after).map(|project| &project.key).collect();
    let find = |all: &[Project], key: &ProjectKey| all.iter().position(|project| project.key == *key);
    let mut said = Vec::new();
    for key in keys {
        match (find(before, key).map(|at| &before[at]), find(after, key).map(|at| &after[at])) {
            (None, Some(new)) => said.push(format!("`{}` becomes a project", new.name)),
            (Some(old), None) => said.push(format!("`{}` is no project any more", old.name)),
            (Some(old), Some(new)) => {
                said.extend(differences(old, new).into_iter().map(|what| format!("`{}`: {what}", new.name)));
            }
            (None, None) => {}
        }
    }
    said
}

fn differences(old: &Project, new: &Project) -> Vec<String> {
    let mut said = Vec::new();
    if old.name != new.name {
        said.push(format!("it was called `{}`", old.name));
    }
    changed(&mut said, "tags", &joined(&old.tags), &joined(&new.tags));
    changed(&mut said, "`apply`", mode(old.apply), mode(new.apply));
    changed(&mut said, "an apply requires", &joined(&old.require), &joined(&new.require));
    changed(&mut said, "a plan requires", &joined(&old.require_plan), &joined(&new.require_plan));
    changed(&mut said, "an import requires", &joined(&old.require_import), &joined(&new.require_import));
    for verb in Verb::ALL {
        changed(&mut said, &format!("who may `{}`", verb.as_str()), &who(&old.can, verb), &who(&new.can, verb));
    }
    let windows = |project: &Project| joined(&project.windows.iter().cloned().map(String::from).collect::<Vec<_>>());
    changed(&mut said, "windows", &windows(old), &windows(new));
    changed(&mut said, "`automerge`", automerge(old.automerge), automerge(new.automerge));
    changed(&mut said, "it comes after", &joined(&old.after), &joined(&new.after));
    said
}

fn changed(said: &mut Vec<String>, what: &str, old: &str, new: &str) {
    if old != new {
        said.push(format!("{what}: {old} → {new}"));
    }
}

fn joined<T: ToString>(all: &[T]) -> String {
    if all.is_empty() {
        return "nothing".to_owned();
    }
    all.iter().map(|one| format!("`{}`", one.to_string())).collect::<Vec<_>>().join(", ")
}

const fn mode(mode: ApplyMode) -> &'static str {
    match mode {
        ApplyMode::OnMerge => "`on_merge`",
        ApplyMode::OnComment => "`on_comment`",
        ApplyMode::Both => "`both`",
    }
}

const fn automerge(how: Option<MergeHow>) -> &'static str {
    match how {
        None => "off",
        Some(MergeHow::Merge) => "`merge`",
        Some(MergeHow::Squash) => "`squash`",
        Some(MergeHow::Rebase) => "`rebase`",
        Some(MergeHow::Enqueue) => "`enqueue`",
    }
}

fn who(rights: &Rights, verb: Verb) -> String {
    match rights.0.get(&verb) {
        None => "the default".to_owned(),
        Some(lists) => {
            let named = |list: &Vec<_>| {
                let names: Vec<String> = list.iter().map(|who| format!("`{who}`")).collect();
                one_of(&names)
            };
            lists.iter().map(named).collect::<Vec<_>>().join(", and ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decide::fixture::project;
    use crate::domain::requirement::Requirement;
    use std::collections::BTreeMap;

    #[test]
    fn everything_that_a_merge_would_change_is_said() {
        let mut old = project("prod");
        old.require = vec![Requirement::APPROVED];
        old.can = Rights(BTreeMap::from([(Verb::Apply, vec![vec!["team:sre".parse().unwrap()]])]));
        let mut new = project("prod");
        new.apply = ApplyMode::Both;
        new.tags = vec!["eu".into()];
        new.can = Rights(BTreeMap::from([(
            Verb::Apply,
            vec![vec!["team:sre".parse().unwrap(), "user:sam".parse().unwrap()]],
        )]));
        new.windows = vec!["deny 22:00 - 06:00".parse().unwrap()];
        assert_eq!(
            rule_changes(&[old, project("gone"), project("same")], &[new, project("more"), project("same")]),
            [
                "`gone` is no project any more",
                "`more` becomes a project",
                "`prod`: tags: nothing → `eu`",
                "`prod`: `apply`: `on_merge` → `both`",
                "`prod`: an apply requires: `approved` → nothing",
                "`prod`: who may `apply`: `team:sre` → `team:sre` or `user:sam`",
                "`prod`: windows: nothing → `deny 22:00 - 06:00`",
            ]
        );
    }
}
