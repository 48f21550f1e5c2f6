//! What a run may use up, and that it is told which limit it met.

use super::{CAGED, Yard, err, out, said};
use std::path::Path;
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
async fn memory_that_is_in_files_and_in_no_process_is_named_all_the_same() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut policy = yard.policy();
        policy.limits.memory = 128 << 20;
        let mut cage = yard.open(policy).await;
        let script =
            "import os, time\nfor i in range(8): os.write(os.memfd_create('x'), b'x' * (32 << 20))\ntime.sleep(20)";
        let outcome = cage.run(yard.python(script)).await.unwrap();
        assert_eq!(outcome.end, End::Limit(Limit::Memory), "{level}: {}", err(&outcome));
        assert!(outcome.elapsed < Duration::from_secs(15), "{level}");
    }
}

/// What is written at [`Level::Full`] is memory, and is still there when the program is dead: the kernel may go on and end
/// the process that would have told.
#[tokio::test]
async fn the_memory_limit_is_named_when_it_was_written_files_that_took_it() {
    let has_cgroup = rustix::process::geteuid().is_root() && Path::new("/sys/fs/cgroup/memory").exists();
    let yard = Yard::at(Level::Full).await;
    let mut policy = yard.policy();
    policy.limits.memory = 96 << 20;
    policy.limits.disk = 1 << 30;
    let mut cage = yard.open(policy).await;
    let outcome = cage.run(yard.script("head -c 300M /dev/zero > big && echo written")).await.unwrap();
    // Where there is none, the disk's limit alone counts.
    let expected = if has_cgroup { End::Limit(Limit::Memory) } else { End::Exit(0) };
    assert_eq!(outcome.end, expected, "{}{}", out(&outcome), err(&outcome));
}

#[tokio::test]
async fn other_runs_stay_well_while_one_takes_all_it_can() {
    let is_root = rustix::process::geteuid().is_root();
    for level in [Level::Full, Level::Reduced] {
        let (one, other) = (Yard::at(level).await, Yard::at(level).await);
        let mut policy = one.policy();
        policy.limits.processes = 64;
        let (mut bombs, mut others) = (one.open(policy).await, other.cage().await);
        let mut spec = one.python(
            "import os, time\n\
             while True:\n    \
                 try:\n        \
                     if os.fork() == 0: time.sleep(100)\n    \
                 except OSError: time.sleep(0.01)",
        );
        spec.deadline = Duration::from_secs(3);
        spec.grace = Duration::from_millis(100);
        let bomb = tokio::spawn(async move { bombs.run(spec).await.unwrap() });
        tokio::time::sleep(Duration::from_millis(700)).await;
        let script = "i=0; while [ $i -lt 20 ]; do /bin/true || exit 1; sleep 0.05; i=$((i+1)); done; echo fine";
        // Without a user of its own a run is ended when it has too many processes.
        let meanwhile = others.run(other.script(script)).await.unwrap();
        let bomb = bomb.await.unwrap();
        let counted = !is_root && level == Level::Reduced;
        assert_eq!(bomb.end, if counted { End::Limit(Limit::Processes) } else { End::TimedOut }, "{level}");
        assert_eq!(out(&meanwhile), "fine\n", "{level}: {}", err(&meanwhile));
        // And so does the server.
        let own = terraplane::sandbox::process::run(other.script("echo well")).await.unwrap();
        assert_eq!(out(&own), "well\n");
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

/// A file system of so many MiB, on which a server could keep its work. Only root can have one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn of(mib: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = std::ffi::CString::new(format!("size={mib}m,mode=755")).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", dir.path(), "tmpfs", flags, Some(size.as_c_str())).unwrap();
        Self(dir)
    }

    fn free(&self) -> u64 {
        let facts = rustix::fs::statvfs(self.0.path()).unwrap();
        facts.f_bavail * facts.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH);
    }
}

/// What its own limit would allow is not there: half of it is left to the server, and to everybody else.
#[tokio::test]
async fn a_run_that_would_fill_the_servers_disk_is_ended_before_it_is_full() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for (level, on_disk) in [(Level::Full, true), (Level::Reduced, false), (Level::Weak, false)] {
        let disk = SmallDisk::of(128);
        let yard = Yard::in_dir(level, disk.0.path()).await;
        let mut policy = yard.policy();
        policy.on_disk = on_disk;
        policy.limits.disk = 1 << 40;
        policy.limits.file_size = 1 << 40;
        let mut cage = yard.open(policy).await;
        // As fast as a usual disk takes it.
        let script = "i=0; while head -c 1M /dev/zero >> big; do i=$((i+1)); sleep 0.01; done; echo full";
        let outcome = cage.run(yard.script(script)).await.unwrap();
        assert_eq!(outcome.end, End::Limit(Limit::Disk), "{level}: {}{}", out(&outcome), err(&outcome));
        assert!((16 << 20..=64 << 20).contains(&disk.free()), "{level}: {} bytes are left", disk.free());
        std::fs::write(yard.outside().join("database"), vec![1; 8 << 20]).unwrap();
        cage.close().await;
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
