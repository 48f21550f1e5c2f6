//! Rules: which conditions hold for the projects that a rule matches.

use super::decode::{Fields, checked, list, one_of, text};
use super::error::Faults;
use super::yaml::Node;
use crate::domain::command::Selector;
use crate::domain::project::{ApplyMode, Project, Requirement, glob};
use crate::domain::pull::Role;
use std::collections::BTreeSet;

/// Conditions for the projects that it matches. Keys that are not there are left to earlier rules.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// `file:line`, for people.
    pub(super) origin: String,
    pub(super) matches: Match,
    pub(super) apply: Option<ApplyMode>,
    pub(super) require: Option<Vec<Requirement>>,
    pub(super) can_apply: Option<Role>,
}

/// A word that chooses projects: a name, a directory, a glob over both, or `tag:x`. Unlike in a command, `*` alone is
/// every project, also those in deeper directories.
#[derive(Debug, Clone)]
pub(super) struct Match(String);

impl Match {
    pub(super) fn decode(node: &Node, faults: &mut Faults) -> Option<Self> {
        let wanted = "a project's name, a glob over names and directories, or `tag:…`";
        checked(node, wanted, faults, |word| {
            let sound = !word.is_empty() && (word.starts_with("tag:") || glob(word).is_some());
            sound.then(|| Self(word.to_owned()))
        })
    }

    fn is_everything(&self) -> bool {
        matches!(self.0.as_str(), "*" | "**")
    }

    pub(super) fn matches(&self, project: &Project) -> bool {
        self.is_everything() || Selector { any_of: vec![self.0.clone()] }.matches(project)
    }
}

pub(super) fn rule(node: &Node, path: &[String], faults: &mut Faults) -> Option<Rule> {
    let mut fields = Fields::item(node, path, faults)?;
    let origin = faults.source().origin(fields.place());
    let matches = fields.required("match", "`\"*\"` is every project", faults, Match::decode);
    let modes = [("on_merge", ApplyMode::OnMerge), ("on_comment", ApplyMode::OnComment), ("both", ApplyMode::Both)];
    let apply = fields.optional("apply", faults, |node, faults| one_of(node, &modes, faults));
    let requirements = Requirement::ALL.map(|requirement| (requirement.as_str(), requirement));
    let require = fields.optional("require", faults, |node, faults| {
        list(node, faults, |item, faults| one_of(item, &requirements, faults))
    });
    let can_apply = fields.optional("can_apply", faults, least_role);
    fields.finish(faults);
    Some(Rule { origin, matches: matches?, apply, require, can_apply })
}

/// Whoever has any of the roles may apply, so the least of them decides. Members of the teams may too once a forge is
/// asked for them; until then a team adds nobody, which is the safe side, and cannot stand alone.
fn least_role(node: &Node, faults: &mut Faults) -> Option<Role> {
    const ROLES: [(&str, Role); 3] =
        [("role:write", Role::Write), ("role:maintain", Role::Maintain), ("role:admin", Role::Admin)];
    let before = faults.count();
    let roles = list(node, faults, |item, faults| {
        let word = text(item, faults)?;
        if word.strip_prefix("team:").is_some_and(|team| !team.is_empty()) {
            return Some(None);
        }
        one_of(item, &ROLES, faults).map(Some)
    })?;
    let least = roles.iter().flatten().min().copied();
    if least.is_none() && faults.count() == before {
        let help = "add a role (`role:maintain`): this version does not ask for the members of teams";
        faults.add_help(&node.place, "this would let nobody apply", help);
    }
    least
}

/// What rules make of a project.
#[derive(Default)]
pub(super) struct Ruling {
    pub(super) apply: ApplyMode,
    pub(super) require: Vec<Requirement>,
    pub(super) least_role: Option<Role>,
    /// `file:line` of each rule that has a say.
    pub(super) decided_by: Vec<String>,
}

impl Ruling {
    /// The last matching rule wins for each key.
    pub(super) fn of_matching(rules: &[&Rule], project: &Project) -> Self {
        let matching: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.matches.matches(project)).collect();
        let last = |says: fn(&Rule) -> bool| matching.iter().rev().copied().find(|rule| says(rule));
        let apply = last(|rule| rule.apply.is_some());
        let require = last(|rule| rule.require.is_some());
        let can_apply = last(|rule| rule.can_apply.is_some());
        Self {
            apply: apply.and_then(|rule| rule.apply).unwrap_or_default(),
            require: require.and_then(|rule| rule.require.clone()).unwrap_or_default(),
            least_role: can_apply.and_then(|rule| rule.can_apply),
            decided_by: unique([apply, require, can_apply].into_iter().flatten()),
        }
    }

    /// Nobody knows yet which rules are meant for it, so all are.
    pub(super) fn of_all(rules: &[&Rule]) -> Self {
        // The modes that a project could end with: a rule for all overrides what stands before it.
        let mut modes = vec![ApplyMode::default()];
        for (rule, mode) in rules.iter().filter_map(|rule| Some((rule, rule.apply?))) {
            if rule.matches.is_everything() {
                modes.clear();
            }
            modes.push(mode);
        }
        let agreed = modes.first().copied().filter(|first| modes.iter().all(|mode| mode == first));
        let require: BTreeSet<Requirement> =
            rules.iter().filter_map(|rule| rule.require.as_ref()).flatten().copied().collect();
        Self {
            apply: agreed.unwrap_or(ApplyMode::OnMerge),
            require: require.into_iter().collect(),
            least_role: rules.iter().filter_map(|rule| rule.can_apply).max(),
            decided_by: unique(rules.iter().copied()),
        }
    }
}

fn unique<'r>(rules: impl Iterator<Item = &'r Rule>) -> Vec<String> {
    let mut origins: Vec<String> = Vec::new();
    for rule in rules {
        if !origins.contains(&rule.origin) {
            origins.push(rule.origin.clone());
        }
    }
    origins
}
