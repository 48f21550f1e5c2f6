//! `terraplane webhook install`: makes the webhook of a repository, or mends the one that is there.

use super::forges;
use crate::config::{Environment, ServerConfig};
use crate::domain::id::RepoName;
use crate::forge::Installed;
use std::io::Write;
use std::path::Path;

/// `name`: `owner/name`, or with the forge's host before it. The exit code: 0; 1 if the forge did not let us; 2 if the
/// configuration is wrong, or the name is that of no forge in it.
///
/// # Errors
/// When the output cannot be written.
pub async fn install(
    name: &str,
    file: Option<&Path>,
    environment: &Environment,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let config = match ServerConfig::load(file, environment) {
        Ok(config) => config,
        Err(errors) => {
            writeln!(out, "{errors}")?;
            return Ok(2);
        }
    };
    let repo = match repository(name, &config.forges.hosts()) {
        Ok(repo) => repo,
        Err(why) => {
            writeln!(out, "error: {why}")?;
            return Ok(2);
        }
    };
    let hook = forges::hooks(&config.forges).into_iter().find(|hook| hook.host == repo.host());
    let forge = forges::connect(&config.forges)
        .into_iter()
        .find(|(kind, _)| hook.as_ref().is_some_and(|hook| hook.proof.kind() == *kind));
    let (Some(hook), Some((kind, forge))) = (hook, forge) else {
        writeln!(out, "error: no forge in the configuration is on `{}`", repo.host())?;
        return Ok(2);
    };
    let forge = match forge {
        Ok(forge) => forge,
        Err(error) => {
            writeln!(out, "error: {error}")?;
            return Ok(2);
        }
    };
    let url = config.link(&format!("webhooks/{kind}")).parse()?;
    match forge.install_webhook(&repo, &url, &hook.proof).await {
        Ok(done) => {
            let done = match done {
                Installed::Created => "made",
                Installed::Repaired => "mended",
            };
            writeln!(out, "The webhook of {repo} was {done}: it leads to {url}")?;
            if config.policy(&repo).is_none() {
                writeln!(
                    out,
                    "No entry of `repos` matches {repo}: until one does, nothing follows from its webhooks."
                )?;
            }
            Ok(0)
        }
        Err(error) => {
            writeln!(out, "The webhook of {repo} could not be made: {error}")?;
            Ok(1)
        }
    }
}

/// The repository that is meant, of those on these hosts.
fn repository(name: &str, hosts: &[String]) -> Result<RepoName, String> {
    let begins_with = |host: &&String| {
        name.split_once('/').is_some_and(|(first, rest)| first.eq_ignore_ascii_case(host) && rest.contains('/'))
    };
    if let Some(host) = hosts.iter().find(begins_with) {
        let path = &name[host.len() + 1..];
        return format!("{host}/{path}").parse().map_err(|error: crate::domain::id::InvalidId| error.to_string());
    }
    match hosts {
        [only] => format!("{only}/{name}")
            .parse()
            .map_err(|_| format!("`{name}` is not the name of a repository (owner/name)")),
        several => {
            let meant: Vec<String> = several.iter().map(|host| format!("`{host}/{name}`")).collect();
            Err(format!("`{name}` may be on several forges: write {}", meant.join(" or ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, hosts: &[&str]) -> Result<String, String> {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        repository(name, &hosts).map(|repo| repo.to_string())
    }

    #[test]
    fn a_repository_is_named_with_or_without_its_host() {
        let one = ["git.example.com:3000"];
        assert_eq!(found("acme/infra", &one), Ok("git.example.com:3000/acme/infra".into()));
        assert_eq!(found("GIT.example.com:3000/acme/infra", &one), Ok("git.example.com:3000/acme/infra".into()));
        assert_eq!(found("group/sub/infra", &["gitlab.com"]), Ok("gitlab.com/group/sub/infra".into()));
        let two = ["github.com", "git.example.com"];
        assert_eq!(found("git.example.com/acme/infra", &two), Ok("git.example.com/acme/infra".into()));
        assert_eq!(
            found("acme/infra", &two).unwrap_err(),
            "`acme/infra` may be on several forges: write `github.com/acme/infra` or `git.example.com/acme/infra`"
        );
        assert_eq!(found("infra", &one).unwrap_err(), "`infra` is not the name of a repository (owner/name)");
    }
}
