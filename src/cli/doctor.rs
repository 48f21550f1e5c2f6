//! `terraplane doctor`: whether this host and the forge let the server do its work, and what to do where they don't.
//!
//! Each thing is looked at as the server itself would use it, so that what is fine here is fine there.

use super::{find_sandbox, forges};
use crate::config::{Environment, ServerConfig};
use crate::forge::Finding;
use crate::git::Git;
use crate::sandbox::process::find_program;
use crate::sandbox::{Level, Sandbox};
use crate::store::Store;
use crate::terraform::install::Tools;
use secrecy::ExposeSecret as _;
use semver::Version;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// `merge-tree --write-tree` came with it: without that nothing can be planned at all.
const LEAST_GIT: Version = Version::new(2, 38, 0);
/// How long the database and the server's own address may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looks at everything and prints it. `helper`: the `terraplane` binary, if it is not this program. The exit code: 0; 1 if something is not in order; 2 if the configuration is wrong.
///
/// # Errors
/// When the output cannot be written, or there is no place for temporary files.
pub async fn doctor(
    file: Option<&Path>,
    environment: &Environment,
    helper: Option<PathBuf>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let config = match ServerConfig::load(file, environment) {
        Ok(config) => config,
        Err(errors) => {
            writeln!(out, "{errors}")?;
            return Ok(2);
        }
    };
    let scratch = tempfile::tempdir()?;
    let path = OsStr::new(environment.get("PATH").map_or("", String::as_str));
    let mut chart = Chart { out, ailments: 0, seen: BTreeSet::new() };
    chart.add(&configuration(&config, file))?;
    chart.add(&data_dir(&config.data_dir))?;
    chart.add(&database(&config).await)?;
    for finding in terraform(&config, path, scratch.path()).await {
        chart.add(&finding)?;
    }
    chart.add(&git(path, scratch.path()).await)?;
    for finding in sandbox(&config, helper).await {
        chart.add(&finding)?;
    }
    for finding in forge(&config).await {
        chart.add(&finding)?;
    }
    chart.add(&reachable(&config).await)?;
    chart.end()
}

/// What was found, printed as it is found.
struct Chart<'o> {
    out: &'o mut (dyn Write + Send),
    ailments: usize,
    /// Looking at a second repository finds the same about the account.
    seen: BTreeSet<String>,
}

impl Chart<'_> {
    fn add(&mut self, finding: &Finding) -> io::Result<()> {
        if !self.seen.insert(finding.what.clone()) {
            return Ok(());
        }
        writeln!(self.out, "{}  {}", if finding.ok { "ok   " } else { "WRONG" }, finding.what)?;
        if !finding.ok {
            self.ailments += 1;
        }
        if !finding.advice.is_empty() {
            writeln!(self.out, "       → {}", finding.advice.replace('\n', "\n         "))?;
        }
        self.out.flush()
    }

    fn end(self) -> anyhow::Result<u8> {
        match self.ailments {
            0 => writeln!(self.out, "\nEverything is in order.")?,
            1 => writeln!(self.out, "\n1 thing is not in order.")?,
            more => writeln!(self.out, "\n{more} things are not in order.")?,
        }
        Ok(u8::from(self.ailments > 0))
    }
}

fn good(what: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok: true, advice: String::new() }
}

fn bad(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { what: what.into(), ok: false, advice: advice.into() }
}

fn configuration(config: &ServerConfig, file: Option<&Path>) -> Finding {
    let what = match file {
        Some(file) => format!("configuration: {}", file.display()),
        None => "configuration: from the environment alone".to_owned(),
    };
    if config.repos.is_empty() {
        return bad(what, "no repository is served: list them below `repos`, or set TERRAPLANE_REPOS__0__MATCH");
    }
    good(what)
}

fn data_dir(dir: &Path) -> Finding {
    let what = format!("data_dir: {} can be written", dir.display());
    let tried =
        std::fs::create_dir_all(dir).and_then(|()| tempfile::NamedTempFile::new_in(dir)).and_then(|mut file| {
            file.write_all(b"x")?;
            file.as_file().sync_all()
        });
    match tried {
        Ok(()) => good(what),
        Err(error) => bad(what, format!("{error}: the account that runs the server has to own the directory")),
    }
}

async fn database(config: &ServerConfig) -> Finding {
    let what = match &config.database {
        crate::config::Database::Sqlite(path) => format!("database: SQLite at {} answers", path.display()),
        crate::config::Database::Postgres(_) => "database: PostgreSQL answers".to_owned(),
    };
    let asked = async {
        let store = Store::open(config.database.url().expose_secret()).await?;
        let answer = store.ready().await;
        store.close().await;
        answer
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(())) => good(what),
        Ok(Err(error)) => bad(what, error.to_string()),
        Err(_) => bad(
            what,
            format!("no answer in {} s: is the address right, and may this host reach it?", PATIENCE.as_secs()),
        ),
    }
}

async fn terraform(config: &ServerConfig, path: &OsStr, scratch: &Path) -> Vec<Finding> {
    let tools = Tools::new(&config.terraform.binaries, path, scratch);
    let all = tools.all().await;
    if all.is_empty() {
        let advice = "install terraform or tofu, or name them below `terraform: {binaries: […]}`";
        return vec![bad("terraform: on the PATH", advice)];
    }
    let mut findings: Vec<Finding> = all
        .into_iter()
        .map(|tool| match tool {
            Ok(tool) => good(format!("terraform: {} at {}", tool.identity(), tool.path.display())),
            Err(broken) => bad(format!("terraform: {}", broken.path.display()), broken.why),
        })
        .collect();
    if let Some(version) = &config.terraform.default_version {
        let what = format!("terraform: one that satisfies the default version `{version}`");
        findings.push(match tools.choose([version.as_str()]).await {
            Ok(_) => good(what),
            Err(error) => bad(what, error.to_string()),
        });
    }
    findings
}

async fn git(path: &OsStr, scratch: &Path) -> Finding {
    let Some(program) = find_program(Path::new("git"), path) else {
        return bad("git: on the PATH", format!("install git {LEAST_GIT} or newer"));
    };
    let what = format!("git: {}", program.display());
    let asked = match Git::new(program, scratch.join("git"), Vec::new(), Sandbox::off()) {
        Ok(git) => git.version().await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(text) => git_version(&what, &text),
        Err(error) => bad(what, error.to_string()),
    }
}

/// `text` is what git says of itself: three numbers, and on some systems more.
fn git_version(what: &str, text: &str) -> Finding {
    let what = format!("{what}, version {text}");
    let mut numbers = text.split('.').map(|part| part.parse().ok());
    let version = match (numbers.next().flatten(), numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor), patch) => Version::new(major, minor, patch.unwrap_or(0)),
        _ => return bad(what, "this version cannot be understood"),
    };
    if version < LEAST_GIT {
        let lacks = "it cannot merge without a work tree (`merge-tree --write-tree`)";
        bad(what, format!("{lacks}: install git {LEAST_GIT} or newer"))
    } else {
        good(what)
    }
}

/// What holds is what the server would find; why no better level holds is told where it matters.
async fn sandbox(config: &ServerConfig, helper: Option<PathBuf>) -> Vec<Finding> {
    let required = config.sandbox.require;
    let sandbox = match find_sandbox(config, helper).await {
        Ok(sandbox) => sandbox,
        Err(error) => return vec![bad("sandbox: its level can be found out", format!("{error:#}"))],
    };
    let level = sandbox.level();
    let what = format!("sandbox: level `{level}` holds, `{required}` is required");
    let said = match level.banner() {
        Some(banner) => format!("{what}; {banner}"),
        None => what,
    };
    let mut findings = Vec::new();
    if level < required {
        findings
            .push(bad(said, "runs are refused until a better level holds, or less is required (`sandbox.require`)"));
    } else {
        findings.push(good(said));
    }
    findings.extend(sandbox.findings().iter().map(|finding| {
        let what = format!("sandbox: level `{}` does not hold: {}", finding.level, finding.why);
        // Worse than what is there is a matter of taste; worse than what is required is not.
        let ok = finding.level > required || level >= required;
        Finding { what, ok, advice: finding.advice.clone() }
    }));
    if level < Level::Full {
        let advice = "pull requests from forks are refused below level `full`".to_owned();
        findings.push(Finding { advice, ..good("sandbox: forks") });
    }
    findings
}

/// Each forge is asked about itself, and about those of its repositories that the configuration names.
async fn forge(config: &ServerConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, forge) in forges::connect(&config.forges) {
        let forge = match forge {
            Ok(forge) => forge,
            Err(error) => {
                findings.push(bad(format!("{}: the settings can be used", kind.name()), error.to_string()));
                continue;
            }
        };
        let named = config.repos.iter().filter_map(|policy| policy.exactly());
        let repos: Vec<_> = named.filter(|repo| repo.host() == forge.host()).collect();
        if repos.is_empty() {
            findings.extend(forge.doctor(None).await);
        }
        for repo in repos {
            findings.extend(forge.doctor(Some(repo)).await);
        }
    }
    findings
}

/// What can be seen from here; the forge may still stand behind another firewall.
async fn reachable(config: &ServerConfig) -> Finding {
    let address = config.link("/healthz");
    let what = format!("webhooks: the server answers at {address}");
    let asked = async {
        let client =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        client.get(&address).send().await
    };
    match asked.await {
        Ok(answer) if answer.status().is_success() => good(what),
        Ok(answer) => bad(
            what,
            format!("it answers {}: is something else there, or a proxy that does not pass it on?", answer.status()),
        ),
        Err(error) => {
            let why = source_text(&error);
            bad(what, format!("{why}: is the server running, and does `url` lead to it?"))
        }
    }
}

/// The innermost cause, which is what people understand: `Connection refused`.
fn source_text(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
