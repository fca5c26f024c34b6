//! What masternodes signed lately, so that it can be passed on to peers that its signer does not reach.
//!
//! Who signs votes, receipts or a proposal sends them over all its links. The rest of the network gets them from whoever
//! heard them, in the way of gossipsub: small things whole to few peers, and to all others that may lack them an *offer*
//! by signature ([`Message::IHave`]), gathered for [`OFFER_DELAY_MS`]; who lacks something asks one of those that
//! offered it ([`Message::IWant`]).
//!
//! Invariants:
//! - a signer's things crowd out nobody else's below the common bounds, and these drop the oldest first;
//! - a peer is sent something it asks for once for each time it was offered it;
//! - what comes again is offered again after pauses that double: losses are made up for, and nothing circulates for ever.

use super::command::PeerId;
use super::message::Message;
use crate::limits::{
    MAX_GOSSIP_BYTES, MAX_GOSSIP_ITEMS, MAX_GOSSIP_ITEMS_PER_SIGNER, MAX_IWANT_BYTES, OFFER_AGAIN_FIRST_MS,
    OFFER_AGAIN_MAX_MS, OFFER_DELAY_MS,
};
use crate::types::block::{BftVote, Proposal};
use crate::types::codec::encoded_size;
use crate::types::keys::{PublicKey, Signature};
use crate::types::number::{Epoch, TimeMs};
use crate::types::verified::Verified;
use crate::types::vote::VoteBatch;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A key, a signature and a few numbers.
const SIGNED_BYTES: usize = 150;

/// Something a masternode signed.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Votes(Arc<Verified<VoteBatch>>),
    Proposal(Arc<Verified<Proposal>>),
    BftVote(Arc<Verified<BftVote>>),
}

impl Item {
    /// Its name: no two things have one signature.
    pub(super) fn id(&self) -> Signature {
        match self {
            Self::Votes(batch) => batch.signature,
            Self::Proposal(proposal) => proposal.signature,
            Self::BftVote(vote) => vote.signature,
        }
    }

    pub(super) fn signer(&self) -> PublicKey {
        match self {
            Self::Votes(batch) => batch.voter,
            Self::Proposal(proposal) => proposal.leader,
            Self::BftVote(vote) => vote.voter,
        }
    }

    pub(super) fn message(&self) -> Message {
        match self {
            Self::Votes(batch) => Message::Votes((***batch).clone()),
            Self::Proposal(proposal) => Message::Proposal(Box::new((***proposal).clone())),
            Self::BftVote(vote) => Message::BftVote((***vote).clone()),
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        match self {
            // As good as exact, and far cheaper where there are hundreds a second.
            Self::Votes(batch) => SIGNED_BYTES + 32 * batch.txids.len(),
            Self::Proposal(proposal) => encoded_size(&***proposal),
            Self::BftVote(_) => SIGNED_BYTES,
        }
    }

    fn lane(&self) -> Lane {
        match self {
            Self::Votes(_) => Lane::Payments,
            Self::Proposal(_) | Self::BftVote(_) => Lane::Blocks,
        }
    }
}

/// Payments and blocks do not crowd out each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Payments,
    Blocks,
}

#[derive(Debug)]
struct Held {
    item: Item,
    size_bytes: usize,
    /// Whether it was of use here. If not, it is only remembered, so that it is not asked for again.
    is_useful: bool,
    age: u64,
    /// Who has it, as they showed themselves.
    shown_by: BTreeSet<PeerId>,
    /// Who was offered it and has not asked yet.
    offered_to: BTreeSet<PeerId>,
    /// When it may be offered again, and the pause after that.
    again: TimeMs,
    pause_ms: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gossip {
    held: BTreeMap<Signature, Held>,
    by_age: BTreeMap<u64, Signature>,
    by_signer: BTreeMap<(Lane, PublicKey), VecDeque<u64>>,
    next_age: u64,
    size_bytes: usize,
    /// What to offer to whom next.
    offers: BTreeMap<PeerId, Vec<Signature>>,
    offers_due: Option<TimeMs>,
}

impl Gossip {
    pub(super) fn holds(&self, id: &Signature) -> bool {
        self.held.contains_key(id)
    }

    /// Remembers something new, and from whom it came.
    pub(super) fn hold(&mut self, now: TimeMs, from: Option<PeerId>, item: Item, is_useful: bool) {
        let (id, size_bytes, age) = (item.id(), item.size_bytes(), self.next_age);
        self.next_age += 1;
        let of_signer = self.by_signer.entry((item.lane(), item.signer())).or_default();
        of_signer.push_back(age);
        let crowded_out = if of_signer.len() > MAX_GOSSIP_ITEMS_PER_SIGNER { of_signer.front().copied() } else { None };
        self.by_age.insert(age, id);
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
        let held = Held {
            item,
            size_bytes,
            is_useful,
            age,
            shown_by: from.into_iter().collect(),
            offered_to: BTreeSet::new(),
            again: now.plus(OFFER_AGAIN_FIRST_MS),
            pause_ms: OFFER_AGAIN_FIRST_MS,
        };
        self.held.insert(id, held);
        crowded_out.and_then(|age| self.by_age.get(&age).copied()).iter().for_each(|id| self.forget(id));
        while self.held.len() > MAX_GOSSIP_ITEMS || self.size_bytes > MAX_GOSSIP_BYTES {
            let Some(oldest) = self.by_age.values().next().copied() else { break };
            self.forget(&oldest);
        }
    }

    /// It is not known here any more.
    pub(super) fn forget(&mut self, id: &Signature) {
        let Some(held) = self.held.remove(id) else { return };
        self.by_age.remove(&held.age);
        self.size_bytes = self.size_bytes.saturating_sub(held.size_bytes);
        let key = (held.item.lane(), held.item.signer());
        if let Some(of_signer) = self.by_signer.get_mut(&key) {
            of_signer.retain(|age| *age != held.age);
            if of_signer.is_empty() {
                self.by_signer.remove(&key);
            }
        }
    }

    /// A peer showed that it has it. Returns the signer if it is to be offered again, to those who have not.
    pub(super) fn heard_again(&mut self, now: TimeMs, from: PeerId, id: &Signature) -> Option<PublicKey> {
        let held = self.held.get_mut(id)?;
        held.shown_by.insert(from);
        if !held.is_useful || held.again > now {
            return None;
        }
        held.pause_ms = held.pause_ms.saturating_mul(2).min(OFFER_AGAIN_MAX_MS);
        held.again = now.plus(held.pause_ms);
        Some(held.item.signer())
    }

    /// Offers it to `to`, together with what else there is by then.
    pub(super) fn offer(&mut self, now: TimeMs, to: PeerId, id: Signature) {
        let offers = self.offers.entry(to).or_default();
        if offers.len() < MAX_GOSSIP_ITEMS {
            offers.push(id);
        }
        self.offers_due.get_or_insert(now.plus(OFFER_DELAY_MS));
    }

    /// Offers everything about the current height that its signers do not bring `to` themselves.
    pub(super) fn offer_height(&mut self, now: TimeMs, to: PeerId, is_linked: impl Fn(&PublicKey) -> bool) {
        let of_height = self.held.values().filter(|held| held.is_useful && held.item.lane() == Lane::Blocks);
        let ids: Vec<Signature> =
            of_height.filter(|held| !is_linked(&held.item.signer())).map(|held| held.item.id()).collect();
        ids.into_iter().for_each(|id| self.offer(now, to, id));
    }

    /// What this signer signed.
    pub(super) fn of_signer(&self, signer: &PublicKey) -> Vec<Signature> {
        let of_lane = |lane| self.by_signer.get(&(lane, *signer)).into_iter().flatten();
        let ages = of_lane(Lane::Payments).chain(of_lane(Lane::Blocks));
        ages.filter_map(|age| self.by_age.get(age).copied()).collect()
    }

    /// The offers that are due, without what their receivers have shown to have meanwhile.
    pub(super) fn due_offers(&mut self, now: TimeMs) -> Vec<(PeerId, Vec<Signature>)> {
        if self.offers_due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.offers_due = None;
        let mut due = Vec::new();
        for (peer, mut ids) in std::mem::take(&mut self.offers) {
            ids.retain(|id| match self.held.get_mut(id).filter(|held| !held.shown_by.contains(&peer)) {
                Some(held) => {
                    held.offered_to.insert(peer);
                    true
                }
                None => false,
            });
            if !ids.is_empty() {
                due.push((peer, ids));
            }
        }
        due
    }

    /// What `peer` asks for of what it was offered, as much as one answer holds.
    pub(super) fn asked_for(&mut self, peer: PeerId, ids: &[Signature]) -> Vec<Message> {
        let (mut bytes, mut messages) = (0usize, Vec::new());
        for id in ids {
            let Some(held) = self.held.get_mut(id).filter(|held| held.offered_to.contains(&peer)) else { continue };
            bytes = bytes.saturating_add(held.size_bytes);
            if !messages.is_empty() && bytes > MAX_IWANT_BYTES {
                break;
            }
            held.offered_to.remove(&peer);
            messages.push(held.item.message());
        }
        messages
    }

    /// The link is down.
    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        self.offers.remove(&peer);
        for held in self.held.values_mut() {
            held.shown_by.remove(&peer);
            held.offered_to.remove(&peer);
        }
    }

    /// The height is decided.
    pub(super) fn clear_height(&mut self) {
        self.retain(|item| item.lane() != Lane::Blocks);
    }

    /// What is signed for earlier epochs is void.
    pub(super) fn begin_epoch(&mut self, epoch: Epoch) {
        self.retain(|item| !matches!(item, Item::Votes(batch) if batch.epoch < epoch));
    }

    fn retain(&mut self, keep: impl Fn(&Item) -> bool) {
        let gone: Vec<Signature> = self.held.iter().filter(|(_, held)| !keep(&held.item)).map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| self.forget(id));
    }

    pub(super) fn next_wake(&self) -> Option<TimeMs> {
        self.offers_due
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests;
