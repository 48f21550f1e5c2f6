//! What an older Landlock leaves of the levels. It is this kernel's, of which less is asked: before version 6 (Linux 6.12)
//! it knows neither signals nor abstract unix sockets, before 4 (Linux 6.7) no ports.

use super::attack::{Attack, Bare, Proof, Shown, Way};
use super::trial::{differs_in, is_open};
use super::{processes, sockets, syscalls};
use crate::sandbox::{CAGED, all_gone, long_sleep, setup};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use terraplane::sandbox::policy::{Network, Policy};
use terraplane::sandbox::process::Spec;
use terraplane::sandbox::{Level, Sandbox};

/// Newest to oldest.
const VERSIONS: [u8; 7] = [7, 6, 5, 4, 3, 2, 1];

async fn sandbox_with(landlock: u8, at_most: Level) -> Sandbox {
    let work = tempfile::tempdir().unwrap().keep();
    std::fs::set_permissions(&work, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut setup = setup(at_most, &work);
    setup.landlock = landlock;
    Sandbox::probe(setup).await
}

/// The best level up to this one that holds with this version.
fn left_of(at_most: Level, landlock: u8, is_root: bool) -> Level {
    match at_most {
        // Namespaces, the supervisor and a user of its own do not need it. Without such a user, signals get out.
        Level::Full => Level::Full,
        Level::Reduced if is_root || landlock >= 6 => Level::Reduced,
        // What is kept to the proxy's port by nothing else is no sandbox.
        _ if landlock >= 4 => Level::Weak,
        _ => Level::Off,
    }
}

#[tokio::test]
async fn a_level_that_an_older_landlock_does_not_hold_is_not_claimed() {
    let is_root = rustix::process::geteuid().is_root();
    for landlock in VERSIONS {
        for at_most in CAGED {
            let sandbox = sandbox_with(landlock, at_most).await;
            let findings = sandbox.findings();
            assert_eq!(sandbox.level(), left_of(at_most, landlock, is_root), "{landlock} {at_most}: {findings:?}");
            if sandbox.level() < at_most {
                let way = if at_most == Level::Weak { "TCP" } else { "signals" };
                assert!(findings[0].why.contains(way), "{landlock} {at_most}: {findings:?}");
            }
        }
    }
}

/// What `weak` is labelled for on such a kernel.
fn is_open_before_6(attack: &Attack, way: &Way, level: Level) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let newly_open = match attack.number {
        // Processes of a user of its own can't be signalled by another; sockets have no such bound.
        18 => way.network != Network::None,
        29 => matches!(way.proof, Proof::Kills) && !is_root,
        _ => false,
    };
    is_open(way, level) || level == Level::Weak && newly_open
}

/// Who gets nowhere now does not get anywhere then, at the levels that are claimed.
#[tokio::test]
async fn what_is_claimed_with_an_older_landlock_holds() {
    let families = [processes::ATTACKS, sockets::ATTACKS, syscalls::ATTACKS];
    let mut wrong = Vec::new();
    for at_most in CAGED {
        let sandbox = sandbox_with(5, at_most).await;
        if sandbox.level() != at_most {
            continue;
        }
        for attack in families.into_iter().flatten().filter(|attack| [17, 18, 27, 29, 53].contains(&attack.number)) {
            let Shown::Module(ways) = attack.shown else { continue };
            for way in ways {
                // All that its user has goes with it, and that may be this test.
                if matches!(way.proof, Proof::Kills) && matches!(way.bare, Bare::NotTried(_)) {
                    continue;
                }
                let differs = differs_in(&sandbox, way, is_open_before_6(attack, way, at_most)).await;
                wrong.extend(differs.map(|(how, said)| format!("{:02} {}: {how}\n{said}", attack.number, attack.name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A program may end or stop the helper's process that has its user. Another sees it, and ends the run.
#[tokio::test]
async fn who_ends_or_stops_its_own_helper_ends_its_run() {
    for signal in ["SIGKILL", "SIGSTOP"] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let [tree, scratch] = ["tree", "scratch"].map(|name| dir.path().join(name));
        std::fs::create_dir(&tree).unwrap();
        std::fs::create_dir(&scratch).unwrap();
        let sandbox = sandbox_with(5, Level::Reduced).await;
        if sandbox.level() < Level::Reduced {
            assert!(!rustix::process::geteuid().is_root(), "{:?}", sandbox.findings());
            return;
        }
        let mut cage = sandbox.open(Policy::new(&tree, &scratch)).await.unwrap();
        let nap = long_sleep();
        let script = format!(
            "import os, signal, subprocess, time\nsubprocess.Popen(['sleep', '{nap}'], start_new_session=True)\n\
             signal.signal(signal.SIGINT, signal.SIG_IGN)\nos.kill(os.getppid(), signal.{signal})\n\
             open('done', 'w').close()\ntime.sleep(3000)"
        );
        let mut spec = Spec::new("/usr/bin/python3", &tree).args(["-I", "-c", &script]);
        spec.deadline = Duration::from_secs(3);
        spec.grace = Duration::from_millis(200);
        let ended = tokio::time::timeout(Duration::from_secs(60), cage.run(spec)).await.expect("it ends");
        assert!(tree.join("done").exists(), "{signal} is not sent, so it proves nothing");
        assert!(!ended.is_ok_and(|outcome| outcome.end.success()), "{signal}");
        cage.close().await;
        all_gone(&nap).await;
    }
}
