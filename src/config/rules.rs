//! Rules: which conditions hold for the projects that a rule matches.

use super::decode::{Fields, boolean, checked, list, one_of, parsed, text};
use super::error::{Faults, nearest};
use super::yaml::Node;
use crate::domain::command::{Verb, word_matches};
use crate::domain::freeze::Window;
use crate::domain::permission::{Rights, Who};
use crate::domain::project::{ApplyMode, MergeHow, Project, glob};
use crate::domain::requirement::Requirement;
use std::collections::{BTreeMap, BTreeSet};

/// Conditions for the projects that it matches. Keys that are not there are left to earlier rules.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// `file:line`, for people.
    pub(super) origin: String,
    pub(super) matches: Match,
    pub(super) apply: Option<ApplyMode>,
    pub(super) require: Option<Vec<Requirement>>,
    pub(super) require_plan: Option<Vec<Requirement>>,
    pub(super) require_import: Option<Vec<Requirement>>,
    pub(super) can: BTreeMap<Verb, Vec<Who>>,
    pub(super) windows: Option<Vec<Window>>,
    pub(super) automerge: Option<Option<MergeHow>>,
    pub(super) automerge_on_no_change: Option<bool>,
}

/// The keys that say who may ask for what.
const RIGHTS: [(&str, Verb); 7] = [
    ("can_plan", Verb::Plan),
    ("can_apply", Verb::Apply),
    ("can_approve", Verb::Approve),
    ("can_unlock", Verb::Unlock),
    ("can_lock", Verb::Lock),
    ("can_cancel", Verb::Cancel),
    ("can_freeze", Verb::Freeze),
];

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

    pub(super) fn is_everything(&self) -> bool {
        matches!(self.0.as_str(), "*" | "**")
    }

    pub(super) fn matches(&self, project: &Project) -> bool {
        self.is_everything() || word_matches(&self.0, project)
    }
}

pub(super) fn rule(node: &Node, path: &[String], faults: &mut Faults) -> Option<Rule> {
    let mut fields = Fields::item(node, path, faults)?;
    let origin = faults.source().origin(fields.place());
    let matches = fields.required("match", "`\"*\"` is every project", faults, Match::decode);
    let modes = [("on_merge", ApplyMode::OnMerge), ("on_comment", ApplyMode::OnComment), ("both", ApplyMode::Both)];
    let apply = fields.optional("apply", faults, |node, faults| one_of(node, &modes, faults));
    let require = requirements(&mut fields, "require", faults);
    let require_plan = requirements(&mut fields, "require_plan", faults);
    let require_import = requirements(&mut fields, "require_import", faults);
    let mut can = BTreeMap::new();
    for (key, verb) in RIGHTS {
        let named = fields.optional(key, faults, |node, faults| {
            if verb == Verb::Freeze && matches.as_ref().is_some_and(|matches| !matches.is_everything()) {
                let help = "a freeze is of the whole repository: say it under `match: \"*\"`";
                faults.add_help(&node.place, format!("`{key}` is not for some projects only"), help);
            }
            list(node, faults, parsed::<Who>)
        });
        can.extend(named.map(|named| (verb, named)));
    }
    let windows = fields.optional("windows", faults, |node, faults| list(node, faults, parsed::<Window>));
    let hows = [
        ("merge", Some(MergeHow::Merge)),
        ("squash", Some(MergeHow::Squash)),
        ("rebase", Some(MergeHow::Rebase)),
        ("enqueue", Some(MergeHow::Enqueue)),
        ("off", None),
    ];
    let automerge = fields.optional("automerge", faults, |node, faults| one_of(node, &hows, faults));
    let automerge_on_no_change = fields.optional("automerge_on_no_change", faults, boolean);
    fields.finish(faults);
    Some(Rule {
        origin,
        matches: matches?,
        apply,
        require,
        require_plan,
        require_import,
        can,
        windows,
        automerge,
        automerge_on_no_change,
    })
}

fn requirements(fields: &mut Fields<'_>, key: &'static str, faults: &mut Faults) -> Option<Vec<Requirement>> {
    fields.optional(key, faults, |node, faults| list(node, faults, requirement))
}

fn requirement(node: &Node, faults: &mut Faults) -> Option<Requirement> {
    let text = text(node, faults)?;
    text.parse()
        .map_err(|error: String| {
            let meant = nearest(text, Requirement::PLAIN.iter().map(Requirement::word));
            faults.add_with(&node.place, error, meant.map(|meant| format!("did you mean `{meant}`?")));
        })
        .ok()
}

/// What rules make of a project.
#[derive(Default)]
pub(super) struct Ruling {
    pub(super) apply: ApplyMode,
    pub(super) require: Vec<Requirement>,
    pub(super) require_plan: Vec<Requirement>,
    pub(super) require_import: Vec<Requirement>,
    pub(super) can: Rights,
    pub(super) windows: Vec<Window>,
    pub(super) automerge: Option<MergeHow>,
    pub(super) automerge_on_no_change: bool,
    /// `file:line` of each rule that has a say.
    pub(super) decided_by: Vec<String>,
}

impl Ruling {
    /// The last matching rule wins for each key.
    pub(super) fn of_matching(rules: &[&Rule], project: &Project) -> Self {
        let matching: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.matches.matches(project)).collect();
        Self::last_of(&matching)
    }

    /// What the rules for everything say: of what is about the whole repository.
    pub(super) fn of_repository(rules: &[&Rule]) -> Self {
        let general: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.matches.is_everything()).collect();
        Self::last_of(&general)
    }

    fn last_of(matching: &[&Rule]) -> Self {
        let last = |says: fn(&Rule) -> bool| matching.iter().rev().copied().find(|rule| says(rule));
        let apply = last(|rule| rule.apply.is_some());
        let require = last(|rule| rule.require.is_some());
        let require_plan = last(|rule| rule.require_plan.is_some());
        let require_import = last(|rule| rule.require_import.is_some());
        let windows = last(|rule| rule.windows.is_some());
        let automerge = last(|rule| rule.automerge.is_some());
        let on_no_change = last(|rule| rule.automerge_on_no_change.is_some());
        let named = RIGHTS.map(|(_, verb)| {
            let rule = matching.iter().rev().copied().find(|rule| rule.can.contains_key(&verb))?;
            Some((verb, rule))
        });
        let can = named.iter().flatten().map(|(verb, rule)| (*verb, vec![rule.can[verb].clone()])).collect();
        let requirements = |rule: Option<&Rule>, of: fn(&Rule) -> &Option<Vec<Requirement>>| {
            rule.and_then(|rule| of(rule).clone()).unwrap_or_default()
        };
        let said = [apply, require, require_plan, require_import, windows, automerge, on_no_change];
        Self {
            apply: apply.and_then(|rule| rule.apply).unwrap_or_default(),
            require: requirements(require, |rule| &rule.require),
            require_plan: requirements(require_plan, |rule| &rule.require_plan),
            require_import: requirements(require_import, |rule| &rule.require_import),
            can: Rights(can),
            windows: windows.and_then(|rule| rule.windows.clone()).unwrap_or_default(),
            automerge: automerge.and_then(|rule| rule.automerge).flatten(),
            automerge_on_no_change: on_no_change.and_then(|rule| rule.automerge_on_no_change).unwrap_or_default(),
            decided_by: unique(said.into_iter().flatten().chain(named.into_iter().flatten().map(|(_, rule)| rule))),
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
        let all = |of: fn(&Rule) -> &Option<Vec<Requirement>>| -> Vec<Requirement> {
            let all: BTreeSet<Requirement> =
                rules.iter().filter_map(|rule| of(rule).as_ref()).flatten().cloned().collect();
            all.into_iter().collect()
        };
        let mut can: BTreeMap<Verb, Vec<Vec<Who>>> = BTreeMap::new();
        for (verb, named) in rules.iter().flat_map(|rule| &rule.can) {
            let lists = can.entry(*verb).or_default();
            if !lists.contains(named) {
                lists.push(named.clone());
            }
        }
        Self {
            apply: agreed.unwrap_or(ApplyMode::OnMerge),
            require: all(|rule| &rule.require),
            require_plan: all(|rule| &rule.require_plan),
            require_import: all(|rule| &rule.require_import),
            can: Rights(can),
            windows: rules.iter().filter_map(|rule| rule.windows.as_ref()).flatten().cloned().collect(),
            // Nothing that is not known is merged by itself.
            automerge: None,
            automerge_on_no_change: false,
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
