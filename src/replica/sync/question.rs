//! Asking peers in turn.

use crate::limits::SYNC_RETRY_MS;
use crate::replica::command::PeerId;
use crate::types::number::{Height, TimeMs};
use std::collections::BTreeSet;

/// One question that is asked of one peer after another until it is answered.
#[derive(Debug, Default)]
pub(super) struct Question {
    /// When, and for what is above which height.
    pub(super) asked: Option<(TimeMs, Height)>,
    last: Option<PeerId>,
    /// Peers that were asked and have not answered: an answer may be late, and is taken once.
    open: BTreeSet<PeerId>,
}

impl Question {
    /// Who has not answered in time is waited for no longer.
    pub(super) fn expire(&mut self, now: TimeMs) {
        self.asked = self.asked.filter(|(at, _)| now.since(*at) < SYNC_RETRY_MS && *at <= now);
    }

    /// The next of `peers` in their order, which is asked now for what is above `height`.
    pub(super) fn ask(&mut self, now: TimeMs, height: Height, peers: &[PeerId]) -> Option<PeerId> {
        let next = peers.iter().find(|peer| Some(**peer) > self.last).or_else(|| peers.first()).copied()?;
        self.asked = Some((now, height));
        self.last = Some(next);
        self.open.insert(next);
        Some(next)
    }

    /// A peer answers; whether it was asked.
    pub(super) fn answered(&mut self, peer: PeerId) -> bool {
        self.open.remove(&peer)
    }

    /// All up to `height` is known: the next question need not wait. Until something is, it waits its time, whatever anybody
    /// answers, or who has nothing to tell would be asked again and again.
    pub(super) fn known(&mut self, height: Height) {
        self.asked = self.asked.filter(|(_, above)| *above >= height);
    }

    pub(super) fn gone(&mut self, peer: PeerId) {
        self.open.remove(&peer);
        if self.last == Some(peer) {
            self.asked = None;
        }
    }

    pub(super) fn next_wake(&self) -> Option<TimeMs> {
        self.asked.map(|(at, _)| at.plus(SYNC_RETRY_MS))
    }
}
