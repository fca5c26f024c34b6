//! Which snapshots peers have, and which is fetched.

use super::chunks::Download;
use super::peer::{Offer, Peer};
use super::{JoinCommand, Joiner, Stage};
use crate::ledger::snapshot::Manifest;
use crate::limits::{JOIN_OFFERS, JOIN_OFFERS_WAIT_MS, JOIN_REFUSED_KEPT, JOIN_SETTLE_MS};
use crate::replica::command::PeerId;
use crate::replica::message::Message;
use crate::types::hash::Hash;
use crate::types::number::{Height, TimeMs};

const NOT_THE_STATE: &str = "a snapshot that is not the state of its block";

impl Joiner {
    /// Asks every peer that was not; once all have answered, or long enough was waited, the best offer is begun.
    pub(super) fn look_at_offers(&mut self, now: TimeMs, since: TimeMs) {
        let height = self.begun.as_ref().map(|begun| begun.height());
        let unasked = self.peers.iter_mut().filter(|(_, peer)| peer.offer == Offer::Unasked);
        let unasked: Vec<PeerId> = unasked
            .map(|(id, peer)| {
                peer.offer = Offer::Asked;
                *id
            })
            .collect();
        unasked.into_iter().for_each(|peer| self.send(peer, Message::GetSnapshot { height }));
        let is_waiting = self.peers.values().any(|peer| peer.offer == Offer::Asked);
        let waited = now.since(since);
        if self.peers.is_empty() || waited < JOIN_SETTLE_MS || is_waiting && waited < JOIN_OFFERS_WAIT_MS {
            return;
        }
        let offers = self.offers.iter().map(|(hash, checked)| {
            let peers = self.peers.values().filter(|peer| peer.offer == Offer::Has(*hash)).count();
            (peers, checked.manifest().height(), *hash)
        });
        match offers.filter(|(peers, ..)| *peers > 0).max() {
            Some((.., hash)) => self.begin(hash),
            // What was begun is nowhere any more: asked again, for whatever they have.
            None if self.begun.take().is_some() => self.ask_anew(),
            None if waited < JOIN_OFFERS_WAIT_MS => {}
            None => {
                self.out.push(JoinCommand::NobodyHasOne);
                self.ask_anew();
            }
        }
    }

    fn begin(&mut self, hash: Hash) {
        let Some(checked) = self.offers.get(&hash).cloned() else { return };
        self.begun = Some(checked.manifest().clone());
        self.out.push(JoinCommand::Begin(checked.manifest().clone()));
        self.stage = Stage::Chunks(Download::new(checked, hash));
    }

    /// Looks for offers anew: what peers have may have changed, and epochs may have ended.
    pub(super) fn ask_anew(&mut self) {
        self.offers.clear();
        for peer in self.peers.values_mut() {
            *peer = Peer { stalls: peer.stalls, ..Peer::default() };
        }
        self.stage = Stage::Epochs { asked: None };
    }

    pub(super) fn heard_offer(&mut self, from: PeerId, manifest: Option<Manifest>) {
        let last_end = self.ends.back().map_or(Height::ZERO, |(height, _)| *height);
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if peer.offer != Offer::Asked {
            return;
        }
        peer.offer = Offer::Nothing;
        let Some(manifest) = manifest else { return };
        let (height, hash) = (manifest.height(), manifest.hash());
        if height > last_end {
            // An epoch has ended since: first its end. Who still is ahead after that has told of none.
            if std::mem::replace(&mut peer.was_ahead, true) {
                return;
            }
            peer.offer = Offer::Unasked;
            self.peers.values_mut().for_each(|peer| peer.is_exhausted = false);
            self.stage = match &self.stage {
                Stage::Offers { .. } => Stage::Epochs { asked: None },
                _ => return,
            };
            return;
        }
        if self.refused.contains(&hash) {
            return self.fault(from, NOT_THE_STATE);
        }
        if !self.ends.contains(&(height, manifest.header.hash())) {
            return;
        }
        if !self.offers.contains_key(&hash) {
            if self.offers.len() >= JOIN_OFFERS {
                return;
            }
            match manifest.check(&self.chain, &self.verifier) {
                Ok(checked) => drop(self.offers.insert(hash, checked)),
                Err(_) => return self.fault(from, "a snapshot whose parts contradict each other"),
            }
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.offer = Offer::Has(hash);
        }
    }

    /// The snapshot with this manifest is not the state: whoever offered it says what is not so.
    pub(super) fn refuse(&mut self, hash: Hash) {
        self.offers.remove(&hash);
        self.begun = None;
        if self.refused.len() >= JOIN_REFUSED_KEPT {
            self.refused.pop_first();
        }
        self.refused.insert(hash);
        let offering = self.peers.iter_mut().filter(|(_, peer)| peer.offer == Offer::Has(hash));
        let offering: Vec<PeerId> = offering
            .map(|(id, peer)| {
                peer.offer = Offer::Nothing;
                *id
            })
            .collect();
        offering.into_iter().for_each(|peer| self.fault(peer, NOT_THE_STATE));
    }
}
