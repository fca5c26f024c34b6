//! Whom to keep up a link to and when to dial it: the state of every such address, without a socket or a clock of its own.
//!
//! Invariants: an address is dialed once at a time; pauses grow twofold from failure to failure and are drawn at random
//! from their upper half, so that nodes which lost each other together do not come back together. An address is dialed as
//! long as somebody wishes it, however often it fails; a host name is looked up each time.

use super::ended::{Ended, Outcome};
use super::settings::Timings;
use crate::types::link::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Who wants a link to an address. Each takes back its own wish only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wish {
    /// The configuration.
    Seed,
    /// The operator, while the node runs.
    Operator,
    /// The registry: a masternode is there.
    Masternode,
}

#[derive(Debug)]
struct Target {
    wishes: BTreeSet<Wish>,
    failures: u32,
    /// Not before this.
    next: Instant,
    /// A dial or a link to it is under way.
    is_busy: bool,
    /// Who was there the last time.
    node: Option<NodeId>,
    /// It is this node.
    is_self: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Targets {
    targets: BTreeMap<String, Target>,
    timings: Timings,
}

impl Targets {
    pub(super) fn new(timings: Timings) -> Self {
        Self { targets: BTreeMap::new(), timings }
    }

    /// Keeps up a link to this address from now on.
    pub(super) fn want(&mut self, address: String, wish: Wish, now: Instant) {
        let wishes = BTreeSet::new();
        let fresh = Target { wishes, failures: 0, next: now, is_busy: false, node: None, is_self: false };
        let target = self.targets.entry(address).or_insert(fresh);
        target.wishes.insert(wish);
        target.next = target.next.min(now);
    }

    /// Takes a wish back. An address that nobody wishes is not dialed again.
    pub(super) fn forget(&mut self, address: &str, wish: Wish) {
        let Some(target) = self.targets.get_mut(address) else { return };
        target.wishes.remove(&wish);
        if target.wishes.is_empty() {
            self.targets.remove(address);
        }
    }

    /// What to dial now; each is busy until [`Targets::ended`]. Those linked already are looked at again later.
    pub(super) fn due(&mut self, now: Instant, is_linked: impl Fn(&str, Option<NodeId>) -> bool) -> Vec<String> {
        let mut due = Vec::new();
        for (address, target) in &mut self.targets {
            if target.is_busy || target.is_self || target.next > now {
                continue;
            }
            if is_linked(address, target.node) {
                target.next = now + self.timings.backoff_first;
                continue;
            }
            target.is_busy = true;
            due.push(address.clone());
        }
        due
    }

    /// When [`Targets::due`] has more to say, if nothing happens before.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let waiting = self.targets.values().filter(|target| !target.is_busy && !target.is_self);
        waiting.map(|target| target.next).min()
    }

    /// A dial failed, or the link that came of it ended. `draw` draws a number up to the one given.
    pub(super) fn ended(&mut self, address: &str, ended: &Ended, now: Instant, draw: impl FnOnce(u64) -> u64) {
        let timings = self.timings;
        let Some(target) = self.targets.get_mut(address) else { return };
        target.is_busy = false;
        target.node = ended.node.or(target.node);
        match ended.outcome(timings.steady) {
            Outcome::Itself => target.is_self = true,
            Outcome::LinkedOtherwise => {}
            Outcome::Success => target.failures = 0,
            Outcome::Failure | Outcome::Unwanted => target.failures = target.failures.saturating_add(1),
        }
        target.next = now + pause(&timings, target.failures, draw);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.targets.len()
    }
}

/// Between half and the whole of a time that doubles with each failure.
fn pause(timings: &Timings, failures: u32, draw: impl FnOnce(u64) -> u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let longest = timings.backoff_first.saturating_mul(1 << doublings).min(timings.backoff_max);
    let half = longest / 2;
    half + Duration::from_millis(draw(u64::try_from(half.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests;
