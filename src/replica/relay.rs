//! Passing on: who gets what masternodes signed from this node (`protocol.md` 10, Gossip).
//!
//! Each node tells its peers which masternodes it is linked to. What a masternode signed is passed on to those that did
//! not name it: nothing at all where all masternodes are linked, everything at a node between masternodes that are not.

use super::Replica;
use super::command::PeerId;
use super::gossip::Item;
use super::message::Message;
use crate::limits::{
    MAX_OFFERS_PER_MESSAGE, MAX_PROPOSALS_A_VIEW, MAX_PUSHED_BYTES, MAX_RELAYED_VOTES_PER_VOTER, MAX_TOLD_LINKS,
    OFFERED_COPIES, PUSHED_COPIES, RELAY_FANOUT, TSDC_PROPOSAL_VIEWS_AHEAD,
};
use crate::types::block::{BftVote, Proposal};
use crate::types::keys::{PublicKey, Signature};
use crate::types::number::{TimeMs, View};
use crate::types::verified::Verified;
use crate::types::vote::VoteBatch;
use rand::RngExt as _;
use rand::seq::IteratorRandom as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What this node last told of its links, and how much of whom it passed on.
#[derive(Debug, Default)]
pub(super) struct Relay {
    told_links: Vec<PublicKey>,
    /// Votes on blocks of the current height that were passed on, by voter.
    votes: BTreeMap<PublicKey, u32>,
    /// Proposals of the current height that were passed on, by view.
    proposals: BTreeMap<View, usize>,
}

/// What a peer gets from this node of something that it may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// The thing itself, if it is short.
    Copy,
    Offer,
    Nothing,
}

impl Relay {
    pub(super) fn clear_height(&mut self) {
        self.votes.clear();
        self.proposals.clear();
    }
}

impl Replica {
    /// Something signed came from a peer, or from this node's signer; `is_useful` if it was new here and counts for
    /// something. Whether it was passed on for the first time.
    pub(super) fn pass_on(&mut self, now: TimeMs, from: Option<PeerId>, item: Item, is_useful: bool) -> bool {
        let (id, signer) = (item.id(), item.signer());
        self.wants.done(&id);
        if self.gossip.holds(&id) {
            from.into_iter().for_each(|from| self.heard_again(now, from, &id));
            return false;
        }
        let short = Some(item.clone()).filter(|item| item.size_bytes() <= MAX_PUSHED_BYTES);
        // Its own things go to all peers, again and again.
        let is_useful = is_useful && self.me != Some(signer);
        self.gossip.hold(now, from, item, is_useful);
        if !is_useful {
            return false;
        }
        for peer in self.peers.far_from(&signer).iter().copied().filter(|peer| Some(*peer) != from) {
            match (&short, self.share(peer)) {
                (Some(item), Share::Copy) => self.out.send(peer, item.message()),
                (_, Share::Copy | Share::Offer) => self.gossip.offer(now, peer, id),
                (_, Share::Nothing) => {}
            }
        }
        true
    }

    /// What a peer gets of something that it may lack: drawn so that all who can pass it on send about
    /// [`PUSHED_COPIES`] copies and [`OFFERED_COPIES`] offers together, however many they are. Who does not tell its
    /// links may have everything already.
    fn share(&mut self, peer: PeerId) -> Share {
        let Some(links) = self.peers.told_links(peer) else { return Share::Offer };
        match self.rng.random_range(0..links.max(1)) {
            drawn if drawn < PUSHED_COPIES => Share::Copy,
            drawn if drawn < PUSHED_COPIES + OFFERED_COPIES => Share::Offer,
            _ => Share::Nothing,
        }
    }

    /// A peer has what is here already: now and then others are offered it again.
    fn heard_again(&mut self, now: TimeMs, from: PeerId, id: &Signature) {
        let Some(signer) = self.gossip.heard_again(now, from, id) else { return };
        for peer in self.peers.far_from(&signer).iter() {
            if self.share(*peer) != Share::Nothing {
                self.gossip.offer(now, *peer, *id);
            }
        }
    }

    /// Passes on a batch of this epoch, or of the next one by somebody who is registered: keys are free to make.
    pub(super) fn pass_on_votes(
        &mut self,
        now: TimeMs,
        from: Option<PeerId>,
        batch: Arc<Verified<VoteBatch>>,
        is_new: bool,
    ) {
        let epoch = self.finality.epoch();
        let is_of_time = batch.epoch == epoch || batch.epoch == epoch.next();
        if is_of_time && self.ledger.tip().registry.by_key(&batch.voter).is_some() {
            self.pass_on(now, from, Item::Votes(batch), is_new);
        }
    }

    /// Passes on what a view's leader offers for the current height: a few of the views that matter, for one leader can sign
    /// any number, and one thing in any number of ways.
    pub(super) fn pass_on_proposal(&mut self, now: TimeMs, from: Option<PeerId>, proposal: &Arc<Verified<Proposal>>) {
        let view = self.tsdc.view();
        let ahead = proposal.view.get().checked_sub(view.get());
        if ahead.is_none_or(|ahead| ahead > TSDC_PROPOSAL_VIEWS_AHEAD) {
            return;
        }
        let passed_on = self.relay.proposals.get(&proposal.view).copied().unwrap_or_default();
        let has_room = passed_on < MAX_PROPOSALS_A_VIEW;
        if self.pass_on(now, from, Item::Proposal(proposal.clone()), has_room) {
            self.relay.proposals.retain(|of_view, _| *of_view >= view);
            self.relay.proposals.insert(proposal.view, passed_on + 1);
        }
    }

    /// Passes on a member's vote on a block of the current height, to those its voter is not linked to and, once, to a few
    /// others: so who votes one thing here and another there is found out even if no single peer was told both.
    pub(super) fn pass_on_bft_vote(&mut self, now: TimeMs, from: PeerId, vote: &Arc<Verified<BftVote>>) {
        if self.ledger.tip().validators.get(&vote.voter).is_none() {
            return;
        }
        let passed_on = self.relay.votes.entry(vote.voter).or_default();
        let has_room = *passed_on < MAX_RELAYED_VOTES_PER_VOTER;
        if !self.pass_on(now, Some(from), Item::BftVote(vote.clone()), has_room) {
            return;
        }
        *self.relay.votes.entry(vote.voter).or_default() += 1;
        let voter = self.peers.of_key(&vote.voter);
        let far = self.peers.far_from(&vote.voter);
        let near = self.peers.ids().filter(|peer| *peer != from && Some(*peer) != voter && !far.contains(peer));
        for peer in near.sample(&mut self.rng, RELAY_FANOUT) {
            self.out.send(peer, Message::BftVote((***vote).clone()));
        }
    }

    /// Passes on a precommit for the tip that joined the commit here, to those its voter is not linked to.
    pub(super) fn pass_on_late_precommit(&mut self, now: TimeMs, from: PeerId, vote: Arc<Verified<BftVote>>) {
        self.pass_on(now, Some(from), Item::BftVote(vote), true);
    }

    pub(super) fn offered(&mut self, now: TimeMs, from: PeerId, ids: &[Signature]) {
        for id in ids {
            if self.gossip.holds(id) {
                self.heard_again(now, from, id);
            } else {
                self.wants.offered(now, from, *id);
            }
        }
    }

    pub(super) fn serve_offers(&mut self, to: PeerId, ids: &[Signature]) {
        for message in self.gossip.asked_for(to, ids) {
            self.out.send(to, message);
        }
    }

    /// A peer told its links. The first time it may lack what was said of the current height.
    pub(super) fn heard_links(&mut self, now: TimeMs, from: PeerId, keys: Vec<PublicKey>) {
        if self.peers.tell_links(from, keys) {
            let peers = &self.peers;
            self.gossip.offer_height(now, from, |signer| peers.is_linked(from, signer));
        }
    }

    /// Registered masternodes that this node hears over a link of its own.
    fn own_links(&self) -> Vec<PublicKey> {
        let registry = &self.ledger.tip().registry;
        let mut keys: Vec<PublicKey> = self.peers.live_keys().filter(|key| registry.by_key(key).is_some()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.truncate(MAX_TOLD_LINKS);
        keys
    }

    pub(super) fn tell_links_to(&mut self, peer: PeerId) {
        let keys = self.own_links();
        self.out.send(peer, Message::Links(keys));
    }

    /// Tells all peers if the links are others than at the last heartbeat.
    pub(super) fn tell_changed_links(&mut self) {
        let keys = self.own_links();
        if keys != self.relay.told_links {
            self.relay.told_links.clone_from(&keys);
            self.out.broadcast(Message::Links(keys));
        }
    }

    /// Sends the offers and the questions that are due.
    pub(super) fn gossip(&mut self, now: TimeMs) {
        for (peer, ids) in self.gossip.due_offers(now) {
            ids.chunks(MAX_OFFERS_PER_MESSAGE).for_each(|ids| self.out.send(peer, Message::IHave(ids.to_vec())));
        }
        for (peer, ids) in self.wants.requests(now, &self.peers) {
            self.out.send(peer, Message::IWant(ids));
        }
    }
}

#[cfg(test)]
mod tests;
