//! Whether a proposal is as its leader made it. The leader signs the header alone; the rest is bound to it by roots, so that
//! who passes a proposal on cannot change it, and need not be trusted. What of that needs no state is checked by
//! `ledger::verify`.

use super::Replica;
use super::command::PeerId;
use crate::ledger::execute::coinbase;
use crate::types::block::{Proposal, tx_root};
use crate::types::hash::Txid;

impl Replica {
    /// The delay function's proof is outside the header, so it says nothing about the leader.
    pub(super) fn has_good_delay_proof(&self, proposal: &Proposal) -> bool {
        let opens = proposal.header.slot > self.ledger.tip().header.slot;
        match &proposal.vdf {
            Some(vdf) => opens && self.verifier.vdf(&self.beacon.seed, self.chain.vdf_iterations, vdf),
            None => !opens,
        }
    }

    /// Whether a proposal came over its leader's own link, so that all of it is the leader's word.
    pub(super) fn is_from_leader(&self, from: Option<PeerId>, proposal: &Proposal) -> bool {
        from.is_none_or(|peer| self.peers.key_of(peer) == Some(proposal.leader))
    }

    /// Whether the transactions listed are those that the header names. Where there is a coinbase, which the list leaves out,
    /// that can be seen only here: it follows from the header and the parent.
    pub(super) fn is_whole(&self, proposal: &Proposal) -> bool {
        let (tip, header) = (self.ledger.tip(), &proposal.header);
        if proposal.vdf.is_none() {
            return true;
        }
        let last_commit = proposal.last_commit.as_ref();
        let coinbase = coinbase(&self.chain, tip, &header.proposer, last_commit, header.reward).txid();
        let txids: Vec<Txid> = std::iter::once(coinbase).chain(proposal.txids.iter().copied()).collect();
        tx_root(&txids) == header.tx_root
    }
}
