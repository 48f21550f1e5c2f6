//! What is seen, what is written where, and how results are taken out.

use super::{CAGED, Yard, err, out, said};
use terraplane::sandbox::process::End;
use terraplane::sandbox::{Level, TakeError};

#[tokio::test]
async fn at_full_the_checkout_stays_as_it_was_whatever_is_written() {
    let yard = Yard::at(Level::Full).await;
    std::fs::write(yard.tree.join("main.tf"), "# reviewed\n").unwrap();
    std::fs::create_dir(yard.tree.join("sub")).unwrap();
    std::fs::write(yard.tree.join("sub/old"), "old").unwrap();
    let mut cage = yard.cage().await;
    let script = "echo tampered > main.tf; rm -r sub; echo new > new; echo x > ../scratch/result; cat main.tf";
    assert_eq!(said(&mut cage, yard.script(script)).await, "tampered\n");
    assert_eq!(cage.take(&yard.tree.join("new"), 100).await.unwrap(), Some(b"new\n".to_vec()));
    assert_eq!(cage.take(&yard.scratch.join("result"), 100).await.unwrap(), Some(b"x\n".to_vec()));
    cage.close().await;
    assert_eq!(std::fs::read_to_string(yard.tree.join("main.tf")).unwrap(), "# reviewed\n");
    assert_eq!(std::fs::read_to_string(yard.tree.join("sub/old")).unwrap(), "old");
    assert!(!yard.tree.join("new").exists() && !yard.scratch.join("result").exists());
}

#[tokio::test]
async fn below_full_the_files_themselves_are_written() {
    for level in [Level::Reduced, Level::Weak] {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        said(&mut cage, yard.script("echo x > ../scratch/result")).await;
        assert_eq!(std::fs::read_to_string(yard.scratch.join("result")).unwrap(), "x\n");
    }
}

#[tokio::test]
async fn other_paths_are_read_or_written_as_the_policy_says_and_no_others_at_all() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let dir = |name: &str| {
            let dir = yard.outside().join(name);
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("file"), name).unwrap();
            use std::os::unix::fs::PermissionsExt as _;
            // For the cage's user, who does not own them.
            std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
            dir
        };
        let (mirror, shared) = (dir("mirror"), dir("shared"));
        dir("other");
        let mut policy = yard.policy();
        policy.read_only = vec![mirror.clone()];
        policy.writable = vec![shared.clone()];
        let mut cage = yard.open(policy).await;
        assert_eq!(said(&mut cage, yard.script("cat ../mirror/file ../shared/file")).await, "mirrorshared", "{level}");
        let writes = cage.run(yard.script("echo x > ../mirror/new")).await.unwrap();
        assert_ne!(writes.end, End::Exit(0), "{level}");
        said(&mut cage, yard.script("echo x > ../shared/new")).await;
        assert!(shared.join("new").exists() && !mirror.join("new").exists());
        let reads = cage.run(yard.script("cat ../other/file")).await.unwrap();
        assert_eq!((reads.end, out(&reads)), (End::Exit(1), String::new()), "{level}: {}", err(&reads));
        let system = cage.run(yard.script("echo x > /usr/x || echo x > /etc/x || echo x > /x")).await.unwrap();
        assert_ne!(system.end, End::Exit(0), "{level}");
    }
}

#[tokio::test]
async fn only_a_regular_file_that_lies_where_it_seems_to_is_taken_out() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let secret = yard.outside().join("secret");
        std::fs::write(&secret, "key").unwrap();
        let mut cage = yard.cage().await;
        let script = format!(
            "ln -s {secret} link; ln -s /etc/passwd passwd; ln -s missing dangling; ln -s . loop; mkdir dir; ln -s dir way
             echo in > dir/file; mkfifo pipe; printf 0123456789 > large; ln -s /dev/zero zero; : > empty",
            secret = secret.display()
        );
        said(&mut cage, yard.script(&script)).await;
        let mut kinds = Vec::new();
        for name in ["link", "passwd", "dangling", "way/file", "loop/loop/large", "dir", "pipe", "zero", "large/x"] {
            match cage.take(&yard.tree.join(name), 1000).await {
                Err(TakeError::NotAFile(_)) => {}
                other => kinds.push(format!("{name}: {other:?}")),
            }
        }
        assert!(kinds.is_empty(), "{level}: {kinds:?}");
        let large = cage.take(&yard.tree.join("large"), 9).await;
        assert!(matches!(large, Err(TakeError::TooLarge { size: 10, max: 9, .. })), "{level}: {large:?}");
        assert_eq!(cage.take(&yard.tree.join("large"), 10).await.unwrap(), Some(b"0123456789".to_vec()));
        assert_eq!(cage.take(&yard.tree.join("dir/file"), 10).await.unwrap(), Some(b"in\n".to_vec()));
        assert_eq!(cage.take(&yard.tree.join("empty"), 0).await.unwrap(), Some(vec![]));
        assert_eq!(cage.take(&yard.tree.join("missing"), 10).await.unwrap(), None);
        let outside = cage.take(&secret, 10).await;
        assert!(matches!(outside, Err(TakeError::Outside(_))), "{level}: {outside:?}");
        let up = cage.take(&yard.tree.join("../secret"), 10).await;
        assert!(matches!(up, Err(TakeError::NotAFile(_))), "{level}: {up:?}");
    }
}

/// What a checkout does to a directory that is not empty.
fn check_out(tree: &std::path::Path) {
    std::fs::create_dir(tree.join("module")).unwrap();
    std::fs::write(tree.join("module/main.tf"), "late\n").unwrap();
    std::fs::write(tree.join("changed"), "new\n").unwrap();
    std::fs::remove_file(tree.join("removed")).unwrap();
    std::fs::write(tree.join("replaced.new"), "other\n").unwrap();
    std::fs::rename(tree.join("replaced.new"), tree.join("replaced")).unwrap();
}

#[tokio::test]
async fn a_cage_that_was_opened_ahead_has_the_tree_as_it_is_when_the_first_program_begins() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        for name in ["changed", "removed", "replaced"] {
            std::fs::write(yard.tree.join(name), "old\n").unwrap();
        }
        let mut cage = yard.cage().await;
        check_out(&yard.tree);
        std::fs::write(yard.scratch.join("plan.bin"), "plan\n").unwrap();
        // All of it is the program's own, also what came late.
        let script = "ls . module; cat module/main.tf changed replaced ../scratch/plan.bin
             for file in module/main.tf changed replaced ../scratch/plan.bin; do echo written > $file; done
             cat changed; rm -r module";
        let seen = "changed\nmodule\nreplaced\n\nmodule:\nmain.tf\n";
        let seen = format!(".:\n{seen}late\nnew\nother\nplan\nwritten\n");
        assert_eq!(said(&mut cage, yard.script(script)).await, seen, "{level}");
    }
}

#[tokio::test]
async fn a_file_can_be_taken_from_a_cage_in_which_nothing_has_run() {
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        std::fs::write(yard.tree.join("late"), "late").unwrap();
        assert_eq!(cage.take(&yard.tree.join("late"), 100).await.unwrap(), Some(b"late".to_vec()), "{level}");
    }
}

#[tokio::test]
async fn at_full_the_next_cage_of_a_slot_opens_while_the_one_before_it_works() {
    let yard = Yard::at(Level::Full).await;
    let slot = yard.sandbox.slot().await;
    let mut policy = yard.policy();
    policy.on_disk = true;
    let mut init = yard.sandbox.open_in(policy, &slot).await.unwrap();
    std::fs::write(yard.tree.join("main.tf"), "late\n").unwrap();
    let (wrote, plan) = tokio::join!(
        init.run(yard.script("echo begun > state; sleep 0.3; echo initialised > state; mkdir .terraform")),
        yard.sandbox.open_in(yard.policy(), &slot)
    );
    assert_eq!(wrote.unwrap().end, End::Exit(0));
    let mut plan = plan.unwrap();
    // The end of the one is not the end of the other.
    init.close().await;
    assert_eq!(
        said(&mut plan, yard.script("cat main.tf state; ls -A")).await,
        "late\ninitialised\n.terraform\nmain.tf\nstate\n"
    );
}

/// What archives and provider packages need when they are unpacked.
#[tokio::test]
async fn modes_and_times_of_its_own_files_are_a_runs_to_change() {
    let script = "
import functools, os
print = functools.partial(print, flush=True)
os.mkdir('dir'); os.chmod('dir', 0o750)
open('dir/file', 'w').write('x')
os.chmod('dir/file', 0o755); os.utime('dir/file', (1, 2))
dir = os.open('dir', os.O_RDONLY)
os.symlink('file', 'dir/link')
os.chmod('link', 0o711, dir_fd=dir)
os.utime('link', (3, 4), dir_fd=dir, follow_symlinks=False)
file = os.open('dir/file', os.O_RDWR)
os.utime(file, (5, 6))
def told(facts): return '%o %d %d' % (facts.st_mode, facts.st_atime, facts.st_mtime)
print('%o' % os.stat('dir').st_mode, told(os.stat('dir/file')), told(os.lstat('dir/link')))
os.fchmod(file, 0o600); os.utime('dir/file')
print('%o' % os.fstat(file).st_mode, os.fstat(file).st_mtime > 1e9)
try: os.chmod('dir/missing', 0o600)
except FileNotFoundError: print('missing')
os.system('cp -p dir/file copy && tar cf a.tar dir && rm -r dir && tar xf a.tar && ls dir && install -m 700 copy installed')
print('%o' % os.stat('installed').st_mode)
";
    for level in CAGED {
        let yard = Yard::at(level).await;
        let mut cage = yard.cage().await;
        let expected = "40750 100711 5 6 120777 3 4\n100600 True\nmissing\nfile\nlink\n100700\n";
        assert_eq!(said(&mut cage, yard.python(script)).await, expected, "{level}");
    }
}
