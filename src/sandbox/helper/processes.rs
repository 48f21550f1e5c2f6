//! What a process has started, however far it has run away.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// All that descend from `ancestor`, and their memory in bytes.
pub(super) fn descendants(ancestor: Pid) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        // Gone in the meantime, maybe.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some((parent, pages)) = parse(&stat) {
            children
                .entry(parent)
                .or_default()
                .push(Process { pid, resident: pages * rustix::param::page_size() as u64 });
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
    found
}

pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) resident: u64,
}

/// The parent and the resident pages. The name, in parentheses, may hold anything.
fn parse(stat: &str) -> Option<(i32, u64)> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    Some((fields.get(1)?.parse().ok()?, fields.get(21)?.parse().ok()?))
}

/// Kills the descendants of this process until none is left. All of them stay descendants whatever they do, for this
/// process adopts orphans.
pub(super) fn kill_descendants() {
    while reap(|_, _| {}) {
        for process in descendants(rustix::process::getpid()) {
            let _ = kill_process(process.pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_micros(300));
    }
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
        assert_eq!(parse(stat), Some((7, 321)));
        assert_eq!(parse("42 (a"), None);
    }
}
