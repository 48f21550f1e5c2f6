//! The `repos` part: which repositories are served, what holds for them, and which variables terraform may see.

use super::ServerConfig;
use super::sandbox::{self, Partial};
use crate::config::decode::{Fields, boolean, checked, list};
use crate::config::error::{Faults, quoted};
use crate::config::repo::RepoConfig;
use crate::config::rules::Match;
use crate::config::secret::{Secrets, is_reference};
use crate::config::yaml::{Node, Value};
use crate::domain::grant::refusal;
use crate::domain::id::RepoName;
use crate::domain::project::{Project, glob};
use globset::GlobSet;
use secrecy::SecretString;
use std::collections::BTreeMap;
use url::{Position, Url};

/// Characters that make a pattern of a name.
const PATTERN: [char; 4] = ['*', '?', '[', '{'];

/// What holds for the repositories that `match` names.
#[derive(Debug, Clone)]
pub struct RepoPolicy {
    /// Host, owner and name, lower case: forges do not tell case apart.
    matches: GlobSet,
    /// The one repository that `match` names, if it is no pattern.
    exactly: Option<RepoName>,
    /// Weaker than the repository's file.
    pub defaults: RepoConfig,
    /// Stronger than the repository's file.
    pub enforce: RepoConfig,
    pub(super) sandbox: Partial,
    labels: Option<bool>,
    grants: Vec<Grant>,
    modules: Option<ModulesPolicy>,
}

/// A token for private modules, as it is written.
#[derive(Debug, Clone)]
struct ModulesPolicy {
    token: SecretString,
    /// `None`: the host of the repository.
    hosts: Option<Vec<String>>,
}

/// What `terraform init` may show to hosts that have private modules.
#[derive(Debug, Clone)]
pub struct ModulesAccess {
    pub token: SecretString,
    /// `HOST` or `HOST:PORT`.
    pub hosts: Vec<String>,
}

/// Variables for some projects.
#[derive(Debug, Clone)]
struct Grant {
    matches: Match,
    init: Vec<(String, SecretString)>,
    plan: Vec<(String, SecretString)>,
    apply: Vec<(String, SecretString)>,
}

/// What a run is about to do: an apply may be granted more than a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `terraform init`, which runs none of the pull request's code. It is granted this besides what it is a part of.
    Init,
    Plan,
    Apply,
}

impl RepoPolicy {
    /// The one repository that `match` names; `None` if it is a pattern.
    #[must_use]
    pub const fn exactly(&self) -> Option<&RepoName> {
        self.exactly.as_ref()
    }

    #[must_use]
    pub fn matches(&self, repo: &RepoName) -> bool {
        self.matches.is_match(repo.to_string().to_lowercase())
    }
}

impl ServerConfig {
    /// The entries about a repository, the strongest last.
    fn entries(&self, repo: &RepoName) -> impl DoubleEndedIterator<Item = &RepoPolicy> {
        self.repos.iter().filter(move |policy| policy.matches(repo))
    }

    /// Everything that the server says of a repository, later entries over earlier ones; `None`: it is not served.
    #[must_use]
    pub fn policy(&self, repo: &RepoName) -> Option<RepoPolicy> {
        self.entries(repo).cloned().reduce(|weaker, stronger| RepoPolicy {
            matches: stronger.matches,
            exactly: stronger.exactly,
            defaults: weaker.defaults.overlaid(&stronger.defaults),
            enforce: weaker.enforce.overlaid(&stronger.enforce),
            sandbox: weaker.sandbox.overlaid(&stronger.sandbox),
            labels: stronger.labels.or(weaker.labels),
            grants: weaker.grants.into_iter().chain(stronger.grants).collect(),
            modules: stronger.modules.or(weaker.modules),
        })
    }

    /// Whether a label says what a plan comes to. Default: no.
    #[must_use]
    pub fn labels_for(&self, repo: &RepoName) -> bool {
        self.entries(repo).rev().find_map(|policy| policy.labels).unwrap_or(false)
    }

    /// The token for a repository's private modules, if there is one; the last entry that has one counts.
    #[must_use]
    pub fn modules_for(&self, repo: &RepoName) -> Option<ModulesAccess> {
        let ModulesPolicy { token, hosts } = self.policy(repo)?.modules?;
        Some(ModulesAccess { token, hosts: hosts.unwrap_or_else(|| vec![repo.host().to_owned()]) })
    }

    /// The variables that terraform may see, by name; of several grants of one variable the last wins. The project's
    /// name and tags have to be those of [`crate::config::resolve()`], which does not take them from a pull request.
    #[must_use]
    pub fn env_for(&self, repo: &RepoName, project: &Project, phase: Phase) -> Vec<(String, SecretString)> {
        let mut granted = BTreeMap::new();
        for grant in self.entries(repo).flat_map(|policy| &policy.grants) {
            if grant.matches.matches(project) {
                let variables = match phase {
                    Phase::Init => &grant.init,
                    Phase::Plan => &grant.plan,
                    Phase::Apply => &grant.apply,
                };
                granted.extend(variables.iter().cloned());
            }
        }
        granted.into_iter().collect()
    }
}

pub(super) fn repo(
    node: &Node,
    path: &[String],
    hosts: &[String],
    secrets: &Secrets<'_>,
    faults: &mut Faults,
) -> Option<RepoPolicy> {
    let mut fields = Fields::item(node, path, faults)?;
    let advice = "it names repositories by host, owner and name, as a glob: `github.com/acme/infra-*`";
    let matches = fields.required("match", advice, faults, |node, faults| repo_glob(node, hosts, faults));
    let mut layer = |key, faults: &mut Faults| {
        let path = fields.path_of(key);
        fields.get(key).map(|node| RepoConfig::decode(node, &path, faults)).unwrap_or_default()
    };
    let (defaults, enforce) = (layer("defaults", faults), layer("enforce", faults));
    let path = fields.path_of("env");
    let grants = fields
        .optional("env", faults, |node, faults| list(node, faults, |item, f| grant(item, &path, secrets, f)))
        .unwrap_or_default();
    let sandbox = fields.below("sandbox", faults).map(|fields| sandbox::of_repo(fields, faults)).unwrap_or_default();
    let labels = fields.optional("labels", faults, boolean);
    let modules = fields.below("modules", faults).map(|fields| modules(fields, secrets, faults));
    fields.finish(faults);
    let (matches, exactly) = matches?;
    Some(RepoPolicy { matches, exactly, defaults, enforce, sandbox, labels, grants, modules: modules.flatten() })
}

fn modules(mut fields: Fields<'_>, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<ModulesPolicy> {
    let advice = "write `env:NAME` of a variable with a token that can read the modules, and nothing else";
    let token = fields.required("token", advice, faults, |node, faults| secrets.secret(node, faults));
    let hosts = fields.optional("hosts", faults, |node, faults| list(node, faults, module_host));
    fields.finish(faults);
    Some(ModulesPolicy { token: token?, hosts })
}

/// A host as it stands in an address, with its port if that is not the usual one; no pattern, for a token is shown to it.
fn module_host(node: &Node, faults: &mut Faults) -> Option<String> {
    checked(node, "the name of a host, such as `github.com`", faults, |text| {
        let url = Url::parse(&format!("https://{text}/")).ok()?;
        (url[Position::BeforeHost..Position::BeforePath] == *text && !text.contains(PATTERN)).then(|| text.to_owned())
    })
}

fn repo_glob(node: &Node, hosts: &[String], faults: &mut Faults) -> Option<(GlobSet, Option<RepoName>)> {
    let wanted = "a glob over host/owner/name, such as `github.com/acme/infra-*`";
    let text = crate::config::decode::text(node, faults)?;
    let named = text.split('/').next().unwrap_or_default();
    let is_name = !named.contains(PATTERN);
    if !hosts.is_empty() && is_name && !hosts.iter().any(|host| named.eq_ignore_ascii_case(host)) {
        let meant = |host: &String| match text.matches('/').count() {
            1 => format!("`{host}/{text}`"),
            _ => format!("`{}`", text.replacen(named, host, 1)),
        };
        let spoken_with = hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(" or ");
        let message = format!("{} is not on {spoken_with}, which this server speaks with", quoted(text));
        let meant = hosts.iter().map(meant).collect::<Vec<_>>().join(" or ");
        faults.add_help(&node.place, message, format!("did you mean {meant}?"));
        return None;
    }
    checked(node, wanted, faults, |text| {
        let whole = text.matches('/').count() >= 2 || text.ends_with("**");
        let glob = glob(&text.to_lowercase()).filter(|_| whole && !text.contains("//") && !text.ends_with('/'))?;
        Some((glob, if text.contains(PATTERN) { None } else { text.parse().ok() }))
    })
}

fn grant(node: &Node, path: &[String], secrets: &Secrets<'_>, faults: &mut Faults) -> Option<Grant> {
    let mut fields = Fields::item(node, path, faults)?;
    let matches = fields.required("match", "`\"*\"` is every project", faults, Match::decode);
    let mut variables = |key, faults: &mut Faults| {
        fields.optional(key, faults, |node, faults| variables(node, secrets, faults)).unwrap_or_default()
    };
    let (init, plan, apply) = (variables("init", faults), variables("plan", faults), variables("apply", faults));
    fields.finish(faults);
    Some(Grant { matches: matches?, init, plan, apply })
}

fn variables(node: &Node, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<Vec<(String, SecretString)>> {
    // A mapping whose keys are free, so it is not read by `Fields`.
    let Value::Map(entries) = &node.value else {
        faults.hide(node);
        faults.add(&node.place, format!("this must be a mapping of variables (`NAME: value`), and is {}", node.kind()));
        return None;
    };
    let mut variables = Vec::new();
    for (key, value) in entries {
        // Nobody knows which literals are secret.
        if !matches!(&value.value, Value::Scalar(text) if is_reference(text)) {
            faults.hide(value);
        }
        let name = key.text.as_str();
        let sound = !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.is_empty();
        if !sound {
            let named = faults.key(key).unwrap_or_else(|| "this".to_owned());
            faults.add(&key.place, format!("{named} is not the name of a variable"));
        } else if let Some(why) = refusal(name) {
            faults.add_help(&key.place, format!("{} cannot be granted", quoted(name)), why);
        } else if let Some(value) = secrets.value(value, faults) {
            variables.push((name.to_owned(), value));
        }
    }
    Some(variables)
}
