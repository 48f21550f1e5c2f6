//! How a program in a cage ends, and that nothing outlives it.

use super::{
    CAGED, Yard, all_but, all_gone, all_there, err, long_sleep, out, pids_with, processes_with, said, sandbox_of, setup,
};
use rustix::process::Signal;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;
use terraplane::sandbox::policy::{Network, Policy};
use terraplane::sandbox::process::{End, Stdin};
use terraplane::sandbox::{CageError, Level, Sandbox};

/// Four daemons that got away in four ways, none of which listens to a polite signal.
fn daemons(seconds: &str) -> String {
    format!(
        "trap '' INT TERM HUP
         setsid sleep {seconds} >/dev/null 2>&1 &
         (setsid sh -c 'trap \"\" INT TERM; setsid sleep {seconds} & sleep {seconds}' &) >/dev/null 2>&1
         nohup sleep {seconds} >/dev/null 2>&1 &
         while [ \"$(ls started 2>/dev/null)\" = '' ]; do touch started; sleep 0.2; done
         "
    )
}

#[tokio::test]
async fn the_environment_and_the_input_are_what_was_given() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let mut spec = yard.program("/usr/bin/env", &[]);
        spec.env = vec![("LANG".into(), "C.UTF-8".into())];
        spec.secret_env = vec![("TOKEN".into(), "hunter22".into())];
        assert_eq!(said(&mut cage, spec).await, "LANG=C.UTF-8\nTOKEN=hunter22\n", "{level}");
        let mut spec = yard.script("cat; echo end");
        spec.stdin = Stdin::Bytes(b"given ".into());
        assert_eq!(said(&mut cage, spec).await, "given end\n", "{level}");
        assert_eq!(said(&mut cage, yard.script("cat; echo end")).await, "end\n", "{level}");
    }
}

#[tokio::test]
async fn exit_code_signal_and_a_missing_program_are_told_apart() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let outcome = cage.run(yard.script("echo out; echo err >&2; exit 7")).await.unwrap();
        assert_eq!((outcome.end, outcome.level), (End::Exit(7), level));
        assert_eq!((out(&outcome), err(&outcome)), ("out\n".into(), "err\n".into()));
        assert_eq!(cage.run(yard.script("kill -SEGV $$")).await.unwrap().end, End::Signal(11));
        let error = cage.run(yard.program("/nowhere/terraform", &[])).await.unwrap_err();
        assert_eq!(error.source.kind(), std::io::ErrorKind::NotFound);
        // The cage is as good as before.
        assert_eq!(said(&mut cage, yard.script("echo still here")).await, "still here\n");
    }
}

#[tokio::test]
async fn a_pipe_that_is_closed_ends_a_program_as_it_would_outside() {
    let yard = Yard::at(Level::Full).await;
    let mut cage = yard.cage().await;
    assert_eq!(said(&mut cage, yard.script("yes | head -1; yes 2>&1 | true; echo done")).await, "y\ndone\n");
}

#[tokio::test]
async fn two_programs_share_the_tree_and_nothing_that_the_first_left_running() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let seconds = long_sleep();
        said(&mut cage, yard.script(&format!("{} echo first > state", daemons(&seconds)))).await;
        assert_eq!(processes_with(&seconds), 0, "{level}: a daemon is still there before the next program");
        assert_eq!(said(&mut cage, yard.script("cat state")).await, "first\n");
    }
}

#[tokio::test]
async fn an_interrupted_program_may_end_in_order() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let mut spec = yard.script("trap 'echo stopping; exit 3' INT; echo started; while :; do sleep 0.05; done");
        spec.deadline = Duration::from_secs(1);
        let outcome = cage.run(spec).await.unwrap();
        assert_eq!((outcome.end, out(&outcome)), (End::TimedOut, "started\nstopping\n".into()), "{level}");
    }
}

#[tokio::test]
async fn what_ignores_every_signal_and_got_away_is_dead_after_the_deadline() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let seconds = long_sleep();
        let mut spec = yard.script(&format!("{} sleep {seconds}; sleep {seconds}; sleep {seconds}", daemons(&seconds)));
        spec.deadline = Duration::from_secs(1);
        spec.grace = Duration::from_millis(200);
        let outcome = cage.run(spec).await.unwrap();
        assert_eq!(outcome.end, End::TimedOut, "{level}");
        assert!(outcome.elapsed < Duration::from_secs(8), "{level}: {:?}", outcome.elapsed);
        assert_eq!(processes_with(&seconds), 0, "{level}");
        assert_eq!(said(&mut cage, yard.script("echo again")).await, "again\n", "{level}");
    }
}

#[tokio::test]
async fn cancelling_ends_it_and_what_was_cancelled_before_does_not_begin() {
    let yard = Yard::at(Level::Full).await;
    let mut cage = yard.cage().await;
    let spec = yard.script("exec sleep 100");
    let cancel = spec.cancel.clone();
    let (outcome, ()) = tokio::join!(cage.run(spec), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    assert_eq!(outcome.unwrap().end, End::Cancelled);
    let spec = yard.script("touch begun");
    spec.cancel.cancel();
    assert_eq!(cage.run(spec).await.unwrap().end, End::Cancelled);
    assert_eq!(cage.take(&yard.tree.join("begun"), 10).await.unwrap(), None);
}

#[tokio::test]
async fn dropping_the_future_kills_the_program_and_the_next_can_run() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let seconds = long_sleep();
        let spec = yard.script(&format!("{} sleep {seconds}; :", daemons(&seconds)));
        let running = cage.run(spec);
        tokio::select! {
            outcome = running => panic!("{outcome:?}"),
            () = all_there(&seconds, 5) => {}
        }
        // At once: what was dropped need not be dead yet when the next is asked for.
        assert_eq!(said(&mut cage, yard.script("echo next")).await, "next\n", "{level}");
        assert_eq!(processes_with(&seconds), 0, "{level}");
    }
}

#[tokio::test]
async fn dropping_the_cage_kills_all_that_is_in_it() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let seconds = long_sleep();
        let spec = yard.script(&format!("{} sleep {seconds}; :", daemons(&seconds)));
        let running = tokio::spawn(async move { cage.run(spec).await });
        all_there(&seconds, 5).await;
        running.abort();
        all_gone(&seconds).await;
    }
}

/// What the kernel says of a process, from its state on.
fn stat(pid: i32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat[stat.rfind(')').map_or(0, |end| end + 2)..].to_owned()
}

fn parent(pid: i32) -> i32 {
    stat(pid).split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The two processes of the helper that have the cage of this test, by what is below them.
fn helpers_above(seconds: &str) -> (i32, i32) {
    let is_helper = |pid: i32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("sandbox-exec")
    };
    let mut sleeper = pids_with(seconds)[0];
    while !is_helper(sleeper) {
        sleeper = parent(sleeper);
        assert!(sleeper > 1, "no helper above");
    }
    (parent(sleeper), sleeper)
}

fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

fn signal(pid: i32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[tokio::test]
async fn when_either_process_of_the_helper_is_killed_nothing_survives() {
    for level in CAGED {
        for which in ["outer", "inner"] {
            let yard = Yard::at(level).await;
            let mut cage = yard.cage().await;
            let seconds = long_sleep();
            let spec = yard.script(&format!("{} sleep {seconds}; :", daemons(&seconds)));
            let running = tokio::spawn(async move { cage.run(spec).await });
            all_there(&seconds, 5).await;
            let (outer, inner) = helpers_above(&seconds);
            kill(if which == "outer" { outer } else { inner });
            all_gone(&seconds).await;
            let error = tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap_err();
            assert!(error.source.to_string().contains("gone"), "{level} {which}: {}", error.source);
            // What the dead one would have removed.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Where the server is root, what they leave has a user of its own, and that is how it is found. Where it is not, only
/// [`Level::Full`] and cgroups help if both are killed at once.
#[tokio::test]
async fn when_both_processes_of_the_helper_are_killed_the_user_is_free_when_nothing_survives() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for level in CAGED {
        let yard = Yard::at(level).await;
        let sandbox = sandbox_of(&yard.outside().join("both"), level, 900_066..900_067).await;
        let mut cage = sandbox.open(yard.policy()).await.unwrap();
        let seconds = long_sleep();
        let spec = yard.script(&format!("{} sleep {seconds}; :", daemons(&seconds)));
        let running = tokio::spawn(async move { cage.run(spec).await.map(drop) });
        all_there(&seconds, 5).await;
        let (outer, inner) = helpers_above(&seconds);
        signal(outer, Signal::STOP);
        kill(inner);
        kill(outer);
        assert!(running.await.unwrap().unwrap_err().begun, "{level}: nobody knows what became of it");
        tokio::time::timeout(Duration::from_secs(10), sandbox.slot()).await.expect("the user is given back");
        assert_eq!(processes_with(&seconds), 0, "{level}");
    }
}

/// As a program could do it to the process inside before Landlock knew signals (Linux 6.12).
#[tokio::test]
async fn a_cage_that_does_not_answer_is_ended_by_force() {
    let yard = Yard::at(Level::Reduced).await;
    let mut cage = yard.cage().await;
    let seconds = long_sleep();
    let mut spec = yard.script(&format!("sleep {seconds}; :"));
    let cancel = spec.cancel.clone();
    spec.grace = Duration::from_millis(100);
    let running = tokio::spawn(async move {
        let ended = cage.run(spec).await.map(drop);
        cage.close().await;
        ended
    });
    all_there(&seconds, 1).await;
    signal(helpers_above(&seconds).1, Signal::STOP);
    cancel.cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(error.begun && error.source.to_string().contains("don't die"), "{error:?}");
    all_gone(&seconds).await;
}

/// Each is gone before it was looked at, and has left another.
#[tokio::test]
async fn processes_that_fork_and_end_all_the_time_are_dead_soon() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let script = "comet() { comet & }; { i=0; while [ $i -lt 40 ]; do comet; i=$((i+1)); done } 2>/dev/null & exec sleep 100";
        let mut spec = yard.script(script);
        spec.deadline = Duration::from_millis(500);
        spec.grace = Duration::from_millis(100);
        let outcome = cage.run(spec).await.unwrap();
        assert_eq!(outcome.end, End::TimedOut, "{level}");
        assert!(outcome.elapsed < Duration::from_secs(4), "{level}: {:?}", outcome.elapsed);
        assert_eq!(said(&mut cage, yard.script("echo fine")).await, "fine\n", "{level}");
    }
}

#[tokio::test]
async fn a_cage_that_is_closed_leaves_no_helper_and_no_cgroup() {
    let yard = Yard::at(Level::Full).await;
    let mut cage = yard.cage().await;
    let seconds = long_sleep();
    let spec = yard.script(&format!("sleep {seconds}"));
    let names = || {
        let own = format!("terraplane-{}-", std::process::id());
        let dirs = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory"].map(std::path::PathBuf::from);
        let names = dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with(&own)).count()
    };
    let mut spec = spec;
    spec.deadline = Duration::from_millis(300);
    cage.run(spec).await.unwrap();
    cage.close().await;
    assert_eq!(processes_with(&seconds), 0);
    // Other tests have cages too; theirs go away.
    for _ in 0..600 {
        if names() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("cgroups were left behind");
}

#[tokio::test]
async fn the_cgroups_of_dead_servers_are_removed_and_no_others() {
    let yard = Yard::at(Level::Full).await;
    let foundation = serde_json::to_value(yard.sandbox.foundation()).unwrap();
    let parents: Vec<std::path::PathBuf> = serde_json::from_value(foundation["cgroups"].clone()).unwrap();
    let has_some = rustix::process::geteuid().is_root() && std::path::Path::new("/sys/fs/cgroup/memory").exists();
    assert!(!has_some || !parents.is_empty());
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let unique = uuid::Uuid::now_v7().as_simple().to_string();
    let of =
        |server: u32| parents.iter().map(|dir| dir.join(format!("terraplane-{server}-{unique}"))).collect::<Vec<_>>();
    let (left, alive) = (of(dead.id()), of(std::process::id()));
    left.iter().chain(&alive).for_each(|dir| std::fs::create_dir(dir).unwrap());
    yard.sandbox.clear_remains();
    assert!(!left.iter().any(|dir| dir.exists()), "{left:?}");
    assert!(alive.iter().all(|dir| dir.exists()), "{alive:?}");
    alive.iter().for_each(|dir| std::fs::remove_dir(dir).unwrap());
}

#[tokio::test]
async fn a_cage_that_was_opened_and_never_used_goes_without_a_trace() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let name = yard.outside().join("unused");
        let sandbox = sandbox_of(&name, level, 900_064..900_065).await;
        let word = name.to_str().unwrap();
        // Of the cages of the probe nothing is left but the helper for the next one.
        let waiting = if level == Level::Full { 2 } else { 1 };
        all_but(word, waiting).await;
        let cage = sandbox.open(yard.policy()).await.unwrap();
        all_there(word, 2).await;
        drop(cage);
        all_but(word, waiting).await;
        // The only user is free again, where cages have one; and the tree was never anybody else's.
        tokio::time::timeout(Duration::from_secs(5), sandbox.slot()).await.expect("the user is given back");
        assert_eq!(std::fs::metadata(&yard.tree).unwrap().uid(), rustix::process::geteuid().as_raw(), "{level}");
        assert_eq!(std::fs::read_dir(&yard.tree).unwrap().count(), 0);
        drop(sandbox);
        all_gone(word).await;
    }
}

/// Its namespaces are made before it is known what for.
#[tokio::test]
async fn a_helper_that_waited_does_for_a_cage_of_another_kind_and_after_half_of_it_was_killed() {
    let yard = Yard::at(Level::Full).await;
    let name = yard.outside().join("waited");
    let sandbox = sandbox_of(&name, Level::Full, 900_068..900_069).await;
    let word = name.to_str().unwrap();
    for network in [Network::None, Network::Host, Network::Allow] {
        for killed in [false, true] {
            all_but(word, 2).await;
            if killed {
                let waiting = pids_with(word);
                let inner = waiting.iter().copied().find(|pid| waiting.contains(&parent(*pid))).unwrap();
                kill(inner);
                // What ends has its sockets until shortly before its parent may bury it.
                while !stat(inner).starts_with("Z ") {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            let mut cage = sandbox.open(Policy { network, ..yard.policy() }).await.unwrap();
            let shares_ours = said(&mut cage, yard.script("readlink /proc/self/ns/net")).await.trim()
                == std::fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap();
            assert_eq!(shares_ours, network == Network::Host, "{network:?}, {killed}");
            assert_eq!(processes_with(word), 2, "{network:?}, {killed}: what waited in vain is gone");
            cage.close().await;
        }
    }
}

#[tokio::test]
async fn less_than_what_is_required_is_refused_and_off_runs_bare() {
    let dir = tempfile::tempdir().unwrap();
    let policy = terraplane::sandbox::policy::Policy::new(dir.path(), dir.path());
    let error = Sandbox::off().open(policy.clone()).await.unwrap_err();
    assert!(matches!(error, CageError::Level { have: Level::Off, least: Level::Reduced }), "{error}");
    let mut policy = policy;
    policy.least = Level::Off;
    let mut cage = Sandbox::off().open(policy).await.unwrap();
    let mut spec = terraplane::sandbox::process::Spec::new("/bin/sh", dir.path()).args(["-c", "echo x > made"]);
    spec.env = vec![("PATH".into(), "/bin:/usr/bin".into())];
    assert_eq!(cage.run(spec).await.unwrap().level, Level::Off);
    assert_eq!(cage.take(&dir.path().join("made"), 10).await.unwrap(), Some(b"x\n".to_vec()));
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_built_says_what_failed() {
    let yard = Yard::at(Level::Full).await;
    let mut policy = yard.policy();
    policy.read_only = vec![yard.outside().join("missing")];
    let error = yard.sandbox.open(policy).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("the sandbox could not be built: opening `") && text.contains("missing"), "{text}");
}

#[tokio::test]
async fn without_the_helper_no_level_holds_and_the_finding_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = setup(Level::Full, dir.path());
    setup.helper = "/nowhere/terraplane".into();
    let sandbox = Sandbox::probe(setup).await;
    assert_eq!(sandbox.level(), Level::Off);
    assert!(sandbox.findings()[0].why.contains("No such file"), "{:?}", sandbox.findings());
}
