//! What is said again until it has had its effect: the current height's messages, evidence, and own batches of votes.

use super::Replica;
use super::command::{Command, PeerId};
use super::message::Message;
use crate::limits::REPEAT_HEIGHT_MS;
use crate::types::number::TimeMs;

/// When the current height's messages are said again.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    next: TimeMs,
}

impl Repeat {
    pub(super) fn next_wake(&self) -> TimeMs {
        self.next
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

    /// Tells a new peer what it may have missed.
    pub(super) fn greet(&mut self, peer: PeerId) {
        for message in self.height_messages() {
            self.out.send(peer, message);
        }
        self.greet_with_evidence(peer);
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
        for message in self.height_messages() {
            self.out.push(Command::Broadcast(message.into()));
        }
        self.tell_evidence(now);
    }
}
