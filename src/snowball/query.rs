//! Questions to peers: those of many polls to one peer travel together, and each answer finds its polls.
//!
//! Invariant: an answer is taken once, from the peer that was asked, if it answers every question of the message.

use super::timeouts::Timeouts;
use crate::limits::MAX_QUERY_TXIDS;
use crate::types::hash::Txid;
use crate::types::id_map::IdMap;
use crate::types::number::TimeMs;
use std::collections::BTreeMap;

/// A poll that waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Waiting {
    /// Which answer of the message.
    pub(super) index: usize,
    /// The poll.
    pub(super) poll: u64,
    /// How often the peer was drawn in it.
    pub(super) draws: u32,
}

#[derive(Default)]
struct Unsent {
    txids: Vec<Txid>,
    waiting: Vec<Waiting>,
}

struct Sent {
    to: usize,
    questions: usize,
    waiting: Vec<Waiting>,
}

/// A message to the member at position `to`.
pub(super) struct Query {
    pub(super) to: usize,
    pub(super) number: u64,
    pub(super) txids: Vec<Txid>,
}

/// Questions to be sent, and those whose answers are out.
#[derive(Default)]
pub(super) struct Queries {
    next_number: u64,
    unsent: BTreeMap<usize, Vec<Unsent>>,
    // Never iterated.
    sent: IdMap<u64, Sent>,
    deadlines: Timeouts<u64>,
}

impl Queries {
    /// Asks the member at position `to` about `txid` for a poll in which it was drawn `draws` times. Polls of one
    /// transaction that start together share the question.
    pub(super) fn ask(&mut self, to: usize, txid: Txid, poll: u64, draws: u32) {
        let messages = self.unsent.entry(to).or_default();
        let is_asked = messages.last().is_some_and(|message| message.txids.last() == Some(&txid));
        if !is_asked && messages.last().is_none_or(|message| message.txids.len() >= MAX_QUERY_TXIDS) {
            messages.push(Unsent::default());
        }
        if let Some(message) = messages.last_mut() {
            if !is_asked {
                message.txids.push(txid);
            }
            message.waiting.push(Waiting { index: message.txids.len() - 1, poll, draws });
        }
    }

    /// What is to be sent now; answers count until `deadline`.
    pub(super) fn send(&mut self, deadline: TimeMs) -> Vec<Query> {
        let mut queries = Vec::new();
        for (to, messages) in std::mem::take(&mut self.unsent) {
            for Unsent { txids, waiting } in messages {
                let number = self.next_number;
                self.next_number = number.wrapping_add(1);
                self.sent.insert(number, Sent { to, questions: txids.len(), waiting });
                self.deadlines.push(deadline, number);
                queries.push(Query { to, number, txids });
            }
        }
        queries
    }

    /// The polls that waited for this message of `answers` answers from the member at position `from`; none if it was
    /// not asked that, or answered already.
    pub(super) fn answered(&mut self, from: usize, number: u64, answers: usize) -> Vec<Waiting> {
        if !self.sent.get(&number).is_some_and(|sent| sent.to == from && sent.questions == answers) {
            return Vec::new();
        }
        let waiting = self.sent.remove(&number).map(|sent| sent.waiting).unwrap_or_default();
        let Self { sent, deadlines, .. } = self;
        deadlines.skip(|number| !sent.contains_key(number));
        waiting
    }

    /// Gives up what was not answered by `now`.
    pub(super) fn expire(&mut self, now: TimeMs) {
        while let Some(number) = self.deadlines.pop_due(now) {
            self.sent.remove(&number);
        }
    }

    /// When the next message is given up.
    pub(super) fn next_deadline(&self) -> Option<TimeMs> {
        self.deadlines.next()
    }

    /// Forgets all questions; numbers are not used again.
    pub(super) fn clear(&mut self) {
        *self = Self { next_number: self.next_number, ..Self::default() };
    }

    /// How many messages are out.
    #[cfg(test)]
    pub(super) fn sent(&self) -> usize {
        self.sent.len()
    }
}
