//! Asks a registry for one provider, in a directory that holds nothing but the question: neither the code of a pull
//! request nor its lock file is in reach, and what comes back is a zip that somebody else looks at.
//!
//! The tool itself does the talking (`providers mirror`), because it knows the protocol, the credentials and the
//! signatures. One provider at a time: so it is known without reading its words which one is in trouble.

use super::address::Provider;
use super::error::Trouble;
use super::mirror::platform;
use crate::domain::run::Step;
use crate::domain::sandbox::{Level, Limits, Network};
use crate::sandbox::Sandbox;
use crate::sandbox::egress::{self, Egress, Outside, Rules};
use crate::sandbox::log::LogWriter;
use crate::sandbox::policy::Policy;
use crate::sandbox::process::{Outcome, Spec};
use crate::sandbox::sink::Sink;
use crate::terraform::environment::{Environment, Installation};
use crate::terraform::steps::{LONGEST_OUTPUT, StepFailure, Steps};
use secrecy::SecretString;
use semver::Version;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the tool puts what it has fetched, below the directory of the fetch.
const OUT: &str = "out";

/// What the operator may grant to a run that also reaches its fetches, besides credentials of registries.
const NETWORK: [&str; 10] = [
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TF_REGISTRY_CLIENT_TIMEOUT",
    "TF_REGISTRY_DISCOVERY_RETRY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Which version is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wanted {
    Exactly(Version),
    /// The newest one that all these constraints allow.
    Newest(BTreeSet<String>),
}

/// What the cages of fetches are made with.
#[derive(Debug, Clone)]
pub struct Fetching {
    pub sandbox: Sandbox,
    /// The least level that is accepted.
    pub least: Level,
    /// What registries are, and where they send people to; `None`: what the network is otherwise.
    pub rules: Option<Rules>,
    pub network: Network,
    pub outside: Outside,
    pub limits: Limits,
}

impl Fetching {
    /// Cages in name only.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            sandbox: Sandbox::off(),
            least: Level::Off,
            rules: None,
            network: Network::Host,
            outside: Outside::default(),
            limits: Limits::default(),
        }
    }
}

/// What the registry gave.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) version: Version,
    pub(super) zip: PathBuf,
}

/// Fetches a provider into `dir`, an empty directory of its own. `network`: variables of the server's own environment
/// by which it reaches the outside.
pub(super) async fn fetch(
    steps: &Steps,
    fetching: &Fetching,
    network: &[(String, String)],
    dir: &Path,
    provider: &Provider,
    wanted: &Wanted,
) -> Result<Download, Trouble> {
    let settings = steps.settings();
    let environment = environment(steps, network, dir);
    let question = dir.join("question");
    let prepared = environment.prepare().and_then(|()| {
        fs::create_dir(&question)?;
        fs::write(question.join("main.tf.json"), configuration(provider, wanted))
    });
    prepared.map_err(Trouble::Disk)?;
    let platform = format!("-platform={}", platform());
    settings.log.line(&format!("$ {} providers mirror {platform}  # {provider}", settings.tool.product.program()));
    let to_log = || Sink::Log { log: settings.log.clone(), tail: LONGEST_OUTPUT };
    let spec = Spec {
        env: environment.plain,
        secret_env: environment.granted,
        stdout: to_log(),
        stderr: to_log(),
        deadline: settings.limits.init,
        grace: settings.limits.grace,
        cancel: settings.cancel.clone(),
        ..Spec::new(&settings.tool.path, &question).args(["providers", "mirror", &platform, &format!("../{OUT}")])
    };
    let outcome = start(spec, fetching, dir, &settings.log).await?;
    if !outcome.end.success() {
        let name = format!("`{} providers mirror`", settings.tool.product.program());
        let failure = Box::new(StepFailure::of(Step::Init, &name, &outcome));
        return Err(Trouble::Registry { provider: provider.clone(), failure });
    }
    let found = zip_in(&dir.join(OUT).join(provider.dir()), provider).map_err(Trouble::Disk)?;
    found.ok_or_else(|| Trouble::Nothing { provider: provider.clone() })
}

/// In a cage that sees its own directory and the tool, and reaches registries and the hosts that they send it to.
async fn start(mut spec: Spec, fetching: &Fetching, dir: &Path, log: &LogWriter) -> Result<Outcome, Trouble> {
    let Fetching { sandbox, least, rules, network, outside, limits } = fetching.clone();
    let tool = fs::canonicalize(&spec.program).unwrap_or_else(|_| spec.program.clone());
    let policy = Policy {
        least,
        tree: dir.to_owned(),
        scratch: dir.join("home"),
        on_disk: true,
        read_only: vec![spec.program.clone(), tool],
        writable: Vec::new(),
        network,
        limits,
    };
    let mut cage = sandbox.open(policy).await.map_err(|error| Trouble::Disk(io::Error::other(error)))?;
    let egress = Egress::of(&mut cage, rules, outside).map_err(Trouble::Disk)?;
    if let Some(proxy) = cage.proxy() {
        let variables = egress::variables(proxy);
        spec.env
            .retain(|(name, _)| name.to_lowercase() != "no_proxy" && !variables.iter().any(|(ours, _)| ours == name));
        spec.env.extend(variables);
    }
    let outcome = cage.run(spec).await.map_err(|error| Trouble::Disk(error.source));
    cage.close().await;
    for refusal in egress.iter().flat_map(Egress::refused) {
        log.line(&refusal.to_string());
    }
    outcome
}

/// The whole configuration. Everything in it has been checked to be an address, a version or constraints.
fn configuration(provider: &Provider, wanted: &Wanted) -> String {
    let version = match wanted {
        Wanted::Exactly(version) => format!("= {version}"),
        Wanted::Newest(constraints) => constraints.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    };
    let mut entry = json!({ "source": provider.to_string() });
    if !version.is_empty() {
        entry["version"] = version.into();
    }
    json!({ "terraform": { "required_providers": { "wanted": entry } } }).to_string()
}

fn environment(steps: &Steps, network: &[(String, String)], dir: &Path) -> Environment {
    let passed = |name: &str| name.starts_with("TF_TOKEN_") || NETWORK.contains(&name);
    let granted: Vec<(String, SecretString)> =
        steps.environment().granted.iter().filter(|(name, _)| passed(name)).cloned().collect();
    // It runs no program, so it needs no PATH, and it takes nothing from a mirror.
    let mut environment = Environment::new(dir, "", &Installation::Mirror(dir.join("none")), granted);
    let ours = network.iter().filter(|(name, _)| environment.granted.iter().all(|(granted, _)| granted != name));
    environment.plain.extend(ours.cloned());
    environment
}

/// The package in the tool's packed layout: `terraform-provider-NAME_VERSION_OS_ARCH.zip`.
fn zip_in(dir: &Path, provider: &Provider) -> io::Result<Option<Download>> {
    let (before, after) = (format!("terraform-provider-{}_", provider.name()), format!("_{}.zip", platform()));
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let version = name.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&after));
        if let Some(version) = version.and_then(|version| Version::parse(version).ok()) {
            return Ok(Some(Download { version, zip: entry.path() }));
        }
    }
    Ok(None)
}
