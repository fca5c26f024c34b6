//! What is said again until it has had its effect: the current height's messages, evidence, and own batches of votes.

use super::Replica;
use super::command::{Command, PeerId};
use super::message::Message;
use crate::limits::{MAX_PASSED_ON_VOTES, RELAY_FANOUT, REPEAT_HEIGHT_MS};
use crate::types::block::BftVote;
use crate::types::keys::Signature;
use crate::types::number::TimeMs;
use rand::seq::IteratorRandom as _;
use std::collections::BTreeSet;

/// When the current height's messages are said again.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    next: TimeMs,
    /// Signatures of others' votes at this height that were passed on.
    passed_on: BTreeSet<Signature>,
}

impl Repeat {
    pub(super) fn next_wake(&self) -> TimeMs {
        self.next
    }

    pub(super) fn clear_height(&mut self) {
        self.passed_on.clear();
    }
}

impl Replica {
    /// What anybody may still need at this height: own votes, what brought this node into its view, and the view's
    /// proposal if this node made it.
    fn height_messages(&self) -> Vec<Message> {
        let own = self.tsdc.votes().into_iter().chain(self.tsdc.entry_votes()).map(Message::BftVote);
        let proposals = self.tsdc.proposals().into_iter().filter(|p| Some(p.leader) == self.me);
        let proposals = proposals.map(|p| Message::Proposal(Box::new((**p).clone())));
        proposals.chain(own).collect()
    }

    /// Passes a member's vote on to a few peers, once: who is not linked to its voter hears of it, and who votes one thing
    /// here and another there is found out.
    pub(super) fn pass_on(&mut self, from: PeerId, vote: &BftVote) {
        let is_member = self.ledger.tip().validators.get(&vote.voter).is_some();
        let has_room = self.repeat.passed_on.len() < MAX_PASSED_ON_VOTES;
        if !is_member || !has_room || !self.repeat.passed_on.insert(vote.signature) {
            return;
        }
        let voter = self.peers.of_key(&vote.voter);
        let others = self.peers.ids().filter(|peer| *peer != from && Some(*peer) != voter);
        for peer in others.sample(&mut self.rng, RELAY_FANOUT) {
            self.out.send(peer, Message::BftVote(vote.clone()));
        }
    }

    /// Tells a new peer what it may have missed.
    pub(super) fn greet(&mut self, peer: PeerId) {
        for message in self.height_messages() {
            self.out.send(peer, message);
        }
    }

    pub(super) fn repeat_what_is_due(&mut self, now: TimeMs) {
        // A payment that is in the pool is not archived yet.
        let ledger = &self.ledger;
        for batch in self.own.due(now, |txid| ledger.entry(txid).is_some()) {
            self.out.broadcast(Message::Votes((**batch).clone()));
        }
        if now < self.repeat.next && self.repeat.next <= now.plus(REPEAT_HEIGHT_MS) {
            return;
        }
        self.repeat.next = now.plus(REPEAT_HEIGHT_MS);
        let evidence = self.evidence.pieces().map(|e| Message::Evidence(Box::new((**e).clone())));
        for message in self.height_messages().into_iter().chain(evidence) {
            self.out.push(Command::Broadcast(message.into()));
        }
    }
}
