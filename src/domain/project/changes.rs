//! What a change of the configuration does to the rules: who gains what, which projects appear and vanish.

use super::{ApplyMode, MergeHow, Project};
use crate::domain::command::Verb;
use crate::domain::id::ProjectKey;
use crate::domain::permission::{Rights, one_of};
use std::collections::BTreeSet;

/// What a change does, a sentence each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleChanges {
    /// Who may do what, what must hold, and what rules and grants go by: nobody may miss these.
    pub grants: Vec<String>,
    pub others: Vec<String>,
}

/// What is different for a reader of the rules; projects in the order of their directories. What is the same for several
/// is said once, with the names of all.
#[must_use]
pub fn rule_changes(before: &[Project], after: &[Project]) -> RuleChanges {
    let keys: BTreeSet<_> = before.iter().chain(after).map(|project| &project.key).collect();
    let find = |all: &[Project], key: &ProjectKey| all.iter().position(|project| project.key == *key);
    let mut others = Vec::new();
    let mut grants: Vec<(String, Vec<String>)> = Vec::new();
    for key in keys {
        match (find(before, key).map(|at| &before[at]), find(after, key).map(|at| &after[at])) {
            (None, Some(new)) => others.push(format!("`{}` becomes a project", new.name)),
            (Some(old), None) => others.push(format!("`{}` is no project any more", old.name)),
            (Some(old), Some(new)) => {
                let name = format!("`{}`", new.name);
                others.extend(order(old, new).map(|what| format!("{name}: {what}")));
                for what in differences(old, new) {
                    match grants.iter_mut().find(|(known, _)| *known == what) {
                        Some((_, names)) => names.push(name.clone()),
                        None => grants.push((what, vec![name.clone()])),
                    }
                }
            }
            (None, None) => {}
        }
    }
    let grants = grants.into_iter().map(|(what, names)| format!("{}: {what}", names.join(", "))).collect();
    RuleChanges { grants, others }
}

fn order(old: &Project, new: &Project) -> Option<String> {
    let mut said = Vec::new();
    changed(&mut said, "it comes after", &joined(&old.after), &joined(&new.after));
    said.pop()
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
    said.extend(right_changes(&old.can, &new.can));
    let windows = |project: &Project| joined(&project.windows.iter().cloned().map(String::from).collect::<Vec<_>>());
    changed(&mut said, "windows", &windows(old), &windows(new));
    changed(&mut said, "`automerge`", automerge(old.automerge), automerge(new.automerge));
    let unchanged = |project: &Project| if project.automerge_on_no_change { "on" } else { "off" };
    changed(&mut said, "`automerge_on_no_change`", unchanged(old), unchanged(new));
    said
}

/// Whose rights change, a sentence for each verb.
#[must_use]
pub fn right_changes(old: &Rights, new: &Rights) -> Vec<String> {
    let mut said = Vec::new();
    for verb in Verb::ALL {
        changed(&mut said, &format!("who may `{}`", verb.as_str()), &who(old, verb), &who(new, verb));
    }
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
        let changes = rule_changes(&[old, project("gone"), project("same")], &[new, project("more"), project("same")]);
        assert_eq!(changes.others, ["`gone` is no project any more", "`more` becomes a project"]);
        assert_eq!(
            changes.grants,
            [
                "`prod`: tags: nothing → `eu`",
                "`prod`: `apply`: `on_merge` → `both`",
                "`prod`: an apply requires: `approved` → nothing",
                "`prod`: who may `apply`: `team:sre` → `team:sre` or `user:sam`",
                "`prod`: windows: nothing → `deny 22:00 - 06:00`",
            ]
        );
    }

    #[test]
    fn what_is_the_same_for_several_is_said_once() {
        let (old, mut new) = ([project("a"), project("z")], [project("a"), project("z")]);
        new.iter_mut().for_each(|project| project.apply = ApplyMode::Both);
        assert_eq!(rule_changes(&old, &new).grants, ["`a`, `z`: `apply`: `on_merge` → `both`"]);
    }
}
