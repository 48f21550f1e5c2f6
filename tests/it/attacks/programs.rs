//! Programs of a pull request's author in the whole loop: a provider when planning, a provisioner when applying. Each
//! takes all that it can get.

use super::attack::{Attack, by, test};
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
            test!("tests/it/scenario/secrets.rs", "terraform_sees_nothing_of_the_server_s_environment"),
            test!("tests/it/scenario/modules.rs", "the_token_for_private_modules_reaches_init_and_nothing_after_it"),
            test!("src/web/tests/state.rs", "a_plan_reads_and_can_neither_write_nor_lock"),
            test!("src/web/tests/state.rs", "a_token_is_good_only_while_its_run_is_running"),
        ],
    ),
];

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
        fs::write(thief.dir.path().join("cli.tfrc"), config).unwrap();
        fs::write(thief.program(), "").unwrap();
        fs::hard_link(thief.program(), place.join("terraform-provider-thief_v1.0.0")).unwrap();
        fs::set_permissions(thief.program(), fs::Permissions::from_mode(0o755)).unwrap();
        thief
    }

    /// Now that it is known what there is to be had.
    fn goes_for(&self, data: &Path) {
        let script = "#!/bin/sh\nenv > LOOT/own-$$\ncp -r DATA LOOT/data-$$\ncat /proc/[0-9]*/environ > LOOT/environments-$$\n\
                      exit 0\n";
        let script = script.replace("LOOT", &self.loot().display().to_string());
        // In place, for the provider is the same file.
        fs::write(self.program(), script.replace("DATA", &data.display().to_string())).unwrap();
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("thief")
    }

    fn loot(&self) -> PathBuf {
        self.dir.path().join("loot")
    }

    fn setup(&self, level: Level) -> Setup {
        let yaml = format!("terraform: {{cli_config: \"{}\"}}\n", self.dir.path().join("cli.tfrc").display());
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

    let code = "terraform {\n  required_providers {\n    thief = {\n      source = \"example.com/acme/thief\"\n    }\n  }\n}\n";
    let pull = stage.world.open_pull("Provider").changing("prod/main.tf", code).await;
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
    let code = format!(
        "resource \"terraform_data\" \"x\" {{\n  provisioner \"local-exec\" {{\n    command = \"{}\"\n  }}\n}}\n",
        thief.program().display()
    );
    let pull = stage.world.open_pull("Provisioner").changing("prod/main.tf", &code).await;
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
