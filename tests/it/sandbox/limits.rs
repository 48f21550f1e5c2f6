//! What a run may use up, and that it is told which limit it met.

use super::{CAGED, Yard, said};
use std::time::Duration;
use terraplane::sandbox::Level;
use terraplane::sandbox::policy::Limit;
use terraplane::sandbox::process::End;

#[tokio::test]
async fn a_memory_bomb_is_killed_and_named() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut policy = yard.policy();
        policy.limits.memory = 128 << 20;
        let mut cage = yard.open(policy).await;
        // `tail` keeps what has no line ends.
        let outcome = cage.run(yard.script("head -c 4G /dev/zero | tail")).await.unwrap();
        assert_eq!(outcome.end, End::Limit(Limit::Memory), "{level}");
        assert_eq!(said(&mut cage, yard.script("echo fine")).await, "fine\n", "{level}");
    }
}

#[tokio::test]
async fn a_fork_bomb_stays_in_its_cage() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut policy = yard.policy();
        policy.limits.processes = 50;
        let mut cage = yard.open(policy).await;
        let mut spec = yard.script("bomb() { bomb | bomb & }; bomb; sleep 20");
        spec.deadline = Duration::from_secs(1);
        spec.grace = Duration::from_millis(100);
        let outcome = cage.run(spec).await.unwrap();
        assert!(outcome.elapsed < Duration::from_secs(15), "{level}: {:?}", outcome.elapsed);
        assert!(!outcome.end.success(), "{level}: {:?}", outcome.end);
        assert_eq!(said(&mut cage, yard.script("echo fine")).await, "fine\n", "{level}");
    }
}

#[tokio::test]
async fn a_disk_that_is_filled_is_named_and_freed_with_the_cage() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut policy = yard.policy();
        policy.limits.disk = 32 << 20;
        let mut cage = yard.open(policy).await;
        let script = "head -c 100M /dev/zero > big || exit 1; sleep 20";
        let outcome = cage.run(yard.script(script)).await.unwrap();
        assert_eq!(outcome.end, End::Limit(Limit::Disk), "{level}");
        assert!(outcome.elapsed < Duration::from_secs(10), "{level}");
        cage.close().await;
        assert_eq!(yard.tree.join("big").exists(), level < Level::Full, "{level}");
    }
}

#[tokio::test]
async fn a_file_that_grows_too_large_is_named() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut policy = yard.policy();
        policy.limits.file_size = 1 << 20;
        let mut cage = yard.open(policy).await;
        let outcome = cage.run(yard.script("exec head -c 2M /dev/zero > big")).await.unwrap();
        assert_eq!(outcome.end, End::Limit(Limit::FileSize), "{level}");
    }
}

#[tokio::test]
async fn open_files_are_bounded() {
    let yard = Yard::at(Level::Full).await;
    let mut policy = yard.policy();
    policy.limits.open_files = 64;
    let mut cage = yard.open(policy).await;
    assert_eq!(said(&mut cage, yard.script("ulimit -n; ulimit -c")).await, "64\n0\n");
}

#[tokio::test]
async fn a_failure_that_met_no_limit_is_only_that() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        assert_eq!(cage.run(yard.script("exit 137")).await.unwrap().end, End::Exit(137), "{level}");
    }
}

#[tokio::test]
async fn what_is_checked_out_after_a_cage_was_opened_does_not_count_as_written_in_it() {
    for (level, on_disk) in [(Level::Full, true), (Level::Reduced, false)] {
        let yard = Yard::at(level).await;
        let mut policy = yard.policy();
        policy.on_disk = on_disk;
        policy.limits.disk = 8 << 20;
        let mut cage = yard.open(policy).await;
        std::fs::write(yard.tree.join("checked-out"), vec![1; 16 << 20]).unwrap();
        // Long enough to be looked at more than once.
        assert_eq!(said(&mut cage, yard.script("sleep 1; echo done")).await, "done\n", "{level}");
    }
}
