//! Variables that change what terraform, git or any program does: the server's own environment may hold them, a pull
//! request and an operator's grants may ask for them.

use super::attack::{Attack, by, test};
use super::bare;
use crate::scenario::serving::{Serving, Under};
use crate::scenario::{MANAGED, resource};
use crate::stage::Setup;
use crate::world::program;
use std::fs;
use std::path::Path;
use terraplane::config::{Environment, ServerConfig};

pub(super) const ATTACKS: &[Attack] = &[by(
    41,
    "variables of terraform, git, the linker or a proxy",
    &[
        test!(
            "tests/it/attacks/variables.rs",
            "variables_that_work_bare_are_granted_to_nobody_and_handed_on_by_nobody"
        ),
        test!("src/domain/grant.rs", "what_changes_the_meaning_of_steps_or_what_is_seen_of_them_cannot"),
        test!("src/terraform/steps/tests.rs", "variables_that_would_change_the_steps_are_not_passed_on"),
        test!("tests/it/scenario/secrets.rs", "terraform_sees_nothing_of_the_server_s_environment"),
    ],
)];

struct Variable {
    name: &'static str,
    /// `OUT` is a directory to write to.
    value: &'static str,
    /// A program that heeds it, with its arguments.
    program: &'static [&'static str],
    shows: Shows,
}

enum Shows {
    /// It says this.
    By(&'static str),
    /// It does not say this, as it otherwise does.
    ByNot(&'static str),
    /// This file is made in `OUT`.
    ByFile(&'static str),
}
use Shows::{By, ByFile, ByNot};

const PLAN: &[&str] = &["terraform", "plan", "-no-color", "-input=false"];
const CREATED: &str = "will be created";

const VARIABLES: &[Variable] = &[
    variable("TF_CLI_ARGS_plan", "-destroy", PLAN, ByNot(CREATED)),
    variable("TF_CLI_ARGS", "-destroy", PLAN, ByNot(CREATED)),
    variable("TF_LOG", "TRACE", PLAN, By("[TRACE]")),
    variable("TF_CLI_CONFIG_FILE", "OUT/none.tfrc", PLAN, By("none.tfrc")),
    variable("TF_DATA_DIR", "OUT/moved", &["terraform", "workspace", "new", "x"], ByFile("moved")),
    variable("TF_WORKSPACE", "another", &["terraform", "workspace", "show"], By("another")),
    variable("TF_REATTACH_PROVIDERS", "no JSON", PLAN, By("TF_REATTACH_PROVIDERS")),
    variable("GIT_TRACE", "OUT/git-trace", &["git", "version"], ByFile("git-trace")),
    variable("GIT_EXEC_PATH", "OUT/bin", &["git", "--exec-path"], By("bin")),
    variable("BASH_ENV", "OUT/rc", &["bash", "-c", ":"], ByFile("ran")),
    variable("LD_PRELOAD", "OUT/none.so", &["sh", "-c", ":"], By("none.so")),
    variable("HTTPS_PROXY", "http://127.0.0.1:1", &["git", "ls-remote", "https://example.com/x"], By("127.0.0.1")),
];

const fn variable(name: &'static str, value: &'static str, program: &'static [&'static str], shows: Shows) -> Variable {
    Variable { name, value, program, shows }
}

impl Variable {
    fn value(&self, out: &Path) -> String {
        self.value.replace("OUT", &out.display().to_string())
    }

    fn works(&self, out: &Path, said: &str) -> bool {
        match self.shows {
            By(text) => said.contains(text),
            ByNot(text) => !said.contains(text),
            ByFile(name) => out.join(name).exists(),
        }
    }

    /// With it and without it, by hand.
    fn is_heeded(&self) {
        let out = tempfile::tempdir().unwrap();
        lay_out(out.path());
        let run = |variables: &[(&str, &str)]| {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("main.tf"), resource("web", "one")).unwrap();
            bare::said(self.program[0], &self.program[1..], dir.path(), variables)
        };
        let without = run(&[]);
        assert!(!self.works(out.path(), &without), "{} is not needed for that: {without}", self.name);
        let with = run(&[(self.name, &self.value(out.path()))]);
        assert!(self.works(out.path(), &with), "{} does nothing, so it proves nothing: {with}", self.name);
    }
}

fn lay_out(out: &Path) {
    fs::write(out.join("rc"), format!("{} > {}\n", program("env").display(), out.join("ran").display())).unwrap();
}

fn refused(name: &str, value: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.yaml");
    let yaml = format!(
        "listen: 127.0.0.1:1\nurl: http://127.0.0.1:1\ngithub: {{webhook_secret: x, token: x}}\nrepos:\n  - match: x/y/z\n    \
         env:\n      - match: \"*\"\n        plan: {{{name}: \"{value}\"}}\n"
    );
    fs::write(&file, yaml).unwrap();
    match ServerConfig::load(Some(&file), &Environment::new()) {
        Ok(_) => panic!("{name} can be granted"),
        Err(errors) => errors.to_string(),
    }
}

#[tokio::test]
async fn variables_that_work_bare_are_granted_to_nobody_and_handed_on_by_nobody() {
    for variable in VARIABLES {
        variable.is_heeded();
        let why = refused(variable.name, "x");
        assert!(why.contains(variable.name) && why.contains("cannot be granted"), "{}: {why}", variable.name);
    }

    // The server's own environment holds them all, but for what it would heed itself.
    let out = tempfile::tempdir().unwrap();
    lay_out(out.path());
    let mut held: Vec<(&'static str, String)> =
        VARIABLES.iter().map(|variable| (variable.name, variable.value(out.path()))).collect();
    held.retain(|(name, _)| *name != "HTTPS_PROXY" && *name != "LD_PRELOAD");
    let held = Under::Variables(held.leak());
    let says =
        "resource \"terraform_data\" \"says\" {\n  provisioner \"local-exec\" {\n    command = \"env\"\n  }\n}\n";
    let files = [("terraplane.yaml", MANAGED), ("prod/main.tf", "")];
    let serving = Serving::under(held, &files, Setup::default()).await;
    // One of the pull request's own is a key that there is not.
    let own = format!("{MANAGED}    env: {{TF_CLI_ARGS_plan: -destroy}}\n");
    let pull = serving.world.open_pull("Own").changing("terraplane.yaml", &own).changing("prod/main.tf", says).await;
    let text = pull.live_comment().await_containing("terraplane.yaml").await;
    assert!(text.contains("env"), "{text}");
    let pull = serving.world.open_pull("Says").changing("prod/main.tf", says).await;
    let text = pull.live_comment().await_containing("plan ready").await;
    assert!(text.contains("terraform_data.says") && text.contains("+1"), "{text}");
    pull.merge("ana").await;
    let result = pull.next_comment().await;
    assert!(result.contains("1 created"), "{result}");
    for made in ["moved", "git-trace", "ran"] {
        assert!(!out.path().join(made).exists(), "{made}");
    }
    let data = serving.data.path().join("data");
    let found = crate::scenario::secrets::files_with(&data, &["TF_IN_AUTOMATION=1".to_owned()]);
    assert_eq!(found.len(), 1, "the log has the environment: {found:?}");
    let logged = fs::read_to_string(&found[0]).unwrap();
    for variable in VARIABLES.iter().filter(|variable| !["TF_CLI_CONFIG_FILE", "HTTPS_PROXY"].contains(&variable.name))
    {
        assert!(!logged.contains(&format!("{}=", variable.name)), "{}: {logged}", variable.name);
    }
    assert!(!logged.contains("none.tfrc"), "{logged}");
    serving.finish().await;
}
