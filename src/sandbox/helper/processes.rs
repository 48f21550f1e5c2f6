//! What a process has started, however far it has run away.

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpid, kill_process, prlimit, wait};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

/// So often in a row may it fail to see what lives.
const BLIND: u32 = 1000;

/// Every so many times all that descends from this process is looked for, and not only its children.
const THOROUGH: u32 = 8;

pub(in crate::sandbox) struct Process {
    pub(in crate::sandbox) pid: Pid,
    /// Bytes.
    pub(super) resident: u64,
    /// Those that live: none, of a process that is dead and not buried yet.
    pub(super) threads: u64,
}

/// All that descend from `ancestor`.
///
/// # Errors
/// When what lives cannot be listed: nobody may take that for nothing.
pub(in crate::sandbox) fn descendants(ancestor: Pid) -> io::Result<Vec<Process>> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        let stat = match fs::read_to_string(entry.path().join("stat")) {
            Ok(stat) => stat,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        if let Some((parent, process)) = parse(pid, &stat) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = Vec::new();
    let mut ancestors = vec![ancestor.as_raw_pid()];
    while let Some(parent) = ancestors.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            ancestors.push(child.pid.as_raw_pid());
            found.push(child);
        }
    }
    Ok(found)
}

/// In the meantime; or not for us to see, and so not of ours.
fn is_gone(error: &io::Error) -> bool {
    let gone = [libc::ESRCH, libc::ENOENT, libc::EACCES, libc::EPERM];
    error.raw_os_error().is_some_and(|code| gone.contains(&code))
}

/// With its parent. The name, in parentheses, may hold anything.
fn parse(pid: Pid, stat: &str) -> Option<(i32, Process)> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let pages: u64 = fields.get(21)?.parse().ok()?;
    let resident = pages * rustix::param::page_size() as u64;
    // A first thread that has ended is still counted; the others may live on.
    let dead = u64::from(matches!(*fields.first()?, "Z" | "X"));
    let threads = fields.get(17)?.parse::<u64>().ok()?.saturating_sub(dead);
    Some((fields.get(1)?.parse().ok()?, Process { pid, resident, threads }))
}

/// The children of this process; not all of them, if some of them end meanwhile. Far faster than to look at everything.
fn children() -> io::Result<Vec<Pid>> {
    let list = fs::read_to_string("/proc/thread-self/children")?;
    Ok(list.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw).collect())
}

/// Kills what descends from this process, as far as it is seen. To be repeated: those that are not its children become so
/// when their parents are dead.
pub(super) fn signal_descendants() -> io::Result<()> {
    // First, because what always forks and ends is gone before everything else was looked at.
    for child in children().unwrap_or_default() {
        end(child);
    }
    for process in descendants(getpid())? {
        end(process.pid);
    }
    Ok(())
}

fn end(pid: Pid) {
    // What it has forked before the signal reaches it can't fork any more: this is passed on.
    let _ = prlimit(Some(pid), Resource::Nproc, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = kill_process(pid, Signal::KILL);
}

/// Kills the descendants of this process until none is left. All of them stay descendants whatever they do, for this
/// process adopts orphans.
///
/// # Errors
/// When it can't see what lives.
pub(super) fn kill_descendants() -> io::Result<()> {
    let (mut round, mut blind) = (0_u32, 0);
    while reap(|_, _| {}) {
        let seen = match children() {
            Ok(children) if !round.is_multiple_of(THOROUGH) => {
                children.into_iter().for_each(end);
                Ok(())
            }
            _ => signal_descendants(),
        };
        blind = if seen.is_ok() { 0 } else { blind + 1 };
        if blind > BLIND {
            return seen;
        }
        round = round.wrapping_add(1);
        std::thread::sleep(Duration::from_micros(300));
    }
    Ok(())
}

/// Buries the dead; whether any child lives.
pub(super) fn reap(mut dead: impl FnMut(Pid, WaitStatus)) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => dead(pid, status),
            Ok(None) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_mislead() {
        let stat = "42 (a) R 1 (b) S 7 42 42 0 -1 4194560 100 0 0 0 1 2 3 4 20 0 1 0 5555 1000000 321 184467";
        let pid = getpid();
        let (parent, process) = parse(pid, stat).unwrap();
        let pages = process.resident / rustix::param::page_size() as u64;
        assert_eq!((parent, pages, process.threads), (7, 321, 1));
        assert!(parse(pid, "42 (a").is_none());
        let threads = |stat: &str| parse(pid, stat).unwrap().1.threads;
        let zombie = stat.replace(") S 7", ") Z 7");
        assert_eq!((threads(&zombie), threads(&zombie.replace("20 0 1 0", "20 0 3 0"))), (0, 2));
    }
}
