//! The server file, `server.yaml`, and the environment over it: everything the operator decides.

mod api;
mod forge;
mod policy;
mod sandbox;
mod upkeep;

pub use api::ApiToken;
pub use forge::{Forges, GiteaConfig, GithubAuth, GithubConfig, GitlabConfig};
pub use policy::{ModulesAccess, Phase, RepoPolicy};
pub use sandbox::{Confinement, Sandbox};
pub use upkeep::Cleanup;

use super::decode::{Fields, address, checked, duration, list, one_of, text};
use super::environment::{Environment, overlay};
use super::error::{ConfigErrors, Faults, quoted};
use super::repo::version_constraint;
use super::secret::Secrets;
use super::source::Source;
use super::yaml::{Node, parse};
use secrecy::{ExposeSecret as _, SecretString};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Everything the server needs to know, with every secret already found.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where HTTP is served. Default `0.0.0.0:4141`.
    pub listen: SocketAddr,
    /// How people and forges reach the server; without a `/` at its end when written out by [`ServerConfig::link`].
    pub url: Url,
    /// The command word, and the name of statuses and comment markers. Default `terraplane`.
    pub name: String,
    /// Plans, logs, mirrors, and with SQLite the database. Absolute. Default `/var/lib/terraplane`.
    pub data_dir: PathBuf,
    pub database: Database,
    /// What plans are encrypted with; `None`: a key in [`ServerConfig::encryption_key_path`], made at the first start.
    pub encryption_key: Option<SecretString>,
    pub forges: Forges,
    /// Which repositories are served, and how, in the order of the file.
    pub repos: Vec<RepoPolicy>,
    pub sandbox: Sandbox,
    pub concurrency: Concurrency,
    pub terraform: TerraformConfig,
    /// How long running applies may go on after the server was told to stop. Default 10 minutes.
    pub grace_period: Duration,
    /// What becomes of running applies then.
    pub on_stop: OnStop,
    /// How often to look for what no webhook told; `None`: never. Default 5 minutes.
    pub catch_up: Option<Duration>,
    pub cleanup: Cleanup,
    pub commands: Commands,
    /// Who may command by the API; nobody by default.
    pub api: Vec<ApiToken>,
    /// Templates of comments that stand in the place of the built-in ones.
    pub templates: Option<PathBuf>,
}

/// What becomes of running applies when the server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStop {
    /// `leave`, unless what ends the server ends all that it started: it is process 1, as in a container, or runs under
    /// systemd, whose default is that.
    #[default]
    Auto,
    /// They go on without the server, and the next one takes them up.
    Leave,
    /// The server waits for them, for as long as its grace period.
    Finish,
}

impl OnStop {
    /// Whether they go on without a server that is this process, with this environment.
    #[must_use]
    pub fn leaves_applies(self, process: u32, environment: &Environment) -> bool {
        match self {
            Self::Auto => process != 1 && !environment.contains_key("INVOCATION_ID"),
            Self::Leave => true,
            Self::Finish => false,
        }
    }
}

/// Where the facts are kept.
#[derive(Debug, Clone)]
pub enum Database {
    Sqlite(PathBuf),
    /// The URL, which may hold a password.
    Postgres(SecretString),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Plans and applies at a time. Default 4.
    pub runs: NonZeroUsize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Words that begin commands besides `name`, such as `atlantis`.
    pub names: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerraformConfig {
    /// Terraform and OpenTofu binaries to choose from, in order of preference; none: those on the `PATH`.
    pub binaries: Vec<PathBuf>,
    /// A version or constraint for projects which say nothing.
    pub default_version: Option<String>,
    /// Terraform's own configuration file, used as it is; none: providers come from the server's own mirror, which is
    /// filled from the registries.
    pub cli_config: Option<PathBuf>,
    /// Default 10 minutes.
    pub init_timeout: Duration,
    /// Default 30 minutes.
    pub plan_timeout: Duration,
    /// Default 1 hour.
    pub apply_timeout: Duration,
}

impl Default for TerraformConfig {
    fn default() -> Self {
        Self {
            binaries: Vec::new(),
            default_version: None,
            cli_config: None,
            init_timeout: Duration::from_secs(10 * 60),
            plan_timeout: Duration::from_secs(30 * 60),
            apply_timeout: Duration::from_secs(60 * 60),
        }
    }
}

impl Database {
    /// As the store wants it: `sqlite:PATH` or `postgres://…`.
    #[must_use]
    pub fn url(&self) -> SecretString {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()).into(),
            Self::Postgres(url) => url.clone(),
        }
    }
}

impl ServerConfig {
    /// Reads the file, if there is one, and lays the environment over it.
    ///
    /// # Errors
    /// With everything that is wrong, in the file, in the environment, and in what references point to.
    pub fn load(path: Option<&Path>, environment: &Environment) -> Result<Self, ConfigErrors> {
        let source = match path {
            None => Source { name: "the environment".to_owned(), ..Source::default() },
            Some(path) => read(path)?,
        };
        let directory = path.and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        Self::decode(source, &Secrets { environment, directory })
    }

    fn decode(source: Source, secrets: &Secrets<'_>) -> Result<Self, ConfigErrors> {
        let mut faults = Faults::new(Arc::new(source));
        let root = parse(&mut faults);
        let readable = root.is_some();
        let mut root = root.unwrap_or_default();
        if readable {
            overlay(&mut root, secrets.environment, &mut faults);
        }
        let config = if readable { server(&root, secrets, &mut faults) } else { None };
        faults.finish()?;
        Ok(config.expect("whatever is missing was reported"))
    }

    /// The address of a page of ours.
    #[must_use]
    pub fn link(&self, path: &str) -> String {
        format!("{}/{}", self.url.as_str().trim_end_matches('/'), path.trim_start_matches('/'))
    }

    /// What the server itself must keep to itself; what runs are granted is not among it.
    #[must_use]
    pub fn own_secrets(&self) -> Vec<SecretString> {
        let mut secrets = self.forges.secrets();
        secrets.extend(self.encryption_key.clone());
        secrets.extend(self.api.iter().map(|api| api.token.clone()));
        if let Database::Postgres(url) = &self.database {
            secrets.push(url.clone());
            let password = Url::parse(url.expose_secret()).ok().and_then(|url| url.password().map(str::to_owned));
            secrets.extend(password.map(SecretString::from));
        }
        secrets
    }

    /// Where the encryption key is kept if the configuration names none.
    #[must_use]
    pub fn encryption_key_path(&self) -> PathBuf {
        self.data_dir.join("key")
    }
}

fn read(path: &Path) -> Result<Source, ConfigErrors> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        let help = "name another file with `--config FILE`".to_owned();
        ConfigErrors::about_file(&name, format!("the file cannot be read: {error}"), Some(help))
    })?;
    Ok(Source { name, text, holds_secrets: true })
}

fn server(root: &Node, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<ServerConfig> {
    let mut fields = Fields::root(root, faults)?;
    let listen = fields.optional("listen", faults, |node, faults| {
        checked(node, "an address and port (`0.0.0.0:4141`)", faults, |text| text.parse().ok())
    });
    let advice =
        "set it to the address by which people and the forge reach this server: `https://terraplane.example.com`";
    let url = fields.required("url", advice, faults, own_url);
    let name = fields.optional("name", faults, command_word);
    let data_dir = fields.optional("data_dir", faults, absolute_path).unwrap_or_else(|| "/var/lib/terraplane".into());
    let database = fields.get("database");
    let database = match database {
        None => Some(Database::Sqlite(data_dir.join("terraplane.db"))),
        Some(node) => database_of(node, &data_dir, secrets, faults),
    };
    let encryption_key = fields.optional("encryption_key", faults, |node, faults| {
        let key = secrets.secret(node, faults)?;
        if key.expose_secret().len() < 32 {
            faults.add_help(
                &node.place,
                "the key is shorter than 32 characters",
                "make one with `openssl rand -hex 32`",
            );
        }
        Some(key)
    });
    let forges = forge::forges(&mut fields, secrets, faults);
    let hosts = forges.as_ref().map(Forges::hosts).unwrap_or_default();
    let path = fields.path_of("repos");
    let repos = fields.optional("repos", faults, |node, faults| {
        list(node, faults, |item, f| policy::repo(item, &path, &hosts, secrets, f))
    });
    let sandbox = fields.below("sandbox", faults).map(|fields| sandbox::sandbox(fields, faults));
    let concurrency = fields.below("concurrency", faults).and_then(|fields| concurrency(fields, faults));
    let concurrency = concurrency.unwrap_or(Concurrency { runs: NonZeroUsize::new(4).expect("4 is not 0") });
    let sandbox = sandbox.unwrap_or_default().with_users_for(concurrency.runs.get());
    if sandbox.users.len() < concurrency.runs.get() * 2
        && let Some(node) = fields.get("sandbox")
    {
        let help = format!("for {} runs at a time, name {} at the least", concurrency.runs, concurrency.runs.get() * 2);
        faults.add_help(&node.place, "`users` of `sandbox` are fewer than two for each run", help);
    }
    let terraform = fields.below("terraform", faults).map(|fields| terraform(fields, faults));
    let grace_period = fields.optional("grace_period", faults, duration);
    let templates = fields.optional("templates", faults, absolute_path);
    let ways = [("auto", OnStop::Auto), ("leave", OnStop::Leave), ("finish", OnStop::Finish)];
    let on_stop = fields.optional("on_stop", faults, |node, faults| one_of(node, &ways, faults));
    let catch_up = fields.below("catch_up", faults).map(|fields| upkeep::catch_up(fields, faults));
    let cleanup = fields.below("cleanup", faults).map(|fields| upkeep::cleanup(fields, faults));
    let commands = fields.below("commands", faults).map(|fields| commands(fields, faults));
    let path = fields.path_of("api");
    let api = fields.optional("api", faults, |node, faults| {
        list(node, faults, |item, faults| api::token(item, &path, secrets, faults))
    });
    fields.finish(faults);
    Some(ServerConfig {
        listen: listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 4141))),
        url: url?,
        name: name.unwrap_or_else(|| "terraplane".to_owned()),
        data_dir,
        database: database?,
        encryption_key,
        forges: forges?,
        repos: repos.unwrap_or_default(),
        sandbox,
        concurrency,
        terraform: terraform.unwrap_or_default(),
        grace_period: grace_period.unwrap_or(Duration::from_secs(10 * 60)),
        templates,
        on_stop: on_stop.unwrap_or_default(),
        catch_up: catch_up.unwrap_or(Some(upkeep::USUAL_CATCH_UP)),
        cleanup: cleanup.unwrap_or_default(),
        commands: commands.unwrap_or_default(),
        api: api.unwrap_or_default(),
    })
}

fn own_url(node: &Node, faults: &mut Faults) -> Option<Url> {
    let wanted = "an address such as `https://terraplane.example.com`";
    address(node, wanted, faults, |url| matches!(url.scheme(), "http" | "https"))
}

/// A word that begins commands and names statuses: small enough for both.
fn command_word(node: &Node, faults: &mut Faults) -> Option<String> {
    checked(node, "a word of lower-case letters, digits and `-`, at most 30", faults, |text| {
        let sound = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        (sound && begins && text.len() <= 30).then(|| text.to_owned())
    })
}

/// Made absolute, because the paths of saved plans must not depend on where the server was started.
fn absolute_path(node: &Node, faults: &mut Faults) -> Option<PathBuf> {
    checked(node, "a path", faults, |text| std::path::absolute(text).ok())
}

fn database_of(node: &Node, data_dir: &Path, secrets: &Secrets<'_>, faults: &mut Faults) -> Option<Database> {
    let written = text(node, faults)?;
    if let Some(path) = written.strip_prefix("sqlite") {
        return match path.strip_prefix(':') {
            None if path.is_empty() => Some(Database::Sqlite(data_dir.join("terraplane.db"))),
            Some(path) if !path.is_empty() => Some(Database::Sqlite(data_dir.join(path))),
            _ => {
                faults.add(&node.place, format!("{} is not `sqlite` or `sqlite:PATH`", quoted(written)));
                None
            }
        };
    }
    let with_password = Url::parse(written).is_ok_and(|url| url.password().is_some());
    let url = if with_password { secrets.secret(node, faults)? } else { secrets.value(node, faults)? };
    let parsed = Url::parse(url.expose_secret()).ok();
    if parsed.is_some_and(|url| matches!(url.scheme(), "postgres" | "postgresql")) {
        return Some(Database::Postgres(url));
    }
    faults.hide(node);
    faults.add_help(
        &node.place,
        "this is no database that can be used",
        "write `sqlite`, `postgres://user@host/name`, or `env:NAME` of a variable with such an address",
    );
    None
}

fn concurrency(mut fields: Fields<'_>, faults: &mut Faults) -> Option<Concurrency> {
    let runs = fields.optional("runs", faults, |node, faults| {
        checked(node, "a number from 1 to 1000", faults, |text| {
            text.parse::<NonZeroUsize>().ok().filter(|runs| runs.get() <= 1000)
        })
    });
    fields.finish(faults);
    runs.map(|runs| Concurrency { runs })
}

fn commands(mut fields: Fields<'_>, faults: &mut Faults) -> Commands {
    let names = fields.optional("names", faults, |node, faults| list(node, faults, command_word));
    fields.finish(faults);
    Commands { names: names.unwrap_or_default() }
}

fn terraform(mut fields: Fields<'_>, faults: &mut Faults) -> TerraformConfig {
    let usual = TerraformConfig::default();
    let config = TerraformConfig {
        binaries: fields
            .optional("binaries", faults, |node, faults| list(node, faults, absolute_path))
            .unwrap_or_default(),
        default_version: fields.optional("default_version", faults, version_constraint),
        cli_config: fields.optional("cli_config", faults, absolute_path),
        init_timeout: fields.optional("init_timeout", faults, duration).unwrap_or(usual.init_timeout),
        plan_timeout: fields.optional("plan_timeout", faults, duration).unwrap_or(usual.plan_timeout),
        apply_timeout: fields.optional("apply_timeout", faults, duration).unwrap_or(usual.apply_timeout),
    };
    fields.finish(faults);
    config
}
