//! The links of a replica: who is at the other end, when it was last heard, and what tip it claims.

use super::command::PeerId;
use crate::limits::LIVE_AFTER_MS;
use crate::types::keys::PublicKey;
use crate::types::number::{Height, TimeMs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
struct Peer {
    key: Option<PublicKey>,
    last_heard: TimeMs,
    live: bool,
    claimed_height: Height,
    /// From which height on it has blocks.
    lowest: Height,
    /// The masternodes it says it is linked to, once it did.
    told_links: Option<BTreeSet<PublicKey>>,
}

/// All links, by peer and by the consensus key behind them.
#[derive(Debug, Default)]
pub(super) struct Peers {
    peers: BTreeMap<PeerId, Peer>,
    by_key: BTreeMap<PublicKey, PeerId>,
    /// For each masternode that signed something lately, the peers that it is not linked to. Made anew when links change.
    far: BTreeMap<PublicKey, Arc<[PeerId]>>,
}

impl Peers {
    pub(super) fn connect(&mut self, now: TimeMs, peer: PeerId, key: Option<PublicKey>) {
        self.far.clear();
        let (live, claimed_height, lowest) = (key.is_some(), Height::ZERO, Height::ZERO);
        let entry = Peer { key, last_heard: now, live, claimed_height, lowest, told_links: None };
        self.peers.insert(peer, entry);
        if let Some(key) = key {
            self.by_key.insert(key, peer);
        }
    }

    /// The key that is no longer reachable, if this was its link.
    pub(super) fn disconnect(&mut self, peer: PeerId) -> Option<PublicKey> {
        self.far.clear();
        let key = self.peers.remove(&peer)?.key?;
        if self.by_key.get(&key) != Some(&peer) {
            return None;
        }
        // Another run may hold the key too, by its operator's mistake.
        match self.peers.iter().find(|(_, other)| other.key == Some(key)) {
            Some((other, _)) => {
                self.by_key.insert(key, *other);
                None
            }
            None => {
                self.by_key.remove(&key);
                Some(key)
            }
        }
    }

    /// Notes a sign of life; the key if it counted as silent until now. `None` for an unknown peer too.
    pub(super) fn heard(&mut self, now: TimeMs, peer: PeerId) -> Option<PublicKey> {
        let entry = self.peers.get_mut(&peer)?;
        entry.last_heard = now;
        let revived = !entry.live;
        entry.live = entry.key.is_some();
        entry.key.filter(|_| revived)
    }

    /// Keys that have been silent for three heartbeats since they last counted as live.
    pub(super) fn fallen_silent(&mut self, now: TimeMs) -> Vec<PublicKey> {
        let silent = self.peers.values_mut().filter(|p| p.live && now.since(p.last_heard) > LIVE_AFTER_MS);
        silent
            .filter_map(|peer| {
                peer.live = false;
                peer.key
            })
            .collect()
    }

    pub(super) fn live_keys(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.peers.values().filter(|p| p.live).filter_map(|p| p.key)
    }

    pub(super) fn contains(&self, peer: PeerId) -> bool {
        self.peers.contains_key(&peer)
    }

    pub(super) fn key_of(&self, peer: PeerId) -> Option<PublicKey> {
        self.peers.get(&peer)?.key
    }

    pub(super) fn of_key(&self, key: &PublicKey) -> Option<PeerId> {
        self.by_key.get(key).copied()
    }

    /// A peer says which masternodes it is linked to; whether for the first time.
    pub(super) fn tell_links(&mut self, peer: PeerId, keys: Vec<PublicKey>) -> bool {
        let Some(entry) = self.peers.get_mut(&peer) else { return false };
        self.far.clear();
        entry.told_links.replace(keys.into_iter().collect()).is_none()
    }

    /// How many masternodes a peer says it is linked to, if it told.
    pub(super) fn told_links(&self, peer: PeerId) -> Option<usize> {
        self.peers.get(&peer)?.told_links.as_ref().map(BTreeSet::len)
    }

    /// Whether a peer is this masternode, or says it is linked to it.
    pub(super) fn is_linked(&self, peer: PeerId, key: &PublicKey) -> bool {
        let Some(entry) = self.peers.get(&peer) else { return false };
        entry.key.as_ref() == Some(key) || entry.told_links.as_ref().is_some_and(|told| told.contains(key))
    }

    /// The peers that do not hear this masternode themselves, as far as is known.
    pub(super) fn far_from(&mut self, key: &PublicKey) -> Arc<[PeerId]> {
        if let Some(far) = self.far.get(key) {
            return far.clone();
        }
        let far: Arc<[PeerId]> = self.ids().filter(|peer| !self.is_linked(*peer, key)).collect();
        self.far.insert(*key, far.clone());
        far
    }

    /// What a peer says it can be asked for.
    pub(super) fn claims(&mut self, peer: PeerId, height: Height, lowest: Height) {
        if let Some(entry) = self.peers.get_mut(&peer) {
            (entry.claimed_height, entry.lowest) = (height, lowest);
        }
    }

    /// Peers that claim to have the block at `height`, in order, each with the highest one that it claims.
    pub(super) fn with_block(&self, height: Height) -> impl Iterator<Item = (PeerId, Height)> + '_ {
        let has = move |peer: &Peer| (peer.lowest..=peer.claimed_height).contains(&height);
        self.peers.iter().filter(move |(_, peer)| has(peer)).map(|(id, peer)| (*id, peer.claimed_height))
    }

    /// The peer after `last` in a fixed round of all peers.
    pub(super) fn after(&self, last: Option<PeerId>) -> Option<PeerId> {
        let following = last
            .and_then(|last| self.peers.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next());
        following.or_else(|| self.peers.iter().next()).map(|(id, _)| *id)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.keys().copied()
    }
}
