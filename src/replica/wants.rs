//! Signed things that peers offered and this node lacks: whom to ask next, and when.
//!
//! A peer that offers what it does not have delays others' offers by one pause each, and holds no more than its own part
//! of the room.

use super::command::PeerId;
use super::fetch::in_messages;
use super::peers::Peers;
use crate::limits::{FETCH_RETRY_MS, MAX_OFFER_SOURCES, MAX_OFFERS_PER_MESSAGE, MAX_WANTED_ITEMS, MAX_WANTED_PER_PEER};
use crate::types::keys::Signature;
use crate::types::number::TimeMs;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Debug)]
struct Wanted {
    /// Who offered it first, in whose part of the room it stands.
    on_account_of: PeerId,
    /// Who is asked next.
    sources: VecDeque<PeerId>,
    due: TimeMs,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Wants {
    wanted: BTreeMap<Signature, Wanted>,
    due: BTreeSet<(TimeMs, Signature)>,
    of_peer: BTreeMap<PeerId, usize>,
}

impl Wants {
    /// `from` offers `id`, which is not here.
    pub(super) fn offered(&mut self, now: TimeMs, from: PeerId, id: Signature) {
        if let Some(wanted) = self.wanted.get_mut(&id) {
            if wanted.sources.len() < MAX_OFFER_SOURCES && !wanted.sources.contains(&from) {
                wanted.sources.push_back(from);
            }
            return;
        }
        let of_peer = self.of_peer.entry(from).or_default();
        if self.wanted.len() >= MAX_WANTED_ITEMS || *of_peer >= MAX_WANTED_PER_PEER {
            return;
        }
        *of_peer += 1;
        self.wanted.insert(id, Wanted { on_account_of: from, sources: VecDeque::from([from]), due: now });
        self.due.insert((now, id));
    }

    /// It is here.
    pub(super) fn done(&mut self, id: &Signature) {
        let Some(wanted) = self.wanted.remove(id) else { return };
        self.due.remove(&(wanted.due, *id));
        if let Some(count) = self.of_peer.get_mut(&wanted.on_account_of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_peer.remove(&wanted.on_account_of);
            }
        }
    }

    /// The questions that are due, merged a peer. What nobody who offered it delivered is given up: it is offered again.
    pub(super) fn requests(&mut self, now: TimeMs, peers: &Peers) -> Vec<(PeerId, Vec<Signature>)> {
        let mut by_peer: BTreeMap<PeerId, Vec<Signature>> = BTreeMap::new();
        while let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, id));
            let Some(wanted) = self.wanted.get_mut(&id) else { continue };
            let next = std::iter::from_fn(|| wanted.sources.pop_front()).find(|peer| peers.contains(*peer));
            match next {
                Some(peer) => {
                    wanted.due = now.plus(FETCH_RETRY_MS);
                    self.due.insert((wanted.due, id));
                    by_peer.entry(peer).or_default().push(id);
                }
                None => self.done(&id),
            }
        }
        in_messages(by_peer, MAX_OFFERS_PER_MESSAGE)
    }

    pub(super) fn next_wake(&self) -> Option<TimeMs> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimeMs = TimeMs(1_000_000);

    fn id(n: u32) -> Signature {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        Signature(bytes)
    }

    /// Links 1 to 9.
    fn peers() -> Peers {
        let mut peers = Peers::default();
        (1..10).for_each(|n| peers.connect(NOW, PeerId(n), None));
        peers
    }

    #[test]
    fn who_offered_it_is_asked_one_after_another_and_then_it_is_given_up() {
        let (mut wants, mut peers) = (Wants::default(), peers());
        for n in [3, 1, 2] {
            wants.offered(NOW, PeerId(n), id(1));
        }
        assert_eq!(wants.next_wake(), Some(NOW));
        assert_eq!(wants.requests(NOW, &peers), [(PeerId(3), vec![id(1)])]);
        assert_eq!(wants.requests(NOW, &peers), [], "it may be on its way");
        peers.disconnect(PeerId(1));
        let later = NOW.plus(FETCH_RETRY_MS);
        assert_eq!(wants.requests(later, &peers), [(PeerId(2), vec![id(1)])], "the first of those still linked");
        assert_eq!(wants.requests(later.plus(FETCH_RETRY_MS), &peers), []);
        assert_eq!((wants.len(), wants.next_wake()), (0, None));
        assert!(wants.of_peer.is_empty());
    }

    #[test]
    fn what_is_here_is_not_asked_for() {
        let (mut wants, peers) = (Wants::default(), peers());
        wants.offered(NOW, PeerId(1), id(1));
        wants.offered(NOW, PeerId(1), id(2));
        wants.done(&id(1));
        assert_eq!(wants.requests(NOW, &peers), [(PeerId(1), vec![id(2)])]);
    }

    #[test]
    fn a_peer_that_offers_without_end_fills_its_own_room_only() {
        let mut wants = Wants::default();
        let many = u32::try_from(2 * MAX_WANTED_PER_PEER).unwrap();
        (0..many).for_each(|n| wants.offered(NOW, PeerId(1), id(n)));
        assert_eq!(wants.len(), MAX_WANTED_PER_PEER);
        wants.offered(NOW, PeerId(2), id(many));
        assert_eq!(wants.len(), MAX_WANTED_PER_PEER + 1);
        wants.done(&id(0));
        wants.offered(NOW, PeerId(1), id(many + 1));
        assert_eq!(wants.len(), MAX_WANTED_PER_PEER + 1, "what came has made room");
    }

    #[test]
    fn questions_to_one_peer_go_together() {
        let (mut wants, peers) = (Wants::default(), peers());
        (0..1_500).for_each(|n| wants.offered(NOW, PeerId(1), id(n)));
        let sizes: Vec<usize> = wants.requests(NOW, &peers).iter().map(|(_, ids)| ids.len()).collect();
        assert_eq!(sizes, [MAX_OFFERS_PER_MESSAGE, 1_500 - MAX_OFFERS_PER_MESSAGE]);
    }
}
