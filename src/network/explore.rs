//! Which addresses of the book to dial and when: to keep up some links of this node's own choice, and to test what was
//! only told (*feelers*), so that the book knows more nodes than it needs today.
//!
//! Invariants: an address is dialed once at a time; links and links per network group are bounded; one feeler at a time.

use super::address::{Group, group};
use super::book::{Book, Pool};
use super::ended::{Ended, Outcome};
use super::settings::Timings;
use crate::limits::{MAX_LEARNT_LINKS, MAX_LEARNT_LINKS_PER_GROUP};
use crate::types::number::TimeMs;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::time::Instant;

/// Why an address is dialed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Visit {
    /// To have a link.
    Link,
    /// To see whether a node is there, and no more: the handshake, but no `Hello`.
    Feeler,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Explorer {
    busy: BTreeMap<SocketAddr, Visit>,
    next_look: Instant,
    next_feeler: Instant,
    timings: Timings,
}

impl Explorer {
    pub(super) fn new(timings: Timings, now: Instant) -> Self {
        Self { busy: BTreeMap::new(), next_look: now, next_feeler: now + timings.feeler, timings }
    }

    /// What to dial now; each is busy until [`Explorer::ended`]. `may_be` says of an address whether it may be dialed.
    pub(super) fn due(
        &mut self,
        now: Instant,
        clock: TimeMs,
        book: &mut Book,
        may_be: impl Fn(&SocketAddr) -> bool,
    ) -> Vec<(SocketAddr, Visit)> {
        let mut due = Vec::new();
        while self.count(Visit::Link) < MAX_LEARNT_LINKS {
            let busy = &self.busy;
            let is_free =
                |address: &SocketAddr| !busy.contains_key(address) && has_room(busy, address) && may_be(address);
            let Some(address) = book.draw(Pool::Any, clock, is_free) else { break };
            self.visit(address, Visit::Link, book, clock, &mut due);
        }
        if now >= self.next_feeler && self.count(Visit::Feeler) == 0 {
            self.next_feeler = now + self.timings.feeler;
            let busy = &self.busy;
            let is_free = |address: &SocketAddr| !busy.contains_key(address) && may_be(address);
            if let Some(address) = book.draw(Pool::New, clock, is_free) {
                self.visit(address, Visit::Feeler, book, clock, &mut due);
            }
        }
        self.next_look = now + self.timings.explore;
        due
    }

    fn visit(
        &mut self,
        address: SocketAddr,
        visit: Visit,
        book: &mut Book,
        clock: TimeMs,
        due: &mut Vec<(SocketAddr, Visit)>,
    ) {
        self.busy.insert(address, visit);
        book.dialed(address, clock);
        due.push((address, visit));
    }

    fn count(&self, visit: Visit) -> usize {
        self.busy.values().filter(|busy| **busy == visit).count()
    }

    /// When to ask [`Explorer::due`] again if nothing is learnt before.
    pub(super) fn next_due(&self) -> Instant {
        if self.count(Visit::Link) < MAX_LEARNT_LINKS { self.next_look } else { self.next_feeler.max(self.next_look) }
    }

    /// A dial failed, or the link that came of it ended.
    pub(super) fn ended(&mut self, address: SocketAddr) {
        self.busy.remove(&address);
    }
}

/// Writes into the book what a dial says about its address. Failures count only while the node `is_online`.
pub(super) fn note(
    book: &mut Book,
    address: SocketAddr,
    ended: &Ended,
    timings: &Timings,
    clock: TimeMs,
    is_online: bool,
) {
    match ended.outcome(timings.steady) {
        Outcome::Itself => book.is_own(address),
        Outcome::LinkedOtherwise | Outcome::Success => book.met(address, clock),
        Outcome::Unwanted => book.remove(address),
        Outcome::Failure if is_online => book.failed(address, clock),
        Outcome::Failure => {}
    }
}

/// Near addresses are one party's in any case, so there the bound per group says nothing.
fn has_room(busy: &BTreeMap<SocketAddr, Visit>, address: &SocketAddr) -> bool {
    let its_group = group(address.ip());
    let of_group = |(other, visit): &(&SocketAddr, &Visit)| **visit == Visit::Link && group(other.ip()) == its_group;
    matches!(its_group, Group::Local(_)) || busy.iter().filter(of_group).count() < MAX_LEARNT_LINKS_PER_GROUP
}

#[cfg(test)]
mod tests;
