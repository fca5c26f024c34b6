//! Double signatures this node can prove, until a block punishes them.

use crate::limits::{MAX_EVIDENCE, MAX_EVIDENCE_BODIES};
use crate::types::evidence::Evidence;
use crate::types::hash::Txid;
use crate::types::keys::PublicKey;
use crate::types::transaction::TxBody;
use crate::types::verified::Verified;
use std::collections::{BTreeMap, VecDeque};

/// At most one piece a signer, and the bodies of rival transactions, which evidence has to show.
#[derive(Debug, Default)]
pub(super) struct EvidencePool {
    pieces: BTreeMap<PublicKey, Verified<Evidence>>,
    bodies: BTreeMap<Txid, TxBody>,
    order: VecDeque<Txid>,
}

impl EvidencePool {
    /// Whether it is new here: the first against this signer.
    pub(super) fn add(&mut self, evidence: Verified<Evidence>) -> bool {
        let voter = evidence.voter();
        if self.pieces.len() >= MAX_EVIDENCE || self.pieces.contains_key(&voter) {
            return false;
        }
        self.pieces.insert(voter, evidence);
        true
    }

    /// Keeps the pieces whose signer `can_be_punished`.
    pub(super) fn retain(&mut self, can_be_punished: impl Fn(&PublicKey) -> bool) {
        self.pieces.retain(|voter, _| can_be_punished(voter));
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &Verified<Evidence>> {
        self.pieces.values()
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

impl super::Replica {
    /// Double signatures found here: kept and told, if they hold.
    pub(super) fn found_evidence(&mut self, evidence: Evidence) {
        if let Ok(evidence) = self.verifier.evidence(evidence) {
            self.heard_evidence(evidence);
        }
    }

    /// Double signatures from anybody: the first against a registered signer is kept and passed on.
    pub(super) fn heard_evidence(&mut self, evidence: Verified<Evidence>) {
        let registry = &self.ledger.tip().registry;
        let can_be_punished = registry.by_key(&evidence.voter()).is_some_and(|m| !m.slashed);
        if can_be_punished && self.evidence.add(evidence.clone()) {
            self.out.broadcast(super::Message::Evidence(Box::new(evidence.into_inner())));
        }
    }

    /// What the next block punishes, ascending by hash, as much as half a block holds.
    pub(super) fn evidence_for_block(&self) -> Vec<Verified<Evidence>> {
        let mut room = self.chain.max_block_bytes / 2;
        let mut pieces: Vec<Verified<Evidence>> = self
            .evidence
            .pieces()
            .filter(|piece| {
                let size = crate::types::codec::encoded_size(&***piece) as u64;
                let fits = size <= room;
                if fits {
                    room -= size;
                }
                fits
            })
            .cloned()
            .collect();
        pieces.sort_by_key(|piece| piece.hash());
        pieces
    }
}
