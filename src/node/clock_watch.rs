//! Compares this node's clock with those of its peers, warns, and keeps the node from signing by a clock that is plainly
//! wrong.
//!
//! Who may keep it from signing: peers that it dialed itself, and members of the set. Who merely connects has no say, so
//! an attacker has to hold most of these voices, which cuts the node off from the others in any case. What it wins is
//! this node's silence: nothing is signed that would not be, and no clock is changed.

use super::input::{Inbox, NodeInput};
use super::lanes::Lane;
use super::view::View;
use crate::limits::PING_INTERVAL_MS;
use crate::network::{ClockOffset, Handle, PeerSnapshot};
use crate::replica::Input;
use crate::types::link::Role;
use crate::types::validators::ValidatorSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// What the node believes of its clock.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Belief {
    /// Off by more than the chain tolerates.
    is_off: bool,
    /// So far off that nothing is signed by it.
    is_wrong: bool,
}

impl Belief {
    fn of(peers: &[PeerSnapshot], set: &ValidatorSet, tolerated_ms: u64) -> Self {
        let has_a_say = |peer: &&PeerSnapshot| {
            peer.info.role == Role::Initiator || peer.info.masternode.is_some_and(|key| set.get(&key).is_some())
        };
        Self {
            is_off: ClockOffset::of(peers).is_some_and(|offset| offset.exceeds(tolerated_ms)),
            is_wrong: ClockOffset::of(peers.iter().filter(has_a_say)).is_some_and(|offset| offset.is_plainly_wrong()),
        }
    }
}

/// Runs until the node stops.
pub async fn run(network: Handle, view: Arc<View>, tolerated_ms: u64, inbox: Arc<Inbox>, stop: CancellationToken) {
    let mut look = interval(Duration::from_millis(PING_INTERVAL_MS));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Belief::default();
    loop {
        // Ticks are cancel-safe.
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let peers = network.peers();
        let now = Belief::of(&peers, &view.tip().validators, tolerated_ms);
        let offset_ms = ClockOffset::of(&peers).map(|offset| offset.median_ms);
        if now.is_wrong != before.is_wrong {
            inbox.push(Lane::Express, NodeInput::replica(Input::ClockIsWrong(now.is_wrong)));
        }
        match (now.is_wrong, now.is_off) {
            _ if now == before => {}
            (true, _) => error!(offset_ms, "this clock is plainly wrong: the node signs nothing until it is set right"),
            (false, true) => warn!(offset_ms, tolerated_ms, "this clock is off: set it by NTP"),
            (false, false) => info!(offset_ms, "this clock agrees with those of the peers again"),
        }
        before = now;
    }
}
