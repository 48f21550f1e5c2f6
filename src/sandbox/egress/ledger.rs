//! What was refused, each thing once, and how much went through.

use crate::domain::egress::{Reason, Refusal};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// How many different things are remembered. A cage can ask for any number of names.
pub(super) const MAX_REFUSALS: usize = 64;

/// What happened at the proxy of one cage.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    refusals: Mutex<Vec<Refusal>>,
    pub(super) connections: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

/// How much went through the proxy of one cage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Taken, whatever became of them.
    pub connections: u64,
    /// Bytes from the cage to the outside.
    pub sent: u64,
    /// Bytes from the outside to the cage.
    pub received: u64,
}

impl Ledger {
    /// Records it, and gives what to tell about it.
    pub(super) fn refuse(&self, host: &str, port: u16, reason: Reason) -> Refusal {
        // An address that is none can be any text, and it will stand in comments, pages and status lines.
        let plain = |c: char| if c.is_ascii_alphanumeric() || ".:-_".contains(c) { c } else { '?' };
        let refusal = Refusal { host: host.chars().take(253).map(plain).collect(), port, reason, count: 1 };
        tracing::debug!(%refusal, "refused");
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |known: &&mut Refusal| {
            (&known.host, known.port, &known.reason) == (&refusal.host, refusal.port, &refusal.reason)
        };
        if let Some(known) = refusals.iter_mut().find(same) {
            known.count += 1;
        } else if refusals.len() < MAX_REFUSALS {
            refusals.push(refusal.clone());
        }
        refusal
    }

    pub(super) fn refusals(&self) -> Vec<Refusal> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            connections: self.connections.load(Relaxed),
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_listed_once_with_its_count_and_the_list_ends_somewhere() {
        let ledger = Ledger::default();
        for i in 0..1000 {
            ledger.refuse("a.example.com", 443, Reason::NotListed);
            ledger.refuse(&format!("{i}.example.com"), 443, Reason::NotListed);
        }
        let refusals = ledger.refusals();
        assert_eq!(refusals.len(), MAX_REFUSALS);
        assert_eq!((refusals[0].count, refusals[1].count), (1000, 1));
    }

    #[test]
    fn what_was_asked_for_cannot_break_a_line_or_a_page() {
        let refusal = Ledger::default().refuse("a\r\nb: \u{1b}[31m\u{202e}`<i>](x)::1", 1, Reason::NotListed);
        assert_eq!(refusal.host, "a??b:???31m???i???x?::1");
    }
}
