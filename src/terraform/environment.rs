//! The environment of every Terraform process, built from nothing: what the tool needs, what the operator granted, and
//! nothing of the server's.

use super::untrusted;
use crate::domain::grant::refusal;
use crate::domain::id::Workspace;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where Terraform takes providers from: what its own configuration file (the CLI configuration) says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Installation {
    /// Our mirror at this path, and nothing else. Without a `provider_installation` of ours, Terraform would also take
    /// providers from `terraform.d/plugins` in the work tree, that is, execute a binary that a pull request brought
    /// along.
    Mirror(PathBuf),
    /// What the operator's own CLI configuration file says.
    Operator(PathBuf),
}

impl Installation {
    /// The file that is ours to write.
    fn cli_config(&self) -> Option<String> {
        let Self::Mirror(path) = self else { return None };
        // JSON's quotes are HCL's.
        let path = serde_json::Value::from(path.to_string_lossy());
        Some(format!(
            "disable_checkpoint = true\nprovider_installation {{\n  filesystem_mirror {{\n    path = {path}\n  }}\n}}\n"
        ))
    }
}

/// The variables of one run's processes.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    pub(super) plain: Vec<(String, String)>,
    pub(super) granted: Vec<(String, SecretString)>,
    /// Names of granted variables that are not passed on.
    pub(super) refused: Vec<String>,
    home: PathBuf,
    tmp: PathBuf,
    /// The CLI configuration file and what is to be written to it; `None`: the operator's own is used.
    own_config: Option<(PathBuf, String)>,
}

impl Environment {
    /// `scratch`: a directory of the run, outside of the code. Where several values of a name are granted, the last one
    /// holds.
    pub(super) fn new(
        scratch: &Path,
        path: &str,
        installation: &Installation,
        granted: Vec<(String, SecretString)>,
    ) -> Self {
        let (home, tmp) = (scratch.join("home"), scratch.join("tmp"));
        let own_config = installation.cli_config().map(|text| (scratch.join("terraform.rc"), text));
        let cli_config = match (&own_config, installation) {
            (Some((ours, _)), _) => ours,
            (None, Installation::Mirror(path) | Installation::Operator(path)) => path,
        };
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let ours = [
            ("CHECKPOINT_DISABLE", "1".to_owned()),
            ("HOME", shown(&home)),
            ("LANG", "C.UTF-8".to_owned()),
            ("PATH", path.to_owned()),
            ("TF_CLI_CONFIG_FILE", shown(cli_config)),
            ("TF_INPUT", "0".to_owned()),
            ("TF_IN_AUTOMATION", "1".to_owned()),
            ("TMPDIR", shown(&tmp)),
        ];
        let (granted, refused) = permitted(granted);
        Self {
            plain: ours.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            granted,
            refused,
            home,
            tmp,
            own_config,
        }
    }

    /// Adds what the server itself must tell the steps; no grant can take its place.
    pub(super) fn own(mut self, own: Vec<(String, SecretString)>) -> Self {
        self.granted.retain(|(name, _)| !own.iter().any(|(ours, _)| ours == name));
        self.granted.extend(own);
        self
    }

    /// `default` is left unset: an HCP workspace that the code names would contradict it.
    pub(super) fn workspace(mut self, workspace: &Workspace) -> Self {
        if *workspace != Workspace::default() {
            self.plain.push(("TF_WORKSPACE".into(), workspace.to_string()));
        }
        self
    }

    /// Makes the files and directories that the variables name. Done before every step: the code that an earlier one ran
    /// may have changed them.
    pub(super) fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.home)?;
        fs::create_dir_all(&self.tmp)?;
        match &self.own_config {
            Some((path, text)) => untrusted::replace(path, text.as_bytes()),
            None => Ok(()),
        }
    }
}

/// Divides grants into those that are passed on, by name, and the names of the others. The configuration refuses them
/// already; this holds wherever a grant comes from.
pub(super) fn permitted(granted: Vec<(String, SecretString)>) -> (Vec<(String, SecretString)>, Vec<String>) {
    let (granted, refused): (Vec<_>, Vec<_>) = granted.into_iter().partition(|(name, _)| refusal(name).is_none());
    let granted: BTreeMap<String, SecretString> = granted.into_iter().collect();
    (granted.into_iter().collect(), refused.into_iter().map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(environment: &Environment) -> Vec<&str> {
        let granted = environment.granted.iter().map(|(name, _)| name.as_str());
        environment.plain.iter().map(|(name, _)| name.as_str()).chain(granted).collect()
    }

    fn grant(of: &[&str]) -> Vec<(String, SecretString)> {
        of.iter().map(|name| ((*name).to_owned(), "granted".into())).collect()
    }

    fn environment(path: &str, granted: Vec<(String, SecretString)>) -> Environment {
        Environment::new(Path::new("/scratch"), path, &Installation::Mirror("/mirror".into()), granted)
    }

    #[test]
    fn the_operators_cli_configuration_is_used_as_it_is() {
        let operators = Installation::Operator("/etc/terraform.rc".into());
        let environment = Environment::new(Path::new("/scratch"), "", &operators, vec![]);
        assert!(environment.plain.contains(&("TF_CLI_CONFIG_FILE".to_owned(), "/etc/terraform.rc".to_owned())));
        assert!(environment.own_config.is_none());
    }

    #[test]
    fn nothing_is_in_it_but_what_is_written_here_and_what_was_granted() {
        let environment = environment("/usr/bin", grant(&["AWS_PROFILE", "TF_VAR_x"]));
        assert_eq!(
            names(&environment),
            [
                "CHECKPOINT_DISABLE",
                "HOME",
                "LANG",
                "PATH",
                "TF_CLI_CONFIG_FILE",
                "TF_INPUT",
                "TF_IN_AUTOMATION",
                "TMPDIR",
                "AWS_PROFILE",
                "TF_VAR_x"
            ]
        );
    }

    #[test]
    fn a_grant_replaces_nothing_that_gives_the_steps_their_meaning() {
        let granted = ["HOME", "TF_CLI_ARGS_plan", "TF_DATA_DIR", "TF_CLI_CONFIG_FILE", "TF_WORKSPACE", "LD_PRELOAD"];
        let environment = environment("/usr/bin", grant(&granted));
        assert_eq!(environment.refused, granted);
        assert!(environment.granted.is_empty());
    }

    #[test]
    fn what_the_server_tells_the_steps_stands_over_every_grant() {
        let environment = environment("", grant(&["A", "B"]));
        let environment = environment.own(vec![("A".into(), "ours".into()), ("TF_HTTP_ADDRESS".into(), "ours".into())]);
        let granted: Vec<_> = environment.granted.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(granted, ["B", "A", "TF_HTTP_ADDRESS"]);
    }

    #[test]
    fn the_workspace_is_set_unless_it_is_the_default_one() {
        let of = |workspace: &str| {
            let environment = environment("", vec![]);
            environment.workspace(&workspace.parse().unwrap()).plain.last().cloned().unwrap()
        };
        assert_eq!(of("staging"), ("TF_WORKSPACE".to_owned(), "staging".to_owned()));
        assert_eq!(of("default").0, "TMPDIR");
    }

    #[test]
    fn granted_values_are_never_printed() {
        let environment = environment("", grant(&["TOKEN"]));
        assert!(!format!("{environment:?}").contains("granted\""), "{environment:?}");
    }
}
