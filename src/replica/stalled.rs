//! Payments that do not move: votes for them are asked from one peer after another.

use super::Replica;
use super::command::PeerId;
use super::message::Message;
use crate::ledger::pool::Stage;
use crate::limits::{MAX_REQUEST_TXIDS, STALLED_MS};
use crate::types::hash::Txid;
use crate::types::number::TimeMs;
use std::collections::{BTreeMap, BTreeSet};

/// Payments that should have taken their next step: votes are asked for them.
#[derive(Debug, Default)]
pub(super) struct Stalled {
    due: BTreeSet<(TimeMs, Txid)>,
    at: BTreeMap<Txid, TimeMs>,
    last_asked: Option<PeerId>,
}

impl Stalled {
    pub(super) fn watch(&mut self, now: TimeMs, txid: Txid) {
        let due = now.plus(STALLED_MS);
        if let Some(before) = self.at.insert(txid, due) {
            self.due.remove(&(before, txid));
        }
        self.due.insert((due, txid));
    }

    pub(super) fn forget(&mut self, txid: &Txid) {
        if let Some(due) = self.at.remove(txid) {
            self.due.remove(&(due, *txid));
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self { last_asked: self.last_asked, ..Self::default() };
    }

    pub(super) fn next_wake(&self) -> Option<TimeMs> {
        self.due.first().map(|(due, _)| *due)
    }
}

impl Replica {
    /// Asks one peer after another for votes on payments that do not move.
    pub(super) fn chase_stalled(&mut self, now: TimeMs) {
        let mut txids = Vec::new();
        while let Some((due, txid)) = self.stalled.due.first().copied() {
            if due > now || txids.len() >= MAX_REQUEST_TXIDS {
                break;
            }
            self.stalled.forget(&txid);
            let moves = self.ledger.entry(&txid).is_some_and(|e| e.stage < Stage::Finalized);
            if moves {
                txids.push(txid);
                self.stalled.watch(now, txid);
            }
        }
        if txids.is_empty() {
            return;
        }
        if let Some(peer) = self.peers.after(self.stalled.last_asked) {
            self.stalled.last_asked = Some(peer);
            let epoch = self.epoch();
            self.out.send(peer, Message::GetVotes { epoch, txids: txids.clone() });
            self.out.send(peer, Message::TxAnnounce(txids));
        }
    }
}
