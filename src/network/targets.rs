//! Whom to dial and when: the state of every address, without a socket or a clock of its own.
//!
//! Invariants: an address is dialed once at a time; pauses grow twofold from failure to failure and are drawn at random
//! from their upper half, so that nodes which lost each other together do not come back together; addresses from peers
//! are bounded, dialed only while links to such are wanted, and forgotten when they fail; configured ones never are.

use super::error::LinkError;
use super::hello::HelloError;
use super::message::CloseReason;
use super::session::Ended;
use super::settings::Timings;
use crate::limits::{MAX_DIAL_FAILURES, MAX_KNOWN_ADDRESSES, MAX_LEARNT_LINKS};
use crate::types::link::NodeId;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
struct Target {
    is_learnt: bool,
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
    pub(super) fn want(&mut self, address: String, now: Instant) {
        let fresh =
            |is_learnt| Target { is_learnt, failures: 0, next: now, is_busy: false, node: None, is_self: false };
        let target = self.targets.entry(address).or_insert_with(|| fresh(false));
        target.is_learnt = false;
        target.next = target.next.min(now);
    }

    /// Does not dial this address again, unless a peer tells it.
    pub(super) fn forget(&mut self, address: &str) {
        self.targets.remove(address);
    }

    /// A peer told this address.
    pub(super) fn learn(&mut self, address: SocketAddr, now: Instant) {
        if self.targets.len() < MAX_KNOWN_ADDRESSES {
            let target = Target { is_learnt: true, failures: 0, next: now, is_busy: false, node: None, is_self: false };
            self.targets.entry(address.to_string()).or_insert(target);
        }
    }

    /// What to dial now; each is busy until [`Targets::ended`]. Those linked already are looked at again later.
    pub(super) fn due(&mut self, now: Instant, is_linked: impl Fn(&str, Option<NodeId>) -> bool) -> Vec<String> {
        let mut learnt_links = self.learnt_links();
        let mut due = Vec::new();
        for (address, target) in &mut self.targets {
            let is_wanted = !target.is_learnt || learnt_links < MAX_LEARNT_LINKS;
            if target.is_busy || target.is_self || !is_wanted || target.next > now {
                continue;
            }
            if is_linked(address, target.node) {
                target.next = now + self.timings.backoff_first;
                continue;
            }
            target.is_busy = true;
            learnt_links += usize::from(target.is_learnt);
            due.push(address.clone());
        }
        due
    }

    /// When [`Targets::due`] has more to say, if nothing happens before.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let learnt_wanted = self.learnt_links() < MAX_LEARNT_LINKS;
        let waiting = self.targets.values().filter(|t| !t.is_busy && !t.is_self && (learnt_wanted || !t.is_learnt));
        waiting.map(|target| target.next).min()
    }

    fn learnt_links(&self) -> usize {
        self.targets.values().filter(|target| target.is_learnt && target.is_busy).count()
    }

    /// A dial failed, or the link that came of it ended. `draw` draws a number up to the one given.
    pub(super) fn ended(&mut self, address: &str, ended: &Ended, now: Instant, draw: impl FnOnce(u64) -> u64) {
        let timings = self.timings;
        let Some(target) = self.targets.get_mut(address) else { return };
        target.is_busy = false;
        target.node = ended.node.or(target.node);
        match outcome(ended, timings.steady) {
            Outcome::Itself => target.is_self = true,
            Outcome::LinkedOtherwise => {}
            Outcome::Success => target.failures = 0,
            Outcome::Failure => target.failures = target.failures.saturating_add(1),
        }
        target.next = now + pause(&timings, target.failures, draw);
        if target.is_learnt && target.failures >= MAX_DIAL_FAILURES {
            self.targets.remove(address);
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.targets.len()
    }
}

enum Outcome {
    /// The address is this node's.
    Itself,
    /// There is another link to the node.
    LinkedOtherwise,
    Success,
    Failure,
}

fn outcome(ended: &Ended, steady: Duration) -> Outcome {
    match &ended.reason {
        LinkError::Hello(HelloError::SelfConnection) | LinkError::ClosedByPeer(CloseReason::SelfConnection) => {
            Outcome::Itself
        }
        LinkError::Closed(CloseReason::Duplicate) | LinkError::ClosedByPeer(CloseReason::Duplicate) => {
            Outcome::LinkedOtherwise
        }
        _ if ended.held.is_some_and(|held| held >= steady) => Outcome::Success,
        _ => Outcome::Failure,
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
