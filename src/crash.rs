//! Points at which a test ends this process, as a power cut would: before and after every commit, every question to a
//! forge, every program. In builds for use there are none.
//!
//! A test first lets a server leave a trail of the points that it passes (`CRASH_TRAIL`, a file that gets a line
//! `name number` for each), then starts others that die at one of them (`CRASH_AT`, such a line).

use std::collections::BTreeMap;

/// Where to die, and where to leave the trail; read once, before the first point is passed.
pub fn arm(environment: &BTreeMap<String, String>) {
    #[cfg(debug_assertions)]
    armed::arm(environment.get("CRASH_AT"), environment.get("CRASH_TRAIL"));
    #[cfg(not(debug_assertions))]
    let _ = environment;
}

/// Passed again and again: the first time is number 1.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    armed::pass(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
mod armed {
    use rustix::process::{Signal, getpid, kill_process};
    use std::collections::HashMap;
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;
    use std::sync::{Mutex, OnceLock, PoisonError};

    struct Armed {
        at: Option<String>,
        trail: Option<Mutex<File>>,
        passed: Mutex<HashMap<&'static str, u32>>,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    pub(super) fn arm(at: Option<&String>, trail: Option<&String>) {
        if at.is_none() && trail.is_none() {
            return;
        }
        let open = |path: &String| OpenOptions::new().create(true).append(true).open(path).ok().map(Mutex::new);
        let armed = Armed { at: at.cloned(), trail: trail.and_then(open), passed: Mutex::default() };
        let _ = ARMED.set(armed);
    }

    pub(super) fn pass(name: &'static str) {
        let Some(armed) = ARMED.get() else { return };
        let number = {
            let mut passed = armed.passed.lock().unwrap_or_else(PoisonError::into_inner);
            let number = passed.entry(name).or_default();
            *number += 1;
            *number
        };
        let line = format!("{name} {number}");
        if let Some(trail) = &armed.trail {
            // A trail that can't be written is a shorter one: the test sees that.
            let _ = writeln!(trail.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
        }
        if armed.at.as_ref() == Some(&line) {
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}
