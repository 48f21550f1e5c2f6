//! Programs of a pull request's author in the whole loop: a provider when planning, a provisioner when applying. Each
//! takes all that it can get.

use super::attack::{Attack, by, test};
use super::bare;
use super::scene::open_to_all;
use crate::scenario::MANAGED;
use crate::scenario::secrets::files_with;
use crate::stage::{Setup, Stage, open_dir};
use crate::world::WEBHOOK_SECRET;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use terraplane::sandbox::Level;

pub(super) const ATTACKS: &[Attack] = &[
    by(
        3,
        "a program that runs at plan time, such as an external data source's",
        &[test!("tests/it/attacks/programs.rs", "a_program_takes_nothing_when_planning_or_applying")],
    ),
    by(
        4,
        "its own environment",
        &[
            test!("tests/it/attacks/programs.rs", "a_program_takes_nothing_when_planning_or_applying"),
            test!("tests/it/scenario/secrets.rs", "terraform_sees_nothing_of_the_server_s_environment"),
            test!("tests/it/scenario/secrets.rs", "the_forge_s_token_reaches_git_fetch_and_nothing_else"),
        ],
    ),
    by(
        42,
        "a malicious provider, and a provisioner",
        &[test!("tests/it/attacks/programs.rs", "a_program_takes_nothing_when_planning_or_applying")],
    ),
    by(
        48,
        "what an apply may, when planning: its credentials, and writing the state",
        &[
            test!("tests/it/attacks/programs.rs", "what_an_apply_may_is_not_there_when_planning"),
            test!("tests/it/scenario/secrets.rs", "terraform_sees_nothing_of_the_server_s_environment"),
            test!("tests/it/scenario/modules.rs", "the_token_for_private_modules_reaches_init_and_nothing_after_it"),
            test!("src/web/tests/state.rs", "a_plan_reads_and_can_neither_write_nor_lock"),
            test!("src/web/tests/state.rs", "a_token_is_good_only_while_its_run_is_running"),
        ],
    ),
];

/// Code with the thief for a provider.
const PROVIDER: &str =
    "terraform {\n  required_providers {\n    thief = {\n      source = \"example.com/acme/thief\"\n    }\n  }\n}\n";

/// Notes the credential that it has, and what it is told when it writes another state.
const GREEDY: &str = r#"#!/usr/bin/python3 -I
import base64, os, urllib.error, urllib.request
def note(name, text): open('LOOT/%s-%d' % (name, os.getpid()), 'w').write(str(text))
E = os.environ
note('credential', E.get('CREDENTIAL'))
who = base64.b64encode((E['TF_HTTP_USERNAME'] + ':' + E['TF_HTTP_PASSWORD']).encode()).decode()
state = b'{"version": 4, "serial": 99, "lineage": "taken", "terraform_version": "1.0.0", "resources": [], "outputs": {}}'
request = urllib.request.Request(E['TF_HTTP_ADDRESS'], state, {'Authorization': 'Basic ' + who})
try: note('answer', urllib.request.urlopen(request, timeout=20).status)
except urllib.error.HTTPError as e: note('answer', e.code)
except Exception as e: note('answer', repr(e))
"#;

/// A directory in which runs may write, and the program that does.
struct Thief {
    dir: TempDir,
}

impl Thief {
    fn new() -> Self {
        let thief = Self { dir: open_dir() };
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let place = thief.dir.path().join(format!("mirror/example.com/acme/thief/1.0.0/linux_{arch}"));
        fs::create_dir_all(&place).unwrap();
        fs::create_dir(thief.loot()).unwrap();
        open_to_all(&thief.loot());
        let mirror = thief.dir.path().join("mirror").display().to_string();
        let config = format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{mirror}\"\n  }}\n}}\n");
        fs::write(thief.cli_config(), config).unwrap();
        fs::write(thief.program(), "").unwrap();
        fs::hard_link(thief.program(), place.join("terraform-provider-thief_v1.0.0")).unwrap();
        fs::set_permissions(thief.program(), fs::Permissions::from_mode(0o755)).unwrap();
        thief
    }

    /// Now that it is known what there is to be had.
    fn goes_for(&self, data: &Path) {
        let script = "#!/bin/sh\nenv > LOOT/own-$$\ncp -r DATA LOOT/data-$$\ncat /proc/[0-9]*/environ > LOOT/environments-$$\n\
                      exit 0\n";
        self.does(&script.replace("DATA", &data.display().to_string()));
    }

    fn does(&self, script: &str) {
        // In place, for the provider is the same file.
        fs::write(self.program(), script.replace("LOOT", &self.loot().display().to_string())).unwrap();
    }

    fn cli_config(&self) -> PathBuf {
        self.dir.path().join("cli.tfrc")
    }

    /// What is in its loot under names that begin like this, each once; then there is nothing any more.
    fn takes_out(&self, name: &str) -> Vec<String> {
        let all = fs::read_dir(self.loot()).unwrap().flatten();
        let found = all.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
        let mut found: Vec<String> = found
            .map(|entry| {
                let text = fs::read_to_string(entry.path()).unwrap();
                fs::remove_file(entry.path()).unwrap();
                text
            })
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn provisioner(&self) -> String {
        format!(
            "resource \"terraform_data\" \"x\" {{\n  provisioner \"local-exec\" {{\n    command = \"{}\"\n  }}\n}}\n",
            self.program().display()
        )
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("thief")
    }

    fn loot(&self) -> PathBuf {
        self.dir.path().join("loot")
    }

    fn setup(&self, level: Level) -> Setup {
        let yaml = format!("terraform: {{cli_config: \"{}\"}}\n", self.cli_config().display());
        let setup = Setup { at_most: Some(level), require: Some(level), yaml, ..Setup::default() };
        setup.and_writable(self.dir.path())
    }

    /// How often it came to that.
    fn times(&self) -> usize {
        let all = fs::read_dir(self.loot()).unwrap().flatten();
        all.filter(|entry| entry.file_name().to_string_lossy().starts_with("own-")).count()
    }
}

/// The longest of the server's own variables, which is this process.
fn of_the_server() -> String {
    let all = std::env::vars().filter(|(name, _)| name != "PATH");
    all.map(|(name, value)| format!("{name}={value}")).max_by_key(String::len).unwrap()
}

/// The secrets that it got, by name; when planning, and then when applying.
async fn taken_at(level: Level) -> [Vec<&'static str>; 2] {
    let thief = Thief::new();
    let stage = Stage::set(&[("terraplane.yaml", MANAGED), ("prod/main.tf", "")], thief.setup(level)).await;
    let token = fs::read_to_string(stage.data.path().join("token")).unwrap();
    thief.goes_for(stage.data.path());
    let secrets = [
        ("the forge's token", token),
        ("the webhooks' secret", WEBHOOK_SECRET.to_owned()),
        ("the server's environment", of_the_server()),
    ];
    let taken = || {
        let has = |(name, secret): &(&'static str, String)| {
            (!files_with(&thief.loot(), std::slice::from_ref(secret)).is_empty()).then_some(*name)
        };
        secrets.iter().filter_map(has).collect::<Vec<_>>()
    };

    let pull = stage.world.open_pull("Provider").changing("prod/main.tf", PROVIDER).await;
    pull.live_comment().await_containing("plan failed").await;
    stage.settled().await;
    let before = thief.times();
    assert!(before > 0, "the provider was started: {:?}", pull.live_comment().text());
    let when_planning = taken();
    pull.close("sam");
    stage.settled().await;

    fs::remove_dir_all(thief.loot()).unwrap();
    fs::create_dir(thief.loot()).unwrap();
    open_to_all(&thief.loot());
    let pull = stage.world.open_pull("Provisioner").changing("prod/main.tf", &thief.provisioner()).await;
    pull.live_comment().await_containing("plan ready").await;
    assert_eq!(thief.times(), 0, "a provisioner is not run by a plan");
    pull.merge("ana").await;
    let result = pull.next_comment().await;
    assert!(result.contains("✅ Applied"), "{level}: {result}");
    assert_eq!(thief.times(), 1);
    let when_applying = taken();
    stage.finish().await;
    [when_planning, when_applying]
}

#[tokio::test]
async fn a_program_takes_nothing_when_planning_or_applying() {
    let all = ["the forge's token", "the webhooks' secret", "the server's environment"];
    assert_eq!(taken_at(Level::Off).await, [all, all], "without a cage");
    for level in [Level::Full, Level::Reduced] {
        assert_eq!(taken_at(level).await, [[""; 0]; 2], "{level}");
    }
}

/// A server that keeps any state that it is sent.
async fn willing() -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}/state", listener.local_addr().unwrap());
    let app = axum::Router::new().route("/state", axum::routing::any(|| async { "" }));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

#[tokio::test]
async fn what_an_apply_may_is_not_there_when_planning() {
    let thief = Thief::new();
    thief.does(GREEDY);
    // By hand, as where a server has one set of credentials: a plan has what its apply will need.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("main.tf"), PROVIDER).unwrap();
    let (config, address) = (thief.cli_config().display().to_string(), willing().await);
    let variables = [
        ("TF_CLI_CONFIG_FILE", config),
        ("CREDENTIAL", "for-applies".to_owned()),
        ("TF_HTTP_ADDRESS", address),
        ("TF_HTTP_USERNAME", "x".to_owned()),
        ("TF_HTTP_PASSWORD", "x".to_owned()),
    ];
    let place = dir.path().to_owned();
    let by_hand = tokio::task::spawn_blocking(move || {
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        ["init", "plan"].map(|step| bare::said("terraform", &[step, "-input=false"], &place, &variables)).concat()
    });
    let said = by_hand.await.unwrap();
    let taken = [thief.takes_out("credential"), thief.takes_out("answer")];
    assert_eq!(taken, [["for-applies"], ["200"]], "it does nothing even by hand, so it proves nothing: {said}");

    let grants = "    env:\n      - match: \"*\"\n        plan: {CREDENTIAL: for-plans}\n        apply: {CREDENTIAL: for-applies}\n";
    let setup = Setup { repo: grants.into(), ..thief.setup(Level::Full) };
    let stage = Stage::set(&[("terraplane.yaml", MANAGED), ("prod/main.tf", "")], setup).await;
    let pull = stage.world.open_pull("Provider").changing("prod/main.tf", PROVIDER).await;
    pull.live_comment().await_containing("plan failed").await;
    stage.settled().await;
    assert_eq!([thief.takes_out("credential"), thief.takes_out("answer")], [["for-plans"], ["403"]]);
    pull.close("sam");

    let pull = stage.world.open_pull("Provisioner").changing("prod/main.tf", &thief.provisioner()).await;
    pull.live_comment().await_containing("plan ready").await;
    pull.merge("ana").await;
    assert!(pull.next_comment().await.contains("✅ Applied"));
    assert_eq!(thief.takes_out("credential"), ["for-applies"]);
    // It is the lock alone that keeps it from writing beside terraform.
    assert_eq!(thief.takes_out("answer"), ["423"]);
    stage.finish().await;
}
