//! Double signatures this node can prove, until a block punishes them.
//!
//! Whoever holds a masternode's key can make pieces of evidence against it at will, so what a piece costs others is bounded:
//! its size, how much of all pieces a link is told in a turn, and how often each is told again.

use super::command::PeerId;
use super::message::Message;
use crate::chain::spec::ChainSpec;
use crate::limits::{
    EVIDENCE_AGAIN_MAX_MS, EVIDENCE_BYTES_BESIDE_BODIES, MAX_EVIDENCE, MAX_EVIDENCE_BODIES, MAX_EVIDENCE_TOLD_BYTES,
    REPEAT_HEIGHT_MS,
};
use crate::types::codec::encoded_size;
use crate::types::evidence::Evidence;
use crate::types::hash::Txid;
use crate::types::keys::PublicKey;
use crate::types::number::TimeMs;
use crate::types::transaction::TxBody;
use crate::types::verified::Verified;
use std::collections::{BTreeMap, VecDeque};

/// A piece, and when it is told again.
#[derive(Debug)]
struct Held {
    piece: Verified<Evidence>,
    size_bytes: u64,
    again: TimeMs,
    /// From the next telling to the one after it.
    pause_ms: u64,
}

/// At most one piece a signer, and the bodies of rival transactions, which evidence has to show. Small pieces go before large
/// ones everywhere: what a cheater makes large is late itself, and holds up no other.
#[derive(Debug, Default)]
pub(super) struct EvidencePool {
    pieces: BTreeMap<PublicKey, Held>,
    turn_ends: TimeMs,
    /// Bytes told that the turns until now were too short for.
    owed: u64,
    bodies: BTreeMap<Txid, TxBody>,
    order: VecDeque<Txid>,
}

/// The largest piece that is taken. Of rival payments, which are valid alone, none is larger; and a block that opens a slot, and
/// does not close its epoch, has room for it.
fn max_piece_bytes(spec: &ChainSpec) -> u64 {
    (2 * spec.max_tx_bytes + EVIDENCE_BYTES_BESIDE_BODIES).min(spec.max_block_bytes / 2)
}

impl EvidencePool {
    /// Whether it is of use: the first against this signer, or less than half as large. If there are too many, the largest
    /// gives way.
    pub(super) fn add(&mut self, now: TimeMs, spec: &ChainSpec, piece: Verified<Evidence>) -> bool {
        let (voter, size_bytes) = (piece.voter(), encoded_size(&*piece) as u64);
        // Halves, so that it is told anew a few times and not as often as a cheater likes.
        let is_better = self.pieces.get(&voter).is_none_or(|held| size_bytes < held.size_bytes / 2);
        if !is_better || size_bytes > max_piece_bytes(spec) {
            return false;
        }
        if self.pieces.len() >= MAX_EVIDENCE && !self.pieces.contains_key(&voter) {
            let largest = self.pieces.iter().max_by_key(|(_, held)| held.size_bytes);
            let Some((&largest, _)) = largest.filter(|(_, held)| held.size_bytes > size_bytes) else { return false };
            self.pieces.remove(&largest);
        }
        self.pieces.insert(voter, Held { piece, size_bytes, again: now, pause_ms: REPEAT_HEIGHT_MS });
        true
    }

    /// Keeps the pieces whose signer `can_be_punished`.
    pub(super) fn retain(&mut self, can_be_punished: impl Fn(&PublicKey) -> bool) {
        self.pieces.retain(|voter, _| can_be_punished(voter));
    }

    fn smallest_first(&self) -> Vec<&Held> {
        let mut held: Vec<&Held> = self.pieces.values().collect();
        held.sort_by_key(|held| held.size_bytes);
        held
    }

    /// What is to be told now: at first at once, then after pauses that double; of many, small ones first, and of those what has
    /// waited longest.
    fn due(&mut self, now: TimeMs) -> Vec<Message> {
        // A clock that is set back does not stop it.
        let turn_is_over = now >= self.turn_ends || self.turn_ends > now.plus(REPEAT_HEIGHT_MS);
        if turn_is_over {
            self.turn_ends = now.plus(REPEAT_HEIGHT_MS);
            self.owed = self.owed.saturating_sub(MAX_EVIDENCE_TOLD_BYTES);
        }
        let is_due = |held: &Held| held.again <= now || held.again > now.plus(EVIDENCE_AGAIN_MAX_MS);
        let mut due: Vec<&mut Held> = self.pieces.values_mut().filter(|held| is_due(held)).collect();
        due.sort_by_key(|held| (held.size_bytes, held.again));
        let mut told = Vec::new();
        for held in due {
            if self.owed >= MAX_EVIDENCE_TOLD_BYTES {
                break;
            }
            self.owed = self.owed.saturating_add(held.size_bytes);
            held.again = now.plus(held.pause_ms);
            held.pause_ms = held.pause_ms.saturating_mul(2).min(EVIDENCE_AGAIN_MAX_MS);
            told.push(message(&held.piece));
        }
        told
    }

    /// What a new peer is told, as much as fits a turn; and the first, whatever its size.
    fn greeting(&self) -> Vec<Message> {
        let mut told = 0u64;
        let fits = |held: &&&Held| {
            told = told.saturating_add(held.size_bytes);
            told <= MAX_EVIDENCE_TOLD_BYTES || told == held.size_bytes
        };
        self.smallest_first().iter().take_while(fits).map(|held| message(&held.piece)).collect()
    }

    /// Pieces of at most `room` bytes together, as many as can be, ascending by hash.
    fn within(&self, mut room: u64) -> Vec<Verified<Evidence>> {
        let fits = |held: &&&Held| match room.checked_sub(held.size_bytes) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        };
        let smallest_first = self.smallest_first();
        let mut pieces: Vec<_> = smallest_first.iter().take_while(fits).map(|held| held.piece.clone()).collect();
        pieces.sort_by_key(|piece| piece.hash());
        pieces
    }

    /// Remembers the body of a transaction that has a rival; the oldest is forgotten beyond the bound.
    pub(super) fn remember_body(&mut self, txid: Txid, body: &TxBody) {
        if self.bodies.contains_key(&txid) {
            return;
        }
        if self.order.len() >= MAX_EVIDENCE_BODIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.bodies.remove(&oldest);
        }
        self.bodies.insert(txid, body.clone());
        self.order.push_back(txid);
    }

    pub(super) fn body(&self, txid: &Txid) -> Option<&TxBody> {
        self.bodies.get(txid)
    }

    /// (pieces, bodies).
    pub(super) fn len(&self) -> (usize, usize) {
        (self.pieces.len(), self.bodies.len())
    }
}

fn message(piece: &Verified<Evidence>) -> Message {
    Message::Evidence(Box::new((**piece).clone()))
}

impl super::Replica {
    /// Double signatures found here: kept and told, if they hold.
    pub(super) fn found_evidence(&mut self, now: TimeMs, evidence: Evidence) {
        if let Ok(evidence) = self.verifier.evidence(evidence) {
            self.heard_evidence(now, evidence);
        }
    }

    /// Double signatures from anybody: of use, if they are of a registered signer, and kept and passed on then.
    pub(super) fn heard_evidence(&mut self, now: TimeMs, evidence: Verified<Evidence>) {
        let registry = &self.ledger.tip().registry;
        let can_be_punished = registry.by_key(&evidence.voter()).is_some_and(|m| !m.slashed);
        if can_be_punished && self.evidence.add(now, &self.chain, evidence) {
            self.tell_evidence(now);
        }
    }

    /// Tells all peers what is due of it.
    pub(super) fn tell_evidence(&mut self, now: TimeMs) {
        self.evidence.due(now).into_iter().for_each(|message| self.out.broadcast(message));
    }

    /// Tells a new peer.
    pub(super) fn greet_with_evidence(&mut self, peer: PeerId) {
        self.evidence.greeting().into_iter().for_each(|message| self.out.send(peer, message));
    }

    /// What a fresh block punishes. It never takes the room of what the block has to hold: an overflow block its least
    /// bytes of payments, of which the last may not fit by a byte; one that closes its epoch everything that is certified,
    /// or nobody could sign it.
    pub(super) fn evidence_for_block(&self, opens: bool) -> Vec<Verified<Evidence>> {
        let ChainSpec { max_block_bytes, overflow_min_bytes, max_tx_bytes, .. } = *self.chain;
        let needed = match (opens, self.slot_tip().is_before_closing(&self.chain)) {
            (false, _) => overflow_min_bytes.saturating_add(max_tx_bytes),
            (true, true) => self.ledger.includable_bytes(max_block_bytes),
            (true, false) => 0,
        };
        self.evidence.within(max_block_bytes.saturating_sub(needed).min(max_block_bytes / 2))
    }
}

#[cfg(test)]
mod tests;
