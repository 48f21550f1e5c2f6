//! The repository file, `terraplane.yaml`: which projects there are, and which rules hold for them.
//!
//! The same keys stand in the server file under `defaults` and `enforce`; [`super::resolve()`] puts them together.

use super::decode::{Fields, boolean, checked, list, one_of, parsed, text};
use super::error::{ConfigErrors, Faults, quoted};
use super::resolve::ResolvedProject;
use super::rules::{Rule, rule};
use super::source::{Place, Source};
use super::yaml::{MAX_BYTES, Node, parse};
use crate::domain::id::{ProjectDir, ProjectKey, ProjectName, Workspace};
use crate::domain::project::glob;
use std::collections::HashMap;
use std::sync::Arc;

/// The file's name, at the root of a repository.
pub const REPO_FILE: &str = "terraplane.yaml";

/// What one source says of a repository. Everything is optional: a file that is not there is [`RepoConfig::default`].
#[derive(Debug, Clone, Default)]
pub struct RepoConfig {
    pub(super) source: Arc<Source>,
    pub(super) projects: Vec<ProjectEntry>,
    pub(super) discover: Option<bool>,
    pub(super) branches: Option<Vec<String>>,
    pub(super) rules: Vec<Rule>,
}

/// What is said of one project; a key that is not there is left to weaker sources.
#[derive(Debug, Clone)]
pub(super) struct ProjectEntry {
    pub(super) place: Place,
    pub(super) key: ProjectKey,
    pub(super) name: Option<ProjectName>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) var_files: Option<Vec<String>>,
    pub(super) terraform_version: Option<String>,
    /// Globs of paths from the repository's root.
    pub(super) watch: Option<Vec<String>>,
    /// Names of projects, with the place of each.
    pub(super) after: Option<Vec<(ProjectName, Place)>>,
    /// Where `state: managed` stands.
    pub(super) managed: Option<Place>,
}

impl RepoConfig {
    /// Larger files are refused; nobody needs to read more of one.
    pub const MAX_BYTES: usize = MAX_BYTES;

    /// Reads a repository file. `name` is what errors call it.
    ///
    /// # Errors
    /// With everything that is wrong in it.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        let source = Source { name: name.to_owned(), text: text.to_owned(), holds_secrets: false };
        let mut faults = Faults::new(Arc::new(source));
        let config = parse(&mut faults).map(|node| Self::decode(&node, &[], &mut faults));
        faults.finish()?;
        Ok(config.unwrap_or_default())
    }

    /// Reads the keys below `path` of the server file, or those at the root of a repository file.
    pub(super) fn decode(node: &Node, path: &[String], faults: &mut Faults) -> Self {
        let mut config = Self { source: faults.source().clone(), ..Self::default() };
        let fields = if path.is_empty() { Fields::root(node, faults) } else { Fields::item(node, path, faults) };
        let Some(mut fields) = fields else { return config };
        fields.optional("version", faults, |node, faults| {
            checked(node, "a version that this server reads (`1`)", faults, |text| (text == "1").then_some(()))
        });
        let projects = fields.path_of("projects");
        config.projects = fields
            .optional("projects", faults, |node, faults| list(node, faults, |item, f| project(item, &projects, f)))
            .unwrap_or_default();
        config.discover = fields.optional("discover", faults, boolean);
        config.branches = fields.optional("branches", faults, |node, faults| {
            list(node, faults, |item, faults| {
                checked(item, "a branch or a glob of branches", faults, |text| {
                    (!text.is_empty() && glob(text).is_some()).then(|| text.to_owned())
                })
            })
        });
        let rules = fields.path_of("rules");
        config.rules = fields
            .optional("rules", faults, |node, faults| list(node, faults, |item, f| rule(item, &rules, f)))
            .unwrap_or_default();
        fields.finish(faults);
        report_repeated_projects(&config.projects, faults);
        config
    }

    /// The places of rules that match none of these projects: probably a slip, for such a rule protects nothing.
    #[must_use]
    pub fn idle_rules(&self, projects: &[ResolvedProject]) -> Vec<&str> {
        let idle = |rule: &&Rule| !projects.iter().any(|resolved| rule.matches.matches(&resolved.project));
        self.rules.iter().filter(idle).map(|rule| rule.origin.as_str()).collect()
    }

    /// The keys of `stronger` over the keys of this one; both come from the same file.
    pub(super) fn overlaid(&self, stronger: &Self) -> Self {
        Self {
            source: stronger.source.clone(),
            projects: self.projects.iter().chain(&stronger.projects).cloned().collect(),
            discover: stronger.discover.or(self.discover),
            branches: stronger.branches.clone().or_else(|| self.branches.clone()),
            rules: self.rules.iter().chain(&stronger.rules).cloned().collect(),
        }
    }
}

fn report_repeated_projects(projects: &[ProjectEntry], faults: &mut Faults) {
    let mut seen = HashMap::new();
    let mut names = HashMap::new();
    for project in projects {
        if let Some(first) = seen.insert(&project.key, &project.place) {
            let help = format!(
                "it is also at {}; a second project of a directory needs its own `workspace`",
                faults.source().origin(first)
            );
            faults.add_help(
                &project.place,
                format!("the project {} is listed twice", quoted(&project.key.to_string())),
                help,
            );
        } else if let Some(name) = &project.name
            && let Some(first) = names.insert(name, &project.place)
        {
            let help = format!("it is also at {}", faults.source().origin(first));
            faults.add_help(&project.place, format!("two projects are called {}", quoted(name.as_str())), help);
        }
    }
}

fn project(node: &Node, path: &[String], faults: &mut Faults) -> Option<ProjectEntry> {
    let mut fields = Fields::item(node, path, faults)?;
    let mut place = fields.place().clone();
    let dir =
        fields.required("dir", "it is the directory from the repository's root; the root is `.`", faults, |node, f| {
            place = node.place.clone();
            parsed::<ProjectDir>(node, f)
        });
    let workspace = match fields.get("workspace") {
        Some(node) => parsed(node, faults),
        None => Some(Workspace::default()),
    };
    let name = fields.optional("name", faults, parsed);
    let tags = fields.optional("tags", faults, |node, faults| list(node, faults, tag));
    let base = dir.clone().unwrap_or_else(|| ".".parse().expect("the root is a directory"));
    let var_files = fields.optional("var_files", faults, |node, faults| {
        list(node, faults, |item, faults| {
            let path = text(item, faults)?;
            from_root(&base, path, item, faults).map(|_| path.to_owned())
        })
    });
    let terraform_version = fields.optional("terraform_version", faults, version_constraint);
    let watch = fields.optional("watch", faults, |node, faults| {
        list(node, faults, |item, faults| {
            let path = from_root(&base, text(item, faults)?, item, faults)?;
            checked(item, "a glob", faults, |_| glob(&path).map(|_| path.clone()))
        })
    });
    let after = fields.optional("after", faults, |node, faults| {
        list(node, faults, |item, faults| Some((parsed(item, faults)?, item.place.clone())))
    });
    let managed = fields.optional("state", faults, |node, faults| {
        one_of(node, &[("managed", ())], faults).map(|()| node.place.clone())
    });
    fields.finish(faults);
    let key = ProjectKey { dir: dir?, workspace: workspace? };
    Some(ProjectEntry { place, key, name, tags, var_files, terraform_version, watch, after, managed })
}

fn tag(node: &Node, faults: &mut Faults) -> Option<String> {
    checked(node, "a tag (letters, digits, `-`, `_`, `.`, `/`, at most 60)", faults, |text| {
        let sound = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
        (sound && !text.is_empty() && text.len() <= 60).then(|| text.to_owned())
    })
}

/// A path that is relative to a project's directory, from the repository's root instead.
fn from_root(base: &ProjectDir, path: &str, node: &Node, faults: &mut Faults) -> Option<String> {
    let prefix = base.prefix();
    let mut parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
    let mut inside = !path.is_empty() && !path.starts_with('/') && !path.chars().any(char::is_control);
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => inside &= parts.pop().is_some(),
            part => parts.push(part),
        }
    }
    if inside {
        return Some(parts.join("/"));
    }
    faults.add_help(
        &node.place,
        format!("{} is not a path inside the repository", quoted(path)),
        format!("paths are relative to the project's directory, `{base}`"),
    );
    None
}

/// An exact version, or constraints as Terraform writes them: `~> 1.5, != 1.5.2`.
pub(super) fn version_constraint(node: &Node, faults: &mut Faults) -> Option<String> {
    let wanted = "a version (`1.11.4`) or constraint (`~> 1.5, != 1.5.2`)";
    checked(node, wanted, faults, |text| text.split(',').all(is_constraint).then(|| text.to_owned()))
}

fn is_constraint(text: &str) -> bool {
    let version = text.trim().trim_start_matches(['=', '!', '>', '<', '~']);
    let operator = &text.trim()[..text.trim().len() - version.len()];
    let version = version.trim();
    let version = version.strip_prefix('v').unwrap_or(version);
    let (numbers, suffix) = version.split_once('-').map_or((version, None), |(numbers, rest)| (numbers, Some(rest)));
    let is_number = |part: &str| !part.is_empty() && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
    ["", "=", "!=", ">", ">=", "<", "<=", "~>"].contains(&operator)
        && numbers.split('.').count() <= 3
        && numbers.split('.').all(is_number)
        && suffix.is_none_or(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b)))
}
